"""The processes ("ranks") that train one run together: who each is, what they agree on, how one is missed.

Here belongs what is the same for every task, and nothing of runs or data sets. With one rank nothing here
does anything, and torch.distributed is not imported.
"""
