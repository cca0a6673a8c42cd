"""The device, its precision and threads: chosen once, said once, then a value."""

import ctypes
import os
import platform
import sys
import time
import warnings
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated, Any, Literal, final

from aiexp.errors import ConfigError, HardwareError
from aiexp.ranges import PositiveFloat, PositiveInt, Range
from aiexp.world.world import RANK, World

if TYPE_CHECKING:
    import torch
    from torch import nn


@final
class Hardware:
    """What a run computes on. Importing this module or building this class does not import torch.

    Args:
        device: "auto" takes a CUDA GPU if there is one; "gpu" insists on it.
        precision: "fp32", "bf16", "fp16" (GPU only), or "auto": bf16 where the processor multiplies
            bf16 matrices natively (AMX, AVX512-BF16, CUDA capability 8), else fp32.
        threads: CPU threads of torch (with 40,000 the thread library ends the process); null means the
            cores this process may use. Each rank has as many, by null its share of the cores.
        compile: Compile the task's networks with torch.compile (minutes on a CPU).
        cuda_graphs: On a GPU record the steps of tasks that allow it, and replay them; see `Captures`.
        deterministic: Only deterministic kernels; raises where an operation has none.
        devices: How many train together, each in a process ("rank") of its own; "all" the GPUs there are, or
            the one CPU. A batch is shared out among them.
        parallel: How they do it. "ddp": each has all weights, gradients are averaged. "fsdp": each has its
            rows of weights, gradients and moments, where a task names its blocks.
        timeout: Seconds without a sign of life after which a rank is taken for stuck.
        grace: Seconds that ranks have to save and leave when they are asked to stop or one of them failed.

    Raises:
        HardwareError: a GPU is asked for and there is none, there are fewer than asked for, or fp16 on a CPU.
        ConfigError: sharded weights are to be compiled or computed in fp16.
    """

    def __init__(
        self,
        *,
        device: Literal["auto", "cpu", "gpu"],
        precision: Literal["auto", "fp32", "bf16", "fp16"],
        threads: Annotated[int, Range("[1, 1024]")] | None,
        compile: bool,
        cuda_graphs: bool,
        deterministic: bool,
        devices: PositiveInt | Literal["all"],
        parallel: Literal["ddp", "fsdp"],
        timeout: PositiveFloat,
        grace: PositiveFloat,
    ) -> None:
        num_gpus = 0 if device == "cpu" else count_gpus()
        if device == "gpu" and not num_gpus:
            raise HardwareError(
                "no GPU on this machine (no CUDA driver answers)", where="device=gpu",
                fix="hardware=cpu or hardware=auto",
            )  # fmt: skip
        self.device_type = "cuda" if num_gpus else "cpu"
        if precision == "fp16" and self.device_type == "cpu":
            raise HardwareError("fp16 needs a GPU", where="precision=fp16", fix="precision=bf16")
        self.precision: str = precision
        self.threads = (
            threads or len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else threads
        )
        self.compile, self.deterministic, self.cuda_graphs = compile, deterministic, cuda_graphs
        self.world = World.from_environment()
        # Of several ranks each sees but its own GPU.
        self.devices = self.world.size if RANK in os.environ else count_devices(devices, num_gpus)
        self.parallel: str = parallel
        if parallel == "fsdp" and self.devices > 1 and (compile or precision == "fp16"):
            fix = "compile=false" if compile else "precision=bf16"
            raise ConfigError(
                f"sharded weights are not offered with {'compile=true' if compile else 'precision=fp16'}",
                where="parallel=fsdp", fix=f"{fix} or parallel=ddp",
            )  # fmt: skip
        self.timeout, self.grace = timeout, grace

    def set_environment(self) -> None:
        """Sets what libraries read when torch is imported; call before that."""
        # Waiting OpenMP threads spin, which pays on an idle machine (115 against 80 examples/s) and stalls
        # everyone on a busy one (3 against 37). Which it is can only be guessed, and only now.
        if others_running() - (self.world.size - 1) >= max((self.threads or 1) / 2, 1):
            os.environ.setdefault("GOMP_SPINCOUNT", "0")
        # Every width of a batch needs matrix products of its own, 14 of them for BERT; oneDNN keeps 1024.
        os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "4096")
        if self.device_type == "cpu":
            keep_freed_memory()
        if self.deterministic:
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

    def start(self) -> None:
        """Imports torch, applies the choices to this process and joins the other ranks; call once, first."""
        import torch

        if self.threads is not None:
            torch.set_num_threads(self.threads)
        # Adam's moments of weights without gradient decay into denormal numbers, which a CPU adds many times
        # slower: 2.1 against 0.3 ms an update of a Q-network. They count as 0 (on processors that can).
        torch.set_flush_denormal(True)
        if self.device_type == "cuda" and not torch.cuda.is_available():
            raise HardwareError(
                "the GPU's driver answers but this torch cannot use it", where=f"torch {torch.__version__}",
                fix="install a torch built for your CUDA driver, or hardware=cpu",
            )  # fmt: skip
        # Only where it changes something: the call imports torch's compiler, which takes seconds.
        if self.deterministic != torch.are_deterministic_algorithms_enabled():
            torch.use_deterministic_algorithms(self.deterministic)
        if self.precision == "auto":
            self.precision = "bf16" if has_fast_bf16(self.device_type) else "fp32"
        self.world.start(self.device_type, self.timeout)

    @property
    def device(self) -> "torch.device":
        """The torch device."""
        import torch

        return torch.device(self.device_type)

    def autocast(self) -> AbstractContextManager[Any]:
        """A reusable context in which matrix products run in the chosen precision."""
        import torch

        if self.precision == "fp32":
            return nullcontext()
        dtype = torch.bfloat16 if self.precision == "bf16" else torch.float16
        return torch.autocast(self.device_type, dtype)

    def prepare(self, task: "nn.Module") -> None:
        """Moves a task to the device, filters in the layout that convolves fastest; compiles if asked."""
        import torch

        task.to(self.device)
        for tensor in (*task.parameters(), *task.buffers()):
            if tensor.dim() == 4:  # a layout for filters of images: those of videos have none, nor has text
                tensor.data = tensor.data.to(memory_format=torch.channels_last)
        if self.compile:
            # The compiler looks at it; nobody who trains needs to know.
            warnings.filterwarnings("ignore", message="The .grad attribute of a Tensor that is not a leaf")
            task.compile()

    @property
    def records_steps(self) -> bool:
        """Whether steps may be recorded: in one, ranks talk to each other, and the scaler of fp16 reads."""
        is_alone = self.world.size == 1
        return self.cuda_graphs and self.device_type == "cuda" and is_alone and self.precision != "fp16"

    def describe(self) -> str:
        """One line for the user."""
        name = gpu_name() if self.device_type == "cuda" else f"{cpu_name()}, {self.threads} threads"
        extras = [w for w, on in (("compiled", self.compile), ("deterministic", self.deterministic)) if on]
        several = [f"{self.world.size} ranks by {self.parallel}"] if self.world.size > 1 else []
        return ", ".join([f"{self.device_type} ({name})", self.precision, *several, *extras])

    def record(self) -> dict[str, Any]:
        """What environment.json says of it."""
        return {
            "device": self.device_type,
            "device_name": gpu_name() if self.device_type == "cuda" else cpu_name(),
            "precision": self.precision,
            "threads": self.threads,
            "waiting_threads": "sleep" if os.environ.get("GOMP_SPINCOUNT") == "0" else "spin",
            "compile": self.compile,
            "cuda_graphs": self.cuda_graphs,
            "deterministic": self.deterministic,
            "devices": self.world.size,
            "parallel": self.parallel,
        }


