"""The user's own code that a run used: recorded with it, signed, and compared when it runs again."""
