"""The comparison page, live: which runs are watched, what has changed, and the server that shows it."""
