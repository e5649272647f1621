"""A file is what its first bytes say: pictures, animations, videos, whatever they are called."""

from collections import Counter
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from avkd.data.media import image_files
from avkd.data.media.image_files import is_animation, iter_animation, read_image
from avkd.data.media.media_file import MediaError, is_heic, kind_of
from avkd.data.media.source_file import SourceFile
from avkd.data.media.video import open_video
from avkd.data.media.writing import write_video

PICTURES = ("JPEG", "PNG", "BMP", "WEBP", "GIF", "TIFF", "AVIF", "JPEG2000")


def grey(level: int) -> Image.Image:
    return Image.fromarray(np.full((32, 48, 3), level, np.uint8))


@pytest.mark.parametrize("kind", PICTURES)
def test_pictures_are_known_without_their_name(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "nameless"
    grey(120).save(path, kind)
    assert kind_of(path) == "image" and not is_animation(path)
    assert np.abs(read_image(path).astype(int) - 120).max() <= 3


@pytest.mark.parametrize("container", ["mp4", "mov", "matroska", "avi", "mpegts", "mpeg", "flv"])
def test_videos_are_known_without_their_name(tmp_path: Path, container: str) -> None:
    path = tmp_path / "nameless.png"
    codec = "mpeg2video" if container == "mpeg" else "libx264"
    with av.open(str(path), "w", format=container) as output:
        stream = output.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(3):
            picture = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
            output.mux(stream.encode(picture))
        output.mux(stream.encode(None))
    assert kind_of(path) == "video"
    packets = path.read_bytes()
    if container == "mpegts":  # M2TS has a time of four bytes before every packet
        starts = range(0, len(packets), 188)
        path.write_bytes(b"".join(b"\0\0\0\1" + packets[s : s + 188] for s in starts))
        assert kind_of(path) == "video"


@pytest.mark.parametrize("content", [b"", b"G", b"hello, this is a text", b"{}", bytes(600)])
def test_what_is_neither_is_neither(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file.mp4"
    path.write_bytes(content)
    assert kind_of(path) is None


def test_heic_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_files, "_can_read_heif", lambda: False)
    path = tmp_path / "photo.heic"
    path.write_bytes(b"\0\0\0\x18ftypheic" + bytes(200))
    assert kind_of(path) == "image" and is_heic(path)
    with pytest.raises(MediaError, match=r"pip install .avkd\[heic\]"):
        read_image(path)


def test_a_heic_photograph_is_read_where_its_package_is_there(tmp_path: Path) -> None:
    pillow_heif = pytest.importorskip("pillow_heif", reason="pip install 'avkd[heic]'")
    pillow_heif.register_heif_opener()
    path = tmp_path / "photo"
    grey(120).save(path, "HEIF")
    assert kind_of(path) == "image" and is_heic(path)
    assert np.abs(read_image(path).astype(int) - 120).max() <= 3


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_an_animation_is_shown_as_long_as_it_says(tmp_path: Path, kind: str) -> None:
    """Blank, then two pictures; 0.2 s, 0.4 s and the usual tenth of a second."""
    path = tmp_path / "moving"
    first, *others = [grey(level) for level in (0, 100, 200)]
    first.save(path, kind, save_all=True, append_images=others, duration=[200, 400, 100])
    assert is_animation(path)
    levels = [int(frame.image.mean()) for frame in iter_animation(path)]
    shown = Counter(min((0, 100, 200), key=lambda level: abs(level - found)) for found in levels)
    assert list(shown) == [0, 100, 200]
    assert shown[0] == pytest.approx(5, abs=1) and shown[100] == pytest.approx(10, abs=1)
    source = SourceFile(path, "animation", max_seconds=0.2)
    assert len(list(source.frames())) == 5 and source.counts["stopped_by_limit"] == 1


def test_a_first_pass_that_is_out_of_time_ends_and_so_does_the_next(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    write_video(path, (np.full((48, 64, 3), n, np.uint8) for n in range(20)))
    source = SourceFile(path, "video", deadline=0.0)
    for _ in range(2):
        assert len(list(source.frames())) == 1
        assert source.counts["stopped_by_limit"] == 1
    assert len(list(SourceFile(path, "video").frames())) == 20


def write_timed(path: Path, seconds: list[float], transfer: int | None = None) -> None:
    """Levels 0, 10, 20, ... at the given times."""
    with av.open(str(path), "w", format="matroska") as output:
        stream = output.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        if transfer is not None:
            stream.codec_context.color_trc = transfer
        for number, time in enumerate(seconds):
            level = np.full((48, 64, 3), 10 * number, np.uint8)
            picture = av.VideoFrame.from_ndarray(level, format="rgb24")
            picture.pts, picture.time_base = round(1000 * time), Fraction(1, 1000)
            output.mux(stream.encode(picture))
        output.mux(stream.encode(None))


def test_after_a_long_still_the_video_goes_on(tmp_path: Path) -> None:
    """100 s of one picture: a minute of it is shown, the rest is counted; then what follows."""
    path = tmp_path / "still.mkv"
    write_timed(path, [0.0, 0.04, 0.08, 100.08, 100.12, 115.12, 115.16])
    source = SourceFile(path, "video", shorten_jumps=True)
    levels = [round(float(frame.image.mean()) / 10) for frame in source.frames()]
    shown = Counter(levels)
    assert list(shown) == list(range(7)) and levels == sorted(levels)
    assert shown[2] + shown[3] == pytest.approx(60 * 25, abs=2)
    assert shown[4] + shown[5] == pytest.approx(15 * 25, abs=2)
    assert source.counts["seconds_left_out"] == 40 and not source.counts["time_jump"]
    plain = SourceFile(path, "video")
    assert len(list(plain.frames())) == 3 and plain.counts["time_jump"] == 1


@pytest.mark.parametrize(
    ("transfer", "is_hdr"), [(16, True), (18, True), (1, False), (None, False)]
)
def test_hdr_is_noticed(tmp_path: Path, transfer: int | None, is_hdr: bool) -> None:
    path = tmp_path / "clip.mkv"
    write_timed(path, [0.0, 0.04, 0.08], transfer)
    counts: Counter[str] = Counter()
    with open_video(path) as video:
        assert len(list(video.frames(25.0, None, counts))) == 3
    assert counts["hdr_frames"] == (3 if is_hdr else 0)
