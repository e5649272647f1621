"""The crop store: what goes in comes out, and a kill at any point loses nothing indexed."""

from pathlib import Path

import numpy as np
import pytest

from avkd.config.data_config import VerifyConfig
from avkd.data.crops import crop_writer
from avkd.data.crops.crop_store import CropStore, DamagedTrack
from avkd.data.crops.crop_writer import CropWriter, PackedTrack, TrackPacker
from avkd.data.verify import run_verify
from avkd.outcome import ExitCode


def smooth_crops(count: int, seed: int) -> np.ndarray:
    """Gentle gradients, which JPEG keeps almost exactly."""
    rng = np.random.default_rng(seed)
    x = np.linspace(0, 1, 150)
    levels = rng.uniform(0, 200, (count, 1, 1, 3))
    return (levels + 50 * x[None, :, None, None] * x[None, None, :, None]).astype(np.uint8)


def geometry(count: int) -> dict[str, np.ndarray]:
    return {
        "source_frame_indices": np.arange(count) * 2,
        "source_times_seconds": np.arange(count) / 25,
        "landmarks": np.arange(count * 10).reshape(count, 5, 2) / 3,
        "transforms": np.arange(count * 6).reshape(count, 2, 3) / 7,
    }


def packed(folder: Path, name: str, crops: np.ndarray, sound: np.ndarray | None) -> PackedTrack:
    packer = TrackPacker(folder / f"{name.replace('/', '_')}.track")
    known = geometry(len(crops))
    places = known["source_frame_indices"], known["source_times_seconds"]
    for crop, index, seconds in zip(crops, *places, strict=True):
        packer.add_frame(crop, int(index), float(seconds))
    return packer.finish(
        path=name,
        waveform=sound,
        landmarks=known["landmarks"],
        transforms=known["transforms"],
        source_path="v.mp4",
        source_sha256="s",
        source_start_frame=7,
        settings_fingerprint="f",
    )


def test_a_track_comes_back_as_it_went_in(tmp_path: Path) -> None:
    crops = smooth_crops(30, 0)
    sound = np.random.default_rng(0).integers(-32768, 32768, 30 * 640).astype(np.int16)
    writer = CropWriter(tmp_path)
    writer.append([packed(tmp_path, "a/0", crops, sound), packed(tmp_path, "b/0", crops[:9], None)])
    store = CropStore(tmp_path)
    assert sorted(store.paths()) == ["a/0", "b/0"] and not list(tmp_path.glob("*.track"))
    found = store.frames("a/0", 5, 20)
    assert found.shape == (20, 150, 150, 3) and found.dtype == np.uint8
    assert np.abs(found.astype(int) - crops[5:25]).max() <= 4
    np.testing.assert_array_equal(store.waveform("a/0", 3, 1000), sound[1920:2920])
    tail = store.waveform("a/0", 29, 1000)
    assert tail is not None and (tail[640:] == 0).all() and (tail[:640] == sound[-640:]).all()
    assert store.waveform("b/0", 0, 100) is None
    row = store.row("a/0")
    assert (row.num_frames, row.has_audio, row.source_start_frame) == (30, True, 7)
    for name, values in geometry(30).items():
        np.testing.assert_allclose(store.geometry("a/0", name), values, rtol=1e-6)
    assert store.verify("a/0") and store.verify("b/0")


def test_reading_outside_a_track_is_refused(tmp_path: Path) -> None:
    CropWriter(tmp_path).append([packed(tmp_path, "a/0", smooth_crops(4, 0), None)])
    store = CropStore(tmp_path)
    for start, count in ((-1, 2), (3, 2), (0, 0)):
        with pytest.raises(ValueError, match="outside the track"):
            store.frames("a/0", start, count)
    with pytest.raises(ValueError, match="no such track"):
        store.frames("z/0", 0, 1)
    with pytest.raises(FileNotFoundError, match="avkd prepare"):
        CropStore(tmp_path / "nothing")


def test_half_written_ends_are_dropped_and_writing_goes_on(tmp_path: Path) -> None:
    """What kill -9 leaves: bytes without an index line, or half an index line."""
    crops = smooth_crops(5, 0)
    CropWriter(tmp_path).append([packed(tmp_path, "a/0", crops, None)])
    shard = tmp_path / "shards" / "00000.bin"
    size = shard.stat().st_size
    with shard.open("ab") as file:
        file.write(b"half a record")
    with (tmp_path / "index.jsonl").open("ab") as file:
        file.write(b'{"path": "b/0", "sha')
    assert CropStore(tmp_path).paths() == ["a/0"]
    writer = CropWriter(tmp_path)
    assert shard.stat().st_size == size
    writer.append([packed(tmp_path, "b/0", crops[:2], None)])
    store = CropStore(tmp_path)
    assert store.paths() == ["a/0", "b/0"] and store.verify("a/0") and store.verify("b/0")


