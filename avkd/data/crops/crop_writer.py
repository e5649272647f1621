"""Writing a prepared corpus: a record in a file of its own first, then appended to a shard.

Bytes are on the disk before the index names them; a killed run is picked up where it stopped. The
format is `crop_store`'s.
"""

import hashlib
import os
import shutil
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from avkd.data.crops.crop_store import GEOMETRY, IndexRow, encode_jpeg
from avkd.data.crops.journal import append_journal, read_journal

TRACKS_PER_SHARD = 256


class PackedTrack(NamedTuple):
    """A record in a file of its own, ready to be appended to a shard."""

    file: Path
    row: IndexRow


class TrackPacker:
    """Writes one record to a file, frame by frame, so that no track has to fit in memory.

    The file is written once more, into the shard: a worker may die in the middle of a record, and
    several work at once. It costs little, as it rarely leaves the page cache.
    """

    def __init__(self, file: Path) -> None:
        self._path = file
        self._file = file.open("wb")
        self._digest = hashlib.sha256()
        self._frames: list[tuple[int, int, float]] = []
        self._crop_size = 0

    def add_frame(self, crop: np.ndarray, source_index: int, source_seconds: float) -> None:
        """Append one crop, uint8 RGB (S, S, 3), of a frame of the source."""
        self._crop_size = len(crop)
        content = encode_jpeg(crop)
        self._frames.append((len(content), source_index, source_seconds))
        self._write(content)

    def finish(
        self,
        *,
        waveform: np.ndarray | None,
        landmarks: np.ndarray,
        transforms: np.ndarray,
        **origin: Any,
    ) -> PackedTrack:
        """Append sound and geometry and close the file.

        The waveform is int16 (S,), landmarks (T, 5, 2) are in source pixels, transforms (T, 2, 3)
        lead from there to crop pixels; ``origin`` is what else an `IndexRow` says of it.
        """
        sound = np.zeros(0, "<i2") if waveform is None else waveform.astype("<i2")
        self._write(sound.tobytes())
        sizes, indices, seconds = zip(*self._frames, strict=True)
        assert len(landmarks) == len(transforms) == len(self._frames)
        table = np.empty(len(self._frames), GEOMETRY)
        columns = (sizes, indices, seconds, landmarks, transforms)
        for name, column in zip(GEOMETRY.names or (), columns, strict=True):
            table[name] = column
            self._write(table[name].tobytes())
        self._file.close()
        row = IndexRow(
            jpeg_bytes=sum(sizes),
            num_frames=len(self._frames),
            num_samples=len(sound),
            crop_size=self._crop_size,
            sha256=self._digest.hexdigest(),
            **origin,
        )
        return PackedTrack(self._path, row)

    def discard(self) -> None:
        """Remove the file unless it is finished."""
        if not self._file.closed:
            self._file.close()
            self._path.unlink()

    def _write(self, content: bytes) -> None:
        self._file.write(content)
        self._digest.update(content)


class CropWriter:
    """Appends packed tracks to the shards of a corpus; picks up where a killed run stopped.

    ``part`` is the prefix of this writer's files; one writer per part at a time.
    """

    def __init__(self, root: Path, part: str = "") -> None:
        self._shards = root / "shards"
        self._part = part
        self._shards.mkdir(parents=True, exist_ok=True)
        self._index = root / f"{part}index.jsonl"
        rows = [IndexRow(**row) for row in read_journal(self._index, repair=True)]
        self._num_tracks = len(rows)
        # What a killed run appended without getting to write its index line is cut off.
        ends: dict[str, int] = {}
        for row in rows:
            ends[row.shard] = max(ends.get(row.shard, 0), row.offset + row.num_bytes)
        for shard in self._shards.glob(f"{part}[0-9]*.bin"):
            is_own = shard.name.removeprefix(part).removesuffix(".bin").isdigit()
            if is_own and shard.stat().st_size > ends.get(shard.name, 0):
                os.truncate(shard, ends.get(shard.name, 0))

    def append(self, tracks: Iterable[PackedTrack]) -> None:
        """Add tracks durably: bytes are synced before their index lines; packed files are removed.

        Raises:
            OSError: the disk is full or read-only; what was indexed before stays good.
        """
        tracks = list(tracks)
        rows = []
        for track in tracks:
            number = self._num_tracks // TRACKS_PER_SHARD
            self._num_tracks += 1
            shard = self._shards / f"{self._part}{number:05d}.bin"
            with shard.open("ab") as target, track.file.open("rb") as source:
                rows.append(replace(track.row, shard=shard.name, offset=target.tell()))
                shutil.copyfileobj(source, target, 1 << 20)
                target.flush()
                os.fsync(target.fileno())
        append_journal(self._index, [asdict(row) for row in rows])
        for track in tracks:
            track.file.unlink()
