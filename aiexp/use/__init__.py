"""What can be done with a trained task: asking it, judging it again, explaining, exporting, serving.

Everything here goes through `Task.inputs`, `predict`, `logits` and `networks`, and knows no task by name.
"""
