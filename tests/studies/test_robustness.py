"""`avkd robustness` through the real command line, on grey pictures and an untrained network.

What is tested is that a cell is what `avkd prepare` and `avkd evaluate` make of it, that the same
files stand in all of them, and that a stopped study goes on and nothing else does.
"""

import csv
import dataclasses
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from factories import write_image_model
from PIL import Image

from avkd import cli, durable
from avkd.config.load import ConfigError, parse
from avkd.config.study_config import RobustnessConfig
from avkd.data.manifest import Manifest, Sample
from avkd.data.perturbations.perturbations import KINDS
from avkd.reporting.scores import ClipScore, read_scores
from avkd.studies import robustness as study

METHODS = {"real": 7, "swap": 6, "dots": 5}
FILES_PER_METHOD = 4
CELLS = ("clean", "blur-5", "jpeg-5")


def avkd(*arguments: object) -> int:
    return cli.main([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest of pictures, two of which cannot be read."""
    root = tmp_path_factory.mktemp("source")
    random = np.random.default_rng(0)
    samples = []
    for side in ("train", "test"):
        for method, count in METHODS.items():
            for number in range(count):
                path = root / f"{side}_{method}_{number}.png"
                pixels = random.integers(0, 256, (40, 40, 3)).astype(np.uint8)
                pixels[:20] //= 2 if method == "swap" else 1
                Image.fromarray(pixels).save(path)
                if method == "dots" and number < 2:
                    path.write_text("not a picture")
                samples.append(
                    Sample(
                        sample_id=f"grey/{path.stem}",
                        path=path.name,
                        dataset="grey",
                        label=int(method != "real"),
                        method=method,
                        split=side,
                        kind="image",
                        identities=(path.stem,),
                    )
                )
    Manifest(root, tuple(samples)).save(root / "manifest.jsonl")
    return root / "manifest.jsonl"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root = tmp_path_factory.mktemp("models")
    return [
        write_image_model(root / name / "model.safetensors", seed=n) for n, name in enumerate("ab")
    ]


def crops(source: Path) -> list[object]:
    return [
        *("--source", source, "--layout", "manifest", "--split", "test"),
        *("--detector", "none", "--crop_pixels", 36, "--workers", 1),
    ]


def arguments(source: Path, models: list[Path], out: Path, *more: object) -> list[object]:
    return [
        *("robustness", "--models", *models, "--out", out, *crops(source)),
        *("--perturbations", "blur", "jpeg", "--severities", 5),
        *("--files_per_method", FILES_PER_METHOD, "--bootstrap_resamples", 100),
        *("--device", "cpu", "--threads", 1, *more),
    ]


@pytest.fixture(scope="module")
def finished(
    source: Path, models: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """A study that was stopped in the middle of its second cell and run again."""
    out = tmp_path_factory.mktemp("study") / "out"
    scored: list[str] = []
    evaluate = study.evaluate

    def stopping(config):
        if len(scored) == 3:
            (config.out / "scores").mkdir(parents=True)
            raise KeyboardInterrupt
        scored.append(config.out.name)
        return evaluate(config)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study, "evaluate", stopping)
        assert avkd(*arguments(source, models, out)) == 130
        assert (out / "corpora/blur-5/manifest.jsonl").is_file(), "what was being scored is kept"
        assert not (out / "corpora/clean").exists(), "what was scored is thrown away"
        assert not (out / "robustness.md").exists()
        again: list[tuple[str, str]] = []

        def counting(config):
            again.append((config.model.parent.name, config.out.name))
            return evaluate(config)

        patch.setattr(study, "evaluate", counting)
        assert avkd(*arguments(source, models, out)) == 3, "two files cannot be read"
    names = [(model, f".{cell}.unfinished") for cell in CELLS for model in "ab"]
    assert again == names[3:], "nothing is scored twice"
    yield out


def rows_of(folder: Path) -> list[ClipScore]:
    return [row for path in sorted((folder / "scores").glob("*.csv")) for row in read_scores(path)]


def lines_of(out: Path) -> list[dict[str, str]]:
    with (out / "robustness.csv").open() as file:
        return list(csv.DictReader(file))


def test_a_stopped_study_goes_on_and_leaves_its_tables_and_no_crops(finished: Path) -> None:
    assert {path.name for path in (finished / "scores").iterdir()} == {"a", "b"}
    for model in "ab":
        assert {path.name for path in (finished / "scores" / model).iterdir()} == {*CELLS}
    assert list((finished / "corpora").iterdir()) == []
    assert (finished / "robustness.png").read_bytes().startswith(b"\x89PNG")
    text = (finished / "robustness.md").read_text()
    assert all(f"\n{name} on grey (test): AUC %" in text for name in "ab")
    assert "4 dots, 4 real, 4 swap (up to 4 of each, drawn with seed 0)" in text


def test_a_cell_is_what_prepare_and_evaluate_make_of_it(
    finished: Path, source: Path, models: list[Path], tmp_path: Path
) -> None:
    distorted = ("--perturbation", "jpeg", "--severity", 5)
    assert avkd("prepare", *crops(source), "--out", tmp_path / "corpus", *distorted) == 3
    scored = ("--data", tmp_path / "corpus", "--out", tmp_path / "out", "--device", "cpu")
    assert avkd("evaluate", "--model", models[1], *scored, "--threads", 1) == 3
    plain = {row.sample_id: row for row in rows_of(tmp_path / "out")}
    cell = rows_of(finished / "scores/b/jpeg-5")
    assert len(plain) == 18 and len(cell) == 12
    assert [row for row in cell if not row.is_scored]
    for row in cell:
        same = plain[row.sample_id]
        # Sums of floats may be taken in another order, by the weather of the machine.
        assert row.logit == pytest.approx(same.logit, abs=1e-6)
        assert row.probability == pytest.approx(same.probability, abs=1e-6)
        numbers = {"logit": row.logit, "probability": row.probability}
        assert row == dataclasses.replace(same, **numbers)


def test_every_cell_holds_the_same_files_and_its_own_distortion(finished: Path) -> None:
    rows = {c: {r.sample_id: r.logit for r in rows_of(finished / "scores/a" / c)} for c in CELLS}
    assert all(rows[cell].keys() == rows["clean"].keys() for cell in CELLS)
    assert len(rows["clean"]) == 3 * FILES_PER_METHOD
    logits = [tuple(sorted(v for v in rows[cell].values() if v is not None)) for cell in CELLS]
    assert len({*logits}) == len(CELLS)


def test_the_table_holds_the_numbers_of_the_cells_reports(finished: Path) -> None:
    lines = lines_of(finished)
    # 2 models, 3 methods; clean, 2 x (a cell and its mean), the mean of a severity and of all
    assert len(lines) == 2 * 3 * (1 + 2 * 2 + 2)
    cells = [
        line for line in lines if line["perturbation"] != "mean" and line["severity"] != "mean"
    ]
    for line in cells:
        name = line["perturbation"]
        name += "" if name == "clean" else f"-{line['severity']}"
        with (finished / "scores" / line["model"] / name / "report.csv").open() as file:
            (report,) = (row for row in csv.DictReader(file) if row["method"] == line["method"])
        ends = [report["video_auc_low"], report["video_auc_high"]]
        assert [line["auc_low"], line["auc_high"]] == ends
        assert line["auc"] == report["video_auc"] and line["coverage"] == report["coverage"]


def test_which_files_are_drawn_depends_on_the_seed_alone(
    source: Path, models: list[Path], tmp_path: Path
) -> None:
    def drawn(*more: object) -> list[str]:
        words = [str(word) for word in arguments(source, models, tmp_path, *more)[1:]]
        return [
            s.sample_id for s in study._files(parse("robustness", RobustnessConfig, words)).samples
        ]

    assert drawn() == drawn("--perturbations", "noise", "--threads", 2)
    assert drawn() != drawn("--seed", 1)
    assert len(drawn("--files_per_method", 6)) == 6 + 6 + 5
    assert {*drawn("--files_per_method", 3)} < {*drawn()}
    one_method = drawn("--methods", "swap")
    assert {*one_method} < {*drawn()} and not any("dots" in name for name in one_method)
    with pytest.raises(ValueError, match=r"'fog' is not in the test split .* there are dots, real"):
        drawn("--methods", "fog")


def test_another_study_in_the_same_folder_is_refused_by_name(
    finished: Path, source: Path, models: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    before = (finished / "robustness.json").read_text()
    for more, told in (
        (("--seed", 1), "seed was 0, is 1"),
        (("--files_per_method", 3), "files_per_method was 4, is 3"),
        (("--crop_pixels", 40), "crop_pixels was 36, is 40"),
        (("--dataset", "other"), "dataset was None, is 'other'"),
    ):
        assert avkd(*arguments(source, models, finished, *more)) == 2
        assert told in capsys.readouterr().err
    assert (finished / "robustness.json").read_text() == before


def test_a_model_that_was_trained_again_is_not_taken_for_the_old_one(
    finished: Path, source: Path, models: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    other = write_image_model(tmp_path / "a" / "model.safetensors", seed=7)
    assert avkd(*arguments(source, [other, models[1]], finished)) == 2
    assert "a was '" in capsys.readouterr().err


def test_longer_lists_add_to_what_is_there(
    finished: Path,
    source: Path,
    models: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "copy"
    shutil.copytree(finished, out)
    scored: list[str] = []
    evaluate = study.evaluate

    def counting(config):
        scored.append(config.out.name)
        return evaluate(config)

    monkeypatch.setattr(study, "evaluate", counting)
    more = ("--perturbations", "jpeg", "contrast", "--severities", 5, "--keep_corpora", "true")
    assert avkd(*arguments(source, models[:1], out, *more)) == 3
    assert scored == [".contrast-5.unfinished"]
    assert (out / "corpora/contrast-5/manifest.jsonl").is_file()
    found = {(line["model"], line["perturbation"]) for line in lines_of(out)}
    assert found == {("a", name) for name in ("clean", "jpeg", "contrast", "mean")}
    fingerprints = json.loads((out / "robustness.json").read_text())["fingerprints"]
    assert fingerprints.keys() == {"a", "b"}, "b is still known by its file"


def test_two_at_once_do_not_work_in_one_folder(
    finished: Path, source: Path, models: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    with durable.locked(finished / ".lock", "busy"):
        assert avkd(*arguments(source, models, finished)) == 2
    assert "another avkd robustness is at work here" in capsys.readouterr().err


def test_models_are_called_by_what_tells_them_apart() -> None:
    def names(*paths: str) -> list[str]:
        return list(study._names([Path(path) for path in paths]))

    assert names("/runs/a/model.safetensors") == ["a"]
    assert names("/runs/a/model.safetensors", "/runs/b/model.safetensors") == ["a", "b"]
    assert names("/runs/old.safetensors", "/runs/new.safetensors") == ["old", "new"]
    assert names("/x/seed-0/model.safetensors", "/y/seed-0/model.safetensors") == [
        "x_seed-0",
        "y_seed-0",
    ]
    with pytest.raises(ValueError, match="given twice"):
        names("/x/model.safetensors", "/x/model.safetensors")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (("--severities", "6"), "severity must be in 1..5"),
        (("--severities", "2", "2"), "severities: each only once"),
        (("--perturbations", "fog"), "fog"),
        (("--perturbations", "blur", "sound_shift"), "sound_shift has no effect on a detector"),
        (("--faces", "clean"), "faces has no effect"),
        (("--files_per_method", "1"), "files_per_method"),
        (("--bootstrap_resamples", "10"), "bootstrap_resamples"),
        (("--models=[]",), "models is empty"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_at_once(changes: tuple[str, ...], told: str) -> None:
    words = [str(word) for word in arguments(Path("s"), [Path("m")], Path("o"))[1:]]
    with pytest.raises(ConfigError, match=told):
        parse("robustness", RobustnessConfig, [*words, *changes])


def test_the_seven_of_deeperforensics_are_the_default() -> None:
    config = RobustnessConfig(
        models=(Path("m"),), source=Path("s"), layout="manifest", out=Path("o")
    )
    published = tuple(name for name, kind in KINDS.items() if kind.group == "deeperforensics")
    assert config.perturbations == published and config.severities == (1, 2, 3, 4, 5)
