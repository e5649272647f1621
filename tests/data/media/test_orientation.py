"""The eight orientations and square pixels, against matrices written out by hand."""

import struct
from pathlib import Path

import av
import numpy as np
import pytest
from factories import read_waveform

from avkd.data.media.image_files import read_image
from avkd.data.media.media_file import MediaError
from avkd.data.media.video import iter_frames
from avkd.data.media.video_frame import PLAIN, Orientation

ONE = 1 << 16
STORED = np.arange(6, dtype=np.uint8).reshape(2, 3, 1).repeat(3, axis=2)
# a b / c d of the display matrix: shown x = a x + c y, shown y = b x + d y.
EIGHT = {
    (1, 0, 0, 1): [[0, 1, 2], [3, 4, 5]],
    (-1, 0, 0, 1): [[2, 1, 0], [5, 4, 3]],
    (1, 0, 0, -1): [[3, 4, 5], [0, 1, 2]],
    (-1, 0, 0, -1): [[5, 4, 3], [2, 1, 0]],
    (0, 1, -1, 0): [[3, 0], [4, 1], [5, 2]],  # a quarter clockwise
    (0, -1, 1, 0): [[2, 5], [1, 4], [0, 3]],
    (0, 1, 1, 0): [[0, 3], [1, 4], [2, 5]],
    (0, -1, -1, 0): [[5, 2], [4, 1], [3, 0]],
}


def _matrix(a: int, b: int, c: int, d: int) -> bytes:
    return struct.pack("=9i", a * ONE, b * ONE, 0, c * ONE, d * ONE, 0, 0, 0, 1 << 30)


@pytest.mark.parametrize("entries", EIGHT)
def test_a_display_matrix_is_applied_in_full(entries: tuple[int, int, int, int]) -> None:
    orientation = Orientation.of(_matrix(*entries), None)
    shown = orientation.apply(STORED)
    assert shown[..., 0].tolist() == EIGHT[entries]
    assert orientation.size(3, 2) == (shown.shape[1], shown.shape[0])


def test_no_matrix_and_square_pixels_change_nothing() -> None:
    assert Orientation.of(None, None) == Orientation.of(_matrix(1, 0, 0, 1), 1.0) == PLAIN
    assert Orientation.of(b"short", None) == PLAIN


def test_pixels_twice_as_wide_as_high_are_made_square() -> None:
    orientation = Orientation.of(None, 2.0)
    assert orientation.apply(STORED).shape == (2, 6, 3)
    turned = Orientation.of(_matrix(0, 1, -1, 0), 2.0)
    assert turned.apply(STORED).shape == (6, 2, 3) and turned.size(3, 2) == (2, 6)


@pytest.mark.parametrize("absurd", [1e-9, 0.0, 17.0, 1e9])
def test_an_absurd_shape_of_pixels_is_not_believed(absurd: float) -> None:
    assert Orientation.of(None, absurd) == PLAIN


def test_a_video_with_wide_pixels_comes_out_as_it_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "wide.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 96, "yuv420p"
        stream.codec_context.sample_aspect_ratio = 2
        for _ in range(5):
            picture = np.zeros((96, 64, 3), np.uint8)
            picture[:, 32:] = 200
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        container.mux(stream.encode(None))
    frame = next(iter_frames(path))
    assert frame.image.shape == (96, 128, 3) and (frame.width, frame.height) == (128, 96)
    whole = frame.image
    assert np.array_equal(frame.region(40, 10, 90, 60), whole[10:60, 40:90])
    assert whole[:, 70:].mean() > 150 > 20 > whole[:, :58].mean()


def test_frames_of_an_avi_with_b_frames_all_come_in_order(tmp_path: Path) -> None:
    path = tmp_path / "b.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"bf": "3", "b_strategy": "0"})
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for number in range(30):
            picture = np.full((64, 64, 3), 20 + 7 * number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        container.mux(stream.encode(None))
    levels = [float(frame.image.mean()) for frame in iter_frames(path)]
    assert len(levels) == 30
    assert np.all(np.diff(levels) > 3)


def test_the_default_sound_is_heard_not_the_first(tmp_path: Path) -> None:
    path = tmp_path / "two.mkv"
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = 64, 64, "yuv420p"
        tracks = [container.add_stream("pcm_s16le", rate=16000, layout="mono") for _ in range(2)]
        tracks[0].disposition = av.stream.Disposition.comment
        tracks[1].disposition = av.stream.Disposition.default
        for _ in range(25):
            frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8))
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        for track, level in zip(tracks, (1000, 8000), strict=True):
            sound = av.AudioFrame.from_ndarray(np.full((1, 16000), level, np.int16), "s16", "mono")
            sound.sample_rate, sound.pts = 16000, 0
            container.mux(track.encode(sound))
            container.mux(track.encode(None))
    waveform = read_waveform(path)
    assert waveform is not None
    assert np.abs(waveform[2000:10000]).mean() == pytest.approx(8000 / 32768, rel=0.05)


def test_greys_of_sixteen_bits_are_scaled_by_their_depth(tmp_path: Path) -> None:
    from PIL import Image

    levels = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    Image.fromarray(levels).save(tmp_path / "deep.png")
    read = read_image(tmp_path / "deep.png")
    assert read.shape == (16, 16, 3)
    assert np.abs(read[..., 0].ravel().astype(int) - np.arange(256)).max() <= 1


def test_an_empty_picture_is_called_empty(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    with pytest.raises(MediaError) as caught:
        read_image(tmp_path / "empty.png")
    assert caught.value.code == "empty_file"
