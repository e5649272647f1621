"""Clips encoded again as social networks do, by one encoder or by a chain of them.

Every encoder runs in one thread and at a constant quality. On one machine the same pictures come
out the same (measured: 16 of 16 runs or more of each); another processor, whose assembly is other
code, may give others.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from avkd.data.media.video import iter_frames
from avkd.data.media.writing import write_pictures

VideoCodec = Literal["compression", "h264", "hevc", "av1", "vp9"]

_ENCODERS: dict[VideoCodec, tuple[str, dict[str, str]]] = {
    # What DeeperForensics calls VC: as ffmpeg does where only the rate factor is given.
    "compression": ("libx264", {"preset": "medium"}),
    # Without mbtree: its AVX-512 code does not repeat (`writing.write_video`).
    "h264": ("libx264", {"preset": "veryfast", "x264-params": "mbtree=0"}),
    "hevc": (
        "libx265",
        {
            "preset": "veryfast",
            "x265-params": "pools=none:frame-threads=1:wpp=0:info=0:log-level=error",
        },
    ),
    "av1": ("libsvtav1", {"preset": "8", "svtav1-params": "lp=1"}),
    # VP9 takes the rate factor alone only where the bit rate is zero.
    "vp9": ("libvpx-vp9", {"b": "0", "deadline": "good", "cpu-used": "4"}),
}
"""FFmpeg's name of the encoder, and its settings beside the rate factor: presets that encode
360p faster than it plays on one core, as large sites must."""
_LEAST_PIXELS = 64
"""Smaller sides are padded: some encoders refuse less."""


@dataclass(frozen=True)
class Encoding:
    """One time that a clip is encoded."""

    codec: VideoCodec
    rate_factor: int
    """Constant rate factor on the codec's own scale; larger is worse."""
    share: float = 1.0
    """Of the clip's width and height, to which the pictures are brought before."""

    @property
    def encoder(self) -> str:
        """FFmpeg's name of it."""
        return _ENCODERS[self.codec][0]


CHAINS = (
    (Encoding("h264", 23, 5 / 6), Encoding("h264", 26, 5 / 6)),
    (Encoding("h264", 26, 3 / 4), Encoding("vp9", 40, 2 / 3)),
    (Encoding("h264", 28, 2 / 3), Encoding("vp9", 42, 1 / 2), Encoding("h264", 30, 1 / 2)),
    (Encoding("h264", 30, 1 / 2), Encoding("vp9", 46, 2 / 5), Encoding("h264", 32, 2 / 5)),
    (Encoding("h264", 32, 1 / 2), Encoding("vp9", 50, 1 / 3), Encoding("h264", 34, 1 / 3)),
)
"""Uploaded, then shared, perhaps to a third site: severities 1 to 5 of the chain."""


def encodings_of(name: str, amount: float) -> tuple[Encoding, ...]:
    """What a perturbation does one after another; empty where it encodes nothing.

    ``amount`` is a codec's rate factor, or the number of a chain, from 1.
    """
    if name == "chain":
        return CHAINS[int(amount) - 1]
    return tuple(Encoding(codec, int(amount)) for codec in _ENCODERS if codec == name)


@contextmanager
def reencoded(
    pictures: Iterator[np.ndarray], encodings: tuple[Encoding, ...], *, scratch: Path
) -> Iterator[Callable[[], Iterator[np.ndarray]]]:
    """Encode and decode a clip as often as asked; yield what reads the result from the beginning.

    Pictures are uint8 RGB (H, W, 3), all of one size, consumed one by one; a single one is encoded
    as a clip of one frame. At the end the old size is restored. ``scratch`` begins the names of
    temporary videos.

    Raises:
        ModuleNotFoundError: an encoder is not there.
        ValueError: the pictures change size, there are none, or an encoder refuses them.
    """
    first = next(pictures, None)
    if first is None:
        raise ValueError(f"{scratch}: no pictures to encode")
    height, width = first.shape[:2]
    current = _of_one_size(chain([first], pictures), first.shape)
    videos: list[Path] = []
    size = height, width
    os.environ.setdefault("SVT_LOG", "1")  # errors only: it tells its settings on every start
    try:
        for number, encoding in enumerate(encodings):
            size = max(1, round(height * encoding.share)), max(1, round(width * encoding.share))
            least = 2 if encoding.codec == "compression" else _LEAST_PIXELS  # that one as published
            videos.append(scratch.with_name(f"{scratch.name}-{number}.mp4"))
            write_pictures(
                videos[-1],
                (_padded(_resized(picture, size), least) for picture in current),
                encoder=encoding.encoder,
                options=_ENCODERS[encoding.codec][1] | {"crf": str(encoding.rate_factor)},
            )
            current = _decoded(videos[-1], size)
        yield lambda: (_resized(picture, (height, width)) for picture in _decoded(videos[-1], size))
    finally:
        for video in videos:
            video.unlink(missing_ok=True)


def _of_one_size(pictures: Iterator[np.ndarray], shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    for number, picture in enumerate(pictures):
        if picture.shape != shape:
            raise ValueError(
                f"frame {number} has shape {picture.shape}, the first {shape}; "
                "only frames of one size can be encoded: scale them alike"
            )
        yield picture


def _resized(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    if picture.shape[:2] == size:
        return picture
    resized = Image.fromarray(picture).resize(size[::-1], Image.Resampling.BICUBIC)
    return np.asarray(resized)


def _padded(picture: np.ndarray, least: int) -> np.ndarray:
    """The last row and column repeated, up to an even size that the encoder takes."""
    missing = [max(least - side, side % 2) for side in picture.shape[:2]]
    return np.pad(picture, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="edge")


def _decoded(video: Path, size: tuple[int, int]) -> Iterator[np.ndarray]:
    height, width = size
    for frame in iter_frames(video, frames_per_second=None):
        yield frame.region(0, 0, width, height)
