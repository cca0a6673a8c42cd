"""Checkpoints: training state as safetensors and JSON in a folder that verifies.

Here belongs what a checkpoint is made of and how it is read, for any task. When one is written, and which
is kept or tested, is for `trainer`; nothing here knows a run directory.
"""
