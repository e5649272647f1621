"""Every moment counts once, for the innermost step, and all moments together are the whole."""

from collections.abc import Iterator

import pytest

from avkd.data.stopwatch import Stopwatch, making, step


@pytest.fixture
def clock() -> list[float]:
    return [0.0]


def test_inner_steps_are_taken_from_outer_ones(clock: list[float]) -> None:
    def frames() -> Iterator[int]:
        for number in range(2):
            clock[0] += 1  # decoding
            yield number

    with Stopwatch(lambda: clock[0]) as watch:
        clock[0] += 100
        for _ in making("decoding", frames()):
            with step("alignment"):
                clock[0] += 10
                with step("colours"):
                    clock[0] += 0.5
                clock[0] += 10
            clock[0] += 1000
    assert watch.seconds == {"rest": 2100, "decoding": 2, "alignment": 40, "colours": 1}
    clock[0] += 5
    with step("network"):
        clock[0] += 5
    assert sum(watch.seconds.values()) == 2143  # nobody counts any more


def test_a_step_that_fails_ends_too(clock: list[float]) -> None:
    with Stopwatch(lambda: clock[0]) as watch:
        with pytest.raises(ValueError, match="x"), step("detection"):
            clock[0] += 2
            raise ValueError("x")
        clock[0] += 3
    assert watch.seconds == {"detection": 2, "rest": 3}
