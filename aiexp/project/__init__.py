"""A user's own project: its files, made from the templates that lie here, and added to."""
