"""Imported by the forkserver alone, after what it preloads: makes it a good parent of jobs."""

import gc
import signal

# A scheduler that stops a sweep may signal every process of it; jobs must not lose their parent for that.
signal.signal(signal.SIGTERM, signal.SIG_IGN)
# What is loaded now is shared by all jobs; the collector of one must not touch, and so copy, it.
gc.collect()
gc.freeze()
