"""Encoders that learn from text which nobody has labelled: by guessing what is hidden of it."""
