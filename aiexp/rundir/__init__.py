"""The run directory: what a run leaves behind, and reading it again. Imports no torch.

Here belongs every file of a run directory, of its checkpoints the reading: written once, read by one reader.
What is done with many runs is for `runs` and `compare`.
"""
