"""Copies a model to where the starters lie, if its verdicts on validation files are worth it.

Usage: ship_starter.py RUN FILE. Its threshold keeps the false alarms in every validation dataset
(`max_false_alarms`); what is asked here is that it finds something at such a threshold.
"""

import shutil
import sys
from pathlib import Path

from avkd.models.model_file import read_header
from avkd.reporting.score_frame import pool
from avkd.reporting.scores import read_scores

LEAST_FAKES_FOUND = 0.2
MOST_FALSE_ALARMS = (
    0.05  # of the real files of any dataset; a rule of an older avkd may not keep it
)


def main(run: Path, shipped: Path) -> int:
    """Copy ``run``/model.safetensors to ``shipped``, or say why not; 0 = copied, 3 = refused."""
    model = run / "model.safetensors"
    rule = read_header(model).decision
    assert rule is not None, f"{model}: has no decision rule"
    files = pool(read_scores(run / "scores" / "validation.csv"))
    kinds = files["dataset"].where(files["label"] == 0, "fakes")
    words = files["logit"].map(rule.decide, na_action="ignore")
    is_fake = words == "fake"
    shares = is_fake.groupby(kinds).mean().to_dict()
    said = ", ".join(f"{kind} {100 * share:.1f} %" for kind, share in sorted(shares.items()))
    found = shares.pop("fakes", 0.0)
    is_good = found >= LEAST_FAKES_FOUND and max(shares.values()) <= MOST_FALSE_ALARMS
    if is_good:
        shutil.copyfile(model, shipped)
    print(
        f"{model}: {f'shipped as {shipped.name}' if is_good else 'NOT shipped'}; validation files "
        f"called fake, real files by dataset: {said}; want at least {LEAST_FAKES_FOUND:.0%} of the "
        f"fake files, at most {MOST_FALSE_ALARMS:.0%} of the real ones"
    )
    return 0 if is_good else 3


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1]), Path(sys.argv[2])))
