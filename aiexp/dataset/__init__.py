"""Data sets; mirrors conf/dataset."""
