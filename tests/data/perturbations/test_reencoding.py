"""Re-encoding: codecs and chains against PyAV by hand, at any size, leaving nothing behind."""

import os
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from avkd import cli
from avkd.data.media.media_file import MediaError
from avkd.data.media.writing import check_encoder, write_pictures, write_video
from avkd.data.perturbations import reencoding
from avkd.data.perturbations.perturbations import KINDS, Perturbation
from avkd.data.perturbations.perturbed_file import check_available
from avkd.data.perturbations.reencoding import Encoding, encodings_of, reencoded

CODECS = ("h264", "hevc", "av1", "vp9")
SEVERITIES = (1, 2, 3, 4, 5)
BY_HAND = {
    "h264": ("libx264", {"preset": "veryfast", "x264-params": "mbtree=0"}),
    "hevc": (
        "libx265",
        {"preset": "veryfast", "x265-params": "pools=none:frame-threads=1:wpp=0:log-level=error"},
    ),
    "av1": ("libsvtav1", {"preset": "8", "svtav1-params": "lp=1"}),
    "vp9": ("libvpx-vp9", {"b": "0", "deadline": "good", "cpu-used": "4"}),
}


@pytest.fixture(autouse=True)
def same_scheduling() -> Iterator[None]:
    """Encoding by hand as root makes this process a real-time one (see `writing`)."""
    policy = os.sched_getscheduler(0)
    yield
    os.sched_setscheduler(0, policy, os.sched_param(0))


@pytest.fixture(autouse=True)
def all_encoders() -> None:
    try:
        for encoder, _ in BY_HAND.values():
            check_encoder(encoder)
    except ModuleNotFoundError as error:
        pytest.skip(str(error))


def clip(height: int, width: int, frames: int) -> list[np.ndarray]:
    """A picture that wanders, with fine texture."""
    y, x = np.mgrid[:height, :width] / 9
    base = np.stack([np.sin(x) + np.cos(y), np.sin(x + y), np.cos(x - 0.5 * y)], axis=2)
    texture = np.random.default_rng(1).normal(0, 6, (height, width, 1))
    picture = (128 + 40 * base + texture).clip(0, 255).astype(np.uint8)
    return [np.roll(picture, 3 * n, axis=1) for n in range(frames)]


def result(pictures: list[np.ndarray], encodings: tuple[Encoding, ...], folder: Path) -> np.ndarray:
    folder.mkdir(exist_ok=True)
    with reencoded(iter(pictures), encodings, scratch=folder / "x") as open_pictures:
        once, twice = np.stack(list(open_pictures())), np.stack(list(open_pictures()))
    np.testing.assert_array_equal(once, twice)
    assert not list(folder.iterdir())
    return once


def by_hand(
    pictures: np.ndarray, codec: str, rate_factor: int, size: tuple[int, int], path: Path
) -> np.ndarray:
    """Shrink, pad to 64 and even, encode; decode and cut the padding away."""
    height, width = size
    padded = max(64, height + height % 2), max(64, width + width % 2)
    name, options = BY_HAND[codec]
    with av.open(str(path), "w", format="mp4") as output:
        stream = output.add_stream(name, rate=25, options={**options, "crf": str(rate_factor)})
        stream.height, stream.width = padded
        stream.pix_fmt, stream.thread_count = "yuv420p", 1
        for number, picture in enumerate(pictures):
            if picture.shape[:2] != size:
                picture = np.array(Image.fromarray(picture).resize((width, height), 3))
            rows = np.minimum(np.arange(padded[0]), height - 1)
            columns = np.minimum(np.arange(padded[1]), width - 1)
            filled = np.ascontiguousarray(picture[rows][:, columns])
            frame = av.VideoFrame.from_ndarray(filled, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    with av.open(str(path)) as video:
        whole = np.stack([frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)])
    path.unlink()
    return whole[:, :height, :width]


def quality(clean: list[np.ndarray], found: np.ndarray) -> float:
    assert found.dtype == np.uint8 and found.shape == (len(clean), *clean[0].shape)
    return float(10 * np.log10(255**2 / np.square(np.stack(clean).astype(float) - found).mean()))


@pytest.mark.parametrize("codec", CODECS)
def test_a_codec_equals_its_encoder_by_hand(codec: str, tmp_path: Path) -> None:
    pictures = clip(80, 96, 6)
    factor = KINDS[codec].amounts[2]
    found = result(pictures, encodings_of(codec, factor), tmp_path / "scratch")
    expected = by_hand(np.stack(pictures), codec, int(factor), (80, 96), tmp_path / "a.mp4")
    np.testing.assert_array_equal(found, expected)


