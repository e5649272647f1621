"""Writing a prepared corpus: a record in a file of its own first, then appended to a shard.

Bytes are on the disk before the index names them; a killed run is picked up where it stopped. The
format is `crop_store`'s. Knows nothing of videos, detectors or labels.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from avkd.data.crops.crop_store import GEOMETRY, IndexRow, encode_jpeg
from avkd.data.crops.journal import append_journal, read_journal

TRACKS_PER_SHARD = 256
_COPY_BYTES = 1 << 20


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
        for name, kind, shape in GEOMETRY:
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
