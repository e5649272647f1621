"""`avkd report` over a plain CSV table: the same numbers as scikit-learn, and mistakes told."""

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from factories import contents, made_up_scores, write_folder
from sklearn import metrics as reference

from avkd.config.evaluation_config import ReportConfig
from avkd.metrics.paired import delong_p_value
from avkd.reporting import summary
from avkd.reporting.model_scores import read_plain_scores
from avkd.reporting.recompute import recompute

pytestmark = pytest.mark.usefixtures("undrawn")


def made_up_table(seed: int = 0, size: int = 240) -> pd.DataFrame:
    """Files of two datasets and two methods with scores of a detector, some of them tied."""
    random = np.random.default_rng(seed)
    labels = np.r_[0, 1, random.integers(0, 2, size - 2)]
    scores = np.round(random.standard_normal(size) + labels, 2)
    return pd.DataFrame(
        {
            "file": [f"clips/{number}.mp4" for number in range(size)],
            "label": labels,
            "score": scores,
            "probability": 1 / (1 + np.exp(-scores)),
            "method": np.where(labels == 0, "", random.choice(["swap", "reenact"], size)),
            "dataset": random.choice(["a", "b"], size),
        }
    )


def report(out: Path, *tables: Path) -> list[dict[str, str]]:
    recompute(ReportConfig(scores=tables, out=out, bootstrap_resamples=100))
    table = out / "report.csv"
    return summary.read_lines(table) if table.exists() else []


def test_the_numbers_are_scikit_learns(tmp_path: Path) -> None:
    table = made_up_table()
    table.to_csv(tmp_path / "mine.csv", index=False)
    lines = report(tmp_path / "out", tmp_path / "mine.csv")
    first = table["dataset"].iloc[0]
    other = {"a": "b", "b": "a"}[first]
    assert [(line["dataset"], line["method"]) for line in lines] == [
        (dataset, method) for dataset in (first, other) for method in ("reenact", "swap", "all")
    ]
    for line in lines:
        chosen = table[table["dataset"] == line["dataset"]]
        if line["method"] != "all":
            chosen = chosen[chosen["method"].isin([line["method"], ""])]
        labels, scores = chosen["label"], chosen["score"]
        stated = chosen["probability"]
        rates = reference.roc_curve(labels, scores, drop_intermediate=False)
        crossing = np.argmin(np.abs(rates[0] - (1 - rates[1])))
        expected = {
            "video_auc": reference.roc_auc_score(labels, scores),
            "average_precision": reference.average_precision_score(labels, scores),
            "partial_auc": reference.roc_auc_score(labels, scores, max_fpr=0.1),
            "log_loss": reference.log_loss(labels, stated),
            "brier_score": reference.brier_score_loss(labels, stated),
        }
        for name, value in expected.items():
            assert float(line[name]) == pytest.approx(value, abs=1e-12), name
        # The nearest of the points, where ours lies on the line between two.
        nearest = (rates[0][crossing] + 1 - rates[1][crossing]) / 2
        assert float(line["equal_error_rate"]) == pytest.approx(nearest, abs=0.02)
        assert float(line["video_auc_low"]) < expected["video_auc"] < float(line["video_auc_high"])
        assert int(line["scored_real"]) == (labels == 0).sum()
        assert line["accuracy"] == "", "there is no threshold"
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        *("report.md", "report.csv", "report.html", "report.png", "reliability.png")
    }


def test_file_label_and_score_are_enough_and_labels_may_be_words(tmp_path: Path) -> None:
    table = made_up_table()[["file", "label", "score"]]
    table.to_csv(tmp_path / "x.csv", index=False)
    words = table.assign(label=table["label"].map({0: "Real", 1: "fake"}))
    words.rename(columns=str.upper).to_csv(tmp_path / "words.csv", index=False)
    (one,) = report(tmp_path / "one", tmp_path / "x.csv")
    (other,) = report(tmp_path / "other", tmp_path / "words.csv")
    assert {k: v for k, v in one.items() if k != "model"} == {
        k: v for k, v in other.items() if k != "model"
    }
    assert (one["dataset"], one["method"], one["model"]) == ("all files", "fake", "x")
    assert float(one["video_auc"]) == pytest.approx(
        reference.roc_auc_score(table["label"], table["score"]), abs=1e-12
    )
    assert one["log_loss"] == "", "a score is no probability"


