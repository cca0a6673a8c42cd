"""Running text as one long row of tokens, of which windows are read: what language models learn from."""
