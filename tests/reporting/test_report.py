"""The report: a reader must be able to tell what every number is over, and where it comes from."""

import csv
import dataclasses
import io
from pathlib import Path

import pandas as pd
from factories import PROVENANCE, make_rows, markdown

from avkd.reporting import report, summary
from avkd.reporting.model_scores import ModelScores
from avkd.reporting.tables import percent_down


def test_markdown_states_what_made_the_numbers() -> None:
    text = markdown(make_rows())
    for fact in (
        "lgt-s, ssl 0.3",
        "0123456789abcdef",
        "2026-11-21",
        "mean of the raw logits",
        "200 resamples of files",
        "seed 11",
        "at least 0.4 (best balanced accuracy on ff++ val)",
        "Label 1 = fake",
        "Leading silence is trimmed.",
        "| celebdf (test) | no_face | 1 |",
        "| lonely | too_large | 1 |",
        "no scored file: lonely (swap)",
    ):
        assert fact in text, fact


def tables(markdown: str) -> list[list[str]]:
    """Lines of the ranking table and of the one at the threshold."""
    plain = markdown.replace("**", "")
    blocks = [[line for line in part.splitlines() if line] for part in plain.split("\n\n")]
    return [lines for lines in blocks if lines[0].startswith("|")]


def test_every_line_of_the_markdown_table_has_the_same_cells_and_its_coverage() -> None:
    rows = make_rows()
    table, judged, *_ = tables(markdown(rows))
    for lines in (table, judged):
        assert len(lines) == 2 + len(rows)
        assert len({line.count("|") for line in lines}) == 1
    swap = next(line for line in table if "| swap |" in line and "celebdf" in line)
    low, high = rows[1].auc.interval.low, rows[1].auc.interval.high
    assert f"{100 * rows[1].auc.value:.1f} [{100 * low:.1f}, {100 * high:.1f}]" in swap
    assert "60 / 61 (98.3 %)" in swap
    lonely = next(line for line in table if "lonely" in line)
    assert "not defined" in lonely
    assert "| 0.0 |" not in lonely


def test_the_table_at_the_threshold_shows_numbers_intervals_and_the_four_counts() -> None:
    rows = make_rows()
    text = markdown(rows)
    assert "## At the threshold chosen on validation data\n" in text
    header, _, *lines = ([c.strip() for c in t.split("|")[1:-1]] for t in tables(text)[1])
    for line, row in zip(lines, rows, strict=True):
        cells = dict(zip(header, line, strict=True))
        counts = dataclasses.astuple(row.confusion)
        assert tuple(int(cells[name]) for name in ("TN", "FP", "FN", "TP")) == counts
        for name, title in (("precision", "Precision %"), ("recall", "Recall %"), ("f1", "F1 %")):
            metric, interval = row.values[name], row.values[name].interval
            expected = "not defined"
            if metric.value is not None:
                ends = f"[{100 * interval.low:.1f}, {100 * interval.high:.1f}]"
                expected = f"{100 * metric.value:.1f} {ends}"
            assert cells[title] == expected


def test_the_third_table_shows_the_range_the_probabilities_and_their_reasons() -> None:
    rows = make_rows()
    text = markdown(rows)
    assert "## Low false-alarm range and probabilities\n" in text
    header, _, *lines = ([c.strip() for c in t.split("|")[1:-1]] for t in tables(text)[2])
    assert header[2].startswith("Partial AUC % (FPR to 10 %)")
    for line, row in zip(lines, rows, strict=True):
        if row.num_real:
            assert line[2] == f"{100 * row.values['partial_auc'].value:.1f}"
            assert line[5:] == [
                f"{row.values[name].value:.3f}" for name in ("log_loss", "brier_score")
            ]
        assert line[3:5] == ["not defined", "not defined"]
    assert "a false-positive rate of 1 % needs 100 scored real files or more: celebdf" in text


