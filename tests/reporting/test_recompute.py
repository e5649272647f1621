"""`avkd report`: the report from score files alone, and what sets two models apart."""

import csv
import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from factories import (
    RULE,
    contents,
    made_up_scores,
    make_head,
    missing,
    summarise,
    window_score,
    write_folder,
)

from avkd.config.evaluation_config import ReportConfig
from avkd.metrics.pooling import RULES
from avkd.models.decision import DecisionRule, PredictionSets
from avkd.reporting import summary
from avkd.reporting.model_scores import read_report_folder
from avkd.reporting.recompute import recompute
from avkd.reporting.scores import write_scores

pytestmark = pytest.mark.usefixtures("undrawn")


def remake(out: Path, *folders: Path) -> str:
    return recompute(ReportConfig(scores=folders, out=out, bootstrap_resamples=100)).text


SETS = PredictionSets(
    coverage=0.9, largest_real=1.1, least_fake=0.1, num_real=9, num_fake=9, unit="files"
)


@pytest.mark.parametrize("rule", [RULE, dataclasses.replace(RULE, sets=SETS), None])
def test_the_report_is_byte_for_byte_the_one_that_evaluate_wrote(
    tmp_path: Path, rule: DecisionRule | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if rule is RULE:
        monkeypatch.undo()  # the other two set other words beside the same kinds of pictures
    folder = write_folder(tmp_path / "one", made_up_scores(), rule=rule, pictures=True)
    text = remake(tmp_path / "again", folder)
    expected = {k: v for k, v in contents(folder).items() if not k.startswith("scores/")}
    assert b"quotes" in expected["report.md"] and b"never saw: reenact" in expected["report.md"]
    assert ("confusion.png" in expected) == (rule is not None)
    has_sets = rule is not None and rule.sets is not None
    promise = b"real up to a logit of 1.1 and fake from 0.1 on: chosen so that the sets of at least"
    assert (promise in expected["report.md"]) == has_sets
    assert (b"Called uncertain %" in expected["report.md"]) == has_sets
    assert contents(tmp_path / "again") == expected
    assert all(str(tmp_path / "again" / name) in text for name in expected)


def test_without_a_report_there_is_no_threshold_and_still_the_numbers_and_what_made_them(
    tmp_path: Path,
) -> None:
    folder = write_folder(tmp_path / "one", made_up_scores())
    (folder / "report.csv").unlink()
    remake(tmp_path / "again", folder)
    text = (tmp_path / "again" / "report.md").read_text()
    assert text.startswith("# Evaluation of runs/one/model.safetensors\n")
    assert "no validation threshold" in text
    assert "evaluated 2026-01-01" in text
    lines = summary.read_lines(tmp_path / "again" / "report.csv")
    assert {line["threshold_logit"] for line in lines} == {""}
    assert {line["model_fingerprint"] for line in lines} == {make_head().model_fingerprint}
    assert [line["dataset"] for line in lines] == ["a"] * 3 + ["d"] * 3


def test_two_models_are_compared_over_the_files_both_scored(tmp_path: Path) -> None:
    rows, random = made_up_scores(num_videos=30), np.random.default_rng(5)
    # The second model is noise, lost one fake and never got to one real.
    noise = [dataclasses.replace(row, logit=float(random.standard_normal())) for row in rows]
    noise = [row for row in noise if row.sample_id not in ("d/swap/0", "d/real/1")]
    noise.append(missing("d/swap/0", "swap"))
    folders = [write_folder(tmp_path / "good", rows), write_folder(tmp_path / "noise", noise)]
    remake(tmp_path / "out", *folders)
    remake(tmp_path / "twin", *folders)
    assert contents(tmp_path / "out") == contents(tmp_path / "twin")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        *("good", "noise", "paired.md", "paired.csv", "report.html")
    }
    with (tmp_path / "out" / "paired.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [(line["dataset"], line["method"]) for line in lines] == [
        (dataset, method) for dataset in ("d", "a") for method in ("reenact", "swap", "all")
    ]
    counts = [
        tuple(int(line[name]) for name in ("both_real", "both_fake", "only_first", "only_second"))
        for line in lines[:3]
    ]
    assert counts == [(29, 30, 1, 0), (29, 29, 2, 0), (29, 59, 2, 0)]
    for line in lines:
        gap = float(line["first_auc"]) - float(line["second_auc"])
        assert float(line["auc_difference"]) == gap
        assert float(line["auc_difference_low"]) < gap < float(line["auc_difference_high"])
        assert 0 < float(line["delong_p_value"]) <= float(line["holm_p_value"]) <= 1
    text = (tmp_path / "out" / "paired.md").read_text()
    assert "the 6 tests of this table" in text
    assert "good: runs/good/model.safetensors" in text
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in table}) == 1


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"method": "other"}, "method is 'swap'"),
        ({"label": 0, "method": "real"}, "label is 1"),
        ({"split": "val"}, "split is 'test'"),
    ],
)
def test_models_that_disagree_on_what_a_file_is_are_refused(
    tmp_path: Path, changes: dict[str, object], told: str
) -> None:
    rows = [window_score(f"{m}{k}", m, k) for m in ("real", "swap") for k in range(3)]
    other = [*rows[:-1], dataclasses.replace(rows[-1], **changes)]
    folders = [write_folder(tmp_path / "x", rows), write_folder(tmp_path / "y", other)]
    with pytest.raises(ValueError, match=rf"swap2 of d: {told} for x and .* for y"):
        remake(tmp_path / "out", *folders)


