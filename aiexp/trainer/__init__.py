"""The loop: steps, evaluations, checkpoints; mirrors conf/trainer.

Here belongs the order of events, the same for every task. What is learned is for `task`.
"""