def test_a_chain_shrinks_encodes_and_goes_on_from_what_came_out(tmp_path: Path) -> None:
    pictures = clip(96, 120, 4)
    steps = (("h264", 28, (64, 80)), ("vp9", 42, (48, 60)), ("h264", 30, (48, 60)))
    expected = np.stack(pictures)
    for codec, factor, size in steps:
        expected = by_hand(expected, codec, factor, size, tmp_path / "a.mp4")
    enlarged = [np.array(Image.fromarray(p).resize((120, 96), 3)) for p in expected]
    found = result(pictures, encodings_of("chain", 3), tmp_path / "scratch")
    np.testing.assert_array_equal(found, np.stack(enlarged))


@pytest.mark.parametrize("name", [*CODECS, "chain"])
def test_each_severity_is_worse_than_the_one_before(name: str, tmp_path: Path) -> None:
    """Of an odd size, which encoders do not take."""
    pictures = clip(121, 135, 8)
    levels = (encodings_of(name, amount) for amount in KINDS[name].amounts)
    found = [quality(pictures, result(pictures, level, tmp_path / "x")) for level in levels]
    assert all(left > right + 0.1 for left, right in pairwise(found)), found
    assert found[-1] > 12 and found[0] < 45


def test_chains_grow_longer_and_smaller() -> None:
    chains = [encodings_of("chain", severity) for severity in SEVERITIES]
    assert [len(steps) for steps in chains] == [2, 2, 3, 3, 3]
    assert all(steps[0].codec == steps[-1].codec == "h264" for steps in chains[2:])
    smallest = [min(step.share for step in steps) for steps in chains]
    assert smallest == sorted(smallest, reverse=True) and len({*smallest}) == 5
    assert encodings_of("blur", 7) == ()


@pytest.mark.parametrize("name", [*CODECS, "chain"])
@pytest.mark.parametrize("size", [(1, 1), (2, 7), (63, 65)])
def test_single_frames_of_any_size_come_out_at_that_size(
    name: str, size: tuple[int, int], tmp_path: Path
) -> None:
    """Some encoders refuse less than 16 or 4 pixels."""
    amount = KINDS[name].amounts[0]
    grey = [np.full((*size, 3), 120, np.uint8)]
    found = result(grey, encodings_of(name, amount), tmp_path / "x")
    assert found.shape == (1, *size, 3) and abs(int(found.mean()) - 120) < 12


def test_no_picture_is_lost_to_hevc(tmp_path: Path) -> None:
    """As MP4 every fifth was, by chance."""
    encodings = encodings_of("hevc", KINDS["hevc"].amounts[0])
    for number, side in enumerate([200, 8, 120, 30] * 10):
        grey = [np.full((side, side, 3), 120, np.uint8)]
        assert result(grey, encodings, tmp_path / str(number)).shape == (1, side, side, 3)


def test_what_cannot_be_encoded_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    chain = encodings_of("chain", 5)

    def broken() -> Iterator[np.ndarray]:
        yield from clip(64, 64, 2)
        raise MediaError("no_frames", Path("a.mp4"), "cut off")

    for pictures, sentence in (
        (iter([*clip(64, 64, 2), *clip(66, 64, 1)]), "frame 2 has shape .66, 64, 3.* one size"),
        (broken(), "cut off"),
        (iter(()), "no pictures"),
    ):
        with (
            pytest.raises(ValueError, match=sentence),
            reencoded(pictures, chain, scratch=tmp_path / "x"),
        ):
            pytest.fail("nothing to read back")
    with pytest.raises(ValueError, match="libx265 refuses these pictures"):
        write_pictures(tmp_path / "x.mp4", clip(2, 2, 1), encoder="libx265", options={})
    assert not list(tmp_path.iterdir())


def test_a_missing_encoder_ends_the_run_with_the_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not file by file, and not for encodings that do without it."""
    monkeypatch.setitem(reencoding._ENCODERS, "av1", ("libnone", {}))
    with pytest.raises(ModuleNotFoundError, match="without the encoder libnone; install the wheel"):
        check_available(Perturbation(name="av1", severity=1))
    check_available(Perturbation(name="chain", severity=1))
    (tmp_path / "tree/test/real").mkdir(parents=True)
    (tmp_path / "tree/test/fake").mkdir()
    for label in ("real", "fake"):
        write_video(tmp_path / f"tree/test/{label}/{label}.mp4", clip(64, 64, 2))
    place = ("--source", tmp_path / "tree", "--out", tmp_path / "out", "--layout", "real_fake")
    asked = ("--detector", "none", "--perturbation", "av1", "--severity", 1, "--workers", 1)
    assert cli.main(["prepare", *map(str, (*place, *asked))]) == 2
    assert "without the encoder libnone" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(not hasattr(os, "sched_getscheduler"), reason="Linux alone tells")
def test_an_encoder_leaves_the_scheduling_of_its_caller_as_it_was(tmp_path: Path) -> None:
    """SVT-AV1 makes a caller that is root a real-time process, which hung whole test runs."""
    before = os.sched_getscheduler(0)
    frames = [np.full((64, 64, 3), level, np.uint8) for level in range(3)]
    write_pictures(tmp_path / "a.mp4", frames, encoder="libsvtav1", options={"preset": "12"})
    assert os.sched_getscheduler(0) == before
