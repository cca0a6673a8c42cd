"""What can be fetched: every entry with its sources, licence, size and sha256. Here belongs no download."""
