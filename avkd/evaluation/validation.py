"""What a stage does with its validation split: score it, select by it, fit the rule, export.

The only place where scores choose anything; it is given validation items and nothing else.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from avkd import durable
from avkd.config.image_config import DistillConfig
from avkd.config.training_config import FinetuneConfig
from avkd.data.clip_items import ClipItem
from avkd.data.crops.prepared_corpus import CropProvenance
from avkd.data.model_input import ModelInput
from avkd.evaluation import calibration as fitting
from avkd.evaluation.evaluate import UNCALIBRATED, score_items
from avkd.evaluation.score_rows import DAMAGED, scores_head
from avkd.metrics import conformal, ranking
from avkd.metrics.pooling import MEAN_LOGIT, Pooling
from avkd.models.calibration import Calibration, CalibrationFit, CalibrationKind
from avkd.models.decision import CoverageUnit, DecisionRule, PredictionSets
from avkd.models.model_file import save_model
from avkd.outcome import ExitCode, Outcome
from avkd.reporting import score_frame, scores
from avkd.reporting.scores import REAL_METHOD, ClipScore
from avkd.runtime import Runtime

_UNCERTAIN_HALF_WIDTH = 0.1
_FEW_PEOPLE = 10  # of 5, 26 of 27 real clips of others were called fake (configs/RESULTS.md)
_PROBABILITIES: dict[CalibrationKind, str] = {
    "platt": "probabilities by Platt scaling",
    "temperature": "probabilities by temperature scaling",
    "isotonic": "probabilities by isotonic regression",
    "none": "probabilities not calibrated",
}


@dataclass(frozen=True)
class Validation:
    """Scores of the validation split, not yet calibrated; files that cannot be read have none."""

    rows: tuple[ClipScore, ...]
    corpora: tuple[Path, ...]
    """Prepared corpora the files lie in."""
    pooling: Pooling = MEAN_LOGIT
    """How a file's windows are pooled; the decision rule says it to whoever applies it."""

    @classmethod
    def of(
        cls,
        model: nn.Module,
        items: Sequence[ClipItem],
        model_input: ModelInput,
        machine: Runtime,
        *,
        batch_size: int = 8,
        show_progress: bool = False,
    ) -> "Validation":
        """Score every window of every item.

        Raises:
            ValueError: an item is not of the validation split; a test file must choose nothing.
            FloatingPointError: a window got no finite logit; a selection on the rest is none.
        """
        for item in items:
            if item.sample.split != "val":
                raise ValueError(
                    f"{item.sample.sample_id}: is in the split {item.sample.split!r}; only "
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
                show_progress=show_progress,
            )
        )
        for row in rows:
            if not row.is_scored and row.status != DAMAGED:
                raise FloatingPointError(f"{row.sample_id}: {row.status}; lower optim.lr")
        return cls(rows, tuple(dict.fromkeys(item.store.root for item in items)))

    @property
    def files(self) -> Any:
        """The scores frame of the files that could be read.

        Raises:
            ValueError: they are of one class.
        """
        files = score_frame.scored(score_frame.pool(self.rows, self.pooling))
        if files["label"].nunique() < 2 and self.damaged:
            raise ValueError(f"the readable validation files are of one class; {self.damaged}")
        return files

    @property
    def damaged(self) -> str:
        """What to know of the files that could not be read, or nothing."""
        count = sum(row.status == DAMAGED for row in self.rows)
        if not count:
            return ""
        corpora = " ".join(map(str, self.corpora))
        return f"{count} damaged validation files left out; `avkd verify {corpora}` names them"

    @property
    def labels_and_logits(self) -> tuple[np.ndarray, np.ndarray]:
        """(N,) labels and (N,) pooled logits of the files."""
        return score_frame.labels_and_logits(self.files)

    @property
    def reals_by_dataset(self) -> dict[str, np.ndarray]:
        """(R,) pooled logits of the real files of every dataset that has some."""
        files = self.files
        by_dataset = files[files["label"] == 0].groupby("dataset", sort=False)["logit"]
        return {dataset: logits.to_numpy() for dataset, logits in by_dataset}

    def values(self) -> dict[str, float]:
        """``video_auc`` and ``cross_entropy`` (nats, bare logits, over files)."""
        labels, logits = self.labels_and_logits
        auc = ranking.auc(labels, logits).value
        assert auc is not None, "both classes are there; this was checked with the data"
        margin = np.where(labels == 1, logits, -logits)
        return {"video_auc": auc, "cross_entropy": float(np.logaddexp(0.0, -margin).mean())}

    def decision(
        self,
        kind: CalibrationKind,
        *,
        whose: str,
        max_false_alarms: float | None = None,
        coverage: float | None = None,
        replaced_source: str = "",
    ) -> tuple[DecisionRule, list[ClipScore]]:
        """The rule fitted on these scores, and the rows with its probabilities.

        Args:
            kind: Of the calibration.
            whose: Whose validation files these are, for the reader of a verdict.
            max_false_alarms: Largest share of the real files of each dataset to be called fake;
                half of it surely, the rest is the uncertain band, if there is one. Over all files
                together, footage that is accused often would hide behind footage that is not.
                None = best balanced accuracy.
            coverage: Of the prediction sets, in (0, 1). None = there are none: they need files like
                those that will be judged, and otherwise leave most of them uncertain.
            replaced_source: Where the rule came from that this one replaces.

        Raises:
            ValueError: only one class, or too few files for this kind.
        """
        files = self.files
        labels, logits = score_frame.labels_and_logits(files)
        curve = fitting.fit(kind, labels, logits)
        threshold, reason = self._operating_point(max_false_alarms)
        probability = curve.probability(threshold)
        margin = min(probability, 1.0 - probability)
        half_width = _UNCERTAIN_HALF_WIDTH
        if max_false_alarms is not None:
            surely = _threshold_of_reals(self.reals_by_dataset, max_false_alarms, part=2)
            # A little wider: the file just below must not pass by the rounding of a difference.
            half_width = curve.probability(surely) - probability + 1e-12
        groups = score_frame.groups_of(files)
        sets, why_none = None, ""
        if coverage is not None:
            sets, why_none = _prediction_sets(labels, logits, groups, coverage)
        few = kind == "isotonic" and len(labels) < fitting.FEW_FILES
        rule = DecisionRule(
            calibration=curve,
            threshold_logit=threshold,
            uncertain_half_width=0.0 if sets else min(half_width, 0.9 * margin),
            source=f"{reason} on {len(labels)} validation files of {whose}; "
            f"{_PROBABILITIES[kind]}{', unreliable with so few files' if few else ''}"
            f"{why_none}{_few_people(labels, groups)}",
            fit=self._fit(labels, logits, curve, replaced_source),
            pooling=self.pooling,
            sets=sets,
        )
        return rule, [_calibrated(row, rule) for row in self.rows]

    def _operating_point(self, max_false_alarms: float | None) -> tuple[float, str]:
        """The threshold's logit, and how it was chosen."""
        if max_false_alarms is not None:
            reals = self.reals_by_dataset
            whose = "real files"
            if len(reals) > 1:
                whose = f"the real files of each of {len(reals)} datasets"
            threshold = _threshold_of_reals(reals, max_false_alarms)
            return threshold, f"at most {max_false_alarms:.1%} of {whose} called fake"
        return ranking.best_threshold(*self.labels_and_logits)[0], "best balanced accuracy"

    def _fit(
        self, labels: np.ndarray, logits: np.ndarray, curve: Calibration, replaced_source: str
    ) -> CalibrationFit:
        before = fitting.quality(labels, logits, Calibration())
        after = fitting.quality(labels, logits, curve)
        scored = [row for row in self.rows if row.is_scored]
        files = sorted({(row.dataset, row.sample_id, row.label) for row in scored})
        return CalibrationFit(
            num_real=int((labels == 0).sum()),
            num_fake=int((labels == 1).sum()),
            datasets=tuple(sorted({row.dataset for row in scored})),
            methods=tuple(sorted({row.method for row in scored} - {REAL_METHOD})),
            files_fingerprint=durable.fingerprint(files),
            same_files_log_loss_before=before.log_loss,
            same_files_log_loss_after=after.log_loss,
            same_files_calibration_error_before=before.calibration_error,
            same_files_calibration_error_after=after.calibration_error,
            replaced_source=replaced_source,
        )


