"""Imported by the forkserver alone, after what it preloads: makes it a good parent of jobs."""

import gc
import signal
import warnings

from aiexp.sweep.place.worker import adopt_orphans

# A scheduler that stops a sweep may signal every process of it; jobs must not lose their parent for that.
signal.signal(signal.SIGTERM, signal.SIG_IGN)
# What a job left behind comes here when the job has ended, for the pool to find and kill.
adopt_orphans()
warnings.filterwarnings("ignore", message="forkserver: waitpid returned unexpected pid")
# What is loaded now is shared by all jobs; the collector of one must not touch, and so copy, it.
gc.collect()
gc.freeze()
