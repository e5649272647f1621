"""Prepared corpora of a few clips and pictures, made once for each test file that asks."""

import numpy as np
import pytest
from factories import LENGTHS, write_counting_video
from PIL import Image

from avkd.data.datasets import Corpus
from avkd.data.manifest import Manifest, Sample
from avkd.data.prepare import prepare
from avkd.data.prepare_file import PrepareSettings


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    root = tmp_path_factory.mktemp("source")
    for name, frames in LENGTHS.items():
        write_counting_video(root / f"{name}.mp4", frames)
    (root / "broken.mp4").write_text("not a video")
    samples = tuple(
        Sample(
            sample_id=f"toy/{name}",
            path=f"{name}.mp4",
            kind="video",
            label=int(name == "twin"),
            dataset="toy",
            method="forged" if name == "twin" else "real",
            split="train",
        )
        for name in (*LENGTHS, "broken", "absent")
    )
    out = root / "prepared"
    prepare(Manifest(root=root, samples=samples), out, PrepareSettings(detector="boxes"), workers=1)
    return Corpus.open(out)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Two pictures made square at 64 pixels, one of them with a bright right half."""
    root = tmp_path_factory.mktemp("pictures")
    samples = []
    for name, label in (("real", 0), ("fake", 1)):
        image = np.zeros((100, 120, 3), np.uint8)
        image[:, 60:] = 200 * label
        Image.fromarray(image).save(root / f"{name}.png")
        samples.append(
            Sample(
                sample_id=f"toy/{name}",
                path=f"{name}.png",
                kind="image",
                label=label,
                dataset="toy",
                method="real" if label == 0 else "made",
                split="train",
            )
        )
    out = tmp_path_factory.mktemp("prepared_pictures")
    prepare(
        Manifest(root, tuple(samples)),
        out,
        PrepareSettings(detector="none", crop_size=64),
        workers=1,
    )
    return Corpus.open(out)
