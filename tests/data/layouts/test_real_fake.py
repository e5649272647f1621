"""Real and fake folders: labels by name, splits by people, honest where people are unknown."""

from collections import Counter
from pathlib import Path

import pytest

from avkd.data.layouts import LAYOUTS, real_fake
from avkd.data.manifest import FAKE, REAL, Manifest, Sample

find, find_images = LAYOUTS["real_fake"], LAYOUTS["real_fake_images"]

ID = r"(?P<identity>id\d+)"
KINDS = ("real", "fake/A")


def plain_tree(people=20):
    for n in range(people):
        yield f"real/id{n}.mp4"
        yield f"fake/Swap/id{n}_{n}.mp4"


def labels(manifest):
    return {sample.path: (sample.label, sample.method) for sample in manifest.samples}


def test_labels_come_from_names_in_any_case_and_order(plant):
    root = plant(["REAL/a.mp4", "Fake/b.mp4", "Fake/Wav2Lip/deep/c.mp4", "original/x/d.mp4"])
    manifest = find(root, val_fraction=0, test_fraction=0)
    assert labels(manifest) == {
        "REAL/a.mp4": (REAL, "real"),
        "original/x/d.mp4": (REAL, "real"),
        "Fake/b.mp4": (FAKE, "fake"),
        "Fake/Wav2Lip/deep/c.mp4": (FAKE, "Wav2Lip"),
    }


def test_folders_of_the_split_are_taken_as_they_are(plant):
    root = plant(
        ["Train/Real/a.mp4", "Train/Fake/X/a.mp4", "valid/real/a.mp4", "Testing/FAKE/a.mp4"]
    )
    manifest = find(root)
    assert {sample.path: sample.split for sample in manifest.samples} == {
        "Train/Real/a.mp4": "train",
        "Train/Fake/X/a.mp4": "train",
        "valid/real/a.mp4": "val",
        "Testing/FAKE/a.mp4": "test",
    }
    assert "test: 0 real, 1 fake" in manifest.notes
    assert any("4 of 4 files without a known identity" in note for note in manifest.notes)


def test_same_person_in_two_split_folders_is_caught_by_the_check(plant):
    root = plant(["train/real/id1.mp4", "test/real/id1.mp4"])
    manifest = find(root, identity_pattern=ID)
    with pytest.raises(ValueError, match="identity 'real_fake/id1' is in 2 splits"):
        manifest.check_identities()


def test_videos_beside_the_split_folders_are_refused(plant):
    with pytest.raises(ValueError, match=r"1 of 2 files lie outside .* 'fake/b.mp4'"):
        find(plant(["train/real/a.mp4", "fake/b.mp4"]))


def test_people_are_dealt_out_whole(plant):
    root = plant(plain_tree())
    manifest = find(root, identity_pattern=ID, val_fraction=0.2, test_fraction=0.2)
    assert manifest.check_identities() == 0
    counts = Counter((sample.split, sample.label) for sample in manifest.samples)
    assert counts == {
        ("train", 0): 12,
        ("train", 1): 12,
        ("val", 0): 4,
        ("val", 1): 4,
        ("test", 0): 4,
        ("test", 1): 4,
    }


def test_people_who_meet_in_a_swap_stay_together(plant):
    swaps = [f"fake/Swap/id{n}_id{n + 1}.mp4" for n in range(0, 40, 2)]
    chain = ["fake/Swap/id0_id39.mp4", "fake/Swap/id39_id20.mp4"]
    reals = [f"real/id{n}.mp4" for n in range(40)]
    manifest = find(plant([*swaps, *chain, *reals]), identity_pattern=ID)
    samples = {sample.path: sample for sample in manifest.samples}
    assert samples["fake/Swap/id0_id39.mp4"].identities == ("real_fake/id0", "real_fake/id39")
    assert manifest.check_identities() == 0
    assert len({samples[f"real/id{n}.mp4"].split for n in (0, 1, 38, 39, 20, 21)}) == 1
    assert all(manifest.of_split(split).samples for split in ("train", "val", "test"))


def test_everybody_joined_by_swaps_cannot_be_split(plant):
    swaps = [f"fake/Swap/id{n}_id{n + 1}.mp4" for n in range(10)]
    with pytest.raises(ValueError, match=r"1 groups of connected identities .* cannot fill 3"):
        find(plant([*swaps, "real/id0.mp4"]), identity_pattern=ID)


