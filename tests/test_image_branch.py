"""The image branch through the real command line: prepare, distill, compare, evaluate, predict.

Reals are smooth pictures, fakes carry a fine grid, so that a network of a few channels learns them
in seconds: what is tested is the wiring and the honesty, not the method.
"""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from verb_apart import start, stop_after

from avkd import cli, runtime
from avkd.config.image_config import DistillConfig
from avkd.config.load import parse
from avkd.data import build
from avkd.data.manifest import Manifest, Sample
from avkd.data.prepare import prepare
from avkd.data.prepare_file import PrepareSettings
from avkd.models.model_file import load_model, read_header
from avkd.reporting.scores import read_scores
from avkd.studies import throughput
from avkd.teachers.teacher import TeacherModel
from avkd.training.resume import load_state

SIDES = {"train": 16, "val": 6, "test": 6}
MODEL = ["--model.widths", "4", "8", "8", "--model.image_size", "28"]
LOOP = [
    *("--loop.epochs", "2", "--loop.batch_size", "4", "--loop.device", "cpu"),
    *("--loop.precision", "fp32", "--loop.threads", "1", "--optim.lr", "0.01"),
]


@pytest.fixture(autouse=True)
def short_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a second for each turn of a benchmark is for who reads its numbers."""
    monkeypatch.setattr(throughput, "_SHORTEST_TURN_SECONDS", 0.02)


def avkd(*arguments: object) -> int:
    return cli.main([str(argument) for argument in arguments])


def done(*arguments: object) -> None:
    code = avkd(*arguments)
    assert code == 0, f"avkd {arguments[0]} ended with {code}"


def draw(rng: np.random.Generator, is_fake: bool, size: int = 40) -> np.ndarray:
    coarse = rng.integers(60, 180, size=(3, 3, 3)).astype(np.uint8)
    image = np.asarray(Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC))
    image = image.astype(np.int16)
    if is_fake:
        image[::2] += 40
        image[:, ::2] -= 40
    return image.clip(0, 255).astype(np.uint8)


def write_set(root: Path, dataset: str, seed: int = 0) -> Manifest:
    """Pictures of both classes on all sides, and one file that is no picture on the test side."""
    rng = np.random.default_rng(seed)
    samples = []
    for side, count in SIDES.items():
        for number in range(count):
            is_fake = bool(number % 2)
            name = f"{side}_{number}.png"
            root.mkdir(parents=True, exist_ok=True)
            Image.fromarray(draw(rng, is_fake)).save(root / name)
            samples.append(sample_of(name, dataset, is_fake, side))
    (root / "broken.png").write_text("no picture")
    samples.append(sample_of("broken.png", dataset, True, "test"))
    return Manifest(root, tuple(samples))


def sample_of(name: str, dataset: str, is_fake: bool, side: str) -> Sample:
    return Sample(
        sample_id=f"{dataset}/{name}",
        path=name,
        kind="image",
        label=int(is_fake),
        dataset=dataset,
        method="grid" if is_fake else "real",
        identities=(f"{dataset}-{name}",),
        split=side,
    )


class Sets(NamedTuple):
    source: Path
    one: Path
    two: Path


@pytest.fixture(scope="session")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Sets:
    root = tmp_path_factory.mktemp("image_sets")
    for seed, name in enumerate(("one", "two")):
        manifest = write_set(root / name, name, seed)
        prepare(
            manifest,
            root / "prepared" / name,
            PrepareSettings(detector="none", crop_size=32),
            workers=1,
        )
    return Sets(root / "one", root / "prepared" / "one", root / "prepared" / "two")


def distill_arguments(sets: Sets, run: Path, *more: object) -> list[object]:
    return ["distill", "--data", sets.one, "--run", run, *MODEL, *LOOP, *more]


@pytest.fixture(scope="session")
def teacher(sets: Sets, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("image_runs") / "teacher"
    done(*distill_arguments(sets, run, "--model.widths", 8, 8, 8))
    return run


@pytest.fixture(scope="session")
def student(sets: Sets, teacher: Path) -> Path:
    run = teacher.with_name("student")
    done(*distill_arguments(sets, run, "--teacher", teacher / "model.safetensors"))
    return run


def log_rows(run: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def assert_equal_models(first: Path, second: Path) -> None:
    ours, theirs = (load_file(run / "model.safetensors") for run in (first, second))
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        assert torch.equal(tensor, theirs[name]), name


# Training and distillation


def test_the_model_file_says_what_it_is_and_who_taught_it(teacher: Path, student: Path) -> None:
    header = read_header(student / "model.safetensors", kind="image_detector")
    assert header.provenance["teacher"] == read_header(teacher / "model.safetensors").sha256
    assert header.provenance["alpha"] == 0.4 and header.provenance["temperature"] == 4.0
    assert header.provenance["soft"] == "kl" and header.provenance["training_methods"] == [
        "grid",
        "real",
    ]
    assert header.preprocessing["faces"] == "whole" and header.preprocessing["crop_pixels"] == 32
    assert header.decision is not None and "6 validation files" in header.decision.source
    alone = read_header(teacher / "model.safetensors")
    assert alone.provenance["teacher"] is None and alone.provenance["alpha"] == 0.0


def test_the_calibration_asked_for_is_in_the_file_or_refused_before_anything_is_trained(
    sets: Sets, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done(*distill_arguments(sets, tmp_path / "run", "--calibration", "temperature"))
    rule = read_header(tmp_path / "run/model.safetensors").decision
    assert rule is not None and rule.calibration.kind == "temperature"
    assert rule.fit is not None and rule.fit.num_real + rule.fit.num_fake == 6
    assert avkd(*distill_arguments(sets, tmp_path / "none", "--calibration", "isotonic")) == 2
    assert "--calibration platt" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_the_loss_is_the_promised_mixture(student: Path) -> None:
    steps = [row for row in log_rows(student) if "loss/total" in row]
    assert len(steps) == 2 * 4
    for row in steps:
        mixture = 0.4 * row["loss/soft"] + 0.6 * row["loss/hard"]
        assert row["loss/total"] == pytest.approx(mixture, rel=1e-5)
        assert row["loss/soft"] > 0 and 0 <= row["teacher/agreement"] <= 1


def test_answers_given_once_train_the_very_same_student(
    sets: Sets, teacher: Path, tmp_path: Path
) -> None:
    """Cached and asked at every step must be one method; only the second asks often."""
    views = ["--views.crop", "true", "--views.flip", 0.5]
    given = ["--teacher", teacher / "model.safetensors", *views]
    done(*distill_arguments(sets, tmp_path / "online", *given))
    done(*distill_arguments(sets, tmp_path / "cached", *given, "--cached_views", 2))
    assert len(list((tmp_path / "cached/teacher_outputs").glob("part-*"))) == 2
    assert not (tmp_path / "online/teacher_outputs").exists()
    online, cached = (
        [row["loss/soft"] for row in log_rows(tmp_path / name) if "loss/soft" in row]
        for name in ("online", "cached")
    )
    assert cached == pytest.approx(online, rel=1e-4)


def test_stale_answers_are_refused(sets: Sets, teacher: Path, tmp_path: Path) -> None:
    shared = ["--teacher_outputs", tmp_path / "outputs"]
    given = ["--teacher", teacher / "model.safetensors", *shared]
    done(*distill_arguments(sets, tmp_path / "first", *given))
    done(*distill_arguments(sets, tmp_path / "second", *given, "--soft", "mse"))
    done(*distill_arguments(sets, tmp_path / "other_teacher"))
    other = ["--teacher", tmp_path / "other_teacher/model.safetensors", *shared]
    assert avkd(*distill_arguments(sets, tmp_path / "third", *other)) == 2


def test_a_teacher_is_frozen_in_eval_mode_and_no_part_of_the_checkpoints(
    teacher: Path, student: Path
) -> None:
    state = load_state(student / "checkpoints/last.safetensors")["model"]
    assert state and all(name.startswith("student.") for name in state)
    machine = runtime.start(device="cpu", threads=1)
    opened = TeacherModel(teacher / "model.safetensors", machine)
    assert not any(part.training for part in opened.model.modules())
    assert not any(parameter.requires_grad for parameter in opened.model.parameters())


def test_a_student_learns_what_the_labels_say(sets: Sets, tmp_path: Path) -> None:
    """The other way round, this easy task would end far below one half."""
    run = tmp_path / "longer"
    done(*distill_arguments(sets, run, "--loop.epochs", 15))
    out = tmp_path / "table"
    code = avkd(
        *("evaluate", "--model", run / "model.safetensors", "--data", sets.one, sets.two),
        *("--out", out, "--bootstrap_resamples", 100, "--device", "cpu", "--tables_only"),
    )
    assert code == 3  # one file is no picture
    with (out / "report.csv").open() as file:
        rows = {row["dataset"]: row for row in csv.DictReader(file)}
    assert float(rows["one"]["video_auc"]) > 0.85 and float(rows["two"]["video_auc"]) > 0.85
    assert rows["one"]["expected_fake"] == "4" and rows["one"]["scored_fake"] == "3"
    broken = [r for r in read_scores(out / "scores/one.csv") if r.sample_id == "one/broken.png"]
    assert broken[0].status == "not_media" and broken[0].logit is None


def test_a_stopped_distillation_goes_on_as_if_nothing_had_happened(
    sets: Sets, teacher: Path, tmp_path: Path
) -> None:
    views = ["--views.crop", "true", "--loop.epochs", 3]
    given = ["--teacher", teacher / "model.safetensors", *views]
    done(*distill_arguments(sets, tmp_path / "straight", *given))
    command = distill_arguments(sets, tmp_path / "stopped", *given)
    if stop_after(start(*command), tmp_path / "stopped", 3, signal.SIGTERM) == 143:
        done(*command, "--resume")
    assert_equal_models(tmp_path / "straight", tmp_path / "stopped")


def in_two_processes(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            *("--nproc_per_node", "2", "-m", "avkd", "--", *map(str, arguments)),
        ],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def ranks_of(process: subprocess.Popen[str]) -> list[int]:
    """Ids of the processes that torchrun started."""
    text = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return [int(number) for number in text.split()]


def killed_in_two_processes(command: list[object], run: Path, rank: int, more_rows: int) -> bool:
    """Go on with a run, and kill -9 a rank so many rows later; whether it came to that."""
    again = ["--resume"] if (run / "config.yaml").exists() else []
    log = run / "log.jsonl"
    before = len(log_rows(run)) if log.exists() else 0
    process = in_two_processes(*command, *again)
    is_killed = False
    while process.poll() is None and not is_killed:
        is_killed = log.exists() and log.read_bytes().count(b"\n") >= before + more_rows
        time.sleep(0.01)
    if is_killed:
        os.kill(ranks_of(process)[rank], signal.SIGKILL)
    told = process.communicate(timeout=1200)[0]
    assert is_killed == (process.returncode != 0), told
    assert is_killed != (run / "model.safetensors").exists()
    return is_killed


@pytest.mark.slow
@pytest.mark.parametrize("kills", [5, 20])
def test_two_processes_leave_one_run_and_a_killed_one_is_resumed_to_the_same_end(
    sets: Sets, teacher: Path, tmp_path: Path, kills: int
) -> None:
    """One writer, every validation file once, and kill -9 of either costs time only."""
    given = ["--teacher", teacher / "model.safetensors", "--views.crop", "true"]
    given += ["--loop.epochs", 8]
    straight = in_two_processes(*distill_arguments(sets, tmp_path / "straight", *given))
    told = straight.communicate(timeout=1200)[0]
    assert straight.returncode == 0, told
    assert told.count("wrote ") == 1 and len(log_rows(tmp_path / "straight")) == 8 * 4 + 8
    scored = [row.sample_id for row in read_scores(tmp_path / "straight/scores/validation.csv")]
    assert sorted(scored) == sorted(f"one/val_{n}.png" for n in range(SIDES["val"]))
    random, done_runs, killed = np.random.default_rng(kills), 0, 0
    while killed < kills:
        run = tmp_path / f"killed_{done_runs}"
        command = distill_arguments(sets, run, *given)
        is_killed = killed_in_two_processes(command, run, killed % 2, int(random.integers(1, 9)))
        killed += is_killed
        if killed == kills and is_killed:
            assert not killed_in_two_processes(command, run, 0, 8 * 4 + 9)  # to its end
        elif is_killed:
            continue
        assert_equal_models(tmp_path / "straight", run)
        ours, theirs = (
            [{**row, "seconds": 0, "stall": 0} for row in log_rows(folder)]
            for folder in (run, tmp_path / "straight")
        )
        assert ours == theirs
        done_runs += 1


def test_a_run_is_not_resumed_on_other_data_unless_told(
    sets: Sets, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The folder has the same name, its pictures were made anew."""
    data = tmp_path / "data"
    shutil.copytree(sets.one, data)
    command = ["distill", "--data", data, "--run", tmp_path / "run", *MODEL, *LOOP]
    done(*command)
    shutil.rmtree(data)
    manifest = write_set(tmp_path / "anew", "one", seed=5)
    prepare(manifest, data, PrepareSettings(detector="none", crop_size=32), workers=1)
    longer = [*command, "--resume", "--loop.epochs", 3]  # a plateau does not know its end
    assert avkd(*longer) == 2
    assert "the data changed since" in capsys.readouterr().err
    done(*longer, "--resume_changed", "true")
    assert len([row for row in log_rows(tmp_path / "run") if "loss/total" in row]) == 3 * 4


