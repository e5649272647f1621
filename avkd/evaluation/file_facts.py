"""The nuisance facts of every expected file, from a prepared corpus to the facts file of a report.

Knows corpora and rows; neither how the facts are found nor what is made of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from avkd.data import nuisance
from avkd.data.crops.prepared_corpus import read_nuisance
from avkd.data.manifest import Sample
from avkd.evaluation.score_rows import group_of
from avkd.reporting.nuisance_facts import FACTS, FileFacts, write_facts


def write_file_facts(out: Path, wanted: Iterable[Sample], corpus: Path) -> None:
    """Write ``facts/<dataset>.csv``: a row per file, empty where the corpus knows nothing of it.

    Args:
        out: the ``--out`` folder of the evaluation.
        wanted: the expected files, at least one; of one dataset.
        corpus: the prepared corpus.

    Raises:
        ValueError: a fact of the corpus is not of its kind; names the file.
    """
    known = read_nuisance(corpus)
    rows = [_row(sample, known.get(sample.sample_id, {})) for sample in wanted]
    write_facts(out / FACTS / f"{rows[0].dataset}.csv", rows)


def _row(sample: Sample, facts: dict[str, Any]) -> FileFacts:
    return FileFacts(
        sample_id=sample.sample_id,
        label=sample.label,
        dataset=sample.dataset,
        method=sample.method,
        split=sample.split or "",
        group=group_of(sample),
        source=sample.source_id or "",
        **{name: facts.get(name) for name in nuisance.FACTS},
    )
