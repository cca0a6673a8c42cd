"""Weights & Biases: its run, service process, server, folders, and registering sweeps."""

from aiexp.tracker.wandb.tracker import WandbTracker as WandbTracker
