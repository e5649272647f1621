"""A corpus as tar shards and back: the same bytes, and nothing that a tar names is a path."""

import io
import runpy
import tarfile
from pathlib import Path

import numpy as np
import pytest
from crops.test_crop_store import packed, smooth_crops

from avkd.data.crops.crop_store import CropStore
from avkd.data.crops.crop_writer import CropWriter

SCRIPT = runpy.run_path(str(Path(__file__).parents[3] / "scripts/webdataset.py"))


def everything(corpus: Path) -> dict[str, bytes]:
    files = (path for path in corpus.rglob("*") if path.is_file())
    return {str(path.relative_to(corpus)): path.read_bytes() for path in files}


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "corpus"
    writer = CropWriter(folder)
    sound = np.random.default_rng(0).integers(-999, 999, 640 * 12).astype(np.int16)
    for number in range(3):
        crops = smooth_crops(12, number)
        writer.append([packed(folder, f"{number}/../..", crops, sound if number else None)])
    for name in SCRIPT["OWN_FILES"]:
        (folder / name).write_text(f"what {name} says\n")
    return folder


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
