"""Do heat maps lie where a forgery is? The mask of every fake made here is known.

Usage: python scripts/localisation.py CORPUS OUT [MODEL] [PICTURES]
  CORPUS    prepared pictures; the reals of its test split are self-blended, one fake each
  OUT       folder for localisation.md and localisation.png
  MODEL     an image model, default `starter`
  PICTURES  at most so many, default 60

For each fake: the AUC of its heat over the pixels that were changed against those that were not
(one half = chance), for both methods, and for the same network with its
weights drawn anew (Adebayo et al. 2018). Means with 95 % intervals over pictures.
"""

import copy
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

import avkd
from avkd import durable
from avkd.blending.online_forgery import OnlineForgery, draw_recipe, mean_face
from avkd.data.crops.crop_store import CropStore
from avkd.data.faces.face_crop import template_points
from avkd.data.manifest import REAL, Manifest
from avkd.inference.file_predictor import FilePredictor
from avkd.inference.heat_maps import HeatMethod
from avkd.metrics import ranking
from avkd.reporting.figures import canvas, verdicts
from avkd.reporting.tables import Table

METHODS: tuple[HeatMethod, ...] = ("grad_cam", "integrated_gradients")
CHANGED_LEVELS = 8  # of 255, in some channel
SHOWN = 6


def main(corpus: Path, out: Path, model: str = "starter", pictures: int = 60) -> None:
    """Write the table and the figure."""
    predictor = avkd.load_model(model, threads=1)
    arms = {"trained": predictor, "weights drawn anew": _drawn_anew(predictor)}
    areas: dict[tuple[str, HeatMethod], list[float]] = {}
    shown: dict[HeatMethod, list[tuple[np.ndarray, np.ndarray | None, str]]] = {}
    for real, fake, points in tqdm(list(_pairs(corpus, predictor, pictures)), unit="picture"):
        changed = predictor.preprocess(fake[None], points[None])[0]
        changed = changed - predictor.preprocess(real[None], points[None])[0]
        mask = (changed.abs().amax(dim=1) * 255 * 0.225 > CHANGED_LEVELS).cpu().numpy()[0, 0]
        if not 0.01 < mask.mean() < 0.9:
            continue
        for method in METHODS:
            for arm, judge in arms.items():
                heat = judge.heat_maps(fake[None], points[None], method)[0, 0].numpy()
                area = ranking.auc(mask.ravel().astype(np.int64), heat.ravel().astype(np.float64))
                areas.setdefault((arm, method), []).append(area.value or 0.5)
                if arm == "trained" and len(shown.setdefault(method, [])) < SHOWN:
                    picture, _ = predictor.show(fake, points, method=None)
                    outline = _outlined(picture, mask)
                    shown[method].append((outline, heat, f"{method}: {area.value:.2f}"))
    rng = np.random.default_rng(0)
    rows = [
        (arm, method, _with_interval(np.array(values), rng), len(values))
        for (arm, method), values in areas.items()
    ]
    columns = ("weights", "method", "AUC % of heat over changed pixels", "pictures")
    table = Table(columns=columns, rows=tuple(rows), num_texts=3)
    durable.write_text(out / "localisation.md", table.to_markdown() + "\n")
    figures = [verdicts.moments_figure(moments) for moments in shown.values()]
    canvas.save(figures, out / "localisation.png")
    print(table.to_text())


def _pairs(
    corpus: Path, predictor: FilePredictor, pictures: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Real crop, its fake, and landmarks: (1, S, S, 3), (1, S, S, 3), (1, 5, 2)."""
    store, size = CropStore(corpus), predictor.input.crop_pixels
    reals = [s for s in Manifest.load(corpus / "manifest.jsonl").samples if s.label == REAL]
    reals = [s for s in reals if s.split == "test" and s.path in store][:pictures]
    for number, sample in enumerate(reals):
        frames = store.frames(sample.path, 0, 1)
        points = store.landmarks(sample.path)[:1]
        recipe = draw_recipe(
            np.random.default_rng([7, number]),
            OnlineForgery(donors=0.0, moments=0.0, resynthesis=0.0),
            mean_face(points, template_points(size)),
            size,
            donor_at_hand=False,
        )
        recipe = replace(recipe, ratio=np.float32(1.0))
        yield recipe.base(frames), recipe.fake(frames), points


def _drawn_anew(predictor: FilePredictor) -> FilePredictor:
    model = copy.deepcopy(predictor.model)
    torch.manual_seed(0)
    for module in model.modules():
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()
    return replace(predictor, model=model)


def _outlined(picture: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The picture with the border of the mask in green."""
    border = np.zeros_like(mask)
    border[1:] |= mask[1:] != mask[:-1]
    border[:, 1:] |= mask[:, 1:] != mask[:, :-1]
    outlined = picture.copy()
    outlined[border] = (60, 255, 60)
    return outlined


def _with_interval(values: np.ndarray, rng: np.random.Generator) -> str:
    draws = rng.choice(values, (2000, len(values))).mean(axis=1)
    low, high = 100 * np.quantile(draws, [0.025, 0.975])
    return f"{100 * values.mean():.1f} [{low:.1f}, {high:.1f}]"


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    number = {"pictures": int(sys.argv[4])} if len(sys.argv) > 4 else {}
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:4], **number)