def test_the_report_of_a_table_tells_of_no_windows_that_nobody_knows(tmp_path: Path) -> None:
    made_up_table().to_csv(tmp_path / "x.csv", index=False)
    report(tmp_path / "out", tmp_path / "x.csv")
    for name in ("report.md", "report.html"):
        text = (tmp_path / "out" / name).read_text()
        for words in ("Clip AUC", "Frame AUC", "scored windows", "raw logits of"):
            assert words not in text, f"{name}: {words}"
        assert "each with the score that the table of scores gives it" in text
        assert "EER" in text and "unscored pairs as ties" in text  # the other columns stay


def test_models_of_one_table_or_of_several_are_compared_file_by_file(tmp_path: Path) -> None:
    first, second = made_up_table(1), made_up_table(1)
    second["score"] += np.random.default_rng(2).standard_normal(len(second))
    both = pd.concat([first.assign(model="ours"), second.assign(model="../theirs")])
    both.to_csv(tmp_path / "both.csv", index=False)
    first.to_csv(tmp_path / "ours.csv", index=False)
    second.to_csv(tmp_path / "theirs.csv", index=False)
    report(tmp_path / "one", tmp_path / "both.csv")
    report(tmp_path / "two", tmp_path / "ours.csv", tmp_path / "theirs.csv")
    assert {path.name for path in (tmp_path / "one").iterdir()} == {
        *("ours", "_theirs", "paired.md", "paired.csv", "report.html")
    }, "a model's name leads to no other folder"
    tables = []
    for out in ("one", "two"):
        with (tmp_path / out / "paired.csv").open(newline="") as file:
            tables.append(list(csv.DictReader(file)))
    numbers = [[{**line, "second": ""} for line in table] for table in tables]
    assert numbers[0] == numbers[1]
    for line in tables[0]:
        chosen = first["dataset"] == line["dataset"]
        if line["method"] != "all":
            chosen &= first["method"].isin([line["method"], ""])
        labels, *scores = (t[chosen] for t in (first["label"], first["score"], second["score"]))
        areas = [reference.roc_auc_score(labels, of_model) for of_model in scores]
        assert float(line["auc_difference"]) == pytest.approx(areas[0] - areas[1], abs=1e-12)
        p_value = delong_p_value(labels, *scores).value
        assert float(line["delong_p_value"]) == pytest.approx(p_value, abs=1e-12)
        expected = reference.average_precision_score(labels, scores[1])
        assert float(line["second_average_precision"]) == pytest.approx(expected, abs=1e-12)
    assert "lower is better" in (tmp_path / "one" / "paired.md").read_text()


def test_a_table_is_compared_with_a_folder_of_ours(tmp_path: Path) -> None:
    rows = made_up_scores(num_videos=8)
    folder = write_folder(tmp_path / "ours", rows)
    files = {row.sample_id: row for row in rows}
    pd.DataFrame(
        [(f.sample_id, f.label, f.method, "d", f.split, -f.logit) for f in files.values()],
        columns=["file", "label", "method", "dataset", "split", "score"],
    ).to_csv(tmp_path / "theirs.csv", index=False)
    report(tmp_path / "out", folder, tmp_path / "theirs.csv")
    with (tmp_path / "out" / "paired.csv").open(newline="") as file:
        lines = [line for line in csv.DictReader(file) if line["dataset"] == "d"]
    assert [int(line["both_real"]) + int(line["both_fake"]) for line in lines] == [16, 16, 24]
    told = (tmp_path / "out" / "paired.md").read_text()
    assert "How the scores of theirs were made is not recorded." in told


def test_models_without_a_common_file_are_told(tmp_path: Path) -> None:
    table = made_up_table(size=40)
    table.to_csv(tmp_path / "one.csv", index=False)
    table.assign(file="other/" + table["file"]).to_csv(tmp_path / "two.csv", index=False)
    report(tmp_path / "out", tmp_path / "one.csv", tmp_path / "two.csv")
    told = (tmp_path / "out" / "paired.md").read_text()
    assert "one and two have no scored file in common" in told


