"""Copies a model to where the starters lie, if it seldom accuses real validation files.

Usage: ship_starter.py RUN FILE. The threshold was chosen over all validation files together, which
may hide a kind of footage that is accused often: here every corpus is looked at by itself.
"""

from __future__ import annotations

import shutil
import sys
from collections import defaultdict
from pathlib import Path

from avkd.models.model_file import read_header
from avkd.reporting.score_frame import pool, records
from avkd.reporting.scores import read_scores

MOST_FALSE_ALARMS = 0.05


def main(run: Path, shipped: Path) -> int:
    """Copy ``run``/model.safetensors to ``shipped``, or say why not; 0 = copied, 3 = refused."""
    model = run / "model.safetensors"
    rule = read_header(model).decision
    assert rule is not None, f"{model}: has no decision rule"
    decided: dict[str, list[bool]] = defaultdict(list)
    for file in records(pool(read_scores(run / "scores" / "validation.csv"))):
        if file.label == 0 and file.logit is not None:
            decided[file.dataset].append(rule.decide(file.logit) == "fake")
    shares = {dataset: sum(fakes) / len(fakes) for dataset, fakes in sorted(decided.items())}
    said = ", ".join(f"{dataset} {100 * share:.1f} %" for dataset, share in shares.items())
    if max(shares.values()) > MOST_FALSE_ALARMS:
        print(f"{model}: NOT shipped; real validation files called fake: {said}; want at most 5 %")
        return 3
    shutil.copyfile(model, shipped)
    print(f"{model}: shipped as {shipped.name}; real validation files called fake: {said}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1]), Path(sys.argv[2])))
