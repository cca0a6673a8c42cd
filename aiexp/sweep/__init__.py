"""Many runs from one command: launching, resuming and searching."""