def count_devices(devices: int | Literal["all"], num_gpus: int) -> int:
    """How many ranks a run has; on a CPU any number, each with its share of the cores.

    Raises:
        HardwareError: there are fewer GPUs.
    """
    if devices == "all":
        return max(num_gpus, 1)
    if 0 < num_gpus < devices:
        raise HardwareError(
            f"{devices} GPUs are asked for, and there {'is' if num_gpus == 1 else 'are'} {num_gpus}",
            where=f"devices={devices}", fix=f"devices={num_gpus} or devices=all",
        )  # fmt: skip
    return devices


def others_running() -> float:
    """How many other threads of this machine want a core just now, on Linux; 0 elsewhere."""
    samples: list[int] = []
    for _ in range(9):
        try:
            running = Path("/proc/loadavg").read_text(encoding="utf-8").split()[3].split("/")[0]
        except (OSError, IndexError):
            return 0.0
        samples.append(int(running) - 1)  # this process runs while it reads
        time.sleep(0.005)
    return median(samples)


def keep_freed_memory() -> None:
    """Makes glibc reuse large blocks instead of returning them to the system after each use.

    Without it every step of a batch of texts faults 12,762 pages in again; with it 420 (measured).
    """
    if platform.libc_ver()[0] != "glibc":
        return
    libc = ctypes.CDLL("libc.so.6")
    trim_threshold, top_pad, mmap_threshold = -1, -2, -3  # M_* of malloc.h
    libc.mallopt(mmap_threshold, 1 << 30)
    libc.mallopt(trim_threshold, 2**31 - 1)
    libc.mallopt(top_pad, 64 << 20)


def count_gpus() -> int:
    """CUDA devices by asking the driver itself, which takes milliseconds; torch takes seconds to import."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return 0
    library = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        driver = ctypes.CDLL(library)
    except OSError:
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value


def has_fast_bf16(device_type: str) -> bool:
    """Whether bf16 matrix products run natively: measured 3.5 times as fast as fp32 with AMX."""
    import torch

    if device_type == "cuda":
        return torch.cuda.get_device_capability()[0] >= 8
    flags = cpu_flags()
    return bool(flags & {"amx_bf16", "avx512_bf16"})


def cpu_flags() -> set[str]:
    """Instruction-set names of the processor, on Linux; empty elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return set()
    return next((set(line.split(":", 1)[1].split()) for line in lines if line.startswith("flags")), set())


def cpu_name() -> str:
    """The processor's own name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def gpu_name() -> str:
    """The first CUDA device's name."""
    import torch

    return torch.cuda.get_device_name()
