"""Commands that make a project of one's own, and add to it."""
