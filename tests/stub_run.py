"""A program that puts a stub in the place of aiexp.run, for tests of the command line alone."""

# Stands for aiexp.run: says what it was given, fails for some seeds.
STUB = """
import sys, types
stub = types.ModuleType("aiexp.run")
def run(composed, job=None):
    from aiexp.errors import DataError, Stopped
    seed = composed.config.seed
    where = None if job is None else [job.sweep_dir.as_posix(), job.index, job.overrides]
    print("RUN", composed.choices["task"], composed.config.model.width, seed, where, flush=True)
    if seed == 1:
        raise DataError("the file is empty", where="data.csv", fix="fill it")
    if seed == 2:
        raise RuntimeError("boom")
    if seed == 3:
        raise Stopped("stopped, step 5 is saved", exit_code=143, fix="aiexp resume X")
    if seed == 4:
        raise KeyboardInterrupt
    return 0
stub.run = run
sys.modules["aiexp.run"] = stub
"""
