"""What leaves the process as text: masked, escaped, with the digits it deserves.

Here belongs how words and numbers are written anywhere: terminal, log, CSV. Not what they say.
"""
