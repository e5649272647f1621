"""A process that decodes strangers' files finds no network and no other program."""

import platform
import subprocess
import sys

import pytest

CODE = """
import os, socket, subprocess, threading
from avkd.data import sandbox
taken = sandbox.confine()
found = []
def tried():
    for attempt in (socket.socket, lambda: subprocess.run(["true"])):
        try:
            attempt()
            found.append("allowed")
        except PermissionError:
            found.append("refused")
tried()
thread = threading.Thread(target=tried)
thread.start()
thread.join()
try:
    with open(os.environ["TARGET"], "wb") as file:
        file.write(bytes(17 << 20))
    found.append("allowed")
except OSError:
    found.append("refused")
print(*taken, sep=", ")
print(*found)
"""


@pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() not in ("x86_64", "aarch64"),
    reason="the kernel's filter is known for Linux on x86-64 and ARM64 only",
)
def test_no_network_no_program_no_large_file(tmp_path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        capture_output=True,
        text=True,
        env={"TARGET": str(tmp_path / "large"), "PYTHONPATH": ":".join(sys.path)},
    )
    taken, found = done.stdout.splitlines()
    if "system calls" not in taken:
        pytest.skip("this kernel lets no process filter its system calls")
    assert taken == "large files, system calls"
    assert found.split() == ["refused"] * 5, done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited on Linux only")
def test_a_file_takes_no_more_memory_than_it_may() -> None:
    code = (
        "import numpy as np; from avkd.data import sandbox; sandbox.limit_memory(0.25)\n"
        "a = np.ones(1 << 24)\n"  # 128 MiB
        "try: np.ones(1 << 25); print('allowed')\n"
        "except MemoryError: print('refused')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": ":".join(sys.path), "OPENBLAS_NUM_THREADS": "1"},
    )
    assert done.stdout.strip() == "refused", done.stderr
