"""Intervals, differences and their corrections: numbers in, numbers out; nothing here reads a run."""
