"""Networks that read tokens, and their tokenizers."""