def test_a_run_made_longer_equals_one_that_was_so_from_the_start(
    sets: Sets, teacher: Path, tmp_path: Path
) -> None:
    more = ["--model.widths", 8, 8, 8]
    done(*distill_arguments(sets, tmp_path / "run", *more, "--loop.epochs", 1))
    done(*distill_arguments(sets, tmp_path / "run", *more, "--resume"))
    assert_equal_models(tmp_path / "run", teacher)


def test_the_config_of_a_run_reloads_to_an_equal_one(sets: Sets, student: Path) -> None:
    path = str(student / "config.yaml")
    again = parse("distill", DistillConfig, ["--config", path])
    given = distill_arguments(sets, student, "--teacher", again.teacher)
    assert again == parse("distill", DistillConfig, [str(word) for word in given[1:]])


def test_under_sampling_reaches_the_ratio_in_training_and_leaves_the_test_side_alone(
    sets: Sets, tmp_path: Path
) -> None:
    more = ["--select.ratio", "1:2", "--select.size", 9]
    words = [str(w) for w in distill_arguments(sets, tmp_path / "run", *more)[1:]]
    data = build.distill_data(
        parse("distill", DistillConfig, words), clip_frames=1, landmarks=False
    )
    labels = [item.sample.label for item in data.training.items]
    assert (labels.count(0), labels.count(1)) == (3, 6)
    assert [i.sample.label for i in data.validation].count(0) == 1


