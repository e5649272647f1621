"""What a process that decodes strangers' files may still do: compute, and answer its parent.

A decoder that a hostile file has taken over shall find no network, no other program and no file to
fill. Linux on x86-64 and ARM64; elsewhere nothing is taken away, and `confine` says so.
"""

import ctypes
import errno
import platform
import re
import struct
import sys
from contextlib import suppress
from pathlib import Path

_MOST_FILE_BYTES = 16 << 20  # not nothing: standard error may be a file
# Linux: system call numbers of what is forbidden, and the name of the machine in the filter.
_CALLS = (
    *("socket", "connect", "bind", "execve", "execveat", "ptrace"),
    *("process_vm_readv", "process_vm_writev", "io_uring_setup"),
)
_NUMBERS = {
    "x86_64": (0xC000003E, (41, 42, 49, 59, 322, 101, 310, 311, 425)),
    "aarch64": (0xC00000B7, (198, 203, 200, 221, 281, 117, 270, 271, 425)),
}
_NO_NEW_PRIVILEGES, _SET_MODE_FILTER, _ALL_THREADS = 38, 1, 1
_SECCOMP_CALL = {"x86_64": 317, "aarch64": 277}
# Classic BPF (linux/filter.h): load a word, jump if equal or greater, return.
_LOAD, _EQUAL, _GREATER_EQUAL, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | errno.EPERM
_FOREIGN_CALLS = 0x40000000  # x32: other numbers for the same calls


def confine(most_file_bytes: int | None = None) -> tuple[str, ...]:
    """Take from this process, for good, what decoding does not need.

    It may write files of ``most_file_bytes`` at most; None = 16 MB.

    Returns:
        What was taken: ``large files`` (writing them), ``system calls`` (network, other programs).
    """
    taken = []
    with suppress(ImportError, ValueError, OSError):
        import resource

        most = most_file_bytes or _MOST_FILE_BYTES
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        taken.append("large files")
    if sys.platform == "linux" and platform.machine() in _NUMBERS and _filter_system_calls():
        taken.append("system calls")
    return tuple(taken)


def limit_memory(gigabytes: float) -> None:
    """Let this process take so much more memory than it holds now; Linux only, else no effect.

    An allocation beyond fails, as `MemoryError` or an error of the library that asked.
    """
    with suppress(ImportError, OSError, AttributeError):
        import resource

        held = re.search(r"VmData:\s+(\d+) kB", Path("/proc/self/status").read_text())
        if held is not None:
            most = int(held[1]) * 1024 + int(gigabytes * 2**30)
            resource.setrlimit(resource.RLIMIT_DATA, (most, most))


def _filter_system_calls() -> bool:
    """Have the kernel refuse `_CALLS` to all threads of this process; whether it agreed."""
    machine, numbers = _NUMBERS[platform.machine()]
    allow_at = 4 + len(numbers)
    program = [
        _instruction(_LOAD, 4),  # the machine that the call was made for
        _instruction(_EQUAL, machine, otherwise=allow_at - 1),
        _instruction(_LOAD, 0),  # the number of the call
        _instruction(_GREATER_EQUAL, _FOREIGN_CALLS, then=allow_at - 3),
        *(
            _instruction(_EQUAL, number, then=allow_at - place)
            for place, number in enumerate(numbers, start=4)
        ),
        _instruction(_RETURN, _ALLOW),
        _instruction(_RETURN, _REFUSE),
    ]
    code = ctypes.create_string_buffer(b"".join(program))
    header = struct.pack("HL", len(program), ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) != 0:
        return False
    call = _SECCOMP_CALL[platform.machine()]
    return bool(libc.syscall(call, _SET_MODE_FILTER, _ALL_THREADS, header) == 0)


def _instruction(code: int, value: int, *, then: int = 0, otherwise: int = 0) -> bytes:
    return struct.pack("HBBI", code, then, otherwise, value)
