"""The audit as it is read: nobody can quote the AUC without seeing what else explains it."""

import csv
import dataclasses
import io
from pathlib import Path

import pytest
from factories import (
    codec,
    made_up,
    make_head,
    markdown,
    nothing,
    perfect_codec,
    records,
    silence,
    summarise,
    window_score,
)

from avkd.reporting import shortcut_table
from avkd.reporting.model_scores import read_report_folder
from avkd.reporting.nuisance_facts import FACTS, FileFacts, write_facts
from avkd.reporting.page import Section
from avkd.reporting.report import write_report
from avkd.reporting.scores import ClipScore, write_scores
from avkd.reporting.shortcut_audit import RowAudit, audit, audit_folder
from avkd.reporting.summary import Provenance

PROVENANCE = Provenance(model="runs/one/model", model_fingerprint="", date="", threshold=None)


def audits_of(plant: object, dataset: str = "d", **options: object) -> tuple[RowAudit, ...]:
    files, facts = made_up(plant, **options)  # type: ignore[arg-type]
    facts = [dataclasses.replace(fact, dataset=dataset) for fact in facts]
    return audit(files.assign(dataset=dataset), facts, resamples=100, seed=0)


def scores_and_facts(plant: object) -> tuple[list[ClipScore], list[FileFacts]]:
    videos, facts = made_up(plant, num_files=160)  # type: ignore[arg-type]
    rows = [
        window_score(v.sample_id, v.method, v.logit or 0.0, window=k, start_frame=25 * k)
        for v in records(videos)
        for k in range(2)
    ]
    grouped = {fact.sample_id: fact.group for fact in facts}
    return [dataclasses.replace(row, group=grouped[row.sample_id]) for row in rows], facts


def test_the_warning_names_the_fact_its_sizes_and_the_detector_without_it() -> None:
    (warning,) = shortcut_table.warnings(audits_of(silence, num_files=400))
    assert "leading silence in seconds (AUC " in warning
    assert "real files 0." in warning and "pairs that agree on leading silence" in warning
    (row,) = audits_of(silence, num_files=400)
    assert row.matched is not None and row.matched.detector_auc.value is not None
    assert f"it is {100 * row.matched.detector_auc.value:.1f} [" in warning


def test_pairs_that_still_differ_or_do_not_exist_give_no_figure() -> None:
    (none,) = shortcut_table.warnings(audits_of(perfect_codec))
    assert "0 pairs of a real and a fake file agree" in none
    (row,) = audits_of(codec, num_files=400)
    assert row.matched is not None
    probe = dataclasses.replace(row.matched.probe_auc, value=0.8)
    apart = dataclasses.replace(row, matched=dataclasses.replace(row.matched, probe_auc=probe))
    (told,) = shortcut_table.warnings([apart])
    assert "closest pairs differ" in told
    assert any("still differ" in cell for cell in shortcut_table.section([apart]).tables[0].rows[0])


def test_a_clean_set_a_missing_audit_and_no_facts_each_say_so() -> None:
    clean = audits_of(nothing)
    assert shortcut_table.warnings(clean) == () and shortcut_table.marks(clean) == {}
    assert "In no row" in shortcut_table.section(clean).paragraphs[0]
    assert shortcut_table.to_text(clean).startswith("shortcut audit: no fact")
    assert shortcut_table.warnings(()) == (shortcut_table.NO_FACTS,)
    assert shortcut_table.section(()) == Section(
        title="Shortcut audit", warnings=(shortcut_table.NO_FACTS,)
    )
    few = audits_of(nothing, num_files=12)
    assert "No shortcut audit of d (test), swap: 6 real" in shortcut_table.to_text(few)
    assert not shortcut_table.section(few).tables


def test_the_csv_has_a_line_for_each_probe_and_for_each_row_without() -> None:
    audits = [*audits_of(codec), *audits_of(nothing, num_files=12)]
    lines = list(csv.DictReader(io.StringIO(shortcut_table.to_csv(audits))))
    assert len(lines) == len(audits[0].probes) + 1
    assert {line["probe"] for line in lines if line["is_shortcut"] == "1"} == {
        probe.name for probe in audits[0].found
    }
    assert lines[-1]["reason"].startswith("6 real and 6 fake files") and not lines[-1]["auc"]
    matched = audits[0].matched
    assert matched is not None and lines[0]["num_pairs"] == str(matched.num_pairs)
    assert float(lines[0]["pairs_detector_auc"]) == matched.detector_auc.value


def test_the_main_table_marks_the_row_and_the_warning_follows_it_at_once() -> None:
    rows, facts = scores_and_facts(codec)
    summary = summarise(rows, resamples=100)
    videos, _ = made_up(codec, num_files=160)
    audits = audit(videos, facts, resamples=100, seed=0)
    text = markdown(summary, PROVENANCE, audits)
    table, rest = text.split("## Shortcut audit")
    assert table.count("(shortcut!)**") == 1 and "| swap" in table.replace("**", "")
    assert rest.lstrip().startswith("**d (test), swap: without a look at the face")
    assert "shortcut" not in markdown(summary, PROVENANCE)
    unknown = markdown(summary, PROVENANCE, ())
    assert f"**{shortcut_table.NO_FACTS}**" in unknown


@pytest.mark.parametrize("name", ["a|b<script>", "**x** `y`\n# z"])
def test_no_name_can_break_the_table(name: str) -> None:
    rows, _ = scores_and_facts(codec)
    summary = summarise([dataclasses.replace(row, dataset=name) for row in rows], resamples=100)
    audits = audits_of(codec, dataset=name)
    text = markdown(summary, PROVENANCE, audits)
    assert "<script" not in text and "\n# z" not in text
    section = text.split("## Shortcut audit")[1].split("\n## ")[0]
    lines = [line.replace("\\|", "") for line in section.splitlines() if line.startswith("|")]
    counts = {line.count("|") for line in lines}
    assert len(counts) <= 2  # two tables


def test_the_folder_is_audited_from_its_files_alone_and_gives_the_same_bytes(
    tmp_path: Path,
) -> None:
    rows, facts = scores_and_facts(codec)
    summary = summarise(rows, resamples=100)
    for folder in (tmp_path / "one", tmp_path / "two"):
        write_scores(folder / "scores" / "d.csv", make_head(), rows)
        scores = read_report_folder(folder)
        assert audit_folder(folder, scores, resamples=100, seed=0) == ()
        write_facts(folder / FACTS / "d.csv", facts)
        audits = audit_folder(folder, scores, resamples=100, seed=0)
        assert [audit.method for audit in audits] == ["swap"] and audits[0].found
        written = write_report(folder, scores, summary, audits=audits, tables_only=True)
        assert folder / "shortcuts.csv" in written.paths
    for path in (tmp_path / "one").rglob("*.*"):
        twin = tmp_path / "two" / path.relative_to(tmp_path / "one")
        assert path.read_bytes() == twin.read_bytes()
