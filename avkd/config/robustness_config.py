"""Knobs of `avkd robustness`: models on a corpus whose frames are distorted more and more.

Plain frozen dataclasses: nothing heavy is imported, and every check happens when one is built.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from avkd.config.data_config import Layout, LayoutConfig, PerturbationName, PrepareConfig
from avkd.config.evaluation_config import EvaluateConfig


@dataclass(frozen=True, kw_only=True)
class RobustnessConfig:
    """Score models on a clean set and on every perturbation and severity of it; table and curves.

    Cell by cell: perturb, cut out faces, score with every model, throw the crops away. Finished
    cells are kept: after an interruption run the same command again. Longer lists of models,
    perturbations or severities may be given later and add to what is there.
    """

    models: tuple[Path, ...]
    """Model files of `avkd finetune` or `avkd distill`; for av_agreement of `avkd pretrain`."""
    source: Path
    """The dataset as downloaded: its folder, or a manifest file (.jsonl) of `avkd forge`."""
    layout: Layout
    """Which folder tree it is."""
    out: Path
    """Folder for scores, robustness.md, robustness.csv and robustness.png."""
    perturbations: tuple[PerturbationName, ...] = (
        "saturation",
        "contrast",
        "blocks",
        "noise",
        "blur",
        "pixelation",
        "compression",
    )
    """What is done to the files, one row of the table each; these are DeeperForensics'."""
    severities: tuple[int, ...] = (1, 2, 3, 4, 5)
    """How much of it, one column each; 1 to 5."""
    scorer: Literal["detector", "av_agreement"] = "detector"
    """As in `avkd evaluate`: a detector sees pictures only, av_agreement hears sound as well."""
    split: Literal["train", "val", "test"] = "test"
    """Side of the split to score."""
    methods: tuple[str, ...] | None = None
    """Only these forgery methods (and the reals); unset = all."""
    files_per_method: int | None = None
    """Draw so many reals and so many fakes of each method, the same in every cell; unset = all."""
    dataset: str | None = None
    """Name of the corpus in tables; unset = the layout's own name for it."""
    options: LayoutConfig = field(default_factory=LayoutConfig)
    """Settings of the layout."""
    detector: Literal["mtcnn", "boxes", "none"] = "mtcnn"
    """Where faces come from: detected, read from a .faces.json sidecar, or already cropped."""
    detect_every_frames: int | None = None
    """mtcnn: detect on every n-th frame and follow the face between; unset = 5."""
    crop_pixels: int = 150
    """Side of the crops; 150 for the video detector, 256 for pictures."""
    crop_margin: float = 1.0
    """How much wider a crop looks than from forehead to chin; as the models were trained."""
    faces: Literal["perturbed", "clean"] | None = None
    """mtcnn: frames that faces are searched on; unset = the perturbed ones, as in the wild. Found
    on the clean ones, no file is lost to the face detector."""
    max_seconds: float | None = None
    """Read only so much of each file; unset = all of it."""
    timeout_seconds: float = 600.0
    """A file that takes longer is set aside and counted as missing."""
    workers: int = field(default_factory=lambda: os.cpu_count() or 1)
    """Processes that perturb and cut out faces at once."""
    keep_corpora: bool = False
    """Keep the crops of every cell in out/corpora; they take the room of as many corpora."""
    bootstrap_resamples: int = 2000
    """Resamples of the files behind each 95 % interval."""
    batch_size: int = 8
    """Clips scored at once."""
    device: str = "auto"
    """cpu, cuda, cuda:1 ...; auto = a GPU where there is one."""
    threads: int | None = None
    """Threads on a CPU; unset = all cores."""
    seed: int = 0
    """Draws the files of files_per_method, and the bootstrap."""

    def __post_init__(self) -> None:
        for name in ("models", "perturbations", "severities"):
            _check_list(name, getattr(self, name))
        deaf = [name for name in self.perturbations if name.startswith("sound_")]
        if deaf and self.scorer == "detector":
            raise ValueError(
                f"perturbations: {deaf[0]} has no effect on a detector, which sees pictures only; "
                "leave it out, or give --scorer av_agreement and models of avkd pretrain"
            )
        if self.files_per_method is not None and self.files_per_method < 2:
            raise ValueError("files_per_method: want at least 2; one file has no interval")
        self.evaluate_config(self.models[0], Path("corpus"), self.out)
        for name in self.perturbations:
            for severity in self.severities:
                self.prepare_config(name, severity, self.out)

    def prepare_config(
        self, perturbation: PerturbationName | None, severity: int | None, out: Path
    ) -> PrepareConfig:
        """The `avkd prepare` command behind a cell; without a perturbation that of the clean one.

        Raises:
            ValueError: it would be refused.
        """
        return PrepareConfig(
            source=self.source,
            layout=self.layout,
            out=out,
            dataset=self.dataset,
            options=self.options,
            split=self.split,
            detector=self.detector,
            detect_every_frames=self.detect_every_frames,
            crop_pixels=self.crop_pixels,
            crop_margin=self.crop_margin,
            perturbation=perturbation,
            severity=severity,
            faces=None if perturbation is None else self.faces,
            max_seconds=self.max_seconds,
            timeout_seconds=self.timeout_seconds,
            workers=self.workers,
        )

    def evaluate_config(self, model: Path, corpus: Path, out: Path) -> EvaluateConfig:
        """The `avkd evaluate` command behind a cell.

        Raises:
            ValueError: it would be refused.
        """
        return EvaluateConfig(
            model=model,
            data=(corpus,),
            out=out,
            scorer=self.scorer,
            split=self.split,
            tables_only=True,
            bootstrap_resamples=self.bootstrap_resamples,
            batch_size=self.batch_size,
            device=self.device,
            threads=self.threads,
            seed=self.seed,
        )


def _check_list(name: str, values: Sequence[object]) -> None:
    if not values:
        raise ValueError(f"{name} is empty: give at least one")
    if len(set(values)) < len(values):
        raise ValueError(f"{name}: each only once")