def test_without_identities_same_file_names_stay_together_and_the_doubt_is_told(plant):
    root = plant(f"{kind}/{n}.mp4" for n in range(30) for kind in ("real", "fake/A", "fake/B"))
    manifest = find(root)
    splits = {}
    for sample in manifest.samples:
        splits.setdefault(Path(sample.path).stem, set()).add(sample.split)
    assert all(len(split) == 1 for split in splits.values())
    assert {split for (split,) in splits.values()} == {"train", "val", "test"}
    assert all(sample.identities == () for sample in manifest.samples)
    assert manifest.check_identities() == len(manifest)
    assert any("cannot be checked" in note for note in manifest.notes)


def test_split_depends_on_seed_and_names_only(plant):
    one = find(plant(plain_tree(), "one"), identity_pattern=ID)
    two = find(plant(reversed(list(plain_tree())), "two"), identity_pattern=ID)
    assert one.samples == two.samples
    others = [find(one.root, identity_pattern=ID, seed=n).samples for n in range(1, 6)]
    assert any(other != one.samples for other in others)


def test_videos_elsewhere_are_left_out_and_told(plant):
    manifest = find(plant([*plain_tree(), "extras/a.mp4", "loose.mp4"]))
    assert len(manifest) == 40
    assert any("neither a real nor a fake folder: 2: 'extras/" in n for n in manifest.notes)


def test_folder_of_real_videos_among_fake_ones_is_refused(plant):
    with pytest.raises(ValueError, match=r"'fake/Real/a\.mp4': a folder 'Real' in a folder of"):
        find(plant(["fake/Real/a.mp4"]))


@pytest.mark.parametrize(
    ("pattern", "message"),
    [("(?P<identity>", "not a regular expression"), ("id", "lacks the named group")],
)
def test_bad_pattern_is_refused(plant, pattern, message):
    with pytest.raises(ValueError, match=message):
        find(plant(plain_tree()), identity_pattern=pattern)


@pytest.mark.parametrize("wrong", ["..", "fake/Swap"])
def test_wrong_root_names_the_right_one(plant, wrong):
    root = plant(plain_tree(), "data/mine")
    with pytest.raises(ValueError, match=r"expected real/.*Did you mean .*mine\?"):
        find((root / wrong).resolve())


def test_real_and_fake_folders_without_videos_are_refused(plant):
    with pytest.raises(ValueError, match="found 'fake', 'real'"):
        find(plant(["real/a.txt", "fake/b.txt"]))


def test_pictures_are_found_the_same_way(plant):
    root = plant([*(f"{kind}/{n}.PNG" for n in range(20) for kind in ("real", "fake/A")), "a.mp4"])
    manifest = find_images(root, val_fraction=0.2, test_fraction=0.1)
    counts = Counter((sample.split, sample.label) for sample in manifest.samples)
    assert [counts[split, REAL] for split in ("train", "val", "test")] == [14, 4, 2]
    assert [counts[split, FAKE] for split in ("train", "val", "test")] == [14, 4, 2]
    assert {sample.kind for sample in manifest.samples} == {"image"}
    assert "passed over, other kinds of file: 1 .mp4" in manifest.notes


def test_frames_of_a_video_stay_together_by_pattern(plant):
    root = plant(f"{kind}/v{n}/{f}.jpg" for n in range(9) for f in range(3) for kind in KINDS)
    manifest = find_images(root, identity_pattern=r"/(?P<identity>v\d+)/")
    assert manifest.check_identities() == 0
    assert {len(sample.identities) for sample in manifest.samples} == {1}


def test_label_pattern_reads_other_trees(plant):
    root = plant(f"clip{n}/{kind}_{n}.mp4" for n in range(5) for kind in ("genuine", "forged"))
    manifest = find(root, label_pattern=r"/(?P<label>[a-z]+)_", val_fraction=0.2)
    assert labels(manifest)["clip3/genuine_3.mp4"] == (REAL, "real")
    assert labels(manifest)["clip3/forged_3.mp4"] == (FAKE, "fake")