def test_identities_are_drawn_together_and_files_without_a_score_are_counted(
    tmp_path: Path,
) -> None:
    table = made_up_table().assign(identity=[f"p{k % 30}" for k in range(240)], extra=1)
    table.loc[:4, "score"] = np.nan  # pandas leaves the cell empty
    table.to_csv(tmp_path / "x.csv", index=False)
    lines = report(tmp_path / "out", tmp_path / "x.csv")
    assert {line["interval_unit"] for line in lines} == {"groups"}
    pooled = [line for line in lines if line["is_pooled"] == "1"]
    assert sum(int(x["expected_real"]) + int(x["expected_fake"]) for x in pooled) == 240
    assert sum(int(x["scored_real"]) + int(x["scored_fake"]) for x in pooled) == 235
    text = (tmp_path / "out" / "report.md").read_text()
    assert "| no_score |" in text and "were not read: extra" in text


GOOD = "file,label,score\na,0,0.5\nb,1,1.5\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", r"x\.csv: is empty; .*file, label, score"),
        ("\n", r"x\.csv: is empty"),
        ("file,label,score\n", r"x\.csv: no row"),
        ("file,label\na,0\n", r"x\.csv: no column score among file, label"),
        ("name;label;score\n", r"no column file and no column label"),
        (GOOD.replace("0.5", "nan"), r"x\.csv, row 1, column score: 'nan' is not a finite number"),
        (GOOD.replace("1.5", "-inf"), r"row 2, column score: '-inf'"),
        (GOOD.replace("1.5", "high"), r"row 2, column score: 'high'"),
        (GOOD.replace("b,1", "b,2"), r"row 2, column label: '2' is none of 0, 1, real, fake"),
        (GOOD.replace("b,1", "b,"), r"row 2, column label: ''"),
        (GOOD.replace("b,1", ",1"), r"row 2, column file: is empty"),
        (GOOD.replace("b,1", "a,1"), r"row 2, column file: 'a' is in row 1 already"),
        (GOOD + "c,1\n", r"row 3: 2 cells under 3 columns"),
        (GOOD.replace("file,", "file,file,"), r"two columns are named file"),
        (
            "file,label,score,probability\na,0,1,0.5\nb,1,2,1.5\n",
            r"row 2, column probability: 1.5 is not in \[0, 1\]",
        ),
        (
            "file,label,score,method\na,0,1,swap\n",
            r"row 1, column method: 'swap' of a file whose label is '0'",
        ),
        ("file,label,score,method\na,1,1,real\n", r"column method: 'real'"),
        ("# avkd-scores-2; x\n", r"--out folder of avkd evaluate"),
    ],
)
def test_a_mistake_is_told_with_file_row_and_column(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "x.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=told):
        read_plain_scores(path)


def test_what_is_no_text_is_told_and_a_spreadsheets_mark_is_not_part_of_a_name(
    tmp_path: Path,
) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(GOOD.encode("utf-16"))
    with pytest.raises(ValueError, match="not a CSV table in UTF-8"):
        read_plain_scores(path)
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode() + b"\r\n")
    assert len(read_plain_scores(path)["x"].files) == 2


@pytest.mark.parametrize(
    "lines",
    ["a,1,0.5", "a,0,0.5", "a,1,", "a,1,0.5\nb,0,", "a,0,1\nb,1,1\n", "a,0,-1e308\nb,1,1e308\n"],
    ids=["one fake", "one real", "nothing scored", "a real not scored", "tied", "far apart"],
)
def test_a_table_of_next_to_nothing_gives_reasons_and_no_traceback(
    tmp_path: Path, lines: str
) -> None:
    (tmp_path / "x.csv").write_text(f"file,label,score\n{lines}\n")
    (line,) = report(tmp_path / "out", tmp_path / "x.csv")
    assert line["video_auc"] in ("", "0.5", "1.0") and line["video_auc_low"] == ""
    assert (tmp_path / "out" / "report.html").is_file()


def test_a_source_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"x\.csv: no such file or folder"):
        report(tmp_path / "out", tmp_path / "x.csv")


def test_models_with_one_name_are_refused(tmp_path: Path) -> None:
    for name in ("one", "two"):
        made_up_table().assign(model="m").to_csv(tmp_path / f"{name}.csv", index=False)
    with pytest.raises(ValueError, match="two models are named 'm'"):
        report(tmp_path / "out", tmp_path / "one.csv", tmp_path / "two.csv")


def test_the_same_table_gives_the_same_bytes(tmp_path: Path) -> None:
    made_up_table(size=60).to_csv(tmp_path / "x.csv", index=False)
    for out in ("a", "b"):
        report(tmp_path / out, tmp_path / "x.csv")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
