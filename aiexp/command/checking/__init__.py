"""What `aiexp check` finds out and prints: of one run, of a sweep."""
