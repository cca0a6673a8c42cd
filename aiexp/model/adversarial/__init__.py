"""Generators and their critics."""