def test_a_flipped_bit_is_noticed(tmp_path: Path) -> None:
    CropWriter(tmp_path).append([packed(tmp_path, "a/0", smooth_crops(3, 0), None)])
    shard = tmp_path / "shards" / "00000.bin"
    content = bytearray(shard.read_bytes())
    content[100] ^= 1
    shard.write_bytes(content)
    assert not CropStore(tmp_path).verify("a/0")


@pytest.mark.parametrize("damage", ["bit", "cut", "gone", "none"])
def test_every_damaged_track_is_named(tmp_path: Path, damage: str) -> None:
    writer = CropWriter(tmp_path)
    for name in ("a/0", "b/0"):
        writer.append([packed(tmp_path, name, smooth_crops(3, 0), None)])
    shard = tmp_path / "shards" / "00000.bin"
    content = bytearray(shard.read_bytes())
    content[100] ^= damage == "bit"
    shard.write_bytes(content[:-1] if damage == "cut" else content)
    if damage == "gone":
        shard.unlink()
    outcome = run_verify(VerifyConfig(data=(tmp_path,)))
    damaged = {"bit": ["a/0"], "cut": ["b/0"], "gone": ["a/0", "b/0"], "none": []}[damage]
    assert f"2 tracks, {len(damaged)} damaged" in outcome.text
    assert [name for name in ("a/0", "b/0") if f"  {name} in " in outcome.text] == damaged
    assert outcome.exit_code == (ExitCode.NOTHING_USABLE if damaged else ExitCode.DONE)


def test_a_crop_that_cannot_be_decoded_names_its_track_and_the_cure(tmp_path: Path) -> None:
    """Not a traceback of a picture library in the middle of an epoch."""
    CropWriter(tmp_path).append([packed(tmp_path, "a/0", smooth_crops(3, 0), None)])
    shard = tmp_path / "shards" / "00000.bin"
    content = bytearray(shard.read_bytes())
    content[:20] = bytes(20)
    shard.write_bytes(content)
    with pytest.raises(DamagedTrack, match=r"track a/0 is damaged .*avkd verify") as told:
        CropStore(tmp_path).frames("a/0", 0, 3)
    assert str(told.value).count(str(tmp_path)) == 2 and " at 0x" not in str(told.value)


def test_no_table_of_lengths_makes_the_reader_ask_for_more_than_is_stored(tmp_path: Path) -> None:
    """Garbage in it would be taken for terabytes."""
    CropWriter(tmp_path).append([packed(tmp_path, "a/0", smooth_crops(3, 0), None)])
    start = CropStore(tmp_path).row("a/0").geometry_start
    shard = tmp_path / "shards" / "00000.bin"
    content = bytearray(shard.read_bytes())
    content[start : start + 12] = b"\xff" * 12
    shard.write_bytes(content)
    with pytest.raises(DamagedTrack, match=r"track a/0 is damaged .the lengths"):
        CropStore(tmp_path).frames("a/0", 0, 3)


def test_a_shard_that_is_cut_or_gone_names_the_track_and_the_cure(tmp_path: Path) -> None:
    CropWriter(tmp_path).append([packed(tmp_path, "a/0", smooth_crops(3, 0), None)])
    store, shard = CropStore(tmp_path), tmp_path / "shards" / "00000.bin"
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(DamagedTrack, match=r"track a/0 is damaged .*shorter.*avkd verify"):
        store.record("a/0")
    shard.unlink()
    with pytest.raises(DamagedTrack, match=r"track a/0 is damaged .*No such file.*avkd verify"):
        store.frames("a/0", 0, 1)


def test_shards_are_closed_when_full_and_the_later_of_two_records_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crop_writer, "TRACKS_PER_SHARD", 2)
    for name, count in (("a/0", 1), ("b/0", 1), ("c/0", 1), ("a/0", 3)):
        writer = CropWriter(tmp_path)
        writer.append([packed(tmp_path, name, smooth_crops(count, 0), None)])
    assert len(list((tmp_path / "shards").iterdir())) == 2
    assert CropStore(tmp_path).row("a/0").num_frames == 3


def test_a_broken_line_in_the_middle_names_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "index.jsonl").write_text('{"a": 1}\nnonsense\n{"b": 2}\n')
    with pytest.raises(ValueError, match=r"index\.jsonl, line 2"):
        CropStore(tmp_path)


def test_a_track_that_is_given_up_leaves_no_file_and_a_finished_one_stays(tmp_path: Path) -> None:
    given_up = TrackPacker(tmp_path / "x.track")
    given_up.add_frame(smooth_crops(1, 0)[0], 0, 0.0)
    given_up.discard()
    assert not list(tmp_path.iterdir())
    finished = packed(tmp_path, "a/0", smooth_crops(1, 0), None)
    assert finished.file.stat().st_size == finished.row.num_bytes
