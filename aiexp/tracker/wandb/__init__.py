"""Weights & Biases."""

from aiexp.tracker.wandb.tracker import WandbTracker as WandbTracker
