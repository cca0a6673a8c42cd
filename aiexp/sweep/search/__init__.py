"""Searching with Optuna: the sweeper, its study and settings, pruning, and the objective."""