def export_detector(
    config: FinetuneConfig | DistillConfig,
    validation: Validation,
    model: nn.Module,
    *,
    kind: str,
    arguments: Mapping[str, Any],
    model_input: ModelInput,
    provenance: Mapping[str, Any],
    half_precision: bool = False,
) -> Outcome:
    """Write what a training leaves: validation scores, and the model file with its decision rule.

    Weights must be rounded already to be ``half_precision``.
    """
    rule, rows = validation.decision(
        config.calibration, whose="this training", max_false_alarms=config.max_false_alarms
    )
    values, num_files = validation.values(), len(validation.labels_and_logits[0])
    path = config.run / "model.safetensors"
    verb = "finetune" if isinstance(config, FinetuneConfig) else "distill"
    header = save_model(
        path,
        model,
        kind=kind,
        arguments=arguments,
        preprocessing=model_input.describe(),
        provenance={**provenance, "validation": values},
        decision=rule,
        half_precision=half_precision,
    )
    head = scores_head(
        model=path,
        model_fingerprint=header.fingerprint,
        crops=CropProvenance.of(validation.corpora),
        windows=model_input.window_rule.text,
        calibration=rule.calibration,
        command=shlex.join(["avkd", verb, "--config", str(config.run / "config.yaml")]),
    )
    scores.write_scores(config.run / "scores" / "validation.csv", head, rows)
    text = (
        f"validation AUC {values['video_auc']:.3f} over {num_files} files "
        f"(the model was selected on them)\nwrote {path}"
    )
    if not validation.damaged:
        return Outcome(text)
    return Outcome(f"{text}\n{validation.damaged}", ExitCode.SOME_SKIPPED)


