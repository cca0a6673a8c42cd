"""Sentences whose words carry tags: parts of speech, names. Read once, kept as arrays, batched by length."""
