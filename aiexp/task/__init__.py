"""Tasks: what is learned. One file each in the room of its field; base.py has the contract.

Here belong losses, optimizers, evaluations and reports. The loop is for `trainer`; nothing here starts a
run.
"""
