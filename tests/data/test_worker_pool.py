"""The pool under fire: crashes, hangs, exceptions; every item is accounted for exactly once."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from avkd.data.worker_pool import Reply, Workers
from avkd.outcome import Bug


def work(item: tuple[str, str]) -> str:
    kind, folder = item
    if kind == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if kind == "hang":
        time.sleep(60)
    if kind == "raise":
        raise ValueError("cannot do this one")
    if kind == "bug":
        raise TypeError(f"open() got an unexpected argument, number {folder}")
    if kind == "crash once":
        marker = Path(folder) / "was here"
        if not marker.exists():
            marker.touch()
            os._exit(3)
    return f"{kind} done"


def run_isolated(
    items: list[tuple[str, str]], workers: int, **limits: float
) -> Iterator[Reply[tuple[str, str], str]]:
    with Workers(work, workers) as children:
        yield from children.run(items, **limits)


def test_bad_items_cost_only_themselves(tmp_path: Path) -> None:
    """A file that crashes the decoder must not take its neighbours with it."""
    kinds = [f"good {n}" for n in range(12)]
    kinds[2:2] = ["crash", "raise", "hang", "crash once"]
    items = [(kind, str(tmp_path)) for kind in kinds]
    outcomes = list(run_isolated(items, workers=2, timeout_seconds=2.5))
    assert sorted(o.item[0] for o in outcomes) == sorted(kinds)
    by_kind = {o.item[0]: o for o in outcomes}
    assert by_kind["crash"].status == "crashed" and "-11" in by_kind["crash"].message
    assert by_kind["hang"].status == "timeout" and by_kind["hang"].result is None
    assert by_kind["raise"].status == "error" and "cannot do" in by_kind["raise"].message
    assert by_kind["crash once"].result == "crash once done"
    assert all(by_kind[kind].result == f"{kind} done" for kind in kinds if kind[:4] == "good")


def test_no_items_and_leaving_early_leave_no_process_behind(tmp_path: Path) -> None:
    assert list(run_isolated([], workers=1, timeout_seconds=9)) == []
    outcomes = run_isolated([("good", ""), ("hang", "")], workers=1, timeout_seconds=99)
    assert next(outcomes).status == "ok"
    started = time.monotonic()
    outcomes.close()
    assert time.monotonic() - started < 5


def test_when_all_items_meet_a_bug_the_first_traceback_is_told_at_the_end() -> None:
    """«170 x internal_error» tells nobody that it is not the files but the code."""
    outcomes = run_isolated([("bug", "7"), ("bug", "8")], workers=1, timeout_seconds=60)
    assert [next(outcomes).status for _ in range(2)] == ["error", "error"]
    with pytest.raises(
        Bug, match=r"(?s)all 2 item\(s\) .*Traceback.*TypeError: .* number 7"
    ) as told:
        next(outcomes)
    assert "number 8" not in str(told.value)


@pytest.mark.parametrize("other", ["good", "raise", "hang"])
def test_one_item_that_met_no_bug_is_enough_to_go_on(other: str) -> None:
    items = [("bug", "1"), (other, ""), ("bug", "2")]
    limit = 4.0 if other == "hang" else 60.0
    outcomes = list(run_isolated(items, workers=1, timeout_seconds=limit, tries=1))
    traces = {o.item: o.traceback for o in outcomes}
    assert "TypeError" in traces["bug", "1"] and traces[other, ""] == ""


def whoami(_: None) -> int:
    return os.getpid()


def test_children_stay_from_one_run_to_the_next_and_are_started_when_needed() -> None:
    """A model that was loaded to be tried need not be loaded again."""
    with Workers(whoami, 3) as children:
        first = [outcome.result for outcome in children.run([None], timeout_seconds=60)]
        second = [outcome.result for outcome in children.run([None], timeout_seconds=60)]
        assert first == second != [os.getpid()]
        assert len(children._children) == 1
        (process,) = [child._process for child in children._children]
    assert not process.is_alive()
