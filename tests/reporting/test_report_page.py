"""What the page says of models: the answer first, everything with its coverage and its origin."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from factories import made_up_scores, write_folder

from avkd.config.evaluation_config import ReportConfig
from avkd.reporting import report
from avkd.reporting.model_scores import read_report_folder
from avkd.reporting.recompute import recompute
from avkd.reporting.report import ModelPart, describe
from avkd.reporting.score_frame import against_reals, labels_and_logits
from avkd.reporting.summary import summarise

pytestmark = pytest.mark.usefixtures("undrawn")


def described(folder: Path, *, with_threshold: bool = True) -> ModelPart:
    scores = read_report_folder(folder)
    if not with_threshold:
        provenance = dataclasses.replace(scores.provenance, threshold=None)
        scores = dataclasses.replace(scores, provenance=provenance)
    rows = summarise(scores.files, threshold=scores.provenance.threshold, resamples=100)
    return describe(scores, rows)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Scores of two datasets, d and a, with two files that have none."""
    return write_folder(tmp_path / "one", made_up_scores(num_videos=20))


def test_the_answer_has_its_interval_its_coverage_and_what_changes_its_meaning(
    folder: Path,
) -> None:
    part = described(folder)
    assert part.headline.title == "one"
    pooled = [row for row in part.rows if row.is_pooled]
    for answer, row in zip(part.headline.answers, pooled, strict=True):
        assert row.dataset in answer.subject
        assert answer.value == f"{100 * row.auc.value:.1f}"
        assert f"[{100 * row.auc.interval.low:.1f}, " in answer.detail
        scored, expected = row.num_real + row.num_fake, row.expected_real + row.expected_fake
        assert f"{scored} of {expected} files scored" in answer.detail
    missing = [text for text in part.headline.warnings if "could not be scored" in text]
    assert len(missing) == sum(row.coverage < 1 for row in pooled)
    assert not [text for text in part.headline.warnings if "threshold" in text]
    without = described(folder, with_threshold=False)
    assert [text for text in without.headline.warnings if "no validation threshold" in text]
    titles = [section.title for section in part.sections]
    assert [t for t in titles if t not in [s.title for s in without.sections]] == [
        "At the threshold chosen on validation data"
    ]


def test_every_part_of_the_report_is_there_with_its_pictures(folder: Path) -> None:
    sections = {section.title: section for section in described(folder).sections}
    num_pictures = {title: len(section.pictures) for title, section in sections.items()}
    assert num_pictures["AUC and other ranking numbers"] == 1
    assert num_pictures["ROC and DET curves"] == 4
    assert num_pictures["Scores by method"] == 2
    assert num_pictures["At the threshold chosen on validation data"] == 2
    assert num_pictures["Low false-alarm range and probabilities"] == 2
    coverage = sections["Coverage"].tables[0]
    assert [row[0] for row in coverage.rows] == ["d (test)", "a (test)"]
    made = sections["What made these scores"]
    told = {row[0]: row[-1] for table in made.tables for row in table.rows}
    assert {"model", "model fingerprint", "command", "avkd version", "pooling"} <= told.keys()
    assert {"preprocessing", "preprocessing in words"} <= told.keys()
    assert sections["How to read it"].notes


def test_pictures_are_of_the_scored_files_behind_the_pooled_rows(folder: Path) -> None:
    rows, scores = described(folder).rows, read_report_folder(folder)
    found = report.pooled_files(scores)
    files_of = {row.dataset: files for row, files in zip(rows[2::3], found, strict=True)}
    for row in rows:
        files = files_of[row.dataset]
        if row.is_pooled:
            assert (files["label"] == 0).sum() == row.num_real
            assert (files["label"] == 1).sum() == row.num_fake
        else:
            labels, logits = labels_and_logits(against_reals(files, row.method))
            assert (int((labels == 0).sum()), int(labels.sum())) == (row.num_real, row.num_fake)
            assert np.isfinite(logits).all()


def test_one_class_only_is_a_sentence_and_no_curve(tmp_path: Path) -> None:
    rows = [row for row in made_up_scores(num_videos=4) if row.label == 1]
    part = described(write_folder(tmp_path / "fakes", rows))
    assert [text for text in part.headline.warnings if "no scored real file" in text]
    assert "ROC and DET curves" not in {section.title for section in part.sections}
    assert part.headline.answers[0].value == "not defined"


def test_several_models_share_a_page_with_a_heat_map_first(tmp_path: Path) -> None:
    rows = made_up_scores(num_videos=6)
    folders = tuple(write_folder(tmp_path / name, rows) for name in ("x", "<b>"))
    config = ReportConfig(scores=folders, out=tmp_path / "out", bootstrap_resamples=100)
    recompute(config)
    page = (tmp_path / "out" / report.PAGE).read_text(encoding="utf-8")
    places = [page.index(f">{text}</h2>") for text in ("Models x datasets", "Paired comparison")]
    places += [page.index(f"<h2>{name}</h2>") for name in ("x", "&lt;b&gt;")]
    assert places == sorted(places)
    assert page.index('<section class="headline"') < places[0]
    assert "<title>Report of 2 models</title>" in page
    again = dataclasses.replace(config, out=tmp_path / "again")
    recompute(again)
    assert (tmp_path / "again" / report.PAGE).read_bytes() == page.encode("utf-8")
