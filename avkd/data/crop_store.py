"""A prepared corpus on disk: append-only shards of face crops and sound, with a journal as index.

A record is one face track: JPEG frames (quality 95, 4:4:4), int16 sound at 16 kHz, and per-frame
geometry, laid end to end. Its index line is written only after its bytes are on the disk, so what
the index names is whole. Knows nothing of videos, detectors, labels or models.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision
from einops import rearrange
from numpy.typing import ArrayLike
from PIL import Image

from avkd import durable

FRAMES_PER_SECOND = 25
SAMPLE_RATE_HZ = 16_000
SAMPLES_PER_FRAME = SAMPLE_RATE_HZ // FRAMES_PER_SECOND
TRACKS_PER_SHARD = 256
JPEG_QUALITY = 95

# After the JPEG frames and the sound: per-frame arrays, in this order.
_GEOMETRY: tuple[tuple[str, str, tuple[int, ...]], ...] = (
    ("frame_bytes", "<u4", ()),
    ("source_frame_indices", "<i4", ()),
    ("source_times_seconds", "<f8", ()),
    ("landmarks", "<f4", (5, 2)),
    ("transforms", "<f4", (2, 3)),
)
_COPY_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class IndexRow:
    """One line of the index: where a record lies and what it is."""

    path: str
    """Name of the track; `Sample.path` of a ``crops`` sample."""
    shard: str
    offset: int
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
    def num_bytes(self) -> int:
        """Length of the record in the shard."""
        return self.jpeg_bytes + 2 * self.num_samples + self.num_frames * _geometry_bytes()


@dataclass(frozen=True, kw_only=True)
class CropRecord:
    """All that is known of one stored track but its pixels and sound."""

    num_frames: int
    has_audio: bool
    source_path: str
    source_sha256: str
    source_start_frame: int
    settings_fingerprint: str
    source_frame_indices: np.ndarray
    """(T,) which decoded frame of the source each crop was made from."""
    source_times_seconds: np.ndarray
    """(T,) that frame's own time, from the first frame of the source."""
    landmarks: np.ndarray
    """(T, 5, 2) smoothed, in source pixels; NaN where the input came already cropped."""
    transforms: np.ndarray
    """(T, 2, 3) from source pixels to crop pixels."""


def _geometry_bytes() -> int:
    """Bytes of per-frame arrays for one frame."""
    return sum(np.dtype(kind).itemsize * int(np.prod(shape)) for _, kind, shape in _GEOMETRY)


