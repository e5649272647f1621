"""From videos to a warning: a silence planted in the fakes of a tiny corpus is named."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from factories import make_head, speech, window_score, write_clip

from avkd.data import nuisance
from avkd.data.crops.journal import append_journal
from avkd.data.manifest import Manifest, Sample
from avkd.data.prepare import prepare
from avkd.data.prepare_file import PrepareSettings
from avkd.evaluation.score_rows import write_file_facts
from avkd.reporting import nuisance_facts
from avkd.reporting.model_scores import read_report_folder
from avkd.reporting.scores import write_scores
from avkd.reporting.shortcut_audit import audit_folder
from avkd.reporting.shortcut_table import to_text


def write_corpus(root: Path, *, silence_of_fakes: float, num_files: int = 24) -> Path:
    """Videos that differ in nothing but how long they are silent at the beginning."""
    random = np.random.default_rng(0)
    samples = []
    for number in range(num_files):
        label = number % 2
        silence = random.uniform(0, 0.15) + silence_of_fakes * label
        write_clip(root / "videos" / f"{number}.mp4", sound=speech(silence))
        method = "swap" if label else "real"
        samples.append(
            Sample(
                sample_id=f"d/{method}/{number}",
                path=f"{number}.mp4",
                kind="video",
                label=label,
                dataset="d",
                method=method,
                split="test",
                identities=(f"person {number}",),
            )
        )
    manifest = Manifest(root=root / "videos", samples=tuple(samples))
    prepare(manifest, root / "corpus", PrepareSettings(detector="boxes"), workers=1)
    write_file_facts(root / "report", samples, root / "corpus")
    rows = [window_score(s.sample_id, s.method, random.normal(s.label), group="") for s in samples]
    write_scores(root / "report" / "scores" / "d.csv", make_head(), rows)
    return root / "report"


@pytest.mark.parametrize(("silence_of_fakes", "warned"), [(0.4, True), (0.0, False)])
def test_a_silence_planted_in_the_fakes_is_found_and_a_clean_corpus_stays_quiet(
    tmp_path: Path, silence_of_fakes: float, warned: bool
) -> None:
    folder = write_corpus(tmp_path, silence_of_fakes=silence_of_fakes)
    facts = nuisance_facts.read_folder(folder)
    assert all("leading_silence_seconds" in row.facts for row in facts)
    audits = audit_folder(folder, read_report_folder(folder), resamples=100, seed=0)
    assert len(audits) == 1 and not audits[0].reason
    # With a constant tone the bit rate and the level follow the silence: they may be named too.
    assert ("leading_silence_seconds" in {probe.name for probe in audits[0].found}) == warned
    assert ("without a look at the face" in to_text(audits)) == warned


def test_every_expected_file_is_a_row_also_one_that_could_not_be_prepared(tmp_path: Path) -> None:
    lost = Sample(
        sample_id="d/swap/lost",
        path="lost.mp4",
        kind="video",
        label=1,
        dataset="d",
        method="swap",
        source_id="d/real/0",
    )
    found = dataclasses.replace(lost, sample_id="d/swap/found", identities=("anna", "bert"))
    rows = [
        {"sample_id": "d/swap/found", "nuisance": {"codec": "h264", "of_the_future": 1}},
        {"sample_id": "d/swap/lost", "status": "not_found"},
    ]
    (tmp_path / "corpus").mkdir()
    append_journal(tmp_path / "corpus" / "report.jsonl", rows)
    write_file_facts(tmp_path, [lost, found], tmp_path / "corpus")
    first, second = nuisance_facts.read_folder(tmp_path)
    assert not first.facts and first.source == "d/real/0" and first.group == ""
    assert second.facts == {"codec": "h264"} and second.group == "anna"


def test_prepare_and_the_report_name_the_same_facts() -> None:
    assert tuple(nuisance_facts.KINDS) == nuisance.FACTS
