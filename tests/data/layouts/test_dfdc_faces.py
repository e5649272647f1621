"""deepfake-faces: a forgery never leaves its original, and only what has row and picture counts."""

from collections import Counter
from pathlib import Path

import pytest

from avkd.data.layouts import dfdc
from avkd.data.manifest import FAKE, REAL

HEADER = "videoname,original_width,original_height,label,original"


def rows(reals=40, fakes_each=4):
    for n in range(reals):
        yield f"real{n}.mp4,129,129,REAL,"
        for m in range(fakes_each):
            yield f"fake{n}x{m}.mp4,129,129,FAKE,real{n}.mp4"


def build(plant, lines, more=(), without=()) -> Path:
    names = [line.split(",")[0].removesuffix(".mp4") for line in lines]
    root = plant(f"faces_224/{name}.jpg" for name in [*names, *more] if name not in without)
    (root / "metadata.csv").write_text("\n".join([HEADER, *lines]) + "\n")
    return root


def test_forgeries_stay_with_their_original_and_both_classes_get_their_shares(plant):
    root = build(plant, list(rows()))
    manifest = dfdc.find_faces(root, val_fraction=0.2, test_fraction=0.1)
    assert manifest.check_identities() == 0
    splits = {sample.sample_id: sample.split for sample in manifest.samples}
    fakes = [sample for sample in manifest.samples if sample.label == FAKE]
    assert all(sample.split == splits[sample.source_id] for sample in fakes)
    assert Counter((sample.split, sample.label) for sample in manifest.samples) == {
        **{("train", REAL): 28, ("val", REAL): 8, ("test", REAL): 4},
        **{("train", FAKE): 112, ("val", FAKE): 32, ("test", FAKE): 16},
    }
    assert "fake: 160 found, 79341 official, difference -79181" in manifest.notes


def test_split_depends_on_seed_and_names_only(plant):
    root = build(plant, list(rows()))
    one = dfdc.find_faces(root, seed=1)
    (root / "metadata.csv").write_text("\n".join([HEADER, *reversed(list(rows()))]) + "\n")
    assert {s.sample_id: s.split for s in dfdc.find_faces(root, seed=1).samples} == {
        s.sample_id: s.split for s in one.samples
    }
    assert any(dfdc.find_faces(root, seed=n).samples != one.samples for n in range(2, 5))


def test_forgeries_of_a_missing_original_stay_together_without_a_source(plant):
    lines = [*rows(20, 1), *(f"orphan{n}.mp4,1,1,FAKE,gone.mp4" for n in range(4))]
    manifest = dfdc.find_faces(build(plant, lines))
    orphans = [s for s in manifest.samples if "orphan" in s.path]
    assert len({sample.split for sample in orphans}) == 1
    assert {sample.source_id for sample in orphans} == {None}
    assert {sample.identities for sample in orphans} == {("deepfake_faces/gone",)}


def test_forgery_of_a_forgery_stays_with_the_first_original(plant):
    lines = [*rows(20, 1), *(f"again{n}.mp4,1,1,FAKE,fake{n}x0.mp4" for n in range(20))]
    manifest = dfdc.find_faces(build(plant, lines))
    splits = {Path(sample.path).stem: sample.split for sample in manifest.samples}
    assert all(splits[f"again{n}"] == splits[f"real{n}"] for n in range(20))


def test_rows_without_picture_and_pictures_without_row_are_left_out_and_told(plant):
    root = build(plant, list(rows()), more=["stranger"], without=["real3", "fake5x0"])
    manifest = dfdc.find_faces(root)
    assert len(manifest) == 198
    notes = "\n".join(manifest.notes)
    assert "listed but missing: 2: 'fake5x0', 'real3'" in notes
    assert "without a row, so of unknown label: 1: 'stranger'" in notes


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a.mp4,1,1,1,", "line 2: 'a.mp4' is '1'"),
        (",1,1,REAL,", "line 2: '' is 'REAL'"),
        ("a.mp4,1", "line 2: fewer values than columns"),
        ("a.mp4,1,1,REAL,\na.mp4,1,1,FAKE,b.mp4", "line 3: 'a' is listed a second time"),
    ],
)
def test_broken_table_names_its_line(plant, line, message):
    root = plant(["faces_224/a.jpg"])
    (root / "metadata.csv").write_text(f"{HEADER}\n{line}\n")
    with pytest.raises(ValueError, match=rf"metadata\.csv, {message}"):
        dfdc.find_faces(root)


def test_table_of_other_pictures_is_refused(plant):
    root = build(plant, list(rows(3, 1)), more=["x"], without=[f"real{n}" for n in range(3)])
    for name in ("fake0x0", "fake1x0", "fake2x0"):
        (root / f"faces_224/{name}.jpg").unlink()
    with pytest.raises(ValueError, match=r"csv: 1 files and 6 rows, but no file is called"):
        dfdc.find_faces(root)


def test_two_pictures_of_a_video_are_refused(plant):
    root = build(plant, list(rows()))
    (root / "faces_224/real0.png").touch()
    with pytest.raises(ValueError, match="are the same video"):
        dfdc.find_faces(root)


def test_wrong_root_names_the_right_one(plant):
    root = build(plant, list(rows(3, 1)))
    with pytest.raises(ValueError, match=r"expected faces_224/<video>\.jpg .*Did you mean .*root"):
        dfdc.find_faces(root / "faces_224")
