"""Data sets and weights: what exists (`catalog`), where it lies (`cache`), how it is got (`fetch`)."""
