"""Rows of the table: who is compared with whom, over how many files, and what a gap costs."""

import dataclasses
from collections.abc import Iterable

import numpy as np
import pytest
from factories import made_up_scores, missing, records, summarise, window_score

from avkd.metrics import probability, ranking
from avkd.metrics.pooling import MEAN_LOGIT, RULES, Pooling, pooled_scores
from avkd.metrics.verdicts import Confusion
from avkd.reporting.score_frame import PooledFile, pool
from avkd.reporting.scores import ClipScore
from avkd.reporting.summary import SetLimits, SummaryRow, Threshold


def pool_videos(rows: Iterable[ClipScore], pooling: Pooling = MEAN_LOGIT) -> list[PooledFile]:
    return records(pool(rows, pooling))


def summarise_quickly(rows: list[ClipScore], **options: object) -> dict[str, SummaryRow]:
    return {row.method: row for row in summarise(rows, resamples=100, **options)}


def video_means(rows: list[ClipScore], method: str) -> np.ndarray:
    ids = {row.sample_id for row in rows if row.method == method}
    return np.array([np.mean([r.logit for r in rows if r.sample_id == i]) for i in sorted(ids)])


def test_each_method_meets_the_same_reals_and_all_forgeries_come_last() -> None:
    rows = made_up_scores()
    table = summarise(rows, resamples=100)
    assert [row.method for row in table] == ["reenact", "swap", "all"]
    assert [row.is_pooled for row in table] == [False, False, True]
    assert [(row.num_real, row.num_fake) for row in table] == [(12, 12), (12, 12), (12, 24)]
    real = video_means(rows, "real")
    for row, methods in zip(table, (["reenact"], ["swap"], ["reenact", "swap"]), strict=True):
        fake = np.concatenate([video_means(rows, method) for method in methods])
        labels = np.repeat([0, 1], [real.size, fake.size])
        expected = ranking.auc(labels, np.r_[real, fake]).value
        assert row.auc.value == pytest.approx(expected, abs=1e-12)
        assert row.auc.interval.low < expected < row.auc.interval.high


def test_the_same_clip_name_under_two_methods_stays_two_videos() -> None:
    """DeepfakeBench keys on the folder's name and merges 000_003 of four methods into one."""
    rows = [
        window_score("d/swap/000_003", "swap", 1.0),
        window_score("d/reenact/000_003", "reenact", 2.0),
        window_score("d/real/000", "real", 0.0),
    ]
    assert summarise_quickly(rows)["all"].num_fake == 2


def test_a_single_method_is_itself_the_pooled_row() -> None:
    rows = [row for row in made_up_scores() if row.method != "swap"]
    (row,) = summarise(rows, resamples=100)
    assert (row.method, row.is_pooled) == ("reenact", True)


def test_videos_are_ranked_by_mean_raw_logit_not_by_mean_probability() -> None:
    rows = [
        window_score("f", "swap", 40.0, window=0),
        window_score("f", "swap", -1.0, window=1),
        window_score("r", "real", 5.0, window=0),
        window_score("r", "real", 5.0, window=1),
    ]
    assert summarise_quickly(rows)["swap"].auc.value == 1.0


def test_clip_and_frame_numbers_weigh_windows_and_frames() -> None:
    rows = [
        window_score("f", "swap", 2.0, window=0, num_frames=25),
        window_score("f", "swap", 0.0, window=1, start_frame=5, num_frames=25),
        window_score("r", "real", 1.0, num_frames=10),
    ]
    row = summarise_quickly(rows)["swap"]
    assert row.num_windows == 3
    assert row.auc.value == 0.5  # means 1 and 1
    assert row.values["clip_auc"].value == 0.5  # one window above, one below
    # Fake frames: 5 at 2, 20 at 1 (in both windows), 5 at 0; real frames all at 1.
    assert row.values["frame_auc"].value == pytest.approx((5 * 1 + 20 * 0.5 + 5 * 0) / 30)


