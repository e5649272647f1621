"""`avkd matrix` through the real command line, on pictures that a few channels learn in seconds.

Reals are smooth pictures, forgeries carry a grid or lines: what is tested is who is trained on what
and tested where, and that every number is that of `avkd evaluate`.
"""

import csv
import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image

from avkd import cli
from avkd.config.training_config import PretrainConfig, VideoModelConfig
from avkd.data.manifest import Manifest, Sample
from avkd.data.prepare import prepare
from avkd.data.prepare_file import PrepareSettings
from avkd.models.model_file import read_header
from avkd.outcome import ExitCode, Outcome
from avkd.studies import grid, matrix
from avkd.training import run_folder

FILES = {"train": 12, "val": 6, "test": 6}
METHODS_OF_ONE = ("dots", "grid")
METHODS_OF_TWO = ("grid", "odd/name")
RECIPE = {
    "model": {"name": "resnet8", "widths": [4, 8, 8], "image_size": 28},
    "optim": {"lr": 0.01},
    "loop": {"epochs": 1, "batch_size": 4, "device": "cpu", "precision": "fp32", "threads": 1},
}


def avkd(*arguments: object) -> int:
    return cli.main([str(argument) for argument in arguments])


def draw(rng: np.random.Generator, method: str, size: int = 40) -> np.ndarray:
    coarse = rng.integers(60, 180, size=(3, 3, 3)).astype(np.uint8)
    image = np.asarray(Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC))
    image = image.astype(np.int16)
    if method in ("grid", "dots"):
        image[::2] += 40
    if method in ("grid", "odd/name"):
        image[:, ::2] -= 40
    return image.clip(0, 255).astype(np.uint8)


def sample_of(dataset: str, side: str, number: int, method: str, person: str) -> Sample:
    name = f"{side}_{number}_{method.replace('/', '_')}.png"
    return Sample(
        sample_id=f"{dataset}/{name}",
        path=name,
        kind="image",
        label=int(method != "real"),
        dataset=dataset,
        method=method,
        identities=(person,),
        split=side,
    )


def write_corpus(
    root: Path, dataset: str, methods: tuple[str, ...], *, test_people: str = "", seed: int = 0
) -> Path:
    """A prepared corpus: as many reals as forgeries of all methods, in turn, on every side."""
    rng = np.random.default_rng(seed)
    source = root / "source" / dataset
    source.mkdir(parents=True)
    samples = []
    for side, count in FILES.items():
        people = test_people if side == "test" and test_people else f"{dataset}-{side}"
        for number in range(count):
            for method in ("real", methods[number % len(methods)]):
                sample = sample_of(dataset, side, number, method, f"{people}-{number}")
                Image.fromarray(draw(rng, method)).save(source / sample.path)
                samples.append(sample)
    (source / "broken.png").write_text("no picture")
    broken = sample_of(dataset, "test", 99, methods[0], f"{dataset}-test-99")
    samples.append(Sample(**{**vars(broken), "path": "broken.png"}))
    prepared = root / "prepared" / dataset
    prepare(
        Manifest(source, tuple(samples)),
        prepared,
        PrepareSettings(detector="none", crop_size=32),
        workers=1,
    )
    return prepared


class Study(NamedTuple):
    root: Path
    one: Path
    two: Path
    recipe: Path
    given: Path
    config: dict[str, Any]
    out: Path

    @property
    def rows(self) -> list[dict[str, str]]:
        return rows_of(self.out)


