"""Files as such: whole or not there, locked by one process, read with bounds.

Here belongs what holds for any file. What is in it is for the room that writes it.
"""
