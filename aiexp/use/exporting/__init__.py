"""Networks of a trained task as files for elsewhere: written, read back, compared, then kept."""
