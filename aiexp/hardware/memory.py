"""How much memory this process has taken, and whether it was refused more."""

import resource
import sys


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch failed to allocate, on a GPU or the CPU."""
    torch = sys.modules.get("torch")  # not imported here: what runs out of memory has done so
    if torch is not None and isinstance(error, torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


def peak_memory_bytes() -> int:
    """Largest resident size of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
