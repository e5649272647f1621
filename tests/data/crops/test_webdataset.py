"""A corpus as tar shards and back: the same bytes, and nothing that a tar names is a path."""

import io
import json
import runpy
import tarfile
from pathlib import Path

import numpy as np
import pytest
from crops.test_crop_store import packed, smooth_crops

from avkd.data.crops.crop_store import CropStore
from avkd.data.crops.crop_writer import CropWriter
from avkd.data.manifest import Manifest, Sample

SCRIPT = runpy.run_path(str(Path(__file__).parents[3] / "scripts/webdataset.py"))

_NAMES = ("0/track-0", "1/track-0", "2/../..")


def everything(corpus: Path) -> dict[str, bytes]:
    files = (path for path in corpus.rglob("*") if path.is_file())
    return {str(path.relative_to(corpus)): path.read_bytes() for path in files}


def made(folder: Path, parts: tuple[str, ...], reports: tuple[str, ...]) -> Path:
    """Three tracks, in turn of the ``parts``; the last is no main face of a file."""
    writers = [CropWriter(folder, part) for part in parts]
    sound = np.random.default_rng(0).integers(-999, 999, 640 * 12).astype(np.int16)
    for number in range(3):
        track = packed(folder, _NAMES[number], smooth_crops(12, number), sound if number else None)
        writers[number % len(parts)].append([track])
    for name in ("inputs.jsonl", "prepare.json", *reports):
        (folder / name).write_text(f"what {name} says\n")
    samples = tuple(
        Sample(
            sample_id=f"d/{number}",
            path=_NAMES[number],
            kind="crops",
            label=number,
            dataset="d",
            method="swap" if number else "real",
            split="val",
            identities=("ann",),
        )
        for number in range(2)
    )
    Manifest(folder, samples).save(folder / "manifest.jsonl")
    return folder


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return made(tmp_path / "corpus", ("",), ("report.jsonl",))


PARTS = ("part-0-of-2-", "part-1-of-2-")


@pytest.mark.parametrize("reports", [PARTS, ("", *PARTS)], ids=["sharded", "finished_unsharded"])
def test_a_corpus_of_several_parts_comes_back_byte_for_byte(
    tmp_path: Path, reports: tuple[str, ...]
) -> None:
    folder = made(tmp_path / "corpus", PARTS, tuple(f"{part}report.jsonl" for part in reports))
    SCRIPT["export_corpus"](folder, tmp_path / "tars")
    SCRIPT["import_corpus"](tmp_path / "tars", tmp_path / "again")
    assert everything(tmp_path / "again") == everything(folder)


def test_a_sample_tells_its_label_to_other_loaders(corpus: Path, tmp_path: Path) -> None:
    SCRIPT["export_corpus"](corpus, tmp_path / "tars")
    with tarfile.open(tmp_path / "tars/000001.tar") as tar:
        told = [json.load(tar.extractfile(name)) for name in tar.getnames() if "json" in name]
    assert [(of["sample_id"], of["label"], of["method"]) for of in told] == [
        ("d/0", 0, "real"),
        ("d/1", 1, "swap"),
        (None, None, None),
    ]
    assert told[1]["split"] == "val" and told[1]["dataset"] == "d"
    assert told[1]["identities"] == ["ann"] and told[1]["num_frames"] == 12


def test_a_shard_is_no_path(corpus: Path, tmp_path: Path) -> None:
    """Its name says which part a record is written to."""
    SCRIPT["export_corpus"](corpus, tmp_path / "tars")
    shard = tmp_path / "tars/000001.tar"
    content = shard.read_bytes()
    assert content.count(b'"shard": "00000.bin"') == 3
    shard.write_bytes(content.replace(b'"shard": "00000.bin"', b'"shard": "../00.bin"'))
    with pytest.raises(ValueError, match=r"'\.\./00\.bin' is no name of a shard"):
        SCRIPT["import_corpus"](tmp_path / "tars", tmp_path / "again")


def test_a_corpus_comes_back_byte_for_byte(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SCRIPT["export_corpus"].__globals__, "TRACKS_PER_SHARD", 2)
    SCRIPT["export_corpus"](corpus, tmp_path / "tars")
    names = [path.name for path in sorted((tmp_path / "tars").iterdir())]
    assert names == ["000000.tar", "000001.tar", "000002.tar"]
    with tarfile.open(tmp_path / "tars/000001.tar") as tar:  # as WebDataset groups a sample
        assert len({name.split(".")[0] for name in tar.getnames()}) == 2
    SCRIPT["import_corpus"](tmp_path / "tars", tmp_path / "again")
    assert everything(tmp_path / "again") == everything(corpus)
    store = CropStore(tmp_path / "again")
    assert all(store.verify(path) for path in store.paths())
    with pytest.raises(FileExistsError, match="not empty"):
        SCRIPT["import_corpus"](tmp_path / "tars", tmp_path / "again")


def member(name: str, content: bytes = b"x", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, content


@pytest.mark.parametrize(
    "hostile",
    [
        member("../escaped"),
        member("/tmp/escaped"),
        member("000000000.json", b"", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
        member("000000000.wav", b"", type=tarfile.LNKTYPE, linkname="000000.tar"),
        member("000000000.json", b"", type=tarfile.FIFOTYPE),
        member("000000000.py"),
        member("000000000.json", b"[1"),
        member("000000000.json", b'{"path": "x"}'),
    ],
    ids=["up", "absolute", "link", "hard_link", "fifo", "kind", "no_json", "no_row"],
)
def test_a_tar_writes_nothing_but_records(
    corpus: Path, tmp_path: Path, hostile: tuple[tarfile.TarInfo, bytes]
) -> None:
    SCRIPT["export_corpus"](corpus, tmp_path / "tars")
    with tarfile.open(tmp_path / "tars/000001.tar", "w:") as tar:
        tar.addfile(hostile[0], io.BytesIO(hostile[1]))
    with pytest.raises(ValueError, match=r"000001\.tar"):
        SCRIPT["import_corpus"](tmp_path / "tars", tmp_path / "again")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again", "corpus", "tars"]
    assert not (tmp_path / "again/prepare.json").exists() and not Path("/tmp/escaped").exists()


def test_a_changed_byte_and_a_torn_shard_are_told(corpus: Path, tmp_path: Path) -> None:
    SCRIPT["export_corpus"](corpus, tmp_path / "tars")
    shard = tmp_path / "tars/000001.tar"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:600] + bytes([whole[600] ^ 1]) + whole[601:])
    with pytest.raises(ValueError, match="is damaged"):
        SCRIPT["import_corpus"](tmp_path / "tars", tmp_path / "one")
    shard.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"000001\.tar"):
        SCRIPT["import_corpus"](tmp_path / "tars", tmp_path / "two")
