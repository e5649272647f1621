"""Drivers of `prepare` are killed and others go on: pool, array of shards, Ray."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "prepare_faults.py"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("first", "last"), [("pool", "shards"), ("shards", "ray"), ("ray", "pool")]
)
def test_what_one_engine_began_another_ends(tmp_path: Path, first: str, last: str) -> None:
    if "ray" in (first, last):
        pytest.importorskip("ray", reason="needs pip install 'avkd[ray]'")
    command = [sys.executable, str(SCRIPT), str(tmp_path), "200", "2", first, last]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "'ok': 198" in done.stdout and "nothing twice" in done.stdout
