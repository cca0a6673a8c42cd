"""Comparing runs: reading their directories, statistics over seeds, and what to say about them."""
