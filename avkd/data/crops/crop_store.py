"""A prepared corpus on disk, and its reader: append-only shards with a journal as index.

A record is one face track: JPEG frames (quality 95, 4:4:4), int16 sound at 16 kHz, and per-frame
geometry, laid end to end. Its index line is written only after its bytes are on the disk, so what
the index names is whole.
"""

import hashlib
import io
import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from avkd.data.clock import SAMPLES_PER_FRAME
from avkd.data.crops.journal import read_journal

JPEG_QUALITY = 95

GEOMETRY = np.dtype(
    [
        ("frame_bytes", "<u4"),  # of the JPEG
        ("source_frame_indices", "<i4"),  # which decoded frame of the source
        ("source_times_seconds", "<f8"),  # its own time, from the first frame of the source
        ("landmarks", "<f4", (5, 2)),  # smoothed, in source pixels; NaN = none were searched
        ("transforms", "<f4", (2, 3)),  # from source pixels to crop pixels
    ]
)
"""What is stored of each frame: one array of each field after the other."""


@dataclass(frozen=True, kw_only=True)
class IndexRow:
    """One line of the index: what a record is, and where it lies once it is in a shard."""

    path: str
    """Name of the track; `Sample.path` of a ``crops`` sample."""
    shard: str = ""
    offset: int = 0
    jpeg_bytes: int
    num_frames: int
    num_samples: int
    """Length of the sound; 0 = none."""
    crop_size: int
    sha256: str
    """Of the record's bytes."""
    source_path: str
    source_sha256: str
    source_start_frame: int
    """Where the track begins in the 25 per second stream of its source."""
    settings_fingerprint: str

    @property
    def has_audio(self) -> bool:
        """Whether there is sound."""
        return self.num_samples > 0

    @property
    def geometry_start(self) -> int:
        """Where the arrays of `GEOMETRY` begin in the record: after the JPEGs and the sound."""
        return self.jpeg_bytes + 2 * self.num_samples

    @property
    def num_bytes(self) -> int:
        """Length of the record."""
        return self.geometry_start + self.num_frames * GEOMETRY.itemsize


