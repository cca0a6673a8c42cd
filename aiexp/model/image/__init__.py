"""Networks that make one vector of an image."""
