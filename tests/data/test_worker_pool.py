"""The pool under fire: crashes, hangs, exceptions; every item is accounted for exactly once."""

import os
import signal
import time
from pathlib import Path

import pytest

from avkd.data.worker_pool import run_isolated


def work(item: tuple[str, str]) -> str:
    kind, folder = item
    if kind == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if kind == "hang":
        time.sleep(60)
    if kind == "raise":
        raise ValueError("cannot do this one")
    if kind == "crash once":
        marker = Path(folder) / "was here"
        if not marker.exists():
            marker.touch()
            os._exit(3)
    return f"{kind} done"


def test_bad_items_cost_only_themselves(tmp_path: Path) -> None:
    """A file that crashes the decoder must not take its neighbours with it."""
    kinds = [f"good {n}" for n in range(12)]
    kinds[2:2] = ["crash", "raise", "hang", "crash once"]
    items = [(kind, str(tmp_path)) for kind in kinds]
    outcomes = list(run_isolated(work, items, workers=2, timeout_seconds=2.5))
    assert sorted(o.item[0] for o in outcomes) == sorted(kinds)
    by_kind = {o.item[0]: o for o in outcomes}
    assert by_kind["crash"].status == "crashed" and "-11" in by_kind["crash"].message
    assert by_kind["hang"].status == "timeout" and by_kind["hang"].result is None
    assert by_kind["raise"].status == "error" and "cannot do" in by_kind["raise"].message
    assert by_kind["crash once"].result == "crash once done"
    assert all(by_kind[kind].result == f"{kind} done" for kind in kinds if kind[:4] == "good")


def test_no_items_and_leaving_early_leave_no_process_behind(tmp_path: Path) -> None:
    assert list(run_isolated(work, [], workers=1, timeout_seconds=9)) == []
    outcomes = run_isolated(work, [("good", ""), ("hang", "")], workers=1, timeout_seconds=99)
    assert next(outcomes).status == "ok"
    started = time.monotonic()
    outcomes.close()
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("bad", [{"workers": 0}, {"timeout_seconds": 0}, {"tries": 0}])
def test_senseless_limits_are_refused(bad: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="positive"):
        next(run_isolated(work, [], **{"workers": 1, "timeout_seconds": 1.0, **bad}))
