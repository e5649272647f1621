"""How small may a face be? Crops shrunk and enlarged again, judged by the starter.

Usage: python scripts/small_faces.py REAL FAKE [MODEL]
  REAL, FAKE  prepared pictures, of whose test splits the real and the fake ones are taken
  MODEL       an image model, default `starter`
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

import avkd
from avkd.data.crops.crop_store import CropStore
from avkd.data.manifest import FAKE, REAL, Manifest
from avkd.metrics import ranking
from avkd.reporting.tables import Table

EYE_PIXELS = (5, 7, 9, 12, 16, 22, 30)
BATCH = 16


def main(real: Path, fake: Path, model: str = "starter") -> None:
    """Print one row for each size."""
    predictor = avkd.load_model(model, threads=1)
    crops = [_of_test(real, REAL), _of_test(fake, FAKE)]
    labels = np.repeat([REAL, FAKE], [len(part) for part in crops])
    rows = []
    for pixels in (*EYE_PIXELS, None):
        shown = [np.stack([_shrunk(*one, pixels) for one in part])[:, None] for part in crops]
        logits = [
            np.concatenate(
                [predictor.score(part[i : i + BATCH]) for i in range(0, len(part), BATCH)]
            ).astype(np.float64)
            for part in shown
        ]
        area = ranking.auc(labels, np.concatenate(logits)).value
        said = [[predictor.rule.decide(float(logit)) for logit in part] for part in logits]
        counts = [answers.count(word) for answers in said for word in ("fake", "uncertain")]
        rows.append((str(pixels or "as they are"), area, *counts))
    columns = ("pixels from eye to eye", "AUC", "real called fake", "real uncertain")
    columns += ("fake called fake", "fake uncertain")
    print(f"{len(crops[0])} real, {len(crops[1])} fake")
    print(Table(columns=columns, rows=tuple(rows)).to_text())


def _of_test(corpus: Path, label: int) -> list[tuple[np.ndarray, float]]:
    """Crops of pictures, and the distance of the eyes in them."""
    store = CropStore(corpus)
    samples = Manifest.load(corpus / "manifest.jsonl").of_split("test").samples
    found = []
    for sample in samples:
        if sample.label == label and sample.path in store:
            left, right = store.landmarks(sample.path)[0][:2]
            crop = store.frames(sample.path, 0, 1)[0]
            found.append((crop, float(np.linalg.norm(right - left))))
    return found


def _shrunk(crop: np.ndarray, eyes: float, pixels: int | None) -> np.ndarray:
    if pixels is None or pixels >= eyes:
        return crop
    side, small = len(crop), max(4, round(len(crop) * pixels / eyes))
    picture = Image.fromarray(crop).resize((small, small), Image.Resampling.BOX)
    return np.asarray(picture.resize((side, side), Image.Resampling.BILINEAR))


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:4])
