"""What a stage does with its validation side: score it, select by it, fit the rule, export.

The only place where scores choose anything; it is given validation items and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from avkd.data.datasets import ClipItem
from avkd.data.model_input import ModelInput
from avkd.evaluation import calibration
from avkd.evaluation.evaluate import UNCALIBRATED, score_items
from avkd.models.decision import DecisionRule
from avkd.models.model_file import save_model
from avkd.outcome import Outcome
from avkd.reporting import metrics, scores
from avkd.reporting.scores import ClipScore
from avkd.reporting.summary import VideoScore, pool_videos
from avkd.runtime import Runtime

_UNCERTAIN_HALF_WIDTH = 0.1


@dataclass(frozen=True)
class Validation:
    """Scores of the validation side, not yet calibrated."""

    rows: tuple[ClipScore, ...]

    @classmethod
    def of(
        cls,
        model: nn.Module,
        items: Sequence[ClipItem],
        model_input: ModelInput,
        machine: Runtime,
        *,
        batch_size: int = 8,
    ) -> Validation:
        """Score every window of every item.

        Raises:
            ValueError: an item is not of the validation side; a test file must choose nothing.
            FloatingPointError: a window got no finite logit; a selection on the rest is none.
        """
        for item in items:
            if item.sample.split != "val":
                raise ValueError(
                    f"{item.sample.sample_id}: is on side {item.sample.split!r} of the split; only "
                    "validation files may select a model or its threshold"
                )
        rows = tuple(
            score_items(
                model,
                items,
                model_input=model_input,
                rule=UNCALIBRATED,
                machine=machine,
                batch_size=batch_size,
            )
        )
        for row in rows:
            if not row.is_scored:
                raise FloatingPointError(f"{row.sample_id}: {row.status}; lower optim.lr")
        return cls(rows)

    @property
    def labels_and_logits(self) -> tuple[np.ndarray, np.ndarray]:
        """(N,) labels and (N,) pooled logits of the files."""
        return _labels_and_logits(pool_videos(self.rows))

    def values(self) -> dict[str, float]:
        """``video_auc`` and ``cross_entropy`` (nats, bare logits, over files)."""
        labels, logits = self.labels_and_logits
        auc = metrics.auc(labels, logits).value
        assert auc is not None, "the val side holds both classes; this was checked with the data"
        margin = np.where(labels == 1, logits, -logits)
        return {"video_auc": auc, "cross_entropy": float(np.logaddexp(0.0, -margin).mean())}

    def decision(self) -> tuple[DecisionRule, list[ClipScore]]:
        """The rule fitted on these scores, and the rows with its probabilities."""
        labels, logits = self.labels_and_logits
        fitted = calibration.calibrate(labels, logits)
        margin = min(fitted.threshold, 1.0 - fitted.threshold)
        rule = DecisionRule(
            calibration_scale=fitted.scale,
            calibration_offset=fitted.offset,
            threshold=fitted.threshold,
            uncertain_half_width=min(_UNCERTAIN_HALF_WIDTH, 0.5 * margin),
            source=f"best balanced accuracy on {len(labels)} validation files of this training",
        )
        return rule, [_calibrated(row, rule) for row in self.rows]


def export_detector(
    validation: Validation,
    model: nn.Module,
    *,
    folder: Path,
    kind: str,
    arguments: Mapping[str, Any],
    model_input: ModelInput,
    provenance: Mapping[str, Any],
) -> Outcome:
    """Write what a training leaves: validation scores, and the model file with its decision rule.

    Args:
        validation: Scores of the model, by which it was selected.
        model: The detector.
        folder: Run folder.
        kind: Of the model file.
        arguments: What the detector was built from.
        model_input: What it looks at.
        provenance: Where its weights come from.
    """
    rule, rows = validation.decision()
    scores.write_scores(folder / "scores" / "validation.csv", rows)
    values = validation.values()
    path = folder / "model.safetensors"
    save_model(
        path,
        model,
        kind=kind,
        arguments=arguments,
        preprocessing=model_input.describe(),
        provenance={**provenance, "validation": values},
        decision=rule,
    )
    return Outcome(
        f"validation AUC {values['video_auc']:.3f} over {len(pool_videos(rows))} files "
        f"(the model was selected on them)\nwrote {path}"
    )


def _labels_and_logits(videos: Iterable[VideoScore]) -> tuple[np.ndarray, np.ndarray]:
    pairs = [(video.label, video.logit) for video in videos]
    return np.array([label for label, _ in pairs]), np.array([logit for _, logit in pairs])


def _calibrated(row: ClipScore, rule: DecisionRule) -> ClipScore:
    assert row.logit is not None, "`Validation.of` refuses windows without a logit"
    return replace(row, probability=rule.probability(row.logit))
