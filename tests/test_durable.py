"""Files that are either old or new, never half; and digests that depend on content only."""

import hashlib
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from avkd import durable


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.endswith(".tmp")]


def test_a_written_file_holds_what_was_written(tmp_path):
    durable.write_bytes(tmp_path / "new" / "a.bin", b"\x00\xff")
    assert (tmp_path / "new" / "a.bin").read_bytes() == b"\x00\xff"
    durable.write_text(tmp_path / "a.txt", "é\n")
    assert (tmp_path / "a.txt").read_bytes() == "é\n".encode()
    assert leftovers(tmp_path) == []


def test_a_failure_while_writing_leaves_the_old_file_and_no_litter(tmp_path):
    path = tmp_path / "a.txt"
    durable.write_text(path, "old")
    with pytest.raises(RuntimeError, match="half-way"), durable.replacing(path) as temporary:
        temporary.write_text("ne")
        raise RuntimeError("half-way")
    assert path.read_text() == "old" and leftovers(tmp_path) == []


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "a.txt"
    durable.write_text(path, "old")
    with durable.replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert temporary.parent == path.parent  # a rename across file systems is not atomic
    assert path.read_text() == "new"


def test_the_old_file_is_never_written_into(tmp_path):
    """Who has it open, or a machine that stops right now, sees the old content to its end."""
    path = tmp_path / "a.txt"
    durable.write_text(path, "old content")
    with path.open() as reader:
        durable.write_text(path, "new")
        assert reader.read() == "old content"


def test_others_may_read_what_was_written(tmp_path):
    """Temporary files are private by default; a corpus is shared between people."""
    durable.write_text(tmp_path / "a.txt", "x")
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o644


def test_json_is_sorted_readable_and_ends_with_a_line(tmp_path):
    durable.write_json(tmp_path / "a.json", {"b": 1, "a": "é"})
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == '{\n  "a": "é",\n  "b": 1\n}\n'


def test_a_process_killed_while_writing_leaves_a_whole_file(tmp_path):
    """A kill -9 cannot be caught, so nothing may depend on cleaning up."""
    path = tmp_path / "a.bin"
    code = (
        "import itertools, sys; from pathlib import Path; from avkd import durable\n"
        "for n in itertools.count():\n"
        "    durable.write_bytes(Path(sys.argv[1]), str(n % 10).encode() * 1_000_000)\n"
    )
    repository = Path(durable.__file__).resolve().parents[1]
    for delay_seconds in (0.011, 0.027, 0.05):
        durable.write_bytes(path, b"old")
        writer = subprocess.Popen([sys.executable, "-c", code, str(path)], cwd=repository)
        deadline = time.monotonic() + 20
        while path.read_bytes() == b"old" and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(delay_seconds)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        content = path.read_bytes()
        assert len(content) == 1_000_000 and len(set(content)) == 1


def test_the_hash_of_a_file_is_that_of_its_bytes(tmp_path):
    content = os.urandom(3_000_000)
    (tmp_path / "a").write_bytes(content)
    assert durable.sha256_of_file(tmp_path / "a") == hashlib.sha256(content).hexdigest()


def test_a_fingerprint_depends_on_content_not_on_order():
    first = durable.fingerprint({"a": 1, "b": [1, 2], "path": Path("x")})
    assert first == durable.fingerprint({"path": Path("x"), "b": [1, 2], "a": 1})
    assert len(first) == 16 and int(first, 16) >= 0
    others = ({"a": 2}, {"a": "1"}, {"a": [2, 1]}, {"b": 1}, [])
    assert len({durable.fingerprint(value) for value in (*others, {"a": 1})}) == len(others) + 1
