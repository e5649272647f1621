"""What scores say of the crops: alike where the crops are alike, else not."""

import json
from pathlib import Path

import pytest

from avkd.data.crops.prepared_corpus import CropProvenance

SETTINGS = {"detector": "mtcnn", "crop_size": 224, "max_seconds": None, "version": 2}
BLUR = {"name": "blur", "severity": 3, "faces": "perturbed", "seed": 0}


def prepared(folder: Path, **settings: object) -> Path:
    folder.mkdir()
    (folder / "prepare.json").write_text(json.dumps({"settings": {**SETTINGS, **settings}}))
    return folder


def test_a_perturbed_corpus_is_cropped_like_its_clean_twin_and_older_corpora_too(
    tmp_path: Path,
) -> None:
    older = CropProvenance.of([prepared(tmp_path / "older")])
    clean = CropProvenance.of([prepared(tmp_path / "clean", perturbation=None)])
    blurred = CropProvenance.of([prepared(tmp_path / "blurred", perturbation=BLUR)])
    assert older == clean and clean.perturbation == ""
    assert (blurred.fingerprint, blurred.text) == (clean.fingerprint, clean.text)
    assert blurred.perturbation == "name blur, severity 3, faces perturbed, seed 0"


@pytest.mark.parametrize(
    "changes", [{"detector": "none"}, {"crop_size": 150}, {"max_seconds": 10.0}, {"version": 3}]
)
def test_every_other_setting_makes_other_crops(tmp_path: Path, changes: dict) -> None:
    one = CropProvenance.of([prepared(tmp_path / "one")])
    other = CropProvenance.of([prepared(tmp_path / "other", **changes)])
    assert one.fingerprint != other.fingerprint and one.text != other.text


def test_several_corpora_say_once_what_they_share(tmp_path: Path) -> None:
    folders = [prepared(tmp_path / "a"), prepared(tmp_path / "b")]
    assert CropProvenance.of(folders) == CropProvenance.of(folders[:1])
    mixed = CropProvenance.of([*folders, prepared(tmp_path / "c", perturbation=BLUR)])
    assert mixed.perturbation == "none; name blur, severity 3, faces perturbed, seed 0"
    assert mixed.fingerprint == CropProvenance.of(folders).fingerprint
    with pytest.raises(FileNotFoundError, match="no prepared corpus"):
        CropProvenance.of([tmp_path])
