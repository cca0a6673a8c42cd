"""Many runs from one command: READ sweep.py SECOND.

Here belongs what a sweep is and what became of its jobs; `place` knows where jobs run, `search` which
come next.
"""