def test_the_words_fit_images_as_well_as_videos() -> None:
    rows = make_rows()
    legend = markdown(rows)
    assert "files (videos or images)" in legend
    for word in ("video's", "video AUC", "of videos", "over videos"):
        assert word not in (legend + report.to_text(rows)).replace("Video", "video")


def test_without_a_threshold_the_report_says_so() -> None:
    bare = dataclasses.replace(PROVENANCE, threshold=None)
    text = markdown(make_rows(), bare)
    assert "no validation threshold" in text
    assert "At the threshold" not in text


def test_a_name_cannot_break_the_table() -> None:
    rows = make_rows(method="a|b\nc<script>", dataset="x | y")
    text = markdown(rows)
    for table in tables(text):
        assert len({line.replace("\\|", "").count("|") for line in table}) == 1
    assert "<script>" not in text


def test_the_text_for_a_terminal_is_aligned_and_safe() -> None:
    rows = make_rows(method="a\x1b[2J\nb")
    lines = report.to_text(rows).splitlines()
    assert len(lines) == 1 + len(rows)
    assert all(line.isprintable() for line in lines)
    column = lines[0].index("scored/expected")
    assert [line[column:] for line in lines[1:]] == ["60/61", "60/60", "90/91", "0/1"]
    assert f"{100 * rows[0].auc.value:.1f} [" in lines[1]
    assert "not defined" in lines[-1]


def test_the_text_for_a_terminal_fits_100_columns_with_real_names() -> None:
    rows = make_rows(method="NeuralTextures", dataset="faceforensics")
    lines = report.to_text(rows).splitlines()
    assert max(map(len, lines)) <= 100
    assert "accuracy %" in lines[0]
    assert f" {100 * rows[0].values['accuracy'].value:.1f} " in lines[1]
    without = [dataclasses.replace(row, confusion=None) for row in rows]
    assert "accuracy" not in report.to_text(without)


def test_csv_reads_back_to_the_same_numbers() -> None:
    rows = make_rows(method='odd "name"\nof, two lines')
    text = summary.to_csv(rows, provenance=PROVENANCE)
    lines = list(csv.DictReader(io.StringIO(text, newline="")))
    assert len(lines) == len(rows)
    for line, row in zip(lines, rows, strict=True):
        assert line["method"] == row.method
        assert line["date"] == "2026-11-21"
        assert line["model_fingerprint"] == "0123456789abcdef"
        assert line["threshold_origin"] == "best balanced accuracy on ff++ val"
        assert float(line["coverage"]) == row.coverage
        assert (line["seed"], line["resamples"]) == ("11", "200")
        assert line["video_auc"] == ("" if row.auc.value is None else repr(row.auc.value))
        low = row.auc.interval.low
        assert line["video_auc_low"] == ("" if low is None else repr(low))
        for name in ("accuracy", "balanced_accuracy", "precision", "recall", "f1"):
            metric, interval = row.values[name], row.values[name].interval
            numbers = (metric.value, interval.low, interval.high)
            cells = (line[name], line[f"{name}_low"], line[f"{name}_high"])
            assert cells == tuple("" if value is None else repr(value) for value in numbers)
        for name in ("partial_auc", "tpr_at_1_percent_fpr", "log_loss", "brier_score"):
            value = row.values[name].value
            assert line[name] == ("" if value is None else repr(value))
        for name, count in dataclasses.asdict(row.confusion).items():
            assert line[name] == str(count)


def test_the_report_is_written_as_two_files(tmp_path: Path) -> None:
    rows = make_rows()
    scores = ModelScores(files=pd.DataFrame(), heads={}, provenance=PROVENANCE)
    paths = report.write_report(tmp_path / "run", scores, rows, tables_only=True).paths
    assert [path.name for path in paths] == ["report.md", "report.csv"]
    assert paths[0].read_text() == markdown(rows)
    assert paths[1].read_text() == summary.to_csv(rows, provenance=PROVENANCE)


def test_a_full_coverage_is_never_rounded_up() -> None:
    assert percent_down(0.99999) == "99.9 %"
    assert percent_down(1.0) == "100.0 %"
    assert percent_down(0.29) == "29.0 %"