@pytest.mark.parametrize(
    "changes",
    [
        {"preprocessing": "other"},
        {"perturbation": "name blur, severity 3"},
        {"model_fingerprint": "other"},
        {"scorer": "av_agreement"},
        {"windows": "other"},
        {"pooling": "confident"},
        {"protocol_fingerprint": "other", "protocol": "p"},
    ],
)
def test_a_table_refuses_scores_made_differently_and_names_both_files(
    tmp_path: Path, changes: dict[str, object]
) -> None:
    """What a table sets side by side must differ in the test set alone."""
    rows = made_up_scores(num_videos=3)
    folder = write_folder(tmp_path / "one", rows)
    odd = make_head(model="runs/one/model.safetensors", **changes)
    write_scores(folder / "scores" / "d.csv", odd, rows)
    with pytest.raises(ValueError, match=r"differs: .* for .*a\.csv, .* for .*d\.csv; "):
        remake(tmp_path / "out", folder)
    config = ReportConfig(
        scores=(folder,), out=tmp_path / "out", bootstrap_resamples=100, mixed_preprocessing=True
    )
    if changes.keys() & {"preprocessing", "perturbation"}:
        recompute(config)
        text = (tmp_path / "out" / "report.md").read_text()
        assert "Mixed on request" in text and "rows do not compare" in text
    else:  # the name of the setting promises no more
        with pytest.raises(ValueError, match="differs"):
            recompute(config)


def test_two_models_are_compared_on_the_same_crops_only(tmp_path: Path) -> None:
    rows = made_up_scores(num_videos=3)
    one = write_folder(tmp_path / "x", rows)
    other = write_folder(tmp_path / "y", rows, model_fingerprint="other", preprocessing="other")
    with pytest.raises(ValueError, match=r"crops differs: .* for x \(d\), .* for y \(d\); prepare"):
        remake(tmp_path / "out", one, other)
    recompute(
        ReportConfig(
            scores=(one, other),
            out=tmp_path / "out",
            bootstrap_resamples=100,
            mixed_preprocessing=True,
        )
    )
    assert "Mixed on request" in (tmp_path / "out" / "paired.md").read_text()


