"""The table of metrics: one line makes a metric appear wherever numbers are printed."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from avkd.metrics.table import METRICS, OF_A_RULE, Measure


def test_names_and_labels_are_distinct_and_verdicts_have_their_table() -> None:
    for part in ([m.name for m in METRICS], [m.label for m in METRICS]):
        assert len({*part}) == len(part)
    assert all((m.over == of) == (m.table == of) for m in METRICS for of in OF_A_RULE)
    assert METRICS[0].name == "video_auc", "the first column and the one with an interval"


@pytest.mark.parametrize("measure", [m for m in METRICS if m.over not in OF_A_RULE])
def test_the_direction_is_that_of_a_better_detector(measure: Measure) -> None:
    """A perfect detector is at least as good as a random one, and better where it shows."""
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1], 1000)
    perfect, chance = labels * 0.98 + 0.01, random.random(2000)
    values = [measure.function(labels, scores).value for scores in (perfect, chance)]
    assert (values[0] > values[1]) == measure.higher_is_better


@pytest.mark.parametrize("measure", [m for m in METRICS if m.over in ("files", "probabilities")])
def test_only_marked_metrics_depend_on_the_share_of_fakes(measure: Measure) -> None:
    """Ten copies of every real change what depends on the share, and nothing else."""
    random = np.random.default_rng(1)
    labels = np.repeat([0, 1], [1000, 1000])
    scores = np.clip(0.5 + 0.2 * (labels - 0.5) + 0.2 * random.standard_normal(2000), 0, 1)
    times = np.where(labels == 0, 10, 1)
    values = [
        measure.function(np.repeat(labels, n), np.repeat(scores, n)).value for n in (1, times)
    ]
    assert (values[0] == pytest.approx(values[1], abs=1e-9)) == (not measure.depends_on_share)


WITH_ONE_MORE = """
from avkd.metrics import ranking, table
def lost_area(labels, scores):
    return ranking.Metric(1.0 - ranking.auc(labels, scores).value)
table.METRICS += (
    table.Measure("lost_area", "Lost area %", "files", lost_area, "range", higher_is_better=False),
)
import pandas as pd
from pathlib import Path
from avkd import cli
from matplotlib.figure import Figure
Figure.savefig = lambda *_, **__: None  # drawing takes seconds
rows = [(f"{k}.mp4", k % 2, k % 7 + k % 2) for k in range(40)]
files = pd.DataFrame(rows, columns=["file", "label", "score"])
pd.concat([files.assign(model="a"), files.assign(model="b", score=-files.score)]).to_csv("x.csv")
code = cli.main(["report", "--scores", "x.csv", "--out", "out", "--bootstrap_resamples", "100"])
(line,) = pd.read_csv("out/a/report.csv").to_dict("records")
assert line["lost_area"] == 1.0 - line["video_auc"], line
markdown, page = (Path("out/a", name).read_text() for name in ("report.md", "report.html"))
assert "| Lost area % |" in markdown and "Lost area (log-loss" in markdown
assert "Lost area" in page
assert "Lost area %, lower is better" in Path("out/paired.md").read_text()
assert "second_lost_area" in Path("out/paired.csv").read_text()
raise SystemExit(code)
"""


def test_a_new_metric_is_a_function_and_one_line(tmp_path: Path) -> None:
    """Summary, CSV, Markdown, page, legend and paired comparison follow by themselves."""
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    command = [sys.executable, "-c", WITH_ONE_MORE]
    run = subprocess.run(command, cwd=tmp_path, env=environment, timeout=120, capture_output=True)
    assert run.returncode == 0, run.stderr.decode()