def rows_of(out: Path) -> list[dict[str, str]]:
    with (out / "matrix.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def write_yaml(path: Path, values: dict[str, Any]) -> Path:
    path.write_text(json.dumps(values))  # JSON is YAML
    return path


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Two corpora; one recipe on each, and a model that is there already."""
    root = tmp_path_factory.mktemp("matrix")
    one = write_corpus(root, "one", METHODS_OF_ONE)
    two = write_corpus(root, "two", METHODS_OF_TWO, seed=1)
    values = {**RECIPE, "data": [str(one)], "run": str(root / "alone")}
    recipe = write_yaml(root / "recipe.yaml", values)
    assert avkd("distill", "--config", recipe) == 0
    config = {
        "trainings": [
            {"name": "on one", "distill": str(recipe), "leave_out": ["all"]},
            {"name": "on two", "distill": str(recipe), "data": [str(two)]},
            {"name": "given", "model": str(root / "alone/model.safetensors")},
        ],
        "tests": [
            {"name": "one", "data": [str(one)]},
            {"name": "two|<b>", "data": [str(two)]},
            {"name": "grid of both", "data": [str(one), str(two)], "methods": ["grid"]},
        ],
        "seeds": [3],
        "bootstrap_resamples": 100,
        "out": str(root / "out"),
    }
    assert avkd("matrix", "--config", write_yaml(root / "matrix.yaml", config)) == 3  # broken.png
    return Study(root, one, two, recipe, root / "alone", config, root / "out")


def sheet(study: Study) -> dict[tuple[str, str, str, str], dict[str, str]]:
    keys = ("training", "left_out", "test", "method")
    return {tuple(row[key] for key in keys): row for row in study.rows}


def changed(study: Study, tmp_path: Path, **settings: Any) -> Path:
    """The study's YAML with other settings, into a folder where nothing is yet."""
    values = {**study.config, "out": str(tmp_path / "out"), **settings}
    return write_yaml(tmp_path / "changed.yaml", values)


# Numbers


def test_every_cell_is_the_number_of_a_plain_evaluation(study: Study, tmp_path: Path) -> None:
    runs = study.out / "runs"
    models = {
        ("on one", ""): runs / "on one/all_methods/seed-3",
        ("on one", "grid"): runs / "on one/without_grid/seed-3",
        ("given", ""): study.given,
    }
    cells = sheet(study)
    for (training, left_out), run in models.items():
        out = tmp_path / training / (left_out or "whole")
        arguments = ["--model", run / "model.safetensors", "--data", study.one, study.two]
        more = ["--bootstrap_resamples", 100, "--device", "cpu", "--tables_only"]
        assert avkd("evaluate", *arguments, "--out", out, *more) == 3
        with (out / "report.csv").open(encoding="utf-8", newline="") as file:
            plain = list(csv.DictReader(file))
        assert len(plain) == 6
        for line in plain:
            test = {"one": "one", "two": "two|<b>"}[line["dataset"]]
            cell = cells[training, left_out, test, line["method"]]
            same = ("video_auc", "video_auc_low", "video_auc_high", "video_auc_missing_neutral")
            for name in (*same, "scored_real", "scored_fake", "expected_fake", "is_pooled"):
                assert cell[name] == line[name], (training, left_out, line["method"], name)
            assert float(cell["coverage"]) == pytest.approx(float(line["coverage"]))


def test_every_training_meets_every_test(study: Study) -> None:
    pooled = [r for r in study.rows if r["is_pooled"] == "1" and not r["left_out"]]
    assert [(r["training"], r["test"]) for r in pooled] == [
        (training, test)
        for training in ("on one", "on two", "given")
        for test in ("one", "two|<b>", "grid of both")
    ]
    assert {r["seed"] for r in study.rows if r["training"] != "given"} == {"3"}
    assert {r["seed"] for r in study.rows if r["training"] == "given"} == {""}


def test_cells_say_what_was_trained_on_the_same_corpus_and_on_the_same_method(
    study: Study,
) -> None:
    cells = sheet(study)
    shared = "corpora_shared_with_training"
    assert cells["on one", "", "one", "all"][shared] == "same"
    assert cells["on one", "", "two|<b>", "all"][shared] == "none"
    assert cells["on two", "", "two|<b>", "all"][shared] == "same"
    assert cells["on two", "", "grid of both", "grid"][shared] == "shared"
    assert cells["given", "", "one", "all"][shared] == "same"  # as its file says
    seen = "method_in_training"
    assert cells["on one", "", "two|<b>", "grid"][seen] == "1"
    assert cells["on one", "", "two|<b>", "odd/name"][seen] == "0"
    assert cells["on one", "grid", "one", "grid"][seen] == "0"
    assert cells["on one", "grid", "one", "dots"][seen] == "1"
    assert cells["on one", "", "one", "all"][seen] == ""


def test_a_protocol_says_what_is_tested_and_how(study: Study, tmp_path: Path) -> None:
    values = {"name": "ours", "source": "made up", "methods": ["grid"], "reals_from": "one"}
    protocol = write_yaml(tmp_path / "protocol.yaml", values)
    both = {"name": "both", "data": [str(study.one), str(study.two)], "protocol": str(protocol)}
    given = study.config["trainings"][2:]
    assert avkd("matrix", "--config", changed(study, tmp_path, trainings=given, tests=[both])) == 3
    (row,) = rows_of(tmp_path / "out")
    assert row["method"] == "grid" and row["is_pooled"] == "1"
    # The reals of one corpus alone, the grids of both: of 3 + 4, one is no picture.
    assert (row["expected_real"], row["expected_fake"], row["scored_fake"]) == ("6", "7", "6")


# Leave one method out


def test_leaving_one_out_takes_exactly_that_method_from_training(study: Study) -> None:
    runs = study.out / "runs"
    assert sorted(path.name for path in (runs / "on one").iterdir()) == [
        *("all_methods", "without_dots", "without_grid")
    ]
    for method in METHODS_OF_ONE:
        header = read_header(runs / f"on one/without_{method}/seed-3/model.safetensors")
        others = [name for name in METHODS_OF_ONE if name != method]
        assert header.provenance["training_methods"] == [*others, "real"]
        assert header.provenance["excluded_methods"] == [method]
        assert header.provenance["seed"] == 3
        text = (runs / f"on one/without_{method}/seed-3/scores/validation.csv").read_text()
        assert f'"{method}"' not in text and f'"{others[0]}"' in text
    # A training is repeated for its own methods only; a method is tested where there is some of it.
    assert [path.name for path in (runs / "on two").iterdir()] == ["all_methods"]
    tested = {(r["left_out"], r["test"]) for r in study.rows if r["left_out"]}
    assert tested == {
        *(("dots", "one"), ("grid", "one"), ("grid", "two|<b>"), ("grid", "grid of both"))
    }


def test_a_method_is_named_by_its_maker_and_cannot_choose_the_folder(
    study: Study, tmp_path: Path
) -> None:
    first = {**study.config["trainings"][1], "leave_out": ["odd/name"]}
    tests = study.config["tests"][1:2]
    path = changed(study, tmp_path, trainings=[first], tests=tests)
    assert avkd("matrix", "--config", path) == 3
    folders = sorted(path.name for path in (tmp_path / "out/runs/on two").iterdir())
    assert folders[0] == "all_methods" and len(folders) == 2
    assert folders[1].startswith("without_") and "odd" not in folders[1]
    rows = rows_of(tmp_path / "out")
    assert [r["method"] for r in rows if r["left_out"] == "odd/name"] == ["grid", "odd/name", "all"]


# Going on


def test_again_nothing_is_trained_and_what_is_gone_is_made_again(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    path, before = study.root / "matrix.yaml", (study.out / "matrix.csv").read_bytes()
    pages = {name: (study.out / name).read_bytes() for name in ("matrix.md", "matrix.html")}
    runs, scores = study.out / "runs", study.out / "scores"
    moments = {p: p.stat().st_mtime_ns for p in study.out.rglob("*") if p.suffix == ".safetensors"}
    scored = {p: p.stat().st_mtime_ns for p in scores.rglob("scores/*.csv")}
    shutil.rmtree(runs / "on one/without_grid")
    # Stopped between its last checkpoint and its model file.
    stopped = runs / "on two/all_methods/seed-3/model.safetensors"
    stopped.unlink()
    assert avkd("matrix", "--config", path) == 3
    for file, moment in moments.items():
        is_made_again = file == stopped or "without_grid" in str(file)
        assert (file.stat().st_mtime_ns != moment) == is_made_again, file
    assert all(file.stat().st_mtime_ns == moment for file, moment in scored.items())
    assert (study.out / "matrix.csv").read_bytes() == before
    assert {name: (study.out / name).read_bytes() for name in pages} == pages


def test_a_stopped_run_goes_on_with_another_code_only_where_that_is_asked_for(
    study: Study,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runs = Path("runs/on two")
    shutil.copytree(study.out / runs, tmp_path / "out" / runs)
    model = tmp_path / "out" / runs / "all_methods/seed-3/model.safetensors"
    model.unlink()  # stopped between its last checkpoint and its model file
    monkeypatch.setattr(run_folder, "code_fingerprint", lambda: "another")
    settings = {"trainings": study.config["trainings"][1:2], "tests": study.config["tests"][:1]}
    path = changed(study, tmp_path, **settings)
    assert avkd("matrix", "--config", path) == 2
    told = capsys.readouterr().err
    assert "the code changed since" in told and "--resume_changed true" in told
    assert not model.exists()
    assert avkd("matrix", "--config", path, "--resume_changed", "true") == 3
    assert model.exists()


def test_what_was_made_otherwise_is_not_taken_for_what_is_wanted(
    study: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trainings = [{"name": "given", "model": study.config["trainings"][2]["model"]}]
    path = changed(study, tmp_path, trainings=trainings)
    assert avkd("matrix", "--config", path) == 3
    other = study.out / "runs/on two/all_methods/seed-3/model.safetensors"
    path = changed(study, tmp_path, trainings=[{"name": "given", "model": str(other)}])
    assert avkd("matrix", "--config", path) == 2
    assert "holds scores of another model" in capsys.readouterr().err
    values = {**RECIPE, "data": [str(study.one)], "run": "unused", "optim": {"lr": 0.5}}
    recipe = write_yaml(tmp_path / "recipe.yaml", values)
    training = {"name": "on two", "distill": str(recipe), "data": [str(study.two)]}
    shutil.copytree(study.out / "runs/on two", tmp_path / "out/runs/on two")
    path = changed(study, tmp_path, trainings=[training])
    assert avkd("matrix", "--config", path) == 2
    assert "finished run with other settings" in capsys.readouterr().err


# Refusals: before anything is trained


def refused(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert avkd("matrix", "--config", path) == 2
    assert not (tmp_path / "out").exists(), "something was made before it was refused"
    return capsys.readouterr().err


def test_people_of_a_training_in_a_test_are_refused(
    study: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    three = write_corpus(tmp_path, "three", ("grid",), test_people="one-train", seed=2)
    tests = [*study.config["tests"], {"name": "three", "data": [str(three)]}]
    message = refused(changed(study, tmp_path, tests=tests), tmp_path, capsys)
    assert "training on one, test three: identity 'one-train-0'" in message
    assert "test: three/" in message and "train: one/" in message
    # The same of a model that was given, once it is said what it was trained on.
    given = {"name": "given", "model": study.config["trainings"][2]["model"]}
    knowing = {**given, "data": [str(study.one)]}
    path = changed(study, tmp_path, trainings=[knowing], tests=tests)
    assert "training given, test three" in refused(path, tmp_path, capsys)
    path = changed(study, tmp_path, trainings=[given], tests=tests[-1:])
    assert avkd("matrix", "--config", path) == 3
    text = (tmp_path / "out/matrix.md").read_text()
    assert "**Whether given was trained on people of the tests is not checked" in text


def test_what_cannot_be_left_out_or_tested_is_refused(
    study: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = study.config["trainings"][:2]
    twin = shutil.copytree(study.one, tmp_path / "twin")
    selecting = write_yaml(
        tmp_path / "protocol.yaml", {"name": "ours", "source": "made up", "split": "val"}
    )
    given = study.config["tests"][0]
    cases = [
        ({"trainings": [{**two, "leave_out": ["dots"]}]}, "not trained on 'dots'"),
        (
            {"trainings": [{**one, "exclude_methods": ["dots"]}]},
            "grid is its only method",
        ),
        (
            {"trainings": [one], "tests": study.config["tests"][2:]},
            "no test holds 'dots'",
        ),
        ({"tests": [{"name": "x", "data": [str(study.one)], "methods": ["no"]}]}, "no 'no' in"),
        (
            {"tests": [{"name": "x", "data": [str(study.one), str(twin)]}]},
            "a second corpus named 'one'",
        ),
        ({"tests": [{**given, "protocol": str(selecting)}]}, "scores val splits"),
    ]
    for settings, sentence in cases:
        path = changed(study, tmp_path, **settings)
        assert sentence in refused(path, tmp_path, capsys)


def test_corpora_cropped_apart_are_refused_unless_allowed(
    study: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = study.root / "source/two"
    manifest = Manifest.load(study.two / "inputs.jsonl", root=source)
    larger = tmp_path / "larger"
    prepare(manifest, larger, PrepareSettings(detector="none", crop_size=40), workers=1)
    settings: dict[str, Any] = {
        "trainings": study.config["trainings"][2:],
        "tests": [
            {"name": "one", "data": [str(study.one)]},
            {"name": "larger", "data": [str(larger)]},
        ],
    }
    message = refused(changed(study, tmp_path, **settings), tmp_path, capsys)
    assert "cropped apart" in message and "--mixed_preprocessing true" in message
    path = changed(study, tmp_path, **settings, mixed_preprocessing=True)
    assert avkd("matrix", "--config", path) == 3
    assert "cropped apart" in (tmp_path / "out/matrix.md").read_text()


# The table


def test_the_page_and_the_markdown_show_what_names_say_and_run_none_of_it(study: Study) -> None:
    text = (study.out / "matrix.md").read_text()
    assert "two\\|&lt;b>" in text and "two|<b>" not in text
    page = (study.out / "matrix.html").read_text()
    assert "two|&lt;b&gt;" in page and "<b>" not in page
    assert "selected, and its threshold chosen, on the validation splits" in text
    assert (study.out / "matrix.png").stat().st_size > 10_000


def test_a_recipe_of_videos_is_trained_by_finetune(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The matrix's seed, run folder and methods reach a `finetune` recipe as they do `distill`."""
    taken = []

    def stop(config: Any) -> None:
        taken.append(config)
        raise ValueError("stopped here")

    monkeypatch.setattr(grid, "finetune", stop)
    values = {"data": [str(study.one)], "run": "unused", "ssl_weight": 0, "loop": {"seed": 9}}
    recipe = write_yaml(tmp_path / "recipe.yaml", values)
    training = {"name": "video", "finetune": str(recipe), "exclude_methods": ["dots"]}
    path = changed(study, tmp_path, trainings=[training], threads=1)
    with pytest.raises(ValueError, match="stopped here"):
        avkd("matrix", "--config", path)
    (config,) = taken
    assert config.exclude_methods == ("dots",) and config.loop.seed == 3
    assert config.run == tmp_path / "out/runs/video/all_methods/seed-3"
    assert config.loop.threads == 1 and config.data == (study.one,)


def test_stage_one_is_trained_once_for_all_that_start_from_it(
    study: Study,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """At every seed; its control too, and none of its clips may show people of a test."""
    taken: list[Any] = []

    def stop(runs: list[grid.GridRun], *rest: object, **settings: object) -> None:
        taken.extend(runs)
        raise ValueError("stopped here")

    monkeypatch.setattr(matrix, "run_grid", stop)
    values = {"data": [str(study.one)], "run": "unused", "loop": {"epochs": 7}}
    pretrain = write_yaml(tmp_path / "heard.yaml", {**values, "video": {"image_size": 48}})
    recipe = write_yaml(tmp_path / "recipe.yaml", {**values, "ssl_weight": 0})
    training: dict[str, Any] = {
        **{"name": "video", "finetune": str(recipe), "pretrain": str(pretrain)},
        **{"ssl_weights": [0, 0.3], "teachers": ["stage_one", "random"], "clips": [9]},
        "backbones": [{"name": "csn101", "width": 8, "image_size": 64}],
    }
    path = changed(study, tmp_path, trainings=[training], seeds=[3, 4])
    with pytest.raises(ValueError, match="stopped here"):
        avkd("matrix", "--config", path)
    assert len(taken) == 2 * 3 and len({run.scores for run in taken}) == 6
    folder = tmp_path / "out/stage_one"
    trained, drawn = (folder / f"heard_csn101_9_clips{end}/seed-3" for end in ("", "_as_drawn"))
    of_seed = [run for run in taken if run.seed == 3]
    assert [[one.run for one in run.before] for run in of_seed] == [
        *([trained], [trained], [trained, drawn])
    ]
    for run in of_seed:
        assert run.recipe.pretrained == trained / "model.safetensors"
        assert run.recipe.video == VideoModelConfig(name="csn101", width=8, image_size=64)
    weights = [(run.recipe.ssl_weight, run.recipe.teacher) for run in of_seed]
    assert weights == [(0, None), (0.3, None), (0.3, drawn / "model.safetensors")]
    heard, control = of_seed[2].before
    assert heard.video.image_size == control.video.image_size == 48 and heard.training_clips == 9
    assert (heard.loop.epochs, heard.loop.seed, heard.force) == (7, 3, False)
    assert (control.loop.steps, control.optim.lr, control.force) == (20, 1e-12, True)

    three = write_corpus(tmp_path, "three", ("grid",), test_people="one-train", seed=2)
    other = {**training, "data": [str(study.two)]}
    tests = [{"name": "three", "data": [str(three)]}]
    path = changed(study, tmp_path, trainings=[other], tests=tests)
    assert "identity 'one-train-0'" in refused(path, tmp_path, capsys)


def test_a_stage_one_at_chance_ends_the_matrix(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_chance = Outcome("retrieval at chance", ExitCode.NOTHING_USABLE)
    monkeypatch.setattr(grid, "pretrain", lambda config: at_chance)
    with pytest.raises(ValueError, match="at chance"):
        grid._train_once(PretrainConfig(data=(study.one,), run=tmp_path / "none"))
