"""Networks that read sentences word by word."""
