"""The report: a reader must be able to tell what every number is over, and where it comes from."""

import csv
import dataclasses
import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from avkd.evaluation import report
from avkd.evaluation.report import Provenance
from avkd.evaluation.scores import ClipScore, unscored
from avkd.evaluation.summary import SummaryRow, Threshold, summarise

PROVENANCE = Provenance(
    model="lgt-s, ssl 0.3",
    model_fingerprint="0123456789abcdef",
    date="2026-11-21",
    threshold=Threshold(logit=0.4, origin="best balanced accuracy on ff++ val"),
    notes=("Leading silence is trimmed.",),
)


def make_rows(method: str = "swap", dataset: str = "celebdf") -> tuple[SummaryRow, ...]:
    random = np.random.default_rng(0)
    scores = [
        ClipScore(
            sample_id=f"{name}/{k}",
            label=int(name != "real"),
            dataset=dataset,
            method=name,
            split="test",
            window=0,
            start_frame=0,
            num_frames=25,
            logit=float(random.standard_normal() + (name != "real")),
            probability=0.5,
        )
        for name in ("real", method, "reenact")
        for k in range(30)
    ]
    lost = unscored(
        sample_id="lost",
        label=1,
        dataset=dataset,
        method=method,
        split="test",
        status="no_face",
        message="",
    )
    lone = unscored(
        sample_id="lone",
        label=1,
        dataset="lonely",
        method=method,
        split="",
        status="too_large",
        message="",
    )
    return summarise([*scores, lost, lone], threshold=PROVENANCE.threshold, resamples=200, seed=11)


def test_markdown_states_what_made_the_numbers() -> None:
    text = report.to_markdown(make_rows(), provenance=PROVENANCE)
    for fact in (
        "lgt-s, ssl 0.3",
        "0123456789abcdef",
        "2026-11-21",
        "mean of the raw logits",
        "200 resamples of videos",
        "seed 11",
        "at least 0.4 (best balanced accuracy on ff++ val)",
        "Label 1 = fake",
        "Leading silence is trimmed.",
        "celebdf: 1 x no_face",
        "lonely: 1 x too_large",
        "no scored file: lonely (swap)",
    ):
        assert fact in text, fact


def test_every_line_of_the_markdown_table_has_the_same_cells_and_its_coverage() -> None:
    rows = make_rows()
    lines = report.to_markdown(rows, provenance=PROVENANCE).splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert len(table) == 2 + len(rows)
    assert len({line.count("|") for line in table}) == 1
    swap = next(line for line in table if "| swap |" in line and "celebdf" in line)
    low, high = rows[1].auc_interval.low, rows[1].auc_interval.high
    assert f"{100 * rows[1].auc.value:.1f} [{100 * low:.1f}, {100 * high:.1f}]" in swap
    assert "60 / 61 (98.3 %)" in swap
    lonely = next(line for line in table if "lonely" in line)
    assert "not defined" in lonely
    assert "| 0.0 |" not in lonely


def test_without_a_threshold_the_report_says_so() -> None:
    bare = dataclasses.replace(PROVENANCE, threshold=None)
    assert "no validation threshold" in report.to_markdown(make_rows(), provenance=bare)


def test_a_name_cannot_break_the_table() -> None:
    rows = make_rows(method="a|b\nc<script>", dataset="x | y")
    lines = report.to_markdown(rows, provenance=PROVENANCE).splitlines()
    table = [line.replace("\\|", "") for line in lines if line.startswith("|")]
    assert len(table) == 2 + len(rows)
    assert len({line.count("|") for line in table}) == 1
    assert "<script>" not in "\n".join(lines)


def test_the_text_for_a_terminal_is_aligned_and_safe() -> None:
    rows = make_rows(method="a\x1b[2J\nb")
    lines = report.to_text(rows).splitlines()
    assert len(lines) == 1 + len(rows)
    assert all(line.isprintable() for line in lines)
    column = lines[0].index("scored/expected")
    assert [line[column:] for line in lines[1:]] == ["60/61", "60/60", "90/91", "0/1"]
    assert f"{100 * rows[0].auc.value:.1f} [" in lines[1]
    assert "not defined" in lines[-1]


def test_csv_reads_back_to_the_same_numbers() -> None:
    rows = make_rows(method='odd "name"\nof, two lines')
    text = report.to_csv(rows, provenance=PROVENANCE)
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
        low = row.auc_interval.low
        assert line["video_auc_low"] == ("" if low is None else repr(low))


def test_the_report_is_written_as_two_files(tmp_path: Path) -> None:
    rows = make_rows()
    paths = report.write_report(tmp_path / "run", rows, provenance=PROVENANCE)
    assert [path.name for path in paths] == ["report.md", "report.csv"]
    assert paths[0].read_text() == report.to_markdown(rows, provenance=PROVENANCE)
    assert paths[1].read_text() == report.to_csv(rows, provenance=PROVENANCE)


def test_a_full_coverage_is_never_rounded_up() -> None:
    assert report._percent_down(0.99999) == "99.9 %"
    assert report._percent_down(1.0) == "100.0 %"
    assert report._percent_down(0.29) == "29.0 %"


@pytest.mark.parametrize("module", ["report", "summary", "figure"])
def test_a_report_needs_no_torch(module: str) -> None:
    code = f"import sys, avkd.evaluation.{module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