def test_two_models_may_pool_differently_and_the_comparison_says_so(tmp_path: Path) -> None:
    """Windows and pooling belong to the detector as its makers use it."""
    rows = made_up_scores(num_videos=3)
    one = write_folder(tmp_path / "x", rows)
    other = write_folder(tmp_path / "y", rows, pooling="mean_probability", windows="other")
    remake(tmp_path / "out", one, other)
    text = (tmp_path / "out" / "paired.md").read_text()
    assert "The models pool differently. x: a file's score is the mean of the raw logits" in text
    table = (tmp_path / "out" / "y" / "report.md").read_text()
    assert RULES["mean_probability"] in table and RULES["mean_logit"] not in table
    lines = summary.read_lines(tmp_path / "out" / "y" / "report.csv")
    assert {line["pooling"] for line in lines} == {RULES["mean_probability"]}
    # The numbers follow the words.
    expected = {
        row.method: row.values["brier_score"].value
        for row in summarise(rows, pooling="mean_probability")
    }
    assert {line["method"]: float(line["brier_score"]) for line in lines} == expected
    assert expected != {row.method: row.values["brier_score"].value for row in summarise(rows)}


def test_three_models_make_three_pairs_and_are_named_by_what_tells_them_apart(
    tmp_path: Path,
) -> None:
    rows = made_up_scores(num_videos=4)
    folders = [write_folder(tmp_path / name / "test", rows) for name in ("a", "b", "c")]
    remake(tmp_path / "out", *folders)
    with (tmp_path / "out" / "paired.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    pairs = list(dict.fromkeys((line["first"], line["second"]) for line in lines))
    assert pairs == [("a_test", "b_test"), ("a_test", "c_test"), ("b_test", "c_test")]
    # Equal models: nothing to test, and the table says why instead of p = 0 or 1.
    assert {line["delong_p_value"] + line["holm_p_value"] for line in lines} == {""}
    assert "same for every file" in (tmp_path / "out" / "paired.md").read_text()


def test_mistakes_are_told_with_the_cure(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "one", made_up_scores(num_videos=3))
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"empty: no scores/\*.csv.*--out folder"):
        remake(tmp_path / "out", tmp_path / "empty")
    with pytest.raises(ValueError, match="given twice"):
        remake(tmp_path / "out", folder, tmp_path / "empty" / ".." / "one")
    with pytest.raises(ValueError, match="is one of the score folders"):
        remake(folder, folder)
    table = folder / "report.csv"
    good = table.read_text()
    for text, told in (
        ("a,b\n1,2\n", "not a report.csv: no column"),
        (good.splitlines()[0] + "\n", "name 0 models"),
        (good.replace("runs/one", "runs/two", 1), "name 2 models"),
        (good.replace(repr(RULE.threshold_logit), "nan"), "'nan' is not a finite number"),
        (good.replace(repr(RULE.threshold_logit), "high"), "'high' is not a number"),
    ):
        table.write_text(text)
        with pytest.raises(ValueError, match=rf"report\.csv: .*{told}|report\.csv: {told}"):
            read_report_folder(folder)
    table.write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match=r"not a report\.csv"):
        read_report_folder(folder)


def test_a_report_needs_no_torch(tmp_path: Path) -> None:
    """On the laptop where scores are read there may be neither torch nor a model."""
    rows = made_up_scores(num_videos=3)
    folders = [write_folder(tmp_path / name, rows) for name in ("a", "b")]
    code = (
        "import sys; from matplotlib.figure import Figure; from avkd import cli;"
        "Figure.savefig = lambda *_, **__: None;"  # undrawn there, too
        "code = cli.main(['report', '--scores', *sys.argv[1:3], '--out', sys.argv[3],"
        " '--bootstrap_resamples', '100']);"
        "names = ('report', 'summary', 'figures.results', 'figures.curves', 'shortcut_table');"
        "assert {f'avkd.reporting.{name}' for name in names} <= sys.modules.keys();"
        "sys.exit(code or 'torch' in sys.modules)"
    )
    command = [sys.executable, "-c", code, *map(str, (*folders, tmp_path / "out"))]
    assert subprocess.run(command, timeout=300).returncode == 0
    assert (tmp_path / "out" / "paired.md").is_file()
