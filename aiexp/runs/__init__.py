"""What lies in the output folder: which runs, how large, removing them safely, and finished ones used again.

Here belongs what is done with runs one by one. What is said about several together is for `compare`.
"""