def test_an_unscored_file_counts_as_expected_and_its_pairs_one_half() -> None:
    rows = made_up_scores()
    gapped = [*rows, *(missing(f"d/swap/x{k}", "swap") for k in range(12)), missing("y", "real")]
    before, after = summarise_quickly(rows)["swap"], summarise_quickly(gapped)["swap"]
    assert after.auc == before.auc
    assert (after.num_real, after.expected_real) == (12, 13)
    assert (after.num_fake, after.expected_fake) == (12, 24)
    assert after.coverage == 24 / 37
    # By pairs: 144 of 312 are judged, the others are a coin's.
    expected = (144 * before.auc.value + (12 * 24 + 24 - 144) * 0.5) / 312
    assert after.values["video_auc_missing_neutral"].value == pytest.approx(expected, abs=1e-12)
    assert before.values["video_auc_missing_neutral"].value == before.auc.value
    assert before.coverage == 1.0


def test_a_missing_real_cannot_lift_the_number_where_all_logits_are_high() -> None:
    """Scoring it 0.5, as the field does, would make it the most real file of all."""
    rows = [
        *(window_score(f"f{k}", "swap", 5.0 + k) for k in range(3)),
        *(window_score(f"r{k}", "real", 6.0 + k) for k in range(3)),
        missing("r9", "real"),
    ]
    row = summarise_quickly(rows)["swap"]
    with_half = ranking.auc([1] * 3 + [0] * 4, [5.0, 6, 7, 6, 7, 8, 0]).value
    assert with_half > row.auc.value
    assert row.values["video_auc_missing_neutral"].value == pytest.approx(
        0.75 * row.auc.value + 0.25 * 0.5
    )


def test_a_file_with_one_scored_window_is_scored() -> None:
    rows = [
        window_score("f", "swap", 1.0),
        dataclasses.replace(missing("f", "swap", "nan_logit"), window=1),
        window_score("r", "real", 0.0),
    ]
    row = summarise_quickly(rows)["swap"]
    assert (row.num_fake, row.expected_fake, row.unscored) == (1, 1, ())


def test_reasons_of_unscored_files_are_counted() -> None:
    rows = [
        *made_up_scores(),
        missing("a", "swap", "too_large"),
        missing("b", "swap"),
        missing("c", "real"),
    ]
    assert summarise_quickly(rows)["all"].unscored == (("no_face", 2), ("too_large", 1))


def test_reals_only_or_nothing_scored_gives_reasons_instead_of_numbers() -> None:
    (row,) = summarise([window_score("r", "real", 0.0)], resamples=100)
    assert (row.method, row.auc.value) == ("all", None)
    assert "no scored fake" in row.auc.reason
    assert row.values["video_auc_missing_neutral"].value is None
    (row,) = summarise([missing("r", "real"), missing("f", "swap")], resamples=100)
    assert row.auc.value is None
    assert row.values["clip_auc"].value is None
    assert row.values["video_auc_missing_neutral"].value == 0.5
    assert row.coverage == 0.0


def test_balanced_accuracy_needs_a_threshold_from_elsewhere() -> None:
    rows = made_up_scores()
    assert summarise_quickly(rows)["all"].values["balanced_accuracy"].value is None
    threshold = Threshold(logit=0.25, origin="val")
    found = summarise_quickly(rows, threshold=threshold)["swap"].values["balanced_accuracy"].value
    right = np.mean(video_means(rows, "swap") >= 0.25), np.mean(video_means(rows, "real") < 0.25)
    assert found == pytest.approx(np.mean(right))


def test_verdicts_are_counted_over_pooled_files_at_the_given_threshold() -> None:
    """A window's verdict, or the label's side swapped, would show in a cell."""
    rows = made_up_scores()
    row = summarise_quickly(rows, threshold=Threshold(logit=0.25, origin="val"))["swap"]
    fake, real = video_means(rows, "swap") >= 0.25, video_means(rows, "real") >= 0.25
    counts = Confusion(int((~real).sum()), int(real.sum()), int((~fake).sum()), int(fake.sum()))
    assert row.confusion == counts
    assert min(dataclasses.astuple(counts)) > 0 and counts.false_fake != counts.false_real
    assert row.values["accuracy"].value == (counts.true_real + counts.true_fake) / 24
    assert row.values["recall"].value == counts.true_fake / 12
    assert row.values["precision"].value == counts.true_fake / (
        counts.true_fake + counts.false_fake
    )
    for name in ("accuracy", "balanced_accuracy", "precision", "recall", "f1"):
        interval = row.values[name].interval
        assert interval.low < row.values[name].value < interval.high, name
        assert (interval.resamples, interval.seed) == (100, 0)


