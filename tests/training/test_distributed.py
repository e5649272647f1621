"""Two processes under torchrun against one that is given the whole batch."""

import json
import os
import subprocess
import sys
from itertools import chain
from pathlib import Path

import processes
import pytest
import torch

from avkd.training import distributed
from avkd.training.distributed import SharedBatches
from avkd.training.resume import load_state

REPOSITORY = Path(__file__).resolve().parents[2]
RUNS = ("pretrain", "finetune", "distill", "accumulated")


def in_two_processes(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, processes.__file__, str(folder)],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """What one process leaves, and what two leave."""
    one, two = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("two")
    in_two_processes(two)
    processes.train_all(one)
    return one, two


@pytest.mark.parametrize("run", RUNS)
def test_two_processes_do_what_one_does_with_their_whole_batch(
    trained: tuple[Path, Path], run: str
) -> None:
    """Losses, gradient norms and all that is logged, weights, noted statistics, moments."""
    logs = [
        [json.loads(line) for line in (folder / run / "log.jsonl").read_text().splitlines()]
        for folder in trained
    ]
    assert len(logs[0]) == processes.STEPS * processes.EPOCHS + 1  # and a validation
    for ours, theirs in zip(*logs, strict=True):
        assert ours.keys() == theirs.keys()
        for name in ours.keys() - {"seconds", "stall"}:
            assert ours[name] == pytest.approx(theirs[name], rel=1e-5, abs=1e-5), name
    one, two = (load_state(folder / run / "checkpoints/last.safetensors") for folder in trained)
    assert one["model"].keys() == two["model"].keys()
    for name, tensor in one["model"].items():
        torch.testing.assert_close(two["model"][name], tensor, rtol=1e-5, atol=1e-5, msg=name)
    for number, state in one["optimizer"]["state"].items():
        torch.testing.assert_close(
            two["optimizer"]["state"][number]["exp_avg"], state["exp_avg"], rtol=1e-4, atol=1e-7
        )
    start = processes.STAGES[run if run in processes.STAGES else "distill"]
    torch.manual_seed(0)
    before = start()[0].state_dict()
    moved = [name for name, tensor in one["model"].items() if not tensor.equal(before[name])]
    assert len(moved) > len(before) / 3, "or nothing was trained"


def test_the_second_process_once_had_no_real_clip_and_had_to_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Or the test above would not have met the case where an auxiliary loss has nothing to do."""
    _, batches, clip_of = processes.finetune_stage()
    shares = shares_of(batches, 2, monkeypatch)
    labels = [[clip_of(key.item).labels.item() for key in keys] for keys in shares[1]]
    assert any(all(of_batch) for of_batch in labels)


def shares_of(
    batches: object, count: int, monkeypatch: pytest.MonkeyPatch, accumulate: int = 1
) -> list[list[list]]:
    """Of each of ``count`` processes all lists of keys of epoch 0."""
    monkeypatch.setattr(distributed, "num_processes", lambda: count)
    found = []
    for number in range(count):
        monkeypatch.setattr(distributed, "rank", lambda number=number: number)
        found.append(list(SharedBatches(batches, accumulate).epoch(0)))
    return found


class Whole:
    """Two batches of twelve."""

    def epoch(self, epoch: int, first: int = 0) -> list[list[int]]:
        return [list(range(100 * n, 100 * n + 12)) for n in range(first, 2)]


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_every_clip_of_a_batch_is_some_processs_once(
    monkeypatch: pytest.MonkeyPatch, count: int, accumulate: int
) -> None:
    """And a part of a batch is the same clips, however many processes share it."""
    shares = shares_of(Whole(), count, monkeypatch, accumulate)
    assert {len(of_process) for of_process in shares} == {2 * accumulate}
    for part, parts in enumerate(zip(*shares, strict=True)):
        batch, number = divmod(part, accumulate)
        whole = Whole().epoch(0)[batch]
        expected = [k for k in whole if k % 100 // 2 % accumulate == number]
        assert sorted(chain.from_iterable(parts)) == expected
        for keys in parts:
            pairs = zip(keys[::2], keys[1::2], strict=True)
            assert all(fake == real + 1 for real, fake in pairs), "a fake stays with its real"


def test_a_batch_too_small_for_all_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"12 clips cannot be shared out in 7 parts"):
        shares_of(Whole(), 7, monkeypatch)


def test_chunks_of_all_processes_are_all_items(monkeypatch: pytest.MonkeyPatch) -> None:
    for count in (1, 2, 3, 8):
        monkeypatch.setattr(distributed, "num_processes", lambda count=count: count)
        items: list[int] = []
        for number in range(count):
            monkeypatch.setattr(distributed, "rank", lambda number=number: number)
            items += distributed.chunk_of(range(7))
        assert items == list(range(7))


def test_one_process_is_left_as_it_is() -> None:
    """Without torchrun no tensor is copied, no network changed, no generator touched."""
    tensor, network = torch.ones(3, requires_grad=True), torch.nn.BatchNorm1d(3)
    before = torch.get_rng_state()
    distributed.seed_step(0, 0)
    assert distributed.gathered(tensor) is tensor and distributed.parallel(network) is network
    assert distributed.start("cuda:1") == "cuda:1" and distributed.is_first()
    assert distributed.agreed(15) == 15 and distributed.joined((1, 2)) == [1, 2]
    assert distributed.told_by_first(lambda: 3) == distributed.after_first(lambda: 3) == 3
    assert torch.equal(before, torch.get_rng_state())


def test_processes_on_one_gpu_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match="gives every process its own; say cuda"):
        distributed.start("cuda:0")
