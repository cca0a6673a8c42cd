"""Comparing runs: groups, statistics over seeds, and what to say about them. Imports no torch.

Here belongs what needs several runs. Reading one of them is for `rundir`, listing and removing them for
`runs`.
"""
