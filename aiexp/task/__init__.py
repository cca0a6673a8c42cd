"""Tasks: what is learned. One file each; mirrors conf/task."""
