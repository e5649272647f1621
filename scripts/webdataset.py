"""A prepared corpus as WebDataset shards (plain tar files), and back, byte for byte.

Usage: python scripts/webdataset.py export CORPUS SHARDS
       python scripts/webdataset.py import SHARDS CORPUS
A sample is a track: 000000007.00000.jpg ... (its crops), .wav (its sound at 16 kHz), .geometry and
.json: its row of the index, with sample_id, label (1 = fake), dataset, method, split and identities
of the file it is of (null for a track that is not its file's main face). 000000.tar holds the
corpus's own files. Nothing of a tar is unpacked to a path that it names: members are read by name
and size, records held against their SHA-256.
"""

import hashlib
import io
import json
import re
import sys
import tarfile
import tempfile
import wave
from collections.abc import Iterator
from dataclasses import asdict, fields
from itertools import groupby
from pathlib import Path

import numpy as np

from avkd import durable
from avkd.data.clock import SAMPLE_RATE_HZ
from avkd.data.crops.crop_store import CropStore, IndexRow
from avkd.data.crops.crop_writer import TRACKS_PER_SHARD, CropWriter, PackedTrack
from avkd.data.manifest import Manifest, Sample

OWN_FILES = ("manifest.jsonl", "inputs.jsonl", "prepare.json")  # and the reports of all parts
MOST_BYTES = 1 << 30
_OF_SAMPLE = ("sample_id", "label", "dataset", "method", "split", "identities")
# What `prepare --shard` puts before the names of its files.
_PART = r"(part-\d+-of-\d+-)?"
_REPORT = re.compile(f"{_PART}report\\.jsonl")
_SHARD = re.compile(f"{_PART}\\d{{5}}\\.bin")
_MEMBER = re.compile(r"(\d{9})\.(\d{5}\.jpg|wav|geometry|json)")


def export_corpus(corpus: Path, shards: Path) -> None:
    """Write the tar files.

    Raises:
        FileNotFoundError: ``corpus`` is no prepared corpus.
    """
    store = CropStore(corpus)
    shards.mkdir(parents=True, exist_ok=True)
    reports = sorted(path.name for path in corpus.glob("*report.jsonl"))
    own = {name: (corpus / name).read_bytes() for name in (*OWN_FILES, *reports)}
    sample_of = {sample.path: sample for sample in Manifest.load(corpus / OWN_FILES[0]).samples}
    _write_tar(shards / "000000.tar", iter(own.items()))
    paths = store.paths()
    for start in range(0, len(paths), TRACKS_PER_SHARD):
        some = enumerate(paths[start : start + TRACKS_PER_SHARD], start)
        members = (
            member
            for number, path in some
            for member in _members(store, path, number, sample_of.get(path))
        )
        _write_tar(shards / f"{start // TRACKS_PER_SHARD + 1:06d}.tar", members)


def import_corpus(shards: Path, corpus: Path) -> None:
    """Make the corpus anew; ``prepare.json``, without which there is none, is written last.

    Raises:
        FileExistsError: there is a corpus already.
        ValueError: a tar is cut short, holds what no export writes, or a record is damaged.
    """
    if corpus.exists() and any(corpus.iterdir()):
        raise FileExistsError(f"{corpus}: is not empty; choose another folder")
    tars = sorted(shards.glob("*.tar"))
    if not tars:
        raise FileNotFoundError(f"{shards}: no tar files there")
    own = dict(_read_tar(tars[0]))
    others = {name for name in own if not _REPORT.fullmatch(name)}
    if others != set(OWN_FILES):
        raise ValueError(f"{tars[0]}: holds {sorted(others)}, want {sorted(OWN_FILES)}")
    corpus.mkdir(parents=True, exist_ok=True)
    writers: dict[str, CropWriter] = {}
    for tar in tars[1:]:
        for _, members in groupby(_read_tar(tar), key=lambda member: member[0].split(".")[0]):
            _append(writers, corpus, dict(members), tar)
    for name in sorted(own, key="prepare.json".__eq__):
        durable.write_bytes(corpus / name, own[name])


