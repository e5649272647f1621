"""A million files: how long their numbers take, and how much memory. `pytest -s` shows both."""

import subprocess
import sys

import pytest

COUNT_THEM = r"""
import re, sys, time
from pathlib import Path
import numpy as np
from avkd.reporting.score_frame import pool
from avkd.reporting.scores import ClipScore
from avkd.reporting.summary import Threshold, summarise

num_files = int(sys.argv[1])
random = np.random.default_rng(0)
labels = random.integers(0, 2, num_files)
logits = random.normal(size=num_files) + labels

def rows():
    for number, (label, logit) in enumerate(zip(labels.tolist(), logits.tolist())):
        yield ClipScore(
            sample_id=f"d/{number}", label=label, dataset="d", method="swap" if label else "real",
            split="test", window=0, start_frame=0, num_frames=1, logit=logit,
            probability=float(1 / (1 + np.exp(-logit))),
        )

threshold, started = Threshold(logit=0.5, origin="made up"), time.monotonic()
row = summarise(pool(rows()), threshold=threshold, resamples=1000)[0]
seconds = time.monotonic() - started
# Not getrusage: its maximum is that of whoever started this process, too.
kilobytes = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]
print(seconds, int(kilobytes) / 1e6, row.auc.value)
"""


@pytest.mark.slow
def test_a_million_files_and_a_thousand_resamples_fit() -> None:
    command = [sys.executable, "-c", COUNT_THEM, "1000000"]
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    seconds, gigabytes, auc = map(float, run.stdout.split())
    print(f"{seconds:.1f} s, {gigabytes:.2f} GB")
    assert gigabytes < 2.0
    assert seconds < 120  # of a busy machine; on a quiet one a quarter of that
    assert auc == pytest.approx(0.7602, abs=0.002)
