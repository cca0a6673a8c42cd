"""A process at work on a run directory: its lock, signals, display, tracker, and what it says when it fails.

Here belongs what happens beside training; the order of training is for `trainer`, files as such for
`rundir`.
"""