def _members(
    store: CropStore, path: str, number: int, sample: Sample | None
) -> Iterator[tuple[str, bytes]]:
    row, content = store.row(path), store.record(path)
    ends = np.cumsum(store.geometry(path, "frame_bytes"), dtype=np.int64).tolist()
    for frame, (a, b) in enumerate(zip([0, *ends], ends, strict=False)):
        yield f"{number:09d}.{frame:05d}.jpg", content[a:b]
    if row.has_audio:
        buffer = io.BytesIO()
        with wave.open(buffer, "wb") as file:
            file.setparams((1, 2, SAMPLE_RATE_HZ, 0, "NONE", ""))
            file.writeframes(content[row.jpeg_bytes : row.geometry_start])
        yield f"{number:09d}.wav", buffer.getvalue()
    yield f"{number:09d}.geometry", content[row.geometry_start :]
    told = {name: getattr(sample, name, None) for name in _OF_SAMPLE}
    yield f"{number:09d}.json", json.dumps(asdict(row) | told, ensure_ascii=True).encode()


def _append(
    writers: dict[str, CropWriter], corpus: Path, members: dict[str, bytes], tar: Path
) -> None:
    """Put a record together again, into its part, as long as its digest says it is the same."""
    parts = {name.partition(".")[2]: content for name, content in members.items()}
    try:
        told = json.loads(parts["json"])
        row = IndexRow(**{field.name: told[field.name] for field in fields(IndexRow)})
        shard = _SHARD.fullmatch(row.shard)
        sound = b""
        if "wav" in parts:
            with wave.open(io.BytesIO(parts["wav"])) as file:
                sound = file.readframes(file.getnframes())
        pictures = [parts[name] for name in sorted(parts) if name.endswith(".jpg")]
        content = b"".join([*pictures, sound, parts["geometry"]])
        is_whole = hashlib.sha256(content).hexdigest() == row.sha256
        is_whole = is_whole and len(content) == row.num_bytes
    except (KeyError, TypeError, ValueError, EOFError, wave.Error) as error:
        raise ValueError(f"{tar}: {min(members)}: is no track of an export ({error})") from error
    if shard is None:
        raise ValueError(f"{tar}: {min(members)}: {row.shard!r} is no name of a shard")
    if not is_whole:
        raise ValueError(f"{tar}: {min(members)}: is damaged; copy the shard again")
    part = shard[1] or ""
    if part not in writers:
        writers[part] = CropWriter(corpus, part)
    with tempfile.NamedTemporaryFile(dir=corpus, delete=False) as file:
        file.write(content)
    writers[part].append([PackedTrack(Path(file.name), row)])


def _write_tar(path: Path, members: Iterator[tuple[str, bytes]]) -> None:
    with durable.replacing(path) as temporary, tarfile.open(temporary, "w:") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def _read_tar(path: Path) -> Iterator[tuple[str, bytes]]:
    """Names and contents of plain files that an export would have written; others are refused."""
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                known = member.name in OWN_FILES or _REPORT.fullmatch(member.name)
                known = known or _MEMBER.fullmatch(member.name)
                if not (known and member.isreg() and member.size <= MOST_BYTES):
                    raise ValueError(f"{path}: {member.name!r} is nothing that an export writes")
                file = tar.extractfile(member)
                content = b"" if file is None else file.read()
                if len(content) != member.size:
                    raise ValueError(f"{path}: is cut short; copy it again")
                yield member.name, content
    except tarfile.TarError as error:
        raise ValueError(f"{path}: {error}; copy it again") from error


if __name__ == "__main__":
    verbs = {"export": export_corpus, "import": import_corpus}
    if len(sys.argv) != 4 or sys.argv[1] not in verbs:
        raise SystemExit(__doc__)
    try:
        verbs[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3]))
    except (OSError, ValueError) as error:
        raise SystemExit(str(error)) from error
