"""Config-driven deep-learning experiments: compose, run, resume bit-exactly, compare."""

__version__ = "0.1.0"
