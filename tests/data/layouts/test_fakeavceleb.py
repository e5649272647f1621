"""FakeAVCeleb: a table with a nameless column, and people who must not be parted."""

from pathlib import Path

import pytest

from avkd.data.layouts import fakeavceleb
from avkd.data.manifest import FAKE, REAL

HEADER = "source,target1,target2,method,category,type,race,gender,path,"
LETTERS = {kind: letter for kind, (letter, _) in fakeavceleb.KINDS.items()}
RVRA, RVFA, FVRA, FVFA = LETTERS


def row(kind, source, name="00109", target="-", maker="real", letter=None, folder=None):
    where = folder or f"FakeAVCeleb/{kind}/Asian (East)/men/{source}"
    kept = letter or LETTERS[kind]
    return f"{source},{target},-,{maker},{kept},{kind},Asian (East),men,{name}.mp4,{where}"


def build(plant, rows, without=()) -> Path:
    cells = [line.split(",") for line in rows]
    paths = [f"{c[9].partition('/')[2]}/{c[8]}" for c in cells]
    root = plant(path for path in paths if path not in without)
    (root / "meta_data.csv").write_text("\n".join([HEADER, *rows]) + "\n")
    return root


def people(pairs=20):
    """Two by two they meet in forgeries."""
    for n in range(0, 2 * pairs, 2):
        yield row(RVRA, f"id{n:05}")
        yield row(RVRA, f"id{n + 1:05}")
        yield row(FVRA, f"id{n:05}", "00109_0", f"id{n + 1:05}", "faceswap")


def test_kinds_are_labels_and_methods(plant):
    rows = [row(kind, "id00076", target="id00166", maker="x") for kind in LETTERS]
    manifest = fakeavceleb.find(build(plant, rows))
    assert {s.path.split("/")[0]: (s.label, s.method) for s in manifest.samples} == {
        RVRA: (REAL, "real"),
        RVFA: (FAKE, RVFA),
        FVRA: (FAKE, FVRA),
        FVFA: (FAKE, FVFA),
    }
    notes = "\n".join(manifest.notes)
    assert f"{FVFA}: 1 found, 10857 official, difference -10856" in notes
    assert "silence" in notes
    assert "the picture is genuine" in notes


def test_people_are_source_and_targets_and_the_real_is_the_source(plant):
    rows = [row(RVRA, "id00076"), row(FVFA, "id00076", "f", "id00166", "wav2lip")]
    fake, real = fakeavceleb.find(build(plant, rows)).samples
    assert fake.identities == ("voxceleb2/id00076", "voxceleb2/id00166")
    assert real.identities == ("voxceleb2/id00076",)
    assert fake.source_id == real.sample_id
    assert real.source_id is None


def test_all_is_test_unless_asked_otherwise(plant):
    manifest = fakeavceleb.find(build(plant, list(people())))
    assert {s.split for s in manifest.samples} == {"test"}
    assert "no official split: all in test" in manifest.notes


def test_people_who_meet_are_dealt_out_together(plant):
    root = build(plant, list(people()))
    manifest = fakeavceleb.find(root, val_fraction=0.1, test_fraction=0.2, seed=3)
    assert manifest.check_identities() == 0
    assert [len(manifest.of_split(split)) for split in ("train", "val", "test")] == [42, 6, 12]
    again = fakeavceleb.find(root, val_fraction=0.1, test_fraction=0.2, seed=3)
    assert again.samples == manifest.samples
    others = [
        fakeavceleb.find(root, val_fraction=0.1, test_fraction=0.2, seed=n) for n in (4, 5, 6)
    ]
    assert any(other.samples != manifest.samples for other in others)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": 1}, "seed has no effect on the default, all in test"),
        ({"val_fraction": 0.1}, "val_fraction and test_fraction, or neither"),
        ({"test_fraction": 0.1}, "val_fraction and test_fraction, or neither"),
    ],
)
def test_setting_without_effect_is_refused(plant, options, message):
    with pytest.raises(ValueError, match=message):
        fakeavceleb.find(build(plant, list(people())), **options)


def test_repeated_rows_count_once_and_are_told(plant):
    line = row(FVRA, "id00076")
    manifest = fakeavceleb.find(build(plant, [line, line, row(RVRA, "id00076")]))
    assert len(manifest) == 2
    assert any("name a video again, in the same words: 1" in note for note in manifest.notes)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (row(RVRA, "id00076", letter="C"), "contradict one another"),
        (row(FVRA, "id1", folder=f"FakeAVCeleb/{RVRA}/x"), "contradict one another"),
        (row(FVRA, "id00076", letter="C").replace(f",{FVRA},", ",fake,"), "type 'fake'; expected"),
        ("id00076,-,-,real,A,RealVideo-RealAudio,African,men,1.mp4", "fewer values than columns"),
    ],
)
def test_row_that_contradicts_itself_is_named(plant, line, message):
    root = plant([f"{RVRA}/a.mp4"])
    (root / "meta_data.csv").write_text("\n".join([HEADER, line]) + "\n")
    with pytest.raises(ValueError, match=rf"meta_data\.csv, line 2: .*{message}"):
        fakeavceleb.find(root)


def test_same_video_with_other_people_is_refused(plant):
    rows = [row(FVRA, "id1", target="id2"), row(FVRA, "id1", target="id3")]
    with pytest.raises(ValueError, match=r"line 3: .* is listed before with another kind"):
        fakeavceleb.find(build(plant, rows))


def test_what_table_or_folder_lack_is_told(plant):
    gone = f"{RVRA}/Asian (East)/men/id00002/00109.mp4"
    root = build(plant, list(people(2)), without=[gone])
    plant([f"{RVFA}/stranger.mp4"])
    manifest = fakeavceleb.find(root)
    assert len(manifest) == 5
    notes = "\n".join(manifest.notes)
    assert f"listed but missing: 1: {gone!r}" in notes
    assert f"left out, without a row, so of unknown label: 1: '{RVFA}/stranger.mp4'" in notes


def test_wrong_root_names_the_right_one(plant):
    root = build(plant, list(people(2)))
    with pytest.raises(ValueError, match=r"expected meta_data\.csv, .*Did you mean .*root\?"):
        fakeavceleb.find(root / RVRA)
