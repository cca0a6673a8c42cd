"""Tasks to learn to learn from: an example is a small data set of its own."""