def encode_jpeg(image: np.ndarray) -> bytes:
    """Encode uint8 RGB (H, W, 3) as JPEG, quality 95 without colour subsampling."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return buffer.getvalue()


def decode_jpegs(contents: Sequence[bytes]) -> np.ndarray:
    """Decode pictures of one size to uint8 RGB (N, H, W, 3).

    torchvision decodes a batch 2.5 times as fast as PIL, to the same pixels (measured, 1 thread).
    """
    encoded = [torch.frombuffer(bytearray(content), dtype=torch.uint8) for content in contents]
    images = torch.stack(torchvision.io.decode_jpeg(encoded, torchvision.io.ImageReadMode.RGB))
    return rearrange(images, "n c h w -> n h w c").contiguous().numpy()


def as_stored(image: np.ndarray) -> np.ndarray:
    """``image``, uint8 RGB (H, W, 3), as a reader of the store will see it: after compression."""
    decoded: np.ndarray = decode_jpegs([encode_jpeg(image)])[0]
    return decoded


@dataclass(frozen=True, kw_only=True)
class PackedTrack:
    """A record in a file of its own, ready to be appended to a shard.

    Plain values only: it travels from a worker process to the one writer.
    """

    file: Path
    path: str
    jpeg_bytes: int
    num_frames: int
    num_samples: int
    crop_size: int
    sha256: str
    source_path: str
    source_sha256: str
    source_start_frame: int


class TrackPacker:
    """Writes one record to a file, frame by frame, so that no track has to fit in memory."""

    def __init__(self, file: Path) -> None:
        self._path = file
        self._file = file.open("wb")
        self._digest = hashlib.sha256()
        self._frame_bytes: list[int] = []
        self._crop_size = 0

    def add_frame(self, crop: np.ndarray) -> None:
        """Append one crop, uint8 RGB (S, S, 3)."""
        self._crop_size = len(crop)
        content = encode_jpeg(crop)
        self._frame_bytes.append(len(content))
        self._write(content)

    def finish(
        self,
        *,
        path: str,
        waveform: np.ndarray | None,
        source_path: str,
        source_sha256: str,
        source_start_frame: int,
        geometry: Mapping[str, ArrayLike],
    ) -> PackedTrack:
        """Append sound (int16 (S,)) and geometry (see `CropRecord`) and close the file."""
        sound = np.zeros(0, "<i2") if waveform is None else waveform.astype("<i2")
        self._write(sound.tobytes())
        arrays = {**geometry, "frame_bytes": np.array(self._frame_bytes)}
        for name, kind, shape in _GEOMETRY:
            values = np.asarray(arrays[name]).astype(kind)
            assert values.shape == (len(self._frame_bytes), *shape), f"{name}: {values.shape}"
            self._write(values.tobytes())
        self._file.close()
        return PackedTrack(
            file=self._path,
            path=path,
            jpeg_bytes=sum(self._frame_bytes),
            num_frames=len(self._frame_bytes),
            num_samples=len(sound),
            crop_size=self._crop_size,
            sha256=self._digest.hexdigest(),
            source_path=source_path,
            source_sha256=source_sha256,
            source_start_frame=source_start_frame,
        )

    def _write(self, content: bytes) -> None:
        self._file.write(content)
        self._digest.update(content)


class CropWriter:
    """Appends packed tracks to shards; picks up where a killed run stopped.

    Args:
        root: The corpus folder.
        settings_fingerprint: Of the settings the crops are made with.
        part: Prefix of this writer's files; one writer per part at a time.
    """

    def __init__(self, root: Path, *, settings_fingerprint: str, part: str = "") -> None:
        self._root = root
        self._fingerprint = settings_fingerprint
        self._part = part
        (root / "shards").mkdir(parents=True, exist_ok=True)
        self._index = root / f"{part}index.jsonl"
        rows = [IndexRow(**row) for row in read_journal(self._index, repair=True)]
        self._cut_unindexed_bytes(rows)
        self._shard_number = len({row.shard for row in rows}) - 1 if rows else 0
        self._tracks_in_shard = sum(row.shard == self._shard_name() for row in rows)

    def append(self, tracks: Iterable[PackedTrack]) -> None:
        """Add tracks durably: bytes are synced before their index lines; packed files are removed.

        Raises:
            OSError: the disk is full or read-only; what was indexed before stays good.
        """
        tracks = list(tracks)
        rows = []
        for track in tracks:
            if self._tracks_in_shard >= TRACKS_PER_SHARD:
                self._shard_number += 1
                self._tracks_in_shard = 0
            rows.append(self._copy_into_shard(track))
            self._tracks_in_shard += 1
        append_journal(self._index, [asdict(row) for row in rows])
        for track in tracks:
            track.file.unlink()

    def _copy_into_shard(self, track: PackedTrack) -> IndexRow:
        shard = self._root / "shards" / self._shard_name()
        with shard.open("ab") as target, track.file.open("rb") as source:
            offset = target.tell()
            while block := source.read(_COPY_BYTES):
                target.write(block)
            target.flush()
            os.fsync(target.fileno())
        values = {name: value for name, value in asdict(track).items() if name != "file"}
        return IndexRow(
            shard=shard.name, offset=offset, settings_fingerprint=self._fingerprint, **values
        )

    def _shard_name(self) -> str:
        return f"{self._part}{self._shard_number:05d}.bin"

    def _cut_unindexed_bytes(self, rows: list[IndexRow]) -> None:
        """Remove what a killed run appended without getting to write its index line."""
        ends: dict[str, int] = {}
        for row in rows:
            ends[row.shard] = max(ends.get(row.shard, 0), row.offset + row.num_bytes)
        for shard in (self._root / "shards").glob(f"{self._part}[0-9]*.bin"):
            if not shard.name.removeprefix(self._part).removesuffix(".bin").isdigit():
                continue  # another part's
            end = ends.get(shard.name, 0)
            if shard.stat().st_size > end:
                os.truncate(shard, end)


class CropStore:
    """Reads a prepared corpus; safe to share between processes.

    Args:
        root: The corpus folder.

    Raises:
        FileNotFoundError: the folder holds no index.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        indexes = sorted(root.glob("*index.jsonl"))
        if not indexes:
            raise FileNotFoundError(f"{root}: no prepared corpus here; run `avkd prepare` first")
        # A file made again after a kill has two lines; the later one counts.
        self._rows = {
            row["path"]: IndexRow(**row) for index in indexes for row in read_journal(index)
        }

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, path: str) -> bool:
        return path in self._rows

    def paths(self) -> list[str]:
        """Names of all stored tracks, those that are no sample's primary track included."""
        return list(self._rows)

    def frames(self, path: str, start: int, count: int) -> np.ndarray:
        """Crops ``start`` to ``start + count`` of a track, uint8 RGB (count, S, S, 3).

        Raises:
            ValueError: the track is not stored or shorter.
        """
        row = self._row(path)
        if start < 0 or count < 1 or start + count > row.num_frames:
            detail = f"frames {start}..{start + count} of {row.num_frames}"
            raise ValueError(f"{path}: {detail}: outside the track")
        sizes = self._geometry(row, "frame_bytes")
        ends = np.cumsum(sizes, dtype=np.int64)
        begin = int(ends[start] - sizes[start])
        content = self._read(row, begin, int(ends[start + count - 1]) - begin)
        cuts = ends[start : start + count - 1] - begin
        bounds = [0, *cuts.tolist(), len(content)]
        return decode_jpegs([content[a:b] for a, b in itertools.pairwise(bounds)])

    def waveform(self, path: str, start_frame: int, num_samples: int) -> np.ndarray | None:
        """Sound from the time of crop ``start_frame`` on, int16 (num_samples,) at 16 kHz.

        Zeros follow where the sound ends; None when the track has no sound at all.
        """
        row = self._row(path)
        if not row.num_samples:
            return None
        start = min(start_frame * SAMPLES_PER_FRAME, row.num_samples)
        count = min(num_samples, row.num_samples - start)
        content = self._read(row, row.jpeg_bytes + 2 * start, 2 * count)
        return np.pad(np.frombuffer(content, "<i2"), (0, num_samples - count)).astype(np.int16)

    def record(self, path: str) -> CropRecord:
        """All that is known of one track but pixels and sound."""
        row = self._row(path)
        return CropRecord(
            num_frames=row.num_frames,
            has_audio=row.num_samples > 0,
            source_path=row.source_path,
            source_sha256=row.source_sha256,
            source_start_frame=row.source_start_frame,
            settings_fingerprint=row.settings_fingerprint,
            source_frame_indices=self._geometry(row, "source_frame_indices"),
            source_times_seconds=self._geometry(row, "source_times_seconds"),
            landmarks=self._geometry(row, "landmarks"),
            transforms=self._geometry(row, "transforms"),
        )

    def verify(self, path: str) -> bool:
        """Whether the stored bytes of a track still have the digest they were written with."""
        row = self._row(path)
        return hashlib.sha256(self._read(row, 0, row.num_bytes)).hexdigest() == row.sha256

    def _row(self, path: str) -> IndexRow:
        try:
            return self._rows[path]
        except KeyError:
            raise ValueError(f"{path}: no such track in the corpus {self._root}") from None

    def _geometry(self, row: IndexRow, wanted: str) -> np.ndarray:
        start = row.jpeg_bytes + 2 * row.num_samples
        for name, kind, shape in _GEOMETRY:
            length = row.num_frames * np.dtype(kind).itemsize * int(np.prod(shape))
            if name == wanted:
                flat = np.frombuffer(self._read(row, start, length), kind)
                if len(shape) == 2:
                    return rearrange(flat, "(T a b) -> T a b", a=shape[0], b=shape[1])
                return flat
            start += length
        raise AssertionError(wanted)

    def _read(self, row: IndexRow, start: int, length: int) -> bytes:
        shard = self._root / "shards" / row.shard
        with shard.open("rb") as file:
            file.seek(row.offset + start)
            content = file.read(length)
        if len(content) != length:
            raise ValueError(f"{shard}: shorter than its index says; prepare the corpus again")
        return content


def append_journal(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Append JSON lines and sync them; a kill in the middle leaves at most one broken line."""
    text = "".join(json.dumps(row, ensure_ascii=True) + "\n" for row in rows)
    with path.open("ab") as file:
        file.write(text.encode("ascii"))
        file.flush()
        os.fsync(file.fileno())


def read_journal(path: Path, *, repair: bool = False) -> list[dict[str, Any]]:
    """Whole lines of a journal; a half-written last one is ignored.

    Args:
        path: The journal; none yet is an empty one.
        repair: Also cut the half line off, so that the next append starts on a fresh line.

    Raises:
        ValueError: a line before the last is broken; names file and line.
    """
    content = path.read_bytes() if path.exists() else b""
    whole = content[: content.rfind(b"\n") + 1]
    if repair and len(whole) < len(content):
        durable.write_bytes(path, whole)
    rows = []
    for number, line in enumerate(whole.splitlines(), 1):
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError as error:
            raise ValueError(f"{path}, line {number}: broken ({error}); prepare again") from error
    return rows
