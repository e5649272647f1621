"""RedFace: its tree is unknown, so the pattern decides, and every guess is told."""

import pytest

from avkd.data.layouts import redface
from avkd.data.manifest import FAKE, REAL


def found(manifest):
    return {sample.path: (sample.label, sample.method, sample.kind) for sample in manifest.samples}


def test_class_and_platform_are_read_from_folder_names(plant):
    root = plant(
        [
            *("RedFace/Fake_images/SiteA/swap/1.jpg", "RedFace/fake-videos/SiteB/1.mp4"),
            *("RedFace/Real/2.png", "RedFace/fakery/3.jpg", "unrealistic/4.jpg"),
        ]
    )
    manifest = redface.find(root, val_fraction=0, test_fraction=0)
    assert found(manifest) == {
        "RedFace/Fake_images/SiteA/swap/1.jpg": (FAKE, "SiteA", "image"),
        "RedFace/fake-videos/SiteB/1.mp4": (FAKE, "SiteB", "video"),
        "RedFace/Real/2.png": (REAL, "real", "image"),
    }
    assert any("neither a real nor a fake folder: 2" in note for note in manifest.notes)
    assert "not documented" in manifest.notes[-1]


def test_pattern_of_the_user_reads_all_it_names(plant):
    root = plant(
        f"{site}/{kind}/{side}/id{n}_{kind}.jpg"
        for n, side in enumerate(("train", "Val", "test"))
        for site in ("A", "B")
        for kind in ("genuine", "forged")
    )
    pattern = r"^(?P<platform>\w)/(?P<label>\w+)/(?P<split>\w+)/(?P<identity>id\d+)"
    manifest = redface.find(root, label_pattern=pattern)
    samples = {sample.path: sample for sample in manifest.samples}
    fake = samples["B/forged/Val/id1_forged.jpg"]
    assert (fake.label, fake.method, fake.split) == (FAKE, "B", "val")
    assert fake.identities == ("redface/id1",)
    assert samples["B/genuine/test/id2_genuine.jpg"].label == REAL
    assert manifest.check_identities() == 0


def test_platform_and_method_together_name_the_method(plant):
    pattern = r"(?P<platform>[^/]+)/(?P<method>[^/]+)/(?P<label>real|fake)/"
    manifest = redface.find(
        plant(["A/swap/fake/1.jpg"]), label_pattern=pattern, val_fraction=0, test_fraction=0
    )
    assert manifest.samples[0].method == "A swap"
    assert manifest.samples[0].sample_id == "redface/A%20swap/A/swap/fake/1.jpg"


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        (r"(?P<kind>\w+)/", "label_pattern=.* lacks the named group"),
        (r"^(?P<label>\w+)/", "label_pattern, 'swapped/train/1.jpg': unknown class name 'swapped'"),
        (r"^(swapped)?/?(?P<label>real)?", "unknown class name ''"),
        (r"(?P<label>fake)/nowhere", "expected files whose path matches"),
    ],
)
def test_pattern_that_does_not_tell_the_class_is_refused(plant, pattern, message):
    with pytest.raises(ValueError, match=message):
        redface.find(plant(["swapped/train/1.jpg"]), label_pattern=pattern)


def test_unknown_side_is_refused(plant):
    with pytest.raises(ValueError, match="unknown split 'dev'; known: train"):
        redface.find(plant(["fake/dev/1.jpg"]), label_pattern=r"(?P<label>fake)/(?P<split>\w+)")