def test_data_without_one_class_or_of_two_kinds_are_refused(
    sets: Sets, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert avkd(*distill_arguments(sets, tmp_path / "a", "--select.exclude_methods", "grid")) == 2
    assert "one class only" in capsys.readouterr().err
    assert avkd(*distill_arguments(sets, tmp_path / "b", "--select.exclude_methods", "swap")) == 2
    assert "methods there: grid" in capsys.readouterr().err


# A video detector as the teacher


def test_a_video_detector_teaches_the_frames_it_looks_at(tmp_path: Path) -> None:
    frames = tmp_path / "videos"
    rng = np.random.default_rng(0)
    samples = []
    for side, count in {"train": 4, "val": 4}.items():
        for number in range(count):
            name = f"{side}_{number}"
            (frames / name).mkdir(parents=True)
            for index in range(30):
                picture = draw(rng, bool(number % 2))
                Image.fromarray(picture).save(frames / name / f"{index}.png")
            sample = sample_of(name, "clips", bool(number % 2), side)
            samples.append(Sample(**{**vars(sample), "kind": "frames"}))
    prepared = tmp_path / "prepared"
    prepare(Manifest(frames, tuple(samples)), prepared, PrepareSettings(detector="none"), workers=1)
    video = ["--video.image_size", 32, "--video.width", 4, "--video.hidden", 16]
    finetune = [
        *("finetune", "--data", prepared, "--ssl_weight", 0, *video, "--video.reduced", 8),
        *("--pool", "attn", "--loop.epochs", 1, "--loop.batch_size", 2),
        *("--optim.warmup_epochs", 0.5, "--loop.threads", 1, "--loop.precision", "fp32"),
    ]
    done(*finetune, "--run", tmp_path / "video")
    run = tmp_path / "frame_student"
    arguments = ["distill", "--data", prepared, "--run", run, *MODEL, *LOOP]
    given = ["--teacher", tmp_path / "video/model.safetensors"]
    done(*arguments, *given)
    stored = load_file(run / "teacher_outputs/part-0000.safetensors")
    assert stored["logit"].shape == (4 * 30,)
    # 25 frames share a clip; frames 5..24 lie in both clips and have the mean of the two logits.
    first = stored["logit"][:30]
    assert torch.allclose(first[:5], first[0]) and torch.allclose(first[25:], first[29])
    torch.testing.assert_close(first[5:25].mean(), (first[0] + first[29]) / 2)
    assert 0.5 < stored["weight"].mean() < 1.5 and stored["weight"].std() > 0
    model, _ = load_model(run / "model.safetensors", kind="image_detector")
    assert model.frames == 1
    assert avkd(*arguments, *given, "--cached_views", 3) == 2  # asked once in any case

    # And back: an image detector teaches the video detector, which begins as it did alone.
    image = tmp_path / "image"
    done("distill", "--data", prepared, "--run", image, *MODEL, *LOOP, "--view_share", 140 / 150)
    taught = ["--frame_teacher", image / "model.safetensors", "--alpha", 0.25, "--soft", "mse"]
    done(*finetune, "--run", tmp_path / "taught", *taught)
    alone, first = (log_rows(tmp_path / name)[0] for name in ("video", "taught"))
    assert first["loss/classification"] == alone["loss/classification"]
    assert first["loss/total"] == pytest.approx(
        0.75 * first["loss/classification"] + 0.25 * first["loss/soft"], abs=1e-6
    )
    assert read_header(tmp_path / "taught/model.safetensors").provenance["alpha"] == 0.25


# Judging files


def test_pictures_folders_and_what_is_neither_become_rows_of_a_table(
    sets: Sets, student: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "inbox"
    (folder / "deep er").mkdir(parents=True)
    rng = np.random.default_rng(3)
    Image.fromarray(draw(rng, True)).save(folder / "deep er" / "a.png")
    Image.fromarray(draw(rng, False)).save(folder / "b.jpg", quality=95)
    (folder / "notes.txt").write_text("not judged")
    (folder / "c.jpg").write_text("not a picture")
    out = tmp_path / "verdicts.csv"
    model = student / "model.safetensors"
    code = avkd("predict", folder, tmp_path / "gone.png", "--model", model, "--out", out)
    assert code == 3
    with out.open() as file:
        rows = {Path(row["file"]).name: row for row in csv.DictReader(file)}
    assert list(rows) == ["b.jpg", "c.jpg", "a.png", "gone.png"]
    assert rows["c.jpg"]["status"] == "not_media" and rows["gone.png"]["status"] == "not_found"
    for name in ("a.png", "b.jpg"):
        assert rows[name]["status"] == "ok" and rows[name]["label"] in ("real", "fake", "uncertain")
        assert 0.0 <= float(rows[name]["probability_fake"]) <= 1.0
    assert rows["gone.png"]["probability_fake"] == "" and rows["gone.png"]["label"] == ""


def test_a_verdict_on_a_picture_equals_the_evaluation_of_the_same_picture(
    sets: Sets, student: Path, tmp_path: Path
) -> None:
    model = student / "model.safetensors"
    given = ["--model", model, "--data", sets.one, "--device", "cpu", "--tables_only"]
    assert avkd("evaluate", *given, "--out", tmp_path) == 3  # one file is no picture
    rows = {row.sample_id: row for row in read_scores(tmp_path / "scores/one.csv")}
    files = [sets.source / f"test_{number}.png" for number in range(4)]
    out = tmp_path / "verdicts.jsonl"
    done("predict", *files, "--model", model, "--out", out, "--device", "cpu")
    for path, line in zip(files, out.read_text().splitlines(), strict=True):
        verdict = json.loads(line)
        expected = rows[f"one/{path.name}"]
        assert verdict["windows"][0]["logit"] == pytest.approx(expected.logit, abs=1e-4)
        assert verdict["probability"] == pytest.approx(expected.probability, abs=1e-4)


# Comparison and speed


def compare_config(sets: Sets, out: Path) -> dict:
    model = {"name": "resnet8", "widths": [4, 8, 8], "image_size": 28}
    run = {"model": model, "epochs": 1, "batch_size": 4}
    return {
        "sets": [
            {"name": "one", "data": [str(sets.one)]},
            {"name": "two", "data": [str(sets.two)]},
        ],
        "runs": [
            {"name": "big", **run, "model": {**model, "widths": [8, 8, 8]}, "seeds": [0]},
            {"name": "plain", **run},
            {"name": "taught", **run, "teacher": "big", "soft": "mse"},
        ],
        "ratios": ["1:1"],
        "seeds": [0, 1],
        "out": str(out),
        "loop": {"epochs": 1, "device": "cpu", "threads": 1},
        "bootstrap_resamples": 100,
        "bench_rounds": 1,
    }


@pytest.mark.usefixtures("undrawn")
def test_a_comparison_fills_its_tables_and_goes_on_where_it_was(
    sets: Sets, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "compare.yaml"
    path.write_text(json.dumps(compare_config(sets, tmp_path / "out")))
    done("compare", "--config", path)
    with (tmp_path / "out/compare.csv").open() as file:
        rows = list(csv.DictReader(file))
    pooled = [row for row in rows if row["is_pooled"] == "1"]
    # 2 sets trained on x 2 tested on x (1 + 2 + 2 runs)
    assert len(pooled) == 2 * 2 * 5
    for row in pooled:
        assert int(row["scored"]) == 6 and int(row["expected"]) == 7
        counts = [int(row[n]) for n in ("true_real", "false_fake", "false_real", "true_fake")]
        assert sum(counts) == 6
        assert float(row["accuracy"]) == pytest.approx((counts[0] + counts[3]) / 6)
        assert 0 <= float(row["auc_low"]) <= float(row["auc"]) <= float(row["auc_high"]) <= 1
    text = (tmp_path / "out/compare.md").read_text()
    assert "Trained on one (real:fake 1:1), tested on two (another set)" in text
    assert "| taught | 2 |" in text and "GMAC" in text
    assert (tmp_path / "out/confusion_one.png").is_file()
    taught = read_header(tmp_path / "out/runs/one/1to1/taught/seed-1/model.safetensors")
    big = read_header(tmp_path / "out/runs/one/1to1/big/seed-0/model.safetensors")
    assert taught.provenance["teacher"] == big.sha256
    # Asked once for each set and seed; students that ask the same would share it.
    assert len(list((tmp_path / "out/teacher_outputs").iterdir())) == 2 * 2
    # Again: nothing is trained anew; one run taken away is made again, to the same numbers.
    kept = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("model.safetensors")}
    gone = tmp_path / "out/runs/two/1to1/plain/seed-1"
    for item in sorted(gone.rglob("*"), reverse=True):
        item.rmdir() if item.is_dir() else item.unlink()
    done("compare", "--config", path)
    for model, moment in kept.items():
        assert (model.stat().st_mtime_ns == moment) == (gone not in model.parents)
    with (tmp_path / "out/compare.csv").open() as file:
        assert list(csv.DictReader(file)) == rows


def test_a_finished_run_with_other_settings_is_not_taken_for_the_wanted_one(
    sets: Sets, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = compare_config(sets, tmp_path / "out")
    config |= {"runs": config["runs"][:1], "seeds": [0], "sets": config["sets"][:1]}
    path = tmp_path / "compare.yaml"
    path.write_text(json.dumps(config))
    done("compare", "--config", path)
    config["runs"][0]["optim"] = {"lr": 0.5}
    path.write_text(json.dumps(config))
    assert avkd("compare", "--config", path) == 2
    assert "finished run with other settings" in capsys.readouterr().err


def test_speeds_are_ratios_against_the_first(
    sets: Sets, student: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, small = tmp_path / "bench.md", tmp_path / "small.onnx"
    done("export", "--model", student / "model.safetensors", "--out", small)
    done(
        *("bench", "--models", "resnet8", "resnet8_fast", student / "model.safetensors", small),
        *("--image_size", 32, "--batch_size", 2, "--rounds", 3, "--data", sets.one),
        *("--device", "cpu", "--threads", 1, "--out", out),
    )
    lines = [line for line in out.read_text().splitlines() if line.startswith("| ")][2:]
    names = ["| resnet8", "| resnet8_fast", "| student", "| small"]
    assert [line.split(" | ")[0] for line in lines] == names
    assert "| small | ONNX | ONNX |" in lines[3]
    assert "| 145,839 |" in lines[0] and "1 [1, 1]" in lines[0]