def encode_jpeg(image: np.ndarray) -> bytes:
    """Encode uint8 RGB (H, W, 3) as JPEG, quality 95 without colour subsampling."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return buffer.getvalue()


def decode_jpeg(content: bytes) -> np.ndarray:
    """Decode a picture of the store to uint8 RGB (H, W, 3).

    Pillow, because importing torchvision takes two seconds for the same pixels (1,080 stored crops)
    at the same speed.

    Raises:
        OSError: it is damaged.
    """
    with Image.open(io.BytesIO(content), formats=("JPEG",)) as picture:
        return np.array(picture)


def as_stored(image: np.ndarray) -> np.ndarray:
    """``image``, uint8 RGB (H, W, 3), as a reader of the store will see it: after compression."""
    return decode_jpeg(encode_jpeg(image))


class DamagedTrack(ValueError):
    """What is stored of a track cannot be read; names the track, its corpus and the cure."""


class CropStore:
    """Reads the prepared corpus in the folder ``root``; safe to share between processes.

    Raises:
        FileNotFoundError: the folder holds no index.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        indexes = sorted(root.glob("*index.jsonl"))
        if not indexes:
            raise FileNotFoundError(f"{root}: no prepared corpus here; run `avkd prepare` first")
        # A file made again after a kill has two lines; the later one counts.
        self._rows = {
            row["path"]: IndexRow(**row) for index in indexes for row in read_journal(index)
        }

    def __contains__(self, path: str) -> bool:
        return path in self._rows

    def paths(self) -> list[str]:
        """Names of all stored tracks, those that are no sample's primary track included."""
        return list(self._rows)

    def row(self, path: str) -> IndexRow:
        """What a track is.

        Raises:
            ValueError: the track is not stored.
        """
        if path not in self._rows:
            raise ValueError(f"{path}: no such track in the corpus {self.root}")
        return self._rows[path]

    def crop_pixels(self, path: str) -> int:
        """Side of a track's crops in pixels."""
        return self.row(path).crop_size

    def digest(self, path: str) -> str:
        """SHA-256 of a track's record, as it was written."""
        return self.row(path).sha256

    def geometry(self, path: str, name: str) -> np.ndarray:
        """The array of a field of `GEOMETRY`, (T, ...)."""
        row = self.row(path)
        assert GEOMETRY.fields is not None
        kind, place, *_ = GEOMETRY.fields[name]
        start = row.geometry_start + row.num_frames * place
        return np.frombuffer(self._read(row, start, row.num_frames * kind.itemsize), kind)

    def landmarks(self, path: str) -> np.ndarray:
        """(T, 5, 2) float32, x and y in pixels of the crops; NaN where they are not known."""
        points, matrices = self.geometry(path, "landmarks"), self.geometry(path, "transforms")
        return np.einsum("tij,tpj->tpi", matrices[:, :, :2], points) + matrices[:, None, :, 2]

    def frames(self, path: str, start: int, count: int) -> np.ndarray:
        """Crops ``start`` to ``start + count`` of a track, uint8 RGB (count, S, S, 3).

        Raises:
            DamagedTrack: they cannot be read.
            ValueError: the track is not stored, or shorter.
        """
        row = self.row(path)
        if start < 0 or count < 1 or start + count > row.num_frames:
            detail = f"frames {start}..{start + count} of {row.num_frames}"
            raise ValueError(f"{path}: {detail}: outside the track")
        sizes = self.geometry(path, "frame_bytes")
        ends = np.cumsum(sizes, dtype=np.int64)
        if ends[-1] != row.jpeg_bytes:
            raise self._damaged(row, "the lengths of its pictures have changed")
        begin = int(ends[start] - sizes[start])
        content = self._read(row, begin, int(ends[start + count - 1]) - begin)
        cuts = ends[start : start + count - 1] - begin
        bounds = [0, *cuts.tolist(), len(content)]
        try:
            return np.stack([decode_jpeg(content[a:b]) for a, b in itertools.pairwise(bounds)])
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            # Not in Pillow's words, which name an address in memory.
            raise self._damaged(row, f"a picture from frame {start} on is damaged") from error

    def waveform(self, path: str, start_frame: int, num_samples: int) -> np.ndarray | None:
        """Sound from the time of crop ``start_frame`` on, int16 (num_samples,) at 16 kHz.

        Zeros follow where the sound ends; None when the track has no sound at all.
        """
        row = self.row(path)
        if not row.has_audio:
            return None
        start = min(start_frame * SAMPLES_PER_FRAME, row.num_samples)
        count = min(num_samples, row.num_samples - start)
        content = self._read(row, row.jpeg_bytes + 2 * start, 2 * count)
        return np.pad(np.frombuffer(content, "<i2"), (0, num_samples - count)).astype(np.int16)

    def verify(self, path: str) -> bool:
        """Whether the stored bytes of a track are there, with the digest they were written with."""
        try:
            content = self.record(path)
        except DamagedTrack:  # the shard is gone, or cut short
            return False
        return hashlib.sha256(content).hexdigest() == self.row(path).sha256

    def record(self, path: str) -> bytes:
        """All stored bytes of a track."""
        row = self.row(path)
        return self._read(row, 0, row.num_bytes)

    def _read(self, row: IndexRow, start: int, length: int) -> bytes:
        shard = self.root / "shards" / row.shard
        try:
            with shard.open("rb") as file:
                file.seek(row.offset + start)
                content = file.read(length)
        except OSError as error:
            raise self._damaged(row, f"{shard}: {error.strerror}") from error
        if len(content) != length:
            raise self._damaged(row, f"{shard} is shorter than its index says")
        return content

    def _damaged(self, row: IndexRow, why: str) -> DamagedTrack:
        return DamagedTrack(
            f"{self.root}: the stored track {row.path} is damaged ({why}); "
            f"`avkd verify {self.root}` names every such track"
        )