def test_prediction_sets_are_counted_over_pooled_files() -> None:
    rows = made_up_scores()
    assert "abstention" not in summarise_quickly(rows)["swap"].values
    sets = SetLimits(coverage=0.8, largest_real=0.5, least_fake=0.0)
    row = summarise_quickly(rows, threshold=Threshold(logit=0.25, origin="val", sets=sets))["swap"]
    fake, real = video_means(rows, "swap"), video_means(rows, "real")
    decided = np.r_[fake, real]
    decided = (decided < 0.0) | (decided > 0.5)
    right = np.r_[fake > 0.5, real < 0.0].sum() / decided.sum()
    expected = {
        "sets_with_real": np.mean(real <= 0.5),
        "sets_with_fake": np.mean(fake >= 0.0),
        "abstention": 1 - decided.mean(),
        "accuracy_when_decided": right,
    }
    found = {name: row.values[name].value for name in expected}
    assert found == pytest.approx(expected) and 0 < expected["abstention"] < 1
    assert (
        row.values["abstention"].interval.low
        < found["abstention"]
        < row.values["abstention"].interval.high
    )
    wide = SetLimits(0.99, np.inf, -np.inf)
    row = summarise_quickly(rows, threshold=Threshold(logit=0.25, origin="val", sets=wide))["swap"]
    assert row.values["accuracy_when_decided"].reason == "every file is called uncertain"


def test_intervals_at_the_threshold_draw_the_same_units_as_the_auc() -> None:
    rows = made_up_scores()
    grouped = [dataclasses.replace(row, group=row.sample_id.split("/")[-1]) for row in rows]
    for given, unit in ((rows, "files"), (grouped, "groups")):
        row = summarise_quickly(given, threshold=Threshold(logit=0.25, origin="val"))["all"]
        assert row.values["accuracy"].interval.unit == row.auc.interval.unit == unit


def test_without_a_threshold_the_verdicts_have_a_reason_instead() -> None:
    row = summarise_quickly(made_up_scores())["all"]
    assert row.confusion is None
    assert row.values["f1"].value is None
    assert "no validation threshold" in row.values["f1"].reason
    assert "no validation threshold" in row.values["f1"].interval.reason


def test_a_videos_probability_is_the_calibrated_one_of_its_mean_logit() -> None:
    def calibrated(logit: float) -> float:
        return float(1 / (1 + np.exp(-(0.3 * logit - 1.0))))

    rows = [
        window_score("f", "swap", logit, window=k, probability=calibrated(logit))
        for k, logit in enumerate([-3.0, 8.0, 1.5])
    ]
    (video,) = pool_videos(rows)
    assert video.probability == pytest.approx(calibrated(video.logit), abs=1e-12)
    (video,) = pool_videos([window_score("f", "swap", 90.0, probability=1.0)])
    assert 1.0 - 1e-12 < video.probability <= 1.0


def test_intervals_draw_groups_only_when_every_video_has_one() -> None:
    rows = made_up_scores()
    grouped = [dataclasses.replace(row, group=row.sample_id.split("/")[-1]) for row in rows]
    assert {row.auc.interval.unit for row in summarise(rows, resamples=50)} == {"files"}
    assert {row.auc.interval.unit for row in summarise(grouped, resamples=50)} == {"groups"}
    half = [dataclasses.replace(row, group="") if row.label else row for row in grouped]
    assert {row.auc.interval.unit for row in summarise(half, resamples=50)} == {"files"}


def test_datasets_and_splits_are_never_mixed() -> None:
    rows = made_up_scores()
    other = [dataclasses.replace(row, dataset="e") for row in made_up_scores(1)]
    val = [dataclasses.replace(r, split="val", sample_id="v" + r.sample_id) for r in rows]
    table = summarise([*rows, *other, *val], resamples=50)
    keys = [(row.dataset, row.split) for row in table]
    assert keys == [("d", "test")] * 3 + [("e", "test")] * 3 + [("d", "val")] * 3
    assert table[:3] == summarise(rows, resamples=50)


def test_the_order_of_rows_does_not_matter() -> None:
    rows = made_up_scores()
    assert summarise(rows[::-1], resamples=50) != ()
    for row, turned in zip(
        summarise(rows, resamples=50), summarise(rows[::-1], resamples=50), strict=True
    ):
        assert row.auc.value == turned.auc.value
        assert row.values["frame_auc"] == turned.values["frame_auc"]


