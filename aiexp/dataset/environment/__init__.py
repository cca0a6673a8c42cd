"""Environments that a task acts in: an example is an episode. Here belongs everything of gymnasium."""
