"""Small networks for learning from a few examples; they carry nothing from batch to batch."""