def _threshold_of_reals(
    reals_by_dataset: Mapping[str, np.ndarray], share: float, part: int = 1
) -> float:
    """The lowest logit that at most ``share`` of the real files of every dataset reach.

    Or one ``part`` of so many files, rounded up: a dataset of few files keeps its one alarm.
    """
    highest = (
        np.sort(reals)[::-1][-(-int(share * len(reals)) // part)]
        for reals in reals_by_dataset.values()
    )
    return float(np.nextafter(max(highest), np.inf))


def _few_people(labels: np.ndarray, groups: np.ndarray | None) -> str:
    """What to know of a threshold from so few real people that a logit follows who is seen."""
    people = None if groups is None else len(np.unique(groups[labels == 0]))
    if people is None or people >= _FEW_PEOPLE:
        return ""
    return f"; its real files show {people} people, so it may not carry over to others"


def _prediction_sets(
    labels: np.ndarray, logits: np.ndarray, groups: np.ndarray | None, coverage: float
) -> tuple[PredictionSets | None, str]:
    """The conformal rule, or for the rule's source why these files give none."""
    names = np.arange(len(labels)).astype(str) if groups is None else groups
    unit: CoverageUnit = "files" if groups is None else "identities"
    num_real, num_fake = (len(np.unique(names[labels == label])) for label in (0, 1))
    needed = conformal.fewest_groups(coverage)
    if min(num_real, num_fake) < needed:
        return None, (
            f"; no prediction sets of {coverage:.1%} coverage: {num_real} real and {num_fake} fake "
            f"{unit}, {needed} of each are needed"
        )
    limits = [
        conformal.score_limit(sign * logits[labels == label], coverage, names[labels == label])
        for label, sign in ((0, 1), (1, -1))
    ]
    sets = PredictionSets(
        coverage=coverage,
        largest_real=limits[0],
        least_fake=-limits[1],
        num_real=num_real,
        num_fake=num_fake,
        unit=unit,
    )
    return sets, ""


def _calibrated(row: ClipScore, rule: DecisionRule) -> ClipScore:
    return row if row.logit is None else replace(row, probability=rule.probability(row.logit))
