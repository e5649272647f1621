"""Do prediction sets keep what they state? Fitted on validation scores, measured on test scores.

Usage: python scripts/set_coverage.py COVERAGE MODEL VALIDATION.csv TEST.csv...
  COVERAGE        stated, e.g. 0.9
  MODEL           whose scores these are; its threshold decides
  VALIDATION.csv  scores/validation.csv of its training
  TEST.csv        score files of `avkd evaluate`
What `avkd calibrate` and `avkd evaluate` do with the same scores, without scoring again.
"""

import sys
from pathlib import Path

from avkd.evaluation.validation import Validation
from avkd.models.model_file import read_header
from avkd.reporting import report
from avkd.reporting.model_scores import read_score_files
from avkd.reporting.scores import read_scores
from avkd.reporting.summary import SetLimits, Threshold, summarise
from avkd.reporting.tables import Table


def main(coverage: float, model: Path, validation: Path, tests: list[Path]) -> None:
    """Print one row for each test set."""
    rule = read_header(model).decision
    assert rule is not None, f"{model}: no detector"
    scored = Validation(read_scores(validation), ())
    fitted, _ = scored.decision("none", whose="the training", coverage=coverage)
    assert fitted.sets is not None, fitted.source
    sets = SetLimits(coverage, fitted.sets.largest_real, fitted.sets.least_fake)
    print(f"{fitted.sets.origin}; {sets}")
    threshold = Threshold(logit=rule.threshold_logit, origin=rule.source, sets=sets)
    for path in tests:
        files, _ = read_score_files([path])
        rows = [row for row in summarise(files, threshold=threshold) if row.is_pooled]
        table = Table.of(
            {
                "Dataset": row.dataset,
                "Real, fake files": f"{row.num_real}, {row.num_fake}",
                **report.metrics("sets", row),
            }
            for row in rows
        )
        print(table.to_markdown())


if __name__ == "__main__":
    main(float(sys.argv[1]), *map(Path, sys.argv[2:4]), [Path(name) for name in sys.argv[4:]])
