"""Trained tasks behind HTTP: JSON in and out, requests that wait are answered together, a page for people.

Here belongs what a server needs; what a task is asked and answers is in `prediction`.
"""
