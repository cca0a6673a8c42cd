"""One module for each command: `main(argv) -> int`, imported only when its command is typed."""
