"""Every stage, prediction, evaluation and resuming on CUDA against the CPU.

A machine with a GPU: ``bash scripts/test.sh gpu``. Without one the bodies can still be run, the CPU
against itself: ``AVKD_TEST_DEVICE=cpu pytest -m gpu tests/test_gpu.py``. Crops are resized as whole
grey levels on a CPU and as floats on a GPU, up to one level of 255 apart; tolerances allow for
that, and for TF32.
"""

import json
import math
import os
import signal
from pathlib import Path

import pytest
import torch
from small_runs import Corpora, avkd, done, finetune_arguments, log_rows, pretrain_arguments

from avkd.reporting.scores import read_scores
from avkd.training.adamp import AdamP
from avkd.training.resume import load_state
from avkd.training.transfers import ahead

DEVICE = os.environ.get("AVKD_TEST_DEVICE", "cuda")
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        DEVICE.startswith("cuda") and not torch.cuda.is_available(), reason="there is no GPU"
    ),
]
DEVICES = ("cpu", DEVICE) if DEVICE != "cpu" else ("cpu", "cpu:again")
LOSS, NORM_SHARE, PROBABILITY, LOGIT = 0.03, 0.1, 0.02, 0.3


def on(device: str, precision: str = "fp32") -> list[str]:
    """Settings that win over those of the arguments before them."""
    return ["--loop.device", device.partition(":")[0], "--loop.precision", precision]


class Runs:
    """The three stages on one device, each from the same start as on the other."""

    def __init__(self, folder: Path, data: Corpora, stage_one: Path, device: str) -> None:
        self.stages = {name: folder / name for name in ("pretrain", "finetune", "distill")}
        still = ["--video.dropout", "0"]  # its draws are the device's own
        done("pretrain", *pretrain_arguments(data, self.stages["pretrain"]), *still, *on(device))
        arguments = finetune_arguments(data, stage_one, self.stages["finetune"], 0.3)
        done("finetune", *arguments, *on(device))
        done(
            *("distill", "--data", data.seen, "--run", self.stages["distill"]),
            *("--model.widths", 4, 8, 8, "--model.image_size", 28, "--frames_per_file", 2),
            *("--loop.epochs", 2, "--loop.batch_size", 4, "--optim.lr", 0.01, *on(device)),
        )


@pytest.fixture(scope="module")
def runs(corpora: Corpora, tmp_path_factory: pytest.TempPathFactory) -> tuple[Runs, Runs]:
    root = tmp_path_factory.mktemp("devices")
    stage_one = root / "stage_one"
    arguments = pretrain_arguments(corpora, stage_one)
    done("pretrain", *arguments, "--video.dropout", "0")
    one, two = (
        Runs(root / device.replace(":", "_"), corpora, stage_one, device) for device in DEVICES
    )
    return one, two


@pytest.mark.parametrize("stage", ["pretrain", "finetune", "distill"])
def test_a_stage_takes_the_same_first_step_on_both(runs: tuple[Runs, Runs], stage: str) -> None:
    """Later ones drift apart as two runs on one device with other rounding would."""
    cpu, gpu = (log_rows(found.stages[stage]) for found in runs)
    assert len(cpu) == len(gpu) and cpu[0].keys() == gpu[0].keys()
    for name in cpu[0]:
        if name.startswith("loss/"):
            assert gpu[0][name] == pytest.approx(cpu[0][name], abs=LOSS), name
    norm = "optim/gradient_norm"
    assert gpu[0][norm] == pytest.approx(cpu[0][norm], rel=NORM_SHARE)
    assert all(math.isfinite(value) for row in gpu for value in row.values())
    states = [load_state(r.stages[stage] / "checkpoints/last.safetensors") for r in runs]
    assert states[0]["model"].keys() == states[1]["model"].keys()