def test_tree_with_the_method_above_the_class_is_read_by_pattern(plant):
    """As DF40 hands out some of its methods: `<method>/<class>/<video>/<frame>`."""
    root = plant(
        f"{method}/{kind}/{video}/{frame:03}.png"
        for method in ("heygen", "simswap")
        for kind in ("fake", "real")
        for video in range(6)
        for frame in range(2)
    )
    pattern = r"^(?P<method>[^/]+)/(?P<label>real|fake)/(?P<identity>[^/]+)/"
    manifest = find_images(root, label_pattern=pattern)
    assert labels(manifest)["heygen/fake/3/000.png"] == (FAKE, "heygen")
    assert labels(manifest)["simswap/fake/3/000.png"] == (FAKE, "simswap")
    assert labels(manifest)["simswap/real/3/000.png"] == (REAL, "real")
    assert manifest.check_identities() == 0
    assert len(manifest) == 48


def test_tree_with_the_class_in_a_longer_folder_name_is_read_by_pattern(plant):
    """As KoDF-like trees do; the swapped people meet and stay in one split."""
    swaps = [f"fake_videos/dfl/{n:03}_{n + 1:03}.mp4" for n in range(0, 20, 2)]
    reals = [f"original_videos/{n:03}/{n:03}_clip.mp4" for n in range(20)]
    root = plant([*swaps, *reals, "documents/readme.mp4"])
    manifest = find(
        root,
        label_pattern=r"^(?P<label>[a-z]+)_videos/((?P<method>[a-z]+)/)?",
        identity_pattern=r"(?<!\d)(?P<identity>\d{3})(?!\d)",
    )
    samples = {sample.path: sample for sample in manifest.samples}
    assert samples["fake_videos/dfl/004_005.mp4"].method == "dfl"
    assert samples["fake_videos/dfl/004_005.mp4"].identities == ("real_fake/004", "real_fake/005")
    assert samples["original_videos/004/004_clip.mp4"].identities == ("real_fake/004",)
    assert manifest.check_identities() == 0
    assert any("1: 'documents/readme.mp4'" in note for note in manifest.notes)


def test_class_name_that_is_not_known_is_refused_with_those_that_are(plant):
    """A word is never guessed: the user renames the folder, or asks for the word."""
    root = plant(["original_videos/a.mp4", "swapped_videos/b.mp4"])
    with pytest.raises(ValueError, match=r"unknown class name 'swapped'; known names: fake, "):
        find(root, label_pattern="^(?P<label>[a-z]+)_videos/")


def test_both_classes_get_their_share_where_people_have_unequal_many_forgeries(plant):
    reals = [f"real/id{n}.mp4" for n in range(60)]
    fakes = [f"fake/X/id{n}_{m}.mp4" for n in range(60) for m in range(n % 6)]
    manifest = find(plant([*reals, *fakes]), identity_pattern=ID, val_fraction=0.2)
    val = Counter(sample.label for sample in manifest.of_split("val").samples)
    assert val == {REAL: 12, FAKE: 30}


@pytest.fixture
def listed(plant) -> Manifest:
    """A tree as forge leaves it: the manifest knows more than the folders."""
    root = plant(["real/a.mp4", "fake/warp/a.mp4"], "data/forged")
    shared = {"kind": "video", "dataset": "forged", "identities": ("grid/s1",), "split": "val"}
    real = Sample(sample_id="r", path="real/a.mp4", label=REAL, method="real", **shared)
    fake = Sample(
        sample_id="f", path="fake/warp/a.mp4", label=FAKE, method="warp", source_id="r", **shared
    )
    manifest = Manifest(root=root, samples=(real, fake), notes=("made by a test",))
    manifest.save(root / "manifest.jsonl")
    return manifest


def test_manifest_in_the_tree_is_loaded_as_it_is(listed):
    assert real_fake.find_listed(listed.root) == listed


def test_manifest_in_the_tree_outweighs_folder_names(listed):
    found = find(listed.root)
    assert found.samples == listed.samples
    assert found.notes[0] == "made by a test"
    assert "all taken from manifest.jsonl" in found.notes[1]


@pytest.mark.parametrize("wrong", ["..", "real"])
def test_tree_without_manifest_names_the_right_one(listed, wrong):
    with pytest.raises(ValueError, match=r"expected manifest\.jsonl.*Did you mean .*forged\?"):
        real_fake.find_listed((listed.root / wrong).resolve())
