"""The whole path through the real command line, on a tiny generated corpus made once.

Networks this small learn nothing: what is tested is that every step leaves what it promises, that
numbers recompute, that a stopped run ends as if it had not been stopped, and what is refused.
"""

import contextlib
import csv
import io
import json
import signal
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from factories import records
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from small_runs import (
    EXCLUDED,
    LOOP,
    ONE_EPOCH,
    STARTS,
    VIDEO,
    Corpora,
    avkd,
    done,
    finetune_arguments,
    log_rows,
    pretrain_arguments,
)
from verb_apart import start, stop_after

from avkd import runtime
from avkd.config.load import parse
from avkd.config.training_config import FinetuneConfig, PretrainConfig
from avkd.data import build
from avkd.data.datasets import Corpus
from avkd.data.manifest import Manifest
from avkd.data.model_input import ModelInput
from avkd.data.sampling import MixedBatches
from avkd.evaluation.validation import Validation
from avkd.models.model_file import load_model, read_header
from avkd.reporting.score_frame import pool
from avkd.reporting.scores import OK, read_scores
from avkd.training.resume import load_state
from avkd.training.run_log import RunLog

TERMS = ("total", "classification", "agreement")


@pytest.fixture(scope="session")
def stage_one(corpora: Corpora, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "stage_one"
    done("pretrain", *pretrain_arguments(corpora, run))
    return run


class Untrained(NamedTuple):
    code: int
    said: str
    was_written: bool
    run: Path


@pytest.fixture(scope="session")
def untrained(corpora: Corpora, stage_one: Path) -> Untrained:
    """A rate of nothing leaves the weights as drawn: refused, and then written by force."""
    run, said = stage_one.with_name("untrained"), io.StringIO()
    arguments = [a for a in pretrain_arguments(corpora, run) if a != "--force"]
    arguments += [*ONE_EPOCH, "--optim.lr", "1e-12"]
    with contextlib.redirect_stdout(said):
        code = avkd("pretrain", *arguments)
    was_written = (run / "model.safetensors").exists()
    done("pretrain", *arguments, "--resume", "--force")
    return Untrained(code, said.getvalue(), was_written, run)


@pytest.fixture(scope="session")
def stage_two(corpora: Corpora, stage_one: Path) -> Path:
    run = stage_one.with_name("stage_two")
    done("finetune", *finetune_arguments(corpora, stage_one, run, 0.3))
    return run


@pytest.fixture(scope="session")
def evaluation(corpora: Corpora, stage_two: Path) -> Path:
    out = stage_two.with_name("evaluation")
    code = avkd(
        *("evaluate", "--model", stage_two / "model.safetensors", "--out", out),
        *("--data", corpora.seen, corpora.unseen, "--bootstrap_resamples", 100),
        *("--device", "cpu", "--threads", 1),
    )
    assert code == 3, "one file of the unseen corpus could not be scored"
    return out


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def assert_equal_tensors(first: Path, second: Path) -> None:
    one, two = load_file(first), load_file(second)
    assert one.keys() == two.keys()
    different = [name for name in one if not torch.equal(one[name], two[name])]
    assert not different, f"{len(different)} of {len(one)} tensors differ, first {different[0]}"


# What a run leaves


def test_the_run_folders_hold_what_the_design_says(stage_one: Path, stage_two: Path) -> None:
    expected = {
        "config.yaml",
        "environment.json",
        "log.jsonl",
        "tensorboard",
        "checkpoints",
        ".lock",
    }
    assert names(stage_one) == {*expected, "model.safetensors"}
    assert names(stage_two) == {*expected, "model.safetensors", "scores"}
    for run in (stage_one, stage_two):
        kept = {"last.safetensors", "previous.safetensors", "best.safetensors"}
        assert {"last.safetensors", "best.safetensors"} <= names(run / "checkpoints") <= kept
        (events,) = (run / "tensorboard").iterdir()
        assert events.stat().st_size > 1000
        environment = json.loads((run / "environment.json").read_text())
        assert environment["precision"] == "fp32" and environment["threads"] == 1


def test_the_config_of_a_run_reloads_to_an_equal_one(
    corpora: Corpora, stage_one: Path, stage_two: Path
) -> None:
    first = parse("pretrain", PretrainConfig, pretrain_arguments(corpora, stage_one))
    assert parse("", PretrainConfig, ["--config", str(stage_one / "config.yaml")]) == first
    arguments = finetune_arguments(corpora, stage_one, stage_two, 0.3)
    second = parse("finetune", FinetuneConfig, arguments)
    assert parse("", FinetuneConfig, ["--config", str(stage_two / "config.yaml")]) == second


def test_the_log_has_every_step_once_and_every_validation(stage_one: Path, stage_two: Path) -> None:
    for run in (stage_one, stage_two):
        rows = log_rows(run)
        trained = [row["step"] for row in rows if "loss/total" in row]
        assert trained == list(range(len(trained))) and len(trained) % 2 == 0
        validated = [row["step"] for row in rows if any(n.startswith("validation/") for n in row)]
        assert validated == [len(trained) // 2 - 1, len(trained) - 1]


# Stage two: what went in


def test_an_excluded_method_is_neither_learnt_nor_selected_on(
    corpora: Corpora, stage_one: Path, stage_two: Path
) -> None:
    seen = Manifest.load(corpora.seen / "manifest.jsonl").samples
    talking = Manifest.load(corpora.talking / "manifest.jsonl").samples
    assert any(s.method == EXCLUDED and s.split == "train" for s in seen)
    provenance = read_header(stage_two / "model.safetensors").provenance
    assert provenance["excluded_methods"] == [EXCLUDED]
    assert provenance["training_methods"] == sorted({s.method for s in seen} - {EXCLUDED})
    trained = [s for s in seen if s.split == "train" and s.method != EXCLUDED]
    trained += [s for s in talking if s.split == "train"]
    assert provenance["training_clips"] == len(trained)
    arguments = finetune_arguments(corpora, stage_one, stage_two, 0.3)
    data = build.finetune_data(parse("finetune", FinetuneConfig, arguments), image_size=32)
    assert {i.sample.sample_id for i in data.training.items} == {s.sample_id for s in trained}
    validated = {row.sample_id for row in read_scores(stage_two / "scores/validation.csv")}
    expected = {s.sample_id for s in seen if s.split == "val" and s.method != EXCLUDED}
    assert validated == expected and len(expected) == 2 * 4


def test_the_prior_in_the_model_file_is_what_the_batches_really_hold(
    corpora: Corpora, stage_one: Path, stage_two: Path
) -> None:
    arguments = finetune_arguments(corpora, stage_one, stage_two, 0.3)
    config = parse("finetune", FinetuneConfig, arguments)
    data = build.finetune_data(config, image_size=32)
    batches = MixedBatches(
        [item.sample.label for item in data.forgeries],
        data.sources,
        num_real_items=data.num_real_items,
        batch_size=config.loop.batch_size,
        real_ratio=config.real_ratio,
        balance=config.class_balance,
        seed=config.loop.seed,
    )
    keys = [key for epoch in range(5) for batch in batches.epoch(epoch) for key in batch]
    share = sum(data.training.items[key.item].sample.label for key in keys) / len(keys)
    recorded = read_header(stage_two / "model.safetensors").provenance["fake_fraction"]
    assert recorded == pytest.approx(share) and share == 0.25


def test_the_detector_file_says_where_it_comes_from_and_how_it_decides(
    stage_one: Path, stage_two: Path
) -> None:
    model, header = load_model(stage_two / "model.safetensors", kind="detector")
    assert header.provenance["pretrained"] == read_header(stage_one / "model.safetensors").sha256
    assert header.provenance["ssl_weight"] == 0.3 and header.provenance["seed"] == 0
    assert [entry["name"] for entry in header.provenance["data"]] == ["seen", "talking"]
    assert header.preprocessing["image_size"] == 32
    rule = header.decision
    assert rule is not None and "8 validation files" in rule.source
    for row in read_scores(stage_two / "scores/validation.csv"):
        assert row.logit is not None
        assert row.probability == pytest.approx(rule.probability(row.logit), abs=1e-12)
    assert not model.training


def test_the_weight_of_the_auxiliary_task_reaches_the_backbone(
    corpora: Corpora, stage_one: Path, stage_two: Path
) -> None:
    """0.6 against 0.3 differ in nothing else; without it the auxiliary head is not even built."""
    logs, tensors = {0.3: log_rows(stage_two)}, {}
    for weight in (0.0, 0.6):
        run = stage_one.with_name(f"weight_{weight}")
        done("finetune", *finetune_arguments(corpora, stage_one, run, weight), *ONE_EPOCH)
        logs[weight], tensors[weight] = log_rows(run), load_file(run / "model.safetensors")
    for weight in (0.3, 0.6):
        terms = {name: logs[weight][0][f"loss/{name}"] for name in TERMS}
        assert terms["total"] == pytest.approx(
            terms["classification"] + weight * terms["agreement"], abs=1e-6
        )
    assert not any("loss/agreement" in row for row in logs[0.0])
    # The same clips, seen by weights that one step has moved apart.
    before, after = ([logs[w][step]["loss/classification"] for w in (0.3, 0.6)] for step in (0, 1))
    assert before[0] == before[1] and after[0] != after[1]
    start = load_file(stage_one / "model.safetensors")
    for weight, found in tensors.items():
        name = next(n for n in found if n.startswith("encoder.") and n.endswith("weight"))
        moved = (found[name] - start[f"video_student.{name}"]).norm()
        assert 0 < moved < 0.5 * found[name].norm(), f"{weight}: did not start from stage one"
        assert any(n.startswith("auxiliary") for n in found) == (weight > 0)


def test_the_teacher_of_stage_two_stays_what_stage_one_left(
    stage_one: Path, stage_two: Path
) -> None:
    """An unfrozen teacher, or one whose normalisation drifts, teaches something else each step."""
    checkpoint = load_state(stage_two / "checkpoints/last.safetensors")
    parent = read_header(stage_one / "model.safetensors").sha256
    made_of = checkpoint["made_of"]
    assert made_of["pretrained file"] == made_of["teacher file"] == parent
    assert made_of["validation data"] != made_of["data"]
    state = checkpoint["model"]
    teacher = {n.removeprefix("teacher."): t for n, t in state.items() if n.startswith("teacher.")}
    before = load_file(stage_one / "model.safetensors")
    expected = {n: t for n, t in before.items() if n.startswith("video_teacher.")}
    assert {f"video_teacher.{name}" for name in teacher} == set(expected)
    for name, tensor in teacher.items():
        assert torch.equal(tensor, expected[f"video_teacher.{name}"]), name


def test_a_validation_with_a_window_without_number_is_none(
    corpora: Corpora, stage_two: Path
) -> None:
    detector = load_model(stage_two / "model.safetensors", kind="detector").model
    torch.nn.init.constant_(detector.classifier.weight, float("nan"))
    corpus = Corpus.open(corpora.seen)
    items = corpus.items(s for s in corpus.manifest.samples if s.split == "val")
    machine = runtime.start(device="cpu", threads=1)
    with pytest.raises(FloatingPointError, match="logit_not_finite"):
        Validation.of(detector, items, ModelInput(image_size=32), machine)


def test_nothing_but_the_validation_side_can_select(corpora: Corpora, stage_two: Path) -> None:
    """The standard benchmark keeps the checkpoint that is best on its test sets."""
    detector = load_model(stage_two / "model.safetensors", kind="detector").model
    corpus = Corpus.open(corpora.seen)
    machine = runtime.start(device="cpu", threads=1)
    for side in ("test", "train"):
        items = corpus.items(s for s in corpus.manifest.samples if s.split == side)
        with pytest.raises(ValueError, match=f"is in the split '{side}'.*only validation files"):
            Validation.of(detector, items, ModelInput(image_size=32), machine)


def test_a_detector_trains_and_scores_without_stage_one(corpora: Corpora, tmp_path: Path) -> None:
    run = tmp_path / "alone"
    given = ["--data", corpora.seen, "--run", run, "--ssl_weight", 0, *VIDEO, *LOOP, *ONE_EPOCH]
    done("finetune", *given)
    header = read_header(run / "model.safetensors", kind="detector")
    assert header.provenance["pretrained"] is None and header.provenance["fake_fraction"] == 0.5
    done(
        *("evaluate", "--model", run / "model.safetensors", "--data", corpora.seen),
        *("--out", run / "table", "--split", "val", "--methods", "Deepfakes"),
        *("--bootstrap_resamples", 100, "--device", "cpu", "--tables_only"),
    )
    rows = read_scores(run / "table/scores/faceforensics.csv")
    assert {row.method for row in rows} == {"real", "Deepfakes"}
    assert {row.split for row in rows} == {"val"}


# Evaluation


def test_every_expected_file_is_a_row_scored_or_with_its_reason(
    corpora: Corpora, evaluation: Path
) -> None:
    pictures = {"report.png", "confusion.png", "reliability.png"}
    tables = {"report.md", "report.csv", "report.html", "shortcuts.csv"}
    assert names(evaluation) == {"scores", "facts", *tables, *pictures}
    assert names(evaluation / "scores") == {"faceforensics.csv", "celebdf.csv"}
    for folder, name in ((corpora.seen, "faceforensics"), (corpora.unseen, "celebdf")):
        expected = Manifest.load(folder / "inputs.jsonl").of_split("test").samples
        rows = read_scores(evaluation / "scores" / f"{name}.csv")
        assert {row.sample_id: (row.label, row.method) for row in rows} == {
            s.sample_id: (s.label, s.method) for s in expected
        }
        unscored = {Path(row.sample_id).name: row.status for row in rows if row.status != OK}
        assert unscored == ({corpora.broken_id: "not_media"} if name == "celebdf" else {})


def auc_of(logits: dict[str, float], reals: set[str], fakes: set[str]) -> float:
    """The share of pairs in the right order, counted one by one."""
    pairs = [(logits[real], logits[fake]) for real in reals for fake in fakes]
    return sum((real < fake) + 0.5 * (real == fake) for real, fake in pairs) / len(pairs)


def test_the_numbers_of_the_table_recompute_from_the_score_files(
    evaluation: Path, stage_two: Path
) -> None:
    windows: dict[tuple[str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for path in (evaluation / "scores").iterdir():
        lines = path.read_text().splitlines()[2:-1]  # without head and end
        for row in csv.DictReader(lines):
            found = windows[row["dataset"], row["method"]][row["sample_id"]]
            found += [float(row["logit"])] if row["status"] == "ok" else []
    with (evaluation / "report.csv").open() as file:
        table = list(csv.DictReader(file))
    assert {(row["dataset"], row["method"]) for row in table if row["is_pooled"] == "0"} == {
        key for key in windows if key[1] != "real" and key[0] == "faceforensics"
    }
    model_header = read_header(stage_two / "model.safetensors")
    for row in table:
        files = {
            label: {
                name: logits
                for (dataset, method), found in windows.items()
                if dataset == row["dataset"] and (method == "real") == (label == "real")
                if method == "real" or row["is_pooled"] == "1" or method == row["method"]
                for name, logits in found.items()
            }
            for label in ("real", "fake")
        }
        pooled = {n: sum(w) / len(w) for found in files.values() for n, w in found.items() if w}
        reals, fakes = ({n for n, w in files[label].items() if w} for label in ("real", "fake"))
        counts = (len(reals), len(files["real"]), len(fakes), len(files["fake"]))
        columns = ("scored_real", "expected_real", "scored_fake", "expected_fake")
        assert counts == tuple(int(row[column]) for column in columns)
        assert float(row["coverage"]) == (counts[0] + counts[2]) / (counts[1] + counts[3])
        assert float(row["video_auc"]) == pytest.approx(auc_of(pooled, reals, fakes), abs=1e-9)
        threshold = float(row["threshold_logit"])
        hits = sum(pooled[n] < threshold for n in reals) / len(reals)
        hits += sum(pooled[n] >= threshold for n in fakes) / len(fakes)
        assert float(row["balanced_accuracy"]) == pytest.approx(hits / 2)
        assert row["model_fingerprint"] == model_header.sha256[:16]
    assert model_header.decision is not None
    assert threshold == pytest.approx(model_header.decision.threshold_logit)


def test_the_report_names_unseen_methods_and_unscored_files(evaluation: Path) -> None:
    text = (evaluation / "report.md").read_text()
    assert f"Methods it never saw: Celeb-synthesis, {EXCLUDED}." in text
    assert "Why files have no score" in text and "not_media" in text
    assert (evaluation / "report.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


# Prediction


def test_a_verdict_equals_the_evaluation_of_the_same_file(
    corpora: Corpora, stage_two: Path, evaluation: Path, tmp_path: Path
) -> None:
    """Same windows, same pixels: the store's compression must not come between."""
    manifest = Manifest.load(corpora.unseen / "inputs.jsonl")
    rows = read_scores(evaluation / "scores/celebdf.csv")
    videos = [v for v in records(pool(rows)) if v.logit is not None][:3]
    paths = {s.sample_id: corpora.source / "celebdf_like" / s.path for s in manifest.samples}
    out = tmp_path / "verdicts.jsonl"
    done(
        *("predict", *(paths[v.sample_id] for v in videos), "--detector", "boxes", "--out", out),
        *("--model", stage_two / "model.safetensors", "--device", "cpu", "--batch_size", 3),
    )
    verdicts = [json.loads(line) for line in out.read_text().splitlines()]
    assert [verdict["file"] for verdict in verdicts] == [str(paths[v.sample_id]) for v in videos]
    for verdict, video in zip(verdicts, videos, strict=True):
        assert verdict["probability"] == pytest.approx(video.probability, abs=1e-4)
        assert [window["start_frame"] for window in verdict["windows"]] == [0, 2]
        # The probability of a network that has learnt nothing hardly moves; its logits do.
        logits = [window["logit"] for window in verdict["windows"]]
        assert logits == pytest.approx(video.windows[:, 2].tolist(), abs=1e-3)


def test_a_broken_file_cannot_be_told_and_does_not_stop_the_others(
    corpora: Corpora, stage_two: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = sorted((corpora.source / "celebdf_like/Celeb-real").glob("*.mp4"))[0]
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(good.read_bytes()[:200])
    unaccompanied = tmp_path / "without_sidecar.mp4"
    unaccompanied.write_bytes(good.read_bytes())
    common = ["--model", stage_two / "model.safetensors", "--detector", "boxes", "--json"]
    files = [broken, tmp_path / "absent.mp4", unaccompanied, good]
    assert avkd("predict", *files, *common) == 3
    verdicts = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [verdict["decision"] == "cannot_tell" for verdict in verdicts] == [True] * 3 + [False]
    for path, verdict in zip(files[:3], verdicts[:3], strict=True):
        assert verdict["probability"] is None and verdict["reason"]
        assert verdict["file"] == str(path)
    assert avkd("predict", broken, *common) == 4


# Stopping and going on


def test_a_terminated_pretraining_goes_on_as_if_nothing_had_happened(
    corpora: Corpora, stage_one: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The signal comes from inside: that a process of its own hears it, others test."""
    run, advance, steps = stage_one.with_name("stage_one_stopped"), RunLog.advance, []

    def stopping(self: RunLog, loss: float) -> None:
        advance(self, loss)
        steps.append(loss)
        if len(steps) == 2:
            signal.raise_signal(signal.SIGTERM)

    arguments = pretrain_arguments(corpora, run)
    with monkeypatch.context() as patched:
        patched.setattr(RunLog, "advance", stopping)
        assert avkd("pretrain", *arguments) == 143
    total = len(log_rows(stage_one))
    assert 0 < len(log_rows(run)) < total, "it was stopped in the middle"
    assert not (run / "model.safetensors").exists()
    done("pretrain", *arguments, "--resume")
    assert_equal_tensors(run / "model.safetensors", stage_one / "model.safetensors")
    assert log_rows(run) == log_rows(stage_one)


def test_a_killed_finetuning_goes_on_from_its_last_epoch(
    corpora: Corpora, stage_one: Path, stage_two: Path
) -> None:
    run = stage_one.with_name("stage_two_killed")
    arguments = finetune_arguments(corpora, stage_one, run, 0.3)
    per_epoch = len(log_rows(stage_two)) // 2
    # One step into the second epoch: the first one's validation is row number `per_epoch`.
    assert stop_after(start("finetune", *arguments), run, per_epoch + 1, signal.SIGKILL) == -9
    assert len(log_rows(run)) < 2 * per_epoch, "it was killed in the middle"
    done("finetune", *arguments, "--resume")
    assert_equal_tensors(run / "model.safetensors", stage_two / "model.safetensors")
    assert log_rows(run) == log_rows(stage_two)
    # Their heads name the run folder; the rows are the same, bit for bit.
    scores = [read_scores(folder / "scores/validation.csv") for folder in (run, stage_two)]
    assert scores[0] == scores[1]


def test_a_run_goes_on_with_its_own_settings_only(
    corpora: Corpora, stage_one: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_bytes() for path in stage_one.rglob("*") if path.is_file()}
    arguments = pretrain_arguments(corpora, stage_one)
    assert avkd("pretrain", *arguments, "--resume", "--optim.lr", "0.1") == 2
    message = capsys.readouterr().err
    assert "'optim.lr: null', not 'optim.lr: 0.1'" in message and str(stage_one) in message
    assert avkd("pretrain", *arguments) == 2
    assert "holds a run already" in capsys.readouterr().err
    assert avkd("pretrain", *pretrain_arguments(corpora, stage_one / "none"), "--resume") == 2
    assert "no run there" in capsys.readouterr().err
    assert before == {path: path.read_bytes() for path in stage_one.rglob("*") if path.is_file()}


def test_stage_one_at_chance_is_not_written_without_force(untrained: Untrained) -> None:
    assert untrained.code == 4 and "at chance" in untrained.said and not untrained.was_written
    assert read_header(untrained.run / "model.safetensors", kind="cross_modal").decision is None


@pytest.mark.slow
@pytest.mark.parametrize("more", [["--loop.workers", "2"], ["--loop.cache_gigabytes", "1"]])
def test_loader_settings_change_nothing_but_the_speed(
    corpora: Corpora, stage_one: Path, stage_two: Path, tmp_path: Path, more: list[str]
) -> None:
    arguments = finetune_arguments(corpora, stage_one, tmp_path / "run", 0.3)
    done("finetune", *arguments, *more)
    assert_equal_tensors(tmp_path / "run/model.safetensors", stage_two / "model.safetensors")
    assert log_rows(tmp_path / "run") == log_rows(stage_two)


@pytest.mark.slow
def test_compiled_networks_train_to_the_same_but_for_rounding(
    corpora: Corpora, stage_one: Path, stage_two: Path, tmp_path: Path
) -> None:
    """A run that is stopped and resumed, and the stage after it."""
    compiled = ["--loop.compile", "default"]
    first, second = tmp_path / "one", tmp_path / "two"
    arguments = [*pretrain_arguments(corpora, first), *compiled]
    assert stop_after(start("pretrain", *arguments), first, 2, signal.SIGINT) == 130
    done("pretrain", *arguments, "--resume")
    done("finetune", *finetune_arguments(corpora, stage_one, second, 0.3), *compiled)
    for run, plain in ((first, stage_one), (second, stage_two)):
        rows, expected = log_rows(run), log_rows(plain)
        assert [row.keys() for row in rows] == [row.keys() for row in expected]
        losses = [
            [row["loss/total"] for row in of if "loss/total" in row] for of in (rows, expected)
        ]
        assert losses[0][0] == pytest.approx(losses[1][0], abs=1e-4)
        assert losses[0] == pytest.approx(losses[1], abs=1e-2) and losses[0] != losses[1]


@pytest.mark.slow
@pytest.mark.parametrize("rows", range(1, 6))
def test_a_run_may_be_stopped_after_any_step(
    corpora: Corpora, stage_one: Path, tmp_path: Path, rows: int
) -> None:
    run = tmp_path / "run"
    arguments = pretrain_arguments(corpora, run)
    assert stop_after(start("pretrain", *arguments), run, rows, signal.SIGINT) == 130
    done("pretrain", *arguments, "--resume")
    assert_equal_tensors(run / "model.safetensors", stage_one / "model.safetensors")
    assert log_rows(run) == log_rows(stage_one)


# Model files that are refused


def truncated(source: Path, target: Path) -> str:
    target.write_bytes(source.read_bytes()[:-100])
    return target.name


def without_a_tensor(source: Path, target: Path) -> str:
    with safe_open(source, "pt") as file:
        metadata = file.metadata()
    tensors = load_file(source)
    name = sorted(tensors)[0]
    del tensors[name]
    save_file(tensors, target, metadata=metadata)
    return name


def with_a_changed_weight(source: Path, target: Path) -> str:
    content = bytearray(source.read_bytes())
    content[-1] ^= 1
    target.write_bytes(content)
    return "SHA-256"


DAMAGES = [truncated, without_a_tensor, with_a_changed_weight]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("verb", ["evaluate", "predict", "finetune"])
def test_a_damaged_model_file_is_refused(
    verb, damage, corpora: Corpora, stage_one: Path, stage_two: Path, tmp_path: Path, capsys
) -> None:
    run = stage_one if verb == "finetune" else stage_two
    named = damage(run / "model.safetensors", tmp_path / "damaged.safetensors")
    assert_refused(verb, tmp_path / "damaged.safetensors", corpora, tmp_path / "out")
    message = capsys.readouterr().err
    assert named in message and "damaged.safetensors" in message and "Traceback" not in message


@pytest.mark.parametrize("verb", ["evaluate", "predict", "finetune"])
def test_a_model_file_of_the_other_stage_is_refused(
    verb, corpora: Corpora, stage_one: Path, stage_two: Path, tmp_path: Path, capsys
) -> None:
    wrong = stage_two if verb == "finetune" else stage_one
    assert_refused(verb, wrong / "model.safetensors", corpora, tmp_path / "out")
    told = {
        "finetune": "holds a 'detector' model",
        "predict": "holds a 'cross_modal' model",
        "evaluate": "holds stage one alone",
    }
    assert told[verb] in capsys.readouterr().err


def assert_refused(verb: str, model: Path, corpora: Corpora, out: Path) -> None:
    """Exit code 5, and nothing is begun."""
    arguments = {
        "evaluate": ["--model", model, "--data", corpora.seen, "--out", out],
        "predict": [*corpora.source.rglob("id0_0000.mp4"), "--model", model, "--out", out],
        "finetune": ["--pretrained", model, "--data", corpora.seen, "--run", out, *LOOP],
    }
    assert avkd(verb, *arguments[verb]) == 5
    assert not out.exists()


def test_a_backbone_other_than_the_pretrained_files_is_refused(
    corpora: Corpora, stage_one: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A config that says `paper` must not silently train the file's own backbone."""
    arguments = finetune_arguments(corpora, stage_one, tmp_path / "run", 0.3)
    assert avkd("finetune", *arguments, "--video.name", "published_gru") == 2
    assert "holds the backbone" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_detector_may_see_the_face_larger_than_its_teacher_sees_the_mouth(
    corpora: Corpora, stage_one: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its convolutions come from stage one; what depends on the size of the picture does not."""
    caplog.set_level("INFO")
    model = stage_one / "model.safetensors"
    assert read_header(model).preprocessing["region"] == "mouth"
    larger = [*VIDEO, "--video.image_size", "48"]
    arguments = finetune_arguments(corpora, stage_one, tmp_path / "run", 0.3)
    done("finetune", *arguments, *larger, *ONE_EPOCH, "--start", "fitting")
    assert "come from" in caplog.text and "gru" in caplog.text
    header = read_header(tmp_path / "run" / "model.safetensors")
    assert header.preprocessing["image_size"] == 48 and header.preprocessing["region"] == "face"
    assert header.provenance["teacher"] == header.provenance["pretrained"]
    first = json.loads((tmp_path / "run" / "log.jsonl").read_text().splitlines()[0])
    assert "loss/agreement" in first
    no_fit = ["--start", "fitting", "--video.name", "cnn_lstm"]
    refused = finetune_arguments(corpora, stage_one, tmp_path / "none", 0.3)
    assert avkd("finetune", *refused, *no_fit) == 5


@pytest.mark.parametrize(
    ("region", "zoom", "measured"),
    [("face", (0.0, 0.0), "face"), ("mouth", (1.0, 1.0), "mouth"), ("mixed", (0.0, 1.0), "mouth")],
)
def test_each_region_is_what_stage_one_sees(
    corpora: Corpora, tmp_path: Path, region: str, zoom: tuple[float, float], measured: str
) -> None:
    arguments = [*pretrain_arguments(corpora, tmp_path / "run"), "--region", region]
    data = build.pretrain_data(parse("pretrain", PretrainConfig, arguments))
    assert data.training.augmentation.zoom == data.training.teacher_augmentation.zoom == zoom
    assert data.training.model_input.region == measured
    one = data.training.first_clips(8)
    drawn = torch.cat([one.student.zoom, one.teacher.zoom])
    assert drawn.min() >= zoom[0] and drawn.max() <= zoom[1]
    assert (drawn.std() > 0) == (region == "mixed")
    few = parse("pretrain", PretrainConfig, [*arguments, "--training_clips", "9"])
    assert len(build.pretrain_data(few).training.items) == 9
    with pytest.raises(ValueError, match="training_clips 999"):
        build.pretrain_data(replace(few, training_clips=999))


def test_whole_pictures_have_no_mouth_to_look_at(
    corpora: Corpora, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    settings = {"detector": "none", "crop_margin": 1.0}
    monkeypatch.setattr("avkd.data.datasets.read_description", lambda _: {"settings": settings})
    arguments = pretrain_arguments(corpora, tmp_path / "run")
    assert avkd("pretrain", *arguments) == 2
    assert "use --region face" in capsys.readouterr().err


def test_stage_two_draws_its_teachers_views_of_the_mouth(
    corpora: Corpora, stage_one: Path, tmp_path: Path
) -> None:
    arguments = finetune_arguments(corpora, stage_one, tmp_path / "run", 0.3)
    config = parse("finetune", FinetuneConfig, arguments)
    mouth = ModelInput(image_size=32, region="mouth")
    for teacher, zoom in ((mouth, 1.0), (None, 0.0), (ModelInput(image_size=32), 0.0)):
        data = build.finetune_data(config, image_size=32, teacher_input=teacher)
        clips = data.training.first_clips(2)
        assert clips.teacher.zoom.tolist() == [zoom, zoom]
        assert clips.student.zoom.tolist() == [0.0, 0.0]  # the detector sees the face
    whole = ModelInput(image_size=32, faces="whole")
    with pytest.raises(ValueError, match="those of the teacher of stage one whole ones"):
        build.finetune_data(config, image_size=32, teacher_input=whole)


def test_the_control_of_a_random_teacher_is_another_stage_one_file(
    corpora: Corpora, stage_one: Path, untrained: Untrained, tmp_path: Path
) -> None:
    """What scripts/train_on_clips.sh does."""
    teacher = untrained.run / "model.safetensors"
    drawn, trained = (
        load_model(path, kind="cross_modal").model.video_teacher.state_dict()
        for path in (teacher, stage_one / "model.safetensors")
    )
    assert not torch.equal(drawn["projector.linear.weight"], trained["projector.linear.weight"])
    arguments = finetune_arguments(corpora, stage_one, tmp_path / "run", 0.3)
    done("finetune", *arguments, *ONE_EPOCH, "--teacher", str(teacher))
    provenance = read_header(tmp_path / "run" / "model.safetensors").provenance
    assert provenance["teacher"] == read_header(teacher).sha256 != provenance["pretrained"]


def test_stage_one_is_probed_on_the_test_side_beside_the_baseline(
    corpora: Corpora, stage_one: Path, tmp_path: Path
) -> None:
    out = tmp_path / "probe"
    given = ["--model", str(stage_one / "model.safetensors"), "--data", str(corpora.talking)]
    done("probe", *given, "--out", str(out), "--split", "val", "--starts", STARTS)
    found = json.loads((out / "probe.json").read_text())
    provenance = read_header(stage_one / "model.safetensors").provenance["validation"]
    # The very meters of the training, on the same places of the same clips.
    assert found["meters"]["retrieval_at_1"] == pytest.approx(provenance["retrieval_at_1"])
    assert found["linear_baseline"]["retrieval_at_1"] == pytest.approx(
        provenance["linear_baseline"]
    )
    table = (out / "probe.md").read_text()
    assert "linear baseline" in table and f"{found['meters']['retrieval_at_1']:.3f} [" in table
    # Whoever probes the side that selected the weights sees that the two agree; test is the rest.
    assert avkd("probe", *given, "--out", str(tmp_path / "t"), "--clips", "4") == 2


def test_a_run_may_be_measured_in_steps(
    corpora: Corpora, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Corpora of any size then train equally long."""
    arguments = pretrain_arguments(corpora, tmp_path / "run")
    nulls = ["--loop.epochs", "null", "--loop.validate_every_epochs", "null"]
    done("pretrain", *arguments, *nulls, "--loop.steps", "8", "--loop.validate_every_steps", "2")
    rows = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    steps = {row["step"] for row in rows}
    validated = [row["step"] for row in rows if "validation/retrieval_at_1" in row]
    per_epoch = min(validated) + 1
    assert len(steps) >= 8 and len(steps) % per_epoch == 0 and len(steps) < 8 + per_epoch
    refused = pretrain_arguments(corpora, tmp_path / "none")
    assert avkd("pretrain", *refused, "--loop.steps", "8") == 2
    assert "null for the other" in capsys.readouterr().err
