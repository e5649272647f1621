"""Windows of a file: every frame is looked at, and nothing is invented but a flagged repeat."""

import numpy as np
import pytest

from avkd.data.windows import WINDOW_FRAMES, Window, WindowRule


def windows_covering(num_frames: int, size_frames: int = WINDOW_FRAMES) -> tuple[Window, ...]:
    return WindowRule(size_frames=size_frames, placing="covering").windows(num_frames)


def windows_spread(num_frames: int, most: int, size_frames: int = 1) -> tuple[Window, ...]:
    rule = WindowRule(size_frames=size_frames, placing="spread", most=most)
    return rule.windows(num_frames)


@pytest.mark.parametrize("size_frames", [7, WINDOW_FRAMES])
def test_every_frame_of_every_length_is_covered(size_frames: int) -> None:
    """A hole here would be a stretch of film no detector ever sees."""
    for num_frames in range(1, 1201):
        windows = windows_covering(num_frames, size_frames=size_frames)
        frames = np.concatenate([window.frame_indices for window in windows])
        assert np.array_equal(np.unique(frames), np.arange(num_frames)), num_frames
        assert all(len(window.frame_indices) == size_frames for window in windows)
        assert [window.index for window in windows] == list(range(len(windows)))
        assert len(windows) == -(-num_frames // size_frames)  # as few as can cover it
        assert frames[-1] == num_frames - 1


def test_windows_lie_end_to_end_and_the_last_one_ends_with_the_file() -> None:
    assert [window.start_frame for window in windows_covering(60)] == [0, 25, 35]
    assert [window.start_frame for window in windows_covering(75)] == [0, 25, 50]
    assert [window.start_frame for window in windows_covering(26)] == [0, 1]


def test_only_a_short_file_repeats_its_last_frame_and_says_so() -> None:
    (window,) = windows_covering(3)
    assert window.frame_indices.tolist() == [0, 1] + [2] * 23
    assert window.num_frames == 3
    assert window.num_repeated == 22
    assert all(w.num_repeated == 0 for n in range(25, 200) for w in windows_covering(n))


def test_a_file_without_frames_is_refused() -> None:
    with pytest.raises(ValueError, match="0 frames"):
        windows_covering(0)


@pytest.mark.parametrize("size_frames", [1, 8])
@pytest.mark.parametrize("most", [1, 5, 32])
def test_spread_windows_reach_evenly_over_the_whole_file(size_frames: int, most: int) -> None:
    """The standard benchmark keeps the first frames: the end of a file is then never looked at."""
    for num_frames in range(1, 400):
        windows = windows_spread(num_frames, most=most, size_frames=size_frames)
        starts = [window.start_frame for window in windows]
        places = max(1, num_frames - size_frames + 1)
        assert len(set(starts)) == len(windows) == min(most, places), num_frames
        assert [window.index for window in windows] == list(range(len(windows)))
        assert all(len(window.frame_indices) == size_frames for window in windows)
        assert starts[-1] + windows[-1].num_frames <= num_frames
        front, back = starts[0], places - 1 - starts[-1]
        assert abs(front - back) <= 1, (num_frames, starts)  # neither end is favoured
        gaps = np.diff(starts)
        assert not len(gaps) or gaps.max() - gaps.min() <= 1


def test_all_frames_are_taken_where_there_are_fewer_than_wanted() -> None:
    assert [window.start_frame for window in windows_spread(4, most=32)] == [0, 1, 2, 3]
    assert windows_spread(3, most=4, size_frames=8)[0].num_repeated == 5
    with pytest.raises(ValueError, match="no window"):
        windows_spread(0, most=4)


def starts(rule: WindowRule, num_frames: int) -> list[int]:
    return [window.start_frame for window in rule.windows(num_frames)]


def test_the_first_frames_of_a_file_are_all_that_a_rule_may_look_at() -> None:
    """The published clips of FaceForensics++: 110 frames, the last clip aligned with their end."""
    rule = WindowRule(size_frames=25, placing="covering", first_frames=110)
    assert starts(rule, 300) == [0, 25, 50, 75, 85]
    assert starts(rule, 60) == starts(WindowRule(size_frames=25, placing="covering"), 60)
    spread = WindowRule(size_frames=1, placing="spread", most=4, first_frames=8)
    assert starts(spread, 1000) == [1, 3, 5, 7]


def test_whole_windows_leave_out_what_is_left_over_but_never_a_file() -> None:
    rule = WindowRule(size_frames=25, placing="whole", first_frames=110)
    assert starts(rule, 300) == [0, 25, 50, 75]
    for num_frames in range(1, 200):
        windows = rule.windows(num_frames)
        assert len(windows) == max(min(num_frames, 110) // 25, 1)
        assert windows[0].num_frames == min(num_frames, 25)
    with pytest.raises(ValueError, match="0 frames"):
        rule.windows(0)


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (
            WindowRule(size_frames=25, placing="covering"),
            "windows of 25 frames laid end to end, as many as cover all of the file",
        ),
        (
            WindowRule(size_frames=25, placing="whole", first_frames=110),
            "windows of 25 frames laid end to end, as many as fit in the first 110 frames",
        ),
        (
            WindowRule(size_frames=1, placing="spread", most=32),
            "at most 32 single frames, spread over the file",
        ),
        (WindowRule(size_frames=1, placing="covering"), "every frame of the file"),
    ],
)
def test_a_rule_says_what_it_does(rule: WindowRule, text: str) -> None:
    """Score files are told apart by this text: two rules with one text would be mixed."""
    assert rule.text == text
