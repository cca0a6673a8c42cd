"""Labelled texts. Here belongs everything whose examples are sequences of tokens."""