def test_a_window_twice_or_a_contradiction_is_refused() -> None:
    row = window_score("f", "swap", 1.0)
    with pytest.raises(ValueError, match="f: window 0 occurs 2 times"):
        summarise([row, row])
    with pytest.raises(ValueError, match="f: method is 'swap' in one row and 'x' in another"):
        summarise([row, dataclasses.replace(row, method="x", window=1)])


def test_the_range_and_the_probabilities_are_over_pooled_files() -> None:
    random = np.random.default_rng(3)
    rows = [
        window_score(f"{method}/{k}", method, float(random.standard_normal() + shift), window=w)
        for method, shift in (("real", 0.0), ("swap", 2.0))
        for k in range(100)
        for w in range(2)
    ]
    (row,), videos = summarise(rows, resamples=100), pool_videos(rows)
    labels, logits = [v.label for v in videos], np.array([v.logit for v in videos])
    stated = 1 / (1 + np.exp(-logits))
    assert row.values["partial_auc"] == ranking.partial_auc(labels, logits)
    assert row.values["tpr_at_1_percent_fpr"] == ranking.true_positive_rate_at(labels, logits, 0.01)
    assert row.values["tpr_at_1_percent_fpr"].value is not None
    assert row.values["tpr_at_1_per_mille_fpr"].value is None
    for name in ("log_loss", "brier_score"):
        expected = getattr(probability, name)(labels, stated).value
        assert row.values[name].value == pytest.approx(expected, abs=1e-9)
    assert sum(row.reliability.num_files) == 200


def other_dataset(rows: list[ClipScore], name: str, **changes: object) -> list[ClipScore]:
    return [dataclasses.replace(row, dataset=name, **changes) for row in rows]


def test_forgeries_meet_the_reals_of_another_dataset_and_no_others() -> None:
    rows = made_up_scores()
    reals = [
        dataclasses.replace(row, dataset="ff", logit=row.logit + 1.0)
        for row in made_up_scores(1)
        if row.method == "real"
    ]
    table = summarise([*rows, *reals], reals_from="ff", resamples=100)
    assert [(row.dataset, row.method) for row in table] == [
        *(("d", "reenact"), ("d", "swap"), ("d", "all"))
    ]
    assert {row.reals_from for row in table} == {"ff"}
    assert [(row.num_real, row.num_fake) for row in table] == [(12, 12), (12, 12), (12, 24)]
    real, fake = video_means(reals, "real"), video_means(rows, "swap")
    labels = np.repeat([0, 1], [12, 12])
    expected = ranking.auc(labels, np.r_[real, fake]).value
    assert table[1].auc.value == pytest.approx(expected, abs=1e-12)
    assert table[1].auc != summarise(rows, resamples=100)[1].auc


def test_the_dataset_of_the_reals_keeps_its_own_forgeries() -> None:
    rows = [*made_up_scores(), *other_dataset(made_up_scores(1), "ff")]
    table = summarise(rows, reals_from="ff", resamples=100)
    assert table[3:] == summarise(other_dataset(made_up_scores(1), "ff"), resamples=100)
    assert {row.reals_from for row in table[:3]} == {"ff"}


def test_reals_of_the_other_side_or_none_at_all_are_refused() -> None:
    rows, reals = made_up_scores(), [row for row in made_up_scores() if row.method == "real"]
    for given in (rows, [*rows, *other_dataset(reals, "ff", split="val")]):
        with pytest.raises(
            ValueError, match=r"d: .* real files of 'ff', .* none in the split 'test'"
        ):
            summarise(given, reals_from="ff", resamples=100)


def test_a_missing_real_of_the_other_dataset_counts_as_expected() -> None:
    reals = other_dataset([window_score("r", "real", 0.0), missing("x", "real")], "ff")
    (row,) = summarise([window_score("f", "swap", 1.0), *reals], reals_from="ff", resamples=100)
    assert (row.num_real, row.expected_real, row.coverage) == (1, 2, pytest.approx(2 / 3))


@pytest.mark.parametrize("pooling", sorted(RULES))
def test_files_are_ranked_by_the_pooling_that_was_asked_for(pooling: str) -> None:
    rows = made_up_scores()
    for video in pool_videos(rows, pooling):
        given = [row for row in rows if row.sample_id == video.sample_id]
        expected = pooled_scores([r.logit for r in given], [r.probability for r in given], pooling)
        assert (video.logit, video.probability) == expected
    assert {row.pooling for row in summarise(rows, pooling=pooling, resamples=100)} == {pooling}
