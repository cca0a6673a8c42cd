"""Pictures, with labels or in two kinds without pairs. Here belongs everything whose examples are pixels."""
