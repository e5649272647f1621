"""Device, precision, seeds: chosen as asked, refused with the cure."""

import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from avkd import runtime
from avkd.outcome import ExitCode, ResourceError


@pytest.fixture(autouse=True)
def threads_as_before():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def test_auto_takes_a_gpu_exactly_where_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert runtime.start(device="auto").device.type == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert runtime.start(device="auto").device.type == "cuda"


@pytest.mark.parametrize("name", ["gpu", "", "cuda:x", "cpu0", "meta", "mps"])
def test_a_device_we_cannot_use_is_refused_with_the_choices(name):
    with pytest.raises(ValueError, match="want auto, cpu, cuda or cuda:N"):
        runtime.start(device=name)


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "cuda:3"])
def test_a_gpu_that_is_not_there_is_a_lack_of_resources_not_a_bug(monkeypatch, name):
    """`auto` falls back to the CPU; who names a GPU must not silently train without it."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(ResourceError, match="--device cpu"):
        runtime.start(device=name)


def test_a_gpu_number_beyond_the_last_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert runtime.start(device="cuda:1").device == torch.device("cuda:1")
    with pytest.raises(ResourceError):
        runtime.start(device="cuda:2")


def test_threads_are_set_and_checked():
    assert runtime.start(device="cpu", threads=1).describe()["threads"] == 1
    with pytest.raises(ValueError, match="threads"):
        runtime.start(device="cpu", threads=0)


def test_the_precision_is_that_of_the_matrix_products():
    product = torch.ones(2, 2)
    with runtime.start(device="cpu", precision="fp32").autocast():
        assert (product @ product).dtype == torch.float32
    with runtime.start(device="cpu", precision="bf16").autocast():
        assert (product @ product).dtype == torch.bfloat16


@pytest.mark.parametrize(("fast_and_right", "expected"), [(True, "bf16"), (False, "fp32")])
def test_auto_precision_is_what_the_probe_says(monkeypatch, fast_and_right, expected):
    monkeypatch.setattr(runtime, "_bf16_is_fast_and_right", lambda device: fast_and_right)
    assert runtime.start(device="cpu", precision="auto").precision == expected


@pytest.mark.parametrize(
    ("bf16_seconds", "bf16_error", "expected"),
    [(0.1, 0.0, True), (0.9, 0.0, False), (2.0, 0.0, False), (0.1, 0.3, False)],
)
def test_the_probe_wants_bf16_clearly_faster_and_right(
    monkeypatch, bf16_seconds, bf16_error, expected
):
    """Why: cuDNN 9.8-9.10 computed wrong bf16 3D convolutions, fast."""
    clock = [0.0]
    convolve = torch.nn.functional.conv3d

    def conv3d(clip, kernel, padding):
        in_bf16 = torch.is_autocast_enabled("cpu")
        clock[0] += bf16_seconds if in_bf16 else 1.0
        return convolve(clip, kernel, padding=padding) * (1.0 + bf16_error * in_bf16)

    monkeypatch.setattr(torch.nn.functional, "conv3d", conv3d)
    monkeypatch.setattr(runtime, "_PROBE_REPEATS", 1)
    monkeypatch.setattr(runtime.time, "perf_counter", lambda: clock[0])
    assert runtime._bf16_is_fast_and_right(torch.device("cpu")) is expected


def test_the_probe_runs_on_this_machine():
    assert runtime.start(device="cpu", precision="auto").precision in ("fp32", "bf16")


def draws() -> tuple[float, float, float]:
    return random.random(), float(np.random.rand()), float(torch.rand(()))


def test_a_seed_fixes_every_global_generator():
    runtime.seed_everything(5)
    first = draws()
    assert draws() != first
    runtime.seed_everything(5)
    assert draws() == first
    runtime.seed_everything(6)
    assert all(a != b for a, b in zip(draws(), first, strict=True))


def test_the_exit_codes_are_those_of_the_shell():
    assert [int(code) for code in ExitCode] == [0, 1, 2, 3, 4, 5, 6, 130, 138, 141, 143]


def test_freed_memory_is_kept_where_the_c_library_can(monkeypatch):
    """Three settings of glibc; a C library without them is left alone."""
    called: list[tuple[int, int]] = []
    library = SimpleNamespace(mallopt=lambda option, value: called.append((option, value)))
    monkeypatch.setattr(runtime.ctypes, "CDLL", lambda name: library)
    runtime.keep_freed_memory()
    assert called == [(-4, 0), (-1, 2**31 - 1), (-2, 2**28)]
    monkeypatch.setattr(runtime.ctypes, "CDLL", lambda name: SimpleNamespace())
    runtime.keep_freed_memory()
    assert len(called) == 3


class Network(torch.nn.Module):
    """Notes how it is to be compiled."""

    mode = ""

    def compile(self, *, mode):
        self.mode = mode


@pytest.mark.parametrize(
    ("how", "device", "mode"),
    [
        *(("none", "cpu", ""), ("none", "cuda", "")),
        *(("default", "cpu", "default"), ("default", "cuda", "default")),
        ("cuda_graphs", "cuda", "reduce-overhead"),
    ],
)
def test_networks_are_compiled_as_asked(monkeypatch, how, device, mode):
    network, tried = Network(), []
    monkeypatch.setattr(torch, "compile", lambda function, mode: lambda given: tried.append(mode))
    monkeypatch.setattr(torch, "ones", lambda *shape, device: device)
    runtime.compile_networks([network], how, torch.device(device))
    assert network.mode == mode and tried == [mode] * (how != "none")


def test_cuda_graphs_of_a_cpu_are_refused():
    with pytest.raises(ResourceError, match="needs a GPU"):
        runtime.compile_networks([], "cuda_graphs", torch.device("cpu"))


def test_a_machine_that_cannot_compile_says_so_before_the_training(monkeypatch):
    def broken(function, mode):
        raise RuntimeError("no C++ compiler found\nmore")

    network = Network()
    monkeypatch.setattr(torch, "compile", broken)
    with pytest.raises(ResourceError, match=r"compiler found\).*--loop.compile none"):
        runtime.compile_networks([network], "default", torch.device("cpu"))
    assert network.mode == ""
