"""Language models: token numbers in, logits of the token after each out."""
