"""Objects out of checked config nodes: built, matched with each other, and their errors given a key."""
