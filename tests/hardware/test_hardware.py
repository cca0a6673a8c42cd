"""What a run computes on: every choice and every branch, the CUDA ones with a driver and a torch made up."""

import ctypes
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from aiexp.errors import HardwareError
from aiexp.hardware import hardware as module
from aiexp.hardware.hardware import Hardware
from aiexp.trainer.stepper import Stepper
from tests.toys import Linear, Points, make_hardware, make_trainer, weights

READ_TEXT = Path.read_text


def make(**changes: Any) -> Hardware:
    """Chosen, not started."""
    settings: dict[str, Any] = {
        "device": "auto", "precision": "fp32", "threads": 3, "compile": False, "deterministic": False,
        "cuda_graphs": True, "devices": 1, "parallel": "ddp", "timeout": 60.0, "grace": 10.0,
    }  # fmt: skip
    return Hardware(**(settings | changes))


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A driver with two devices, and a torch that can use them."""
    monkeypatch.setattr(module, "count_gpus", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda *_: "Made Up 9000")
    return monkeypatch


def proc(monkeypatch: pytest.MonkeyPatch, files: dict[str, list[str]]) -> None:
    """Puts texts in the place of files of /proc, the next one at each reading; the others are missing."""

    def read_text(path: Path, *args: Any, **kwargs: Any) -> str:
        if not path.is_relative_to("/proc"):
            return READ_TEXT(path, *args, **kwargs)
        if path.name not in files:
            raise FileNotFoundError(path)
        texts = files[path.name]
        return texts.pop(0) if len(texts) > 1 else texts[0]

    monkeypatch.setattr(Path, "read_text", read_text)


def test_denormal_numbers_count_as_zero() -> None:
    make_hardware()
    smallest = torch.finfo(torch.float32).tiny
    assert (torch.full((64,), smallest) * 0.5).eq(0).all()
    assert (torch.full((64,), smallest) * 2).ne(0).all()


@pytest.mark.parametrize(
    ("device", "num_gpus", "expected"),
    [("auto", 0, "cpu"), ("auto", 2, "cuda"), ("gpu", 1, "cuda"), ("cpu", 2, "cpu")],
)
def test_the_device(device: str, num_gpus: int, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "count_gpus", lambda: num_gpus)
    hardware = make(device=device)
    assert hardware.device_type == expected
    assert hardware.device == torch.device(expected)


def test_no_gpu_and_no_fp16_without_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "count_gpus", lambda: 0)
    with pytest.raises(HardwareError, match=r"no GPU on this machine .* device=gpu"):
        make(device="gpu")
    with pytest.raises(HardwareError, match=r"fp16 needs a GPU .* precision=bf16"):
        make(precision="fp16")


def test_fp16_on_a_gpu(gpus: pytest.MonkeyPatch) -> None:
    hardware = make(device="gpu", precision="fp16")
    context = hardware.autocast()
    assert isinstance(context, torch.autocast)
    assert (context.device, context.fast_dtype) == ("cuda", torch.float16)


def test_a_driver_that_torch_cannot_use(gpus: pytest.MonkeyPatch) -> None:
    gpus.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(HardwareError, match="this torch cannot use it") as caught:
        make().start()
    assert torch.__version__ in caught.value.where
    make(device="cpu", threads=1).start()


@pytest.mark.parametrize(("capability", "expected"), [((7, 5), "fp32"), ((8, 0), "bf16"), ((9, 0), "bf16")])
def test_the_precision_follows_the_gpu_not_the_processor(
    gpus: pytest.MonkeyPatch, capability: tuple[int, int], expected: str
) -> None:
    gpus.setattr(torch.cuda, "get_device_capability", lambda: capability)
    gpus.setattr(module, "cpu_flags", lambda: {"amx_bf16"} if expected == "fp32" else set())
    hardware = make(precision="auto", threads=1)
    hardware.start()
    assert hardware.precision == expected


def test_what_is_said_and_recorded_of_a_gpu(gpus: pytest.MonkeyPatch) -> None:
    gpus.setenv("GOMP_SPINCOUNT", "0")
    hardware = make(precision="fp16", compile=True, deterministic=True)
    assert hardware.describe() == "cuda (Made Up 9000), fp16, compiled, deterministic"
    assert hardware.record() == {
        "device": "cuda", "device_name": "Made Up 9000", "precision": "fp16", "threads": 3,
        "waiting_threads": "sleep", "compile": True, "cuda_graphs": True,
        "deterministic": True, "devices": 1, "parallel": "ddp",
    }  # fmt: skip


def test_what_is_said_and_recorded_of_a_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    proc(
        monkeypatch, {"cpuinfo": ["flags\t\t: sse avx512_bf16\nmodel name\t: Chip: the 2nd\nflags : none\n"]}
    )
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    hardware = make(device="cpu", precision="bf16")
    assert hardware.describe() == "cpu (Chip: the 2nd, 3 threads), bf16"
    record = hardware.record()
    assert (record["device"], record["device_name"]) == ("cpu", "Chip: the 2nd")
    assert (record["threads"], record["waiting_threads"]) == (3, "spin")
    assert module.cpu_flags() == {"sse", "avx512_bf16"}
    assert module.has_fast_bf16("cpu")
    proc(monkeypatch, {"cpuinfo": ["processor : 0\n"]})
    assert module.cpu_flags() == set()
    assert not module.has_fast_bf16("cpu")
    assert module.cpu_name() == os.uname().machine
    proc(monkeypatch, {})
    assert module.cpu_flags() == set()
    assert module.cpu_name() in (os.uname().machine, module.platform.processor())


def test_threads_are_the_cores_this_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {1, 4, 5, 6, 7}, raising=False)
    assert make(device="cpu", threads=None).threads == 5
    assert make(device="cpu", threads=2).threads == 2
    before = torch.get_num_threads()
    try:
        make(device="cpu", threads=2).start()
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


class Driver:
    """Stands for libcuda: what its two functions return, and how many devices there are."""

    def __init__(self, *, init: int = 0, ask: int = 0, count: int = 3) -> None:
        def get_count(pointer: Any) -> int:
            pointer._obj.value = count
            return ask

        self.cuInit = lambda _: init
        self.cuDeviceGetCount = get_count


@pytest.mark.parametrize(
    ("driver", "visible", "expected"),
    [
        (Driver(), None, 3),
        (Driver(), "0,1,2", 3),
        (Driver(count=0), None, 0),
        (Driver(init=100), None, 0),  # CUDA_ERROR_NO_DEVICE
        (Driver(ask=3), None, 0),
        (Driver(), "", 0),
        (Driver(), "-1", 0),
        (None, None, 0),
    ],
)
def test_the_driver_is_asked_for_its_devices(
    driver: Driver | None, visible: str | None, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    names: list[str] = []

    def load(name: str) -> Driver:
        names.append(name)
        if driver is None:
            raise OSError(name)
        return driver

    monkeypatch.setattr(ctypes, "CDLL", load)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert module.count_gpus() == expected
    assert names == ([] if visible in ("", "-1") else ["libcuda.so.1"])
    monkeypatch.setattr(sys, "platform", "win32")
    assert module.count_gpus() == expected
    assert names[1:] == ([] if visible in ("", "-1") else ["nvcuda.dll"])


VARIABLES = ("GOMP_SPINCOUNT", "ONEDNN_PRIMITIVE_CACHE_CAPACITY", "CUBLAS_WORKSPACE_CONFIG")


@pytest.mark.parametrize(
    ("changes", "others", "expected"),
    [
        ({"device": "cpu"}, 0, (None, "4096", None)),
        ({"device": "cpu", "threads": 8}, 3, (None, "4096", None)),
        ({"device": "cpu", "threads": 8}, 4, ("0", "4096", None)),
        ({"device": "cpu", "threads": 1}, 0.5, (None, "4096", None)),
        ({"device": "auto", "deterministic": True}, 0, (None, "4096", ":4096:8")),
    ],
)
def test_what_libraries_read_when_they_are_imported(
    gpus: pytest.MonkeyPatch, changes: dict[str, Any], others: float, expected: tuple[str | None, ...]
) -> None:
    kept: list[int] = []
    gpus.setattr(module, "others_running", lambda: others)
    gpus.setattr(module, "keep_freed_memory", lambda: kept.append(1))
    gpus.setattr(os, "environ", {})
    make(**changes).set_environment()
    assert tuple(os.environ.get(name) for name in VARIABLES) == expected
    assert len(kept) == (changes["device"] == "cpu"), "only where the tensors are in this memory"
    gpus.setattr(os, "environ", dict.fromkeys(VARIABLES, "mine"))
    make(**changes).set_environment()
    assert os.environ == dict.fromkeys(VARIABLES, "mine")


def test_others_that_want_a_core_now(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(module.time, "sleep", slept.append)
    running = [1, 1, 5, 4, 4, 4, 90, 1, 4]  # this process is one of them
    proc(monkeypatch, {"loadavg": [f"9.0 9.0 9.0 {n}/1234 567\n" for n in running]})
    assert module.others_running() == 3
    assert len(slept) == 9
    proc(monkeypatch, {"loadavg": ["nonsense"]})
    assert module.others_running() == 0
    proc(monkeypatch, {})
    assert module.others_running() == 0


def test_freed_memory_is_kept_where_glibc_can(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[int, int]] = []
    library = SimpleNamespace(mallopt=lambda option, value: calls.append((option, value)))
    monkeypatch.setattr(ctypes, "CDLL", lambda name: {"libc.so.6": library}[name])
    monkeypatch.setattr(module.platform, "libc_ver", lambda: ("", ""))
    module.keep_freed_memory()
    assert calls == []
    monkeypatch.setattr(module.platform, "libc_ver", lambda: ("glibc", "2.36"))
    module.keep_freed_memory()
    assert dict(calls) == {-3: 1 << 30, -1: 2**31 - 1, -2: 64 << 20}


def test_deterministic_is_switched_on_and_off() -> None:
    assert not torch.are_deterministic_algorithms_enabled()
    try:
        make_hardware(deterministic=True)
        assert torch.are_deterministic_algorithms_enabled()
        make_hardware(deterministic=False)
        assert not torch.are_deterministic_algorithms_enabled()
    finally:
        torch.use_deterministic_algorithms(False)


def test_filters_lie_in_the_layout_that_convolves_fastest() -> None:
    task = Linear()
    task.model = nn.Conv2d(4, 8, 3)
    make_hardware().prepare(task)
    weight = task.model.weight
    assert weight.is_contiguous(memory_format=torch.channels_last)
    assert not weight.is_contiguous()


def test_compiled_networks_compute_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Through dynamo and a back end that only counts; the real one takes a minute (slow, below)."""
    graphs: list[int] = []

    def count(graph: Any, inputs: Any) -> Any:
        graphs.append(len(inputs))
        return graph.forward

    original = nn.Module.compile
    monkeypatch.setattr(nn.Module, "compile", lambda self: original(self, backend=count))
    compiled_and_not(graphs)


def compiled_and_not(graphs: list[int] | None = None) -> None:
    torch._dynamo.reset()
    ends: list[Tensor] = []
    for is_compiled in (False, True):
        torch.manual_seed(0)
        task = Linear()
        names = set(task.state_dict())
        hardware = make_hardware(compile=is_compiled)
        hardware.prepare(task)
        assert set(task.state_dict()) == names, "a checkpoint of one is one of the other"
        stepper = Stepper(task, hardware, schedule=make_trainer().schedule, total_steps=9, clip=1.0)
        batches = Points().train_batches(0)
        for number in (1, 2, 3):
            stepper.step(number, [next(batches)])
        ends.append(weights(task))
        if graphs is not None:
            assert (len(graphs) > 0) == is_compiled
    torch.testing.assert_close(ends[1], ends[0], atol=1e-6, rtol=1e-5)
    torch._dynamo.reset()


@pytest.mark.slow
def test_compiled_by_inductor() -> None:
    compiled_and_not()
