"""What lies in the output folder: which runs, how large, and removing them safely."""
