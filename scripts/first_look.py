"""Real and forged pictures made on the spot, so that the starter model can be looked at at once.

The real one is the portrait of Grace Hopper that comes with matplotlib (public domain: US Navy).
Nothing was trained on it. Its copies are re-encoded, resized or dimmed; its fakes are made by four
methods of `avkd forge`. One person only: what the starter says of them is a first look, no test.
"""

import sys
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image

from avkd.blending import picture_changes as change
from avkd.data.faces.track_extraction import plan_tracks
from avkd.data.media.source_file import SourceFile
from avkd.synthesis import forgery_methods
from avkd.synthesis.forgery_methods import FORGERIES, Clip

FAKES_A_METHOD = 2
METHODS = [
    name for name, row in FORGERIES.items() if row.donor == "none" and row.changes == "picture"
]


def main(out: Path) -> None:
    """Fill ``out``/test with real/*.png and fake/<method>/*.png."""
    portrait = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    with Image.open(portrait) as opened:
        picture = np.asarray(opened.convert("RGB"))
    landmarks = plan_tracks(SourceFile(portrait, "image")).tracks[0].landmarks
    image = picture.astype(np.float32)
    copies = {
        "as_it_is": image,
        "jpeg_60": change.recompressed(image, 60, chroma_halved=True),
        "jpeg_35": change.recompressed(image, 35, chroma_halved=True),
        "dimmed": change.toned(image, brightness=-0.15, contrast=0.8),
        "blurred": change.blurred(image, 1.0),
        "grey": change.toned(image, saturation=0.0),
    }
    for name, copy in copies.items():
        _write(out / "test" / "real" / f"{name}.png", change.as_uint8(copy))
    clip = Clip(picture[None], landmarks)
    for method in METHODS:
        for seed in range(FAKES_A_METHOD):
            rng = np.random.default_rng(seed)
            forged = forgery_methods.apply(method, clip, strength=1.0, rng=rng)
            _write(out / "test" / "fake" / method / f"{seed}.png", forged.frames[0])


def _write(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
