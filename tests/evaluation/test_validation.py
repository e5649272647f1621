"""The rule that validation scores choose: threshold, band, probabilities, and what it tells."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from avkd.evaluation import validation as module
from avkd.evaluation.validation import Validation
from avkd.metrics import ranking
from avkd.models.decision import DecisionRule
from avkd.reporting.scores import ClipScore

KINDS = ["platt", "temperature", "isotonic", "none"]


def validation(
    num_files: int = 120,
    *,
    distance: float = 2.0,
    shift: float = 0.0,
    factor: float = 1.0,
    num_people: int = 0,
) -> Validation:
    """Files of two windows each, one third of them fake; 0 people = nobody is known."""
    random = np.random.default_rng(0)
    rows = []
    for number in range(num_files):
        label = int(number % 3 == 0)
        for window in range(2):
            logit = factor * (random.normal(distance * label, 1.0) + shift)
            rows.append(
                ClipScore(
                    sample_id=f"file-{number}",
                    label=label,
                    dataset="grid" if number % 2 else "seen",
                    method="FaceSwap" if label else "real",
                    split="val",
                    window=window,
                    start_frame=25 * window,
                    num_frames=25,
                    logit=logit,
                    probability=0.5,
                    group=f"person-{number % num_people}" if num_people else "",
                )
            )
    return Validation(tuple(rows), (Path("prepared/seen"), Path("prepared/grid")))


def decided(scored: Validation, kind: str) -> DecisionRule:
    return scored.decision(kind, whose="this training")[0]


@pytest.mark.parametrize("kind", KINDS)
def test_the_threshold_is_the_one_with_the_best_balanced_accuracy(kind: str) -> None:
    """Chosen among logits: no calibration can move it or blur it."""
    scored = validation()
    labels, logits = scored.labels_and_logits
    rule = decided(scored, kind)

    def accuracy(called_fake: np.ndarray) -> float:
        return called_fake[labels == 1].mean() + (~called_fake)[labels == 0].mean()

    best = max(accuracy(logits >= cut) for cut in logits)
    assert accuracy(logits >= rule.threshold_logit) == pytest.approx(best)
    assert rule.threshold_logit == ranking.best_threshold(labels, logits)[0]
    words = np.array([rule.decide(logit) for logit in logits])
    assert not (words[logits < rule.threshold_logit] == "fake").any()
    assert not (words[logits >= rule.threshold_logit] == "real").any()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "changes",
    [
        {"distance": -2.0},  # worse than chance: the best threshold is beyond the last file
        {"distance": 0.0},
        {"distance": 40.0},
        {"shift": 50.0},
        {"shift": -50.0},
        {"factor": 0.0},  # one score for all
        {"factor": 1e6},
        {"factor": 1e-6},
    ],
)
def test_scores_of_any_sort_give_a_rule_and_never_stop_a_finished_training(
    kind: str, changes: dict[str, float]
) -> None:
    scored = validation(**changes)
    rule, rows = scored.decision(kind, whose="this training")
    assert rule.calibration.kind == kind and 0 <= rule.uncertain_half_width <= 0.1
    assert DecisionRule.from_json(rule.as_json()) == rule
    for row in rows:
        assert row.logit is not None
        assert row.probability == rule.probability(row.logit)
    if changes.get("distance") == 40.0:
        labels, logits = scored.labels_and_logits
        words = Counter((rule.decide(x), label) for label, x in zip(labels, logits, strict=True))
        # The sets of at most 10 % of a class may not hold its label: of 80 and of 40 files.
        assert words["uncertain", 0] <= 8 and words["uncertain", 1] <= 4
        assert words["real", 0] >= 72 and words["fake", 1] >= 36 and words.total() == 120


@pytest.mark.parametrize("kind", KINDS)
def test_the_rule_says_what_it_was_fitted_on_and_how_it_does_there(kind: str) -> None:
    scored = validation(factor=5.0)
    rule = scored.decision(kind, whose="this training", replaced_source="an older rule")[0]
    fit = rule.fit
    assert fit is not None
    assert (fit.num_real, fit.num_fake) == (80, 40)
    assert (fit.datasets, fit.methods) == (("grid", "seen"), ("FaceSwap",))
    assert fit.replaced_source == "an older rule"
    assert rule.source.startswith("best balanced accuracy on 120 validation files of this training")
    assert ("not calibrated" in rule.source) == (kind == "none")
    before, after = fit.same_files_log_loss_before, fit.same_files_log_loss_after
    assert after == before if kind == "none" else after < before - 0.1
    labels, logits = scored.labels_and_logits
    losses = [
        np.mean([-np.log(abs(1 - label - rule.probability(x))) for x in logits[labels == label]])
        for label in (0, 1)
    ]
    assert after == pytest.approx(np.mean(losses))
    assert fit.same_files_calibration_error_before > 0.1 or kind == "none"


def test_too_few_files_for_isotonic_are_said_in_the_source() -> None:
    assert "unreliable with so few files" in decided(validation(99), "isotonic").source
    assert "hardly" not in decided(validation(102), "isotonic").source
    assert "hardly" not in decided(validation(99), "platt").source


def test_the_files_have_one_fingerprint_whatever_their_scores_and_their_order() -> None:
    scored = validation()
    turned = Validation(scored.rows[::-1], scored.corpora)
    fits = [decided(v, "platt").fit for v in (scored, turned, validation(factor=2), validation(90))]
    digests = [fit.files_fingerprint for fit in fits if fit is not None]
    assert digests[0] == digests[1] == digests[2] != digests[3]


@pytest.mark.parametrize("share", [0.01, 0.03, 0.1, 0.3])
def test_no_more_reals_than_allowed_are_called_fake_in_any_dataset(share: float) -> None:
    scored = of_two_cameras(600)
    rule = scored.decision("platt", whose="this training", max_false_alarms=share)[0]
    reals_by_dataset = scored.reals_by_dataset
    assert {name: len(reals) for name, reals in reals_by_dataset.items()} == {
        "grid": 200,
        "seen": 200,
    }

    def worst(threshold: float) -> float:
        return max(float((reals >= threshold).mean()) for reals in reals_by_dataset.values())

    assert worst(rule.threshold_logit) <= share
    # It is the lowest such threshold: one file more would be too many.
    logits = np.concatenate([*reals_by_dataset.values()])
    assert worst(logits[logits < rule.threshold_logit].max()) > share
    for reals in reals_by_dataset.values():
        words = [rule.decide(float(logit)) for logit in reals]
        assert words.count("fake") / len(words) <= share
    assert f"at most {share:.1%} of the real files of each of 2 datasets called fake" in rule.source


def test_one_dataset_that_is_accused_often_does_not_hide_behind_another() -> None:
    """Over all files together the threshold would be low enough to accuse it twice as often."""
    scored = of_two_cameras(600, apart=3.0)
    rule = scored.decision("platt", whose="this training", max_false_alarms=0.05)[0]
    together = np.concatenate([*scored.reals_by_dataset.values()])
    of_all = np.sort(together)[::-1][int(0.05 * len(together))]
    grid = scored.reals_by_dataset["grid"]
    assert (grid > of_all).mean() == pytest.approx(0.1)
    assert (grid >= rule.threshold_logit).mean() == pytest.approx(0.05)


def of_two_cameras(num_files: int, apart: float = 1.0, num_people: int = 0) -> Validation:
    """The reals of one dataset have higher logits than those of the other."""
    scored = validation(num_files, num_people=num_people)
    rows = [
        replace(row, logit=(row.logit or 0.0) + apart * (row.dataset == "grid" and not row.label))
        for row in scored.rows
    ]
    return Validation(tuple(rows), scored.corpora)


@pytest.mark.parametrize("num_files", range(300, 900, 60))
def test_the_uncertain_band_reaches_to_half_the_alarms(num_files: int) -> None:
    """To exactly half of them in one dataset: no file more by a rounding of probabilities."""
    scored = of_two_cameras(num_files, num_people=7)  # too few people for prediction sets
    rule = scored.decision("platt", whose="this training", max_false_alarms=0.1)[0]
    assert rule.sets is None
    most = -(-int(0.1 * num_files / 3) // 2)
    words = {
        name: [rule.decide(float(logit)) for logit in logits]
        for name, logits in scored.reals_by_dataset.items()
    }
    assert max(of_dataset.count("fake") for of_dataset in words.values()) == most
    assert any(of_dataset.count("uncertain") for of_dataset in words.values())


def test_a_dataset_of_few_files_keeps_its_one_alarm() -> None:
    scored = of_two_cameras(120, apart=3.0)
    rule = scored.decision("platt", whose="this training", max_false_alarms=0.03)[0]
    words = [rule.decide(float(logit)) for logit in scored.reals_by_dataset["grid"]]
    assert words.count("fake") == 1


def test_the_prediction_sets_are_of_each_class_and_of_people_where_they_are_known() -> None:
    scored = validation(num_files=900)
    labels, logits = scored.labels_and_logits
    sets = scored.decision("platt", whose="this training", coverage=0.8)[0].sets
    assert sets is not None and (sets.coverage, sets.unit) == (0.8, "files")
    assert (sets.num_real, sets.num_fake) == (600, 300)
    assert 0.8 <= (logits[labels == 0] <= sets.largest_real).mean() < 0.81
    assert 0.8 <= (logits[labels == 1] >= sets.least_fake).mean() < 0.81

    people = validation(num_files=900, num_people=50)
    rule = people.decision("platt", whose="this training", coverage=0.9)[0]
    assert rule.sets is not None and (rule.sets.num_real, rule.sets.unit) == (50, "identities")
    assert rule.uncertain_half_width == 0

    unasked = people.decision("platt", whose="this training")[0]
    assert unasked.sets is None and unasked.uncertain_half_width > 0


@pytest.mark.parametrize(("people", "warned"), [(5, True), (20, False)])
def test_a_threshold_from_few_people_says_so(people: int, warned: bool) -> None:
    rule = validation(num_files=900, num_people=people).decision("platt", whose="this training")[0]
    assert (f"show {people} people, so it may not carry over" in rule.source) is warned


def test_too_few_people_give_no_sets_and_the_rule_says_how_many_it_takes() -> None:
    scored = validation(num_files=900, num_people=8)
    few = scored.decision("platt", whose="this training", coverage=0.9)[0]
    assert few.sets is None and few.uncertain_half_width > 0
    assert "no prediction sets of 90.0% coverage: 8 real and 8 fake identities, 9" in few.source


def damaged(number: int, label: int) -> ClipScore:
    return ClipScore(
        sample_id=f"damaged-{number}",
        label=label,
        dataset="seen",
        method="NeuralTextures" if label else "real",
        split="val",
        status="damaged_crops",
        message="the stored track is damaged",
    )


def test_files_that_cannot_be_read_choose_nothing_and_are_told() -> None:
    whole = validation()
    lost = (damaged(0, 0), damaged(1, 1))
    scored = replace(whole, rows=(*whole.rows[:10], *lost, *whole.rows[10:]))
    assert scored.values() == whole.values()
    (rule, rows), (expected, _) = (
        each.decision("platt", whose="this training", max_false_alarms=0.05)
        for each in (scored, whole)
    )
    assert rule == expected  # the files of the fit as well
    assert [row for row in rows if not row.is_scored] == list(lost)
    assert not whole.damaged
    assert scored.damaged.startswith("2 damaged validation files left out; `avkd verify prepared/")
    of_reals = replace(whole, rows=(*(row for row in whole.rows if not row.label), lost[1]))
    with pytest.raises(ValueError, match="of one class; 1 damaged validation files"):
        of_reals.values()


def test_only_a_logit_that_is_none_ends_a_validation(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [*validation().rows, damaged(0, 1)]
    monkeypatch.setattr(module, "score_items", lambda *_, **__: rows)
    assert Validation.of(None, [], None, None).rows == tuple(rows)
    rows.append(replace(rows[-1], status="logit_not_finite"))
    with pytest.raises(FloatingPointError, match="logit_not_finite"):
        Validation.of(None, [], None, None)