@pytest.mark.parametrize("how", ["default", "cuda_graphs"])
def test_compiled_networks_take_the_same_first_step(
    corpora: Corpora,
    runs: tuple[Runs, Runs],
    tmp_path: Path,
    how: str,
) -> None:
    if how == "cuda_graphs" and not DEVICE.startswith("cuda"):
        pytest.skip("a CPU has no CUDA graphs")
    arguments = [*pretrain_arguments(corpora, tmp_path / "run"), "--video.dropout", "0"]
    done("pretrain", *arguments, *on(DEVICES[1]), "--loop.compile", how)
    plain, compiled = log_rows(runs[1].stages["pretrain"]), log_rows(tmp_path / "run")
    assert [row["step"] for row in compiled] == [row["step"] for row in plain]
    for name in plain[0]:
        if name.startswith("loss/"):
            assert compiled[0][name] == pytest.approx(plain[0][name], abs=LOSS), name
    assert all(math.isfinite(value) for row in compiled for value in row.values())


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_run_stopped_on_the_device_is_resumed_there(
    corpora: Corpora,
    runs: tuple[Runs, Runs],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    precision: str,
) -> None:
    """As near to the undisturbed run as the device lets two runs be; on a CPU, equal."""
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)
    arguments = pretrain_arguments(corpora, tmp_path / "whole")
    done("pretrain", *arguments, *on(DEVICES[1], precision))
    step = AdamP.step
    taken: list[int] = []

    def stopping(optimizer: AdamP, closure: None = None) -> None:
        step(optimizer, closure)
        taken.append(1)
        if len(taken) == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    again = pretrain_arguments(corpora, tmp_path / "stopped") + on(DEVICES[1], precision)
    with monkeypatch.context() as patch:
        patch.setattr(AdamP, "step", stopping)
        assert avkd("pretrain", *again) == 143
    done("pretrain", *again, "--resume")
    rows = [log_rows(tmp_path / name) for name in ("whole", "stopped")]
    assert [row["step"] for row in rows[0]] == [row["step"] for row in rows[1]]
    for one, two in zip(*rows, strict=True):
        if "loss/total" in one:
            tolerance = 1e-2 if DEVICE.startswith("cuda") else 0.0
            assert two["loss/total"] == pytest.approx(one["loss/total"], abs=tolerance)


def test_an_evaluation_gives_the_same_scores_on_both(
    corpora: Corpora,
    runs: tuple[Runs, Runs],
    tmp_path: Path,
) -> None:
    for stage in ("finetune", "distill"):
        found = []
        for device in DEVICES:
            out = tmp_path / f"{stage}_{device.replace(':', '_')}"
            done(
                *("evaluate", "--model", runs[0].stages[stage] / "model.safetensors"),
                *("--data", corpora.seen, "--out", out, "--bootstrap_resamples", 100),
                *("--device", device.partition(":")[0], "--tables_only", "true"),
            )
            found.append(list(read_scores(out / "scores/faceforensics.csv")))
        for one, two in zip(*found, strict=True):
            assert (one.sample_id, one.window) == (two.sample_id, two.window)
            assert two.logit == pytest.approx(one.logit, abs=LOGIT)
            assert two.probability == pytest.approx(one.probability, abs=PROBABILITY)


def test_a_file_gets_the_same_verdict_on_both(
    corpora: Corpora,
    runs: tuple[Runs, Runs],
    tmp_path: Path,
) -> None:
    file = sorted((corpora.source / "celebdf_like/Celeb-real").glob("*.mp4"))[0]
    found = []
    for device in DEVICES:
        out = tmp_path / f"{device.replace(':', '_')}.jsonl"
        done(
            *("predict", file, "--model", runs[0].stages["finetune"] / "model.safetensors"),
            *("--detector", "boxes", "--out", out, "--device", device.partition(":")[0]),
        )
        found.append(json.loads(out.read_text()))
    assert found[1]["probability"] == pytest.approx(found[0]["probability"], abs=PROBABILITY)
    assert found[1]["decision"] == found[0]["decision"]


def test_the_optimiser_never_waits_for_the_device() -> None:
    device = DEVICES[1].partition(":")[0]
    weights = [torch.randn(8, 6, device=device, requires_grad=True) for _ in range(3)]
    optimizer = AdamP(weights, lr=0.1, weight_decay=0.1)
    for weight in weights:
        weight.grad = torch.randn_like(weight)
    optimizer.step()
    before = [weight.detach().clone() for weight in weights]
    if device == "cuda":
        torch.cuda.set_sync_debug_mode("error")
    try:
        optimizer.step()
    finally:
        if device == "cuda":
            torch.cuda.set_sync_debug_mode("default")
    assert all(not torch.equal(a, b) for a, b in zip(before, weights, strict=True))


class Numbers:
    """A large batch of one number."""

    sample_ids: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()

    def __init__(self, values: torch.Tensor) -> None:
        self.values = values

    def to(self, device: torch.device) -> "Numbers":
        return Numbers(self.values.to(device, non_blocking=True))


def test_batches_copied_ahead_arrive_whole_and_in_order() -> None:
    """While the device is busy with the ones before, whose memory they may be given."""
    device = torch.device(DEVICES[1].partition(":")[0])
    pinned = device.type == "cuda"
    whole = [torch.full((500_000,), float(n)) for n in range(20)]
    batches = [Numbers(values.pin_memory() if pinned else values) for values in whole]
    busy, sums = torch.randn(300, 300, device=device), []
    for batch in ahead(batches, device):
        for _ in range(30):
            busy = busy @ busy / 300
        sums.append((batch.values + 0 * busy[0, 0]).double().mean())
    assert [value.item() for value in sums] == [float(n) for n in range(20)]
