"""Checkpoints: what comes back is what was saved, and what was damaged is refused."""

import contextlib
import errno
import itertools
import json
import multiprocessing
import random
import struct
import time
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import nn

from avkd.training import resume
from avkd.training.optim import groups_of, make_optimizer
from avkd.training.resume import CheckpointError, Checkpoints, load_state, save_state


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(3, 4, 3)
        self.norm = nn.BatchNorm1d(4)
        self.recurrent = nn.GRU(4, 5, bidirectional=True, batch_first=True)
        self.shared = self.convolution.weight  # one tensor under two names

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.recurrent(self.norm(self.convolution(x)).transpose(1, 2))[0]


def trained(seed: int = 0, steps: int = 3):
    torch.manual_seed(seed)
    network = Network()
    optimizer = make_optimizer(groups_of(network, "n"), rate=0.01, weight_decay=0.01)
    train(network, optimizer, steps)
    return network, optimizer


def train(network: nn.Module, optimizer: torch.optim.Optimizer, steps: int) -> None:
    for _ in range(steps):
        optimizer.zero_grad()
        network(torch.randn(4, 3, 9)).square().mean().backward()
        optimizer.step()


def assert_same(a: object, b: object) -> None:
    assert type(a) is type(b)
    if isinstance(a, torch.Tensor):
        assert a.dtype == b.dtype and a.shape == b.shape and torch.equal(a, b)
    elif isinstance(a, dict):
        assert list(a) == list(b)
        for key in a:
            assert_same(a[key], b[key])
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_same(x, y)
    else:
        assert a == b


def test_plain_values_and_tensors_of_every_kind_come_back_as_they_were(tmp_path):
    whole = torch.arange(12.0)
    state = {
        "numbers": {1: "int key", "1": "text key", "inf": float("-inf"), "third": 1 / 3},
        "kinds": [None, True, 2, 2.0, "é", (1, (2,)), [], {}, ()],
        "tensors": (
            torch.tensor(3),
            torch.zeros(0, 3),
            torch.ones(2, 3, dtype=torch.bool),
            torch.ones(2, dtype=torch.bfloat16) / 3,
            torch.get_rng_state(),
            torch.full((2, 2), float("nan")).nan_to_num(1.0),
            torch.randn(2, 3, 4, 5).contiguous(memory_format=torch.channels_last),
        ),
        "shared": [whole, whole, whole[:4], whole.view(3, 4).T],
    }
    save_state(tmp_path / "s", state)
    assert_same(load_state(tmp_path / "s"), state)


def test_a_module_and_its_optimizer_come_back_and_train_on_bit_for_bit(tmp_path):
    """Momentum, step counters and the single weight buffer of a GRU included."""
    network, optimizer = trained()
    save_state(
        tmp_path / "s",
        {
            "model": network.state_dict(),
            "optimizer": optimizer.state_dict(),
            "rng": resume.rng_state(),
        },
    )
    train(network, optimizer, 3)

    other, other_optimizer = trained(seed=1, steps=1)
    state = load_state(tmp_path / "s")
    other.load_state_dict(state["model"])
    other_optimizer.load_state_dict(state["optimizer"])
    resume.restore_rng(state["rng"])
    train(other, other_optimizer, 3)
    assert_same(other.state_dict(), network.state_dict())
    assert_same(other_optimizer.state_dict(), optimizer.state_dict())


def test_saving_does_not_tie_the_file_to_the_live_weights(tmp_path):
    weight = torch.zeros(3)
    save_state(tmp_path / "s", {"w": weight})
    weight.add_(1)
    assert torch.equal(load_state(tmp_path / "s")["w"], torch.zeros(3))


def test_the_generators_continue_where_they_were():
    state = resume.rng_state()
    first = torch.rand(4)
    resume.restore_rng(state)
    assert torch.equal(torch.rand(4), first)


def test_only_plain_things_can_be_saved(tmp_path):
    with pytest.raises(AssertionError):
        save_state(tmp_path / "s", {"path": Path("x")})
    assert list(tmp_path.iterdir()) == []


# Damage


def checkpoint(folder: Path) -> Path:
    path = folder / "last.safetensors"
    save_state(path, {"w": torch.arange(64.0), "step": 3, "name": "x"})
    return path


def test_a_flipped_bit_anywhere_is_found(tmp_path):
    """Header, structure, tensor bytes: a resumed run must never continue from something else."""
    path = checkpoint(tmp_path)
    content = path.read_bytes()
    for position in range(len(content)):
        damaged = bytearray(content)
        damaged[position] ^= 1 << (position % 8)
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=r"last\.safetensors"):
            load_state(path)


def test_a_truncated_checkpoint_is_refused_wherever_it_was_cut(tmp_path):
    path = checkpoint(tmp_path)
    content = path.read_bytes()
    for length in (0, 1, 7, 8, 9, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(CheckpointError, match="damaged"):
            load_state(path)


def test_a_foreign_file_is_refused(tmp_path):
    path = tmp_path / "other.safetensors"
    save_file({"w": torch.ones(3)}, path)
    with pytest.raises(CheckpointError, match="not a checkpoint of this version"):
        load_state(path)
    save_file({"w": torch.ones(3)}, path, metadata={"format": "avkd-checkpoint-0"})
    with pytest.raises(CheckpointError, match="not a checkpoint of this version"):
        load_state(path)
    torch.save({"w": torch.ones(3)}, path)  # a pickle
    with pytest.raises(CheckpointError, match="damaged"):
        load_state(path)


def test_a_header_that_promises_too_much_is_refused(tmp_path):
    path = tmp_path / "bomb.safetensors"
    path.write_bytes(struct.pack("<Q", 2**62) + json.dumps({}).encode())
    with pytest.raises(CheckpointError, match="damaged"):
        load_state(path)


def test_no_checkpoint_is_told_apart_from_a_bad_one(tmp_path):
    with pytest.raises(FileNotFoundError, match="no checkpoint"):
        load_state(Checkpoints(tmp_path).last)


def test_last_and_best_are_two_files_of_one_folder(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    assert {checkpoints.last.parent, checkpoints.best.parent} == {tmp_path}
    assert checkpoints.last != checkpoints.best


def numbered(checkpoints: Checkpoints, number: int) -> None:
    checkpoints.save_last({"number": number})


def test_the_state_before_the_newest_is_kept_and_used_where_the_newest_is_damaged(tmp_path, caplog):
    checkpoints = Checkpoints(tmp_path)
    assert not checkpoints.exist
    made_of = {"made_of": {}}
    for number in range(3):
        numbered(checkpoints, number)
        assert checkpoints.exist and checkpoints.load_latest() == {"number": number, **made_of}
    content = bytearray(checkpoints.last.read_bytes())
    content[-1] ^= 1
    checkpoints.last.write_bytes(content)
    assert checkpoints.load_latest() == {"number": 1, **made_of}
    assert "going on from" in caplog.text and "previous.safetensors" in caplog.text
    checkpoints.previous.write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"previous\.safetensors: damaged"):
        checkpoints.load_latest()


def test_what_a_state_came_of_is_kept_and_a_change_is_refused(tmp_path):
    """Exchanged crops, another precision, newer code: the end would be that of no run."""
    before = Checkpoints(tmp_path, {"data": "a", "precision": "fp32"})
    before.save_last({"number": 1})
    state = before.load_latest()
    before.require_same(state)
    with pytest.raises(ValueError, match=r"the precision changed since \(fp32 before, bf16 now\)"):
        Checkpoints(tmp_path, {"data": "a", "precision": "bf16"}).require_same(state)
    Checkpoints(tmp_path, {"code": "c"}).require_same(state)  # of an older avkd: not known


def test_a_kill_between_any_two_renames_leaves_the_newest_state(tmp_path, monkeypatch):
    """The n-th rename never happens; what is there is then as new as was written whole."""
    for killed_at in range(3):
        checkpoints = Checkpoints(tmp_path / str(killed_at))
        numbered(checkpoints, 0)
        renames = iter(range(10))
        replace = Path.replace

        def killed(path: Path, target: Path) -> None:
            if next(renames) == killed_at:  # noqa: B023 - called within this pass
                raise KeyboardInterrupt
            replace(path, target)  # noqa: B023

        with monkeypatch.context() as broken:
            broken.setattr(Path, "replace", killed)
            with pytest.raises(KeyboardInterrupt):
                numbered(checkpoints, 1)
        newest = 0 if killed_at == 0 else 1
        assert checkpoints.load_latest()["number"] == newest
        assert load_state(checkpoints.last)["number"] == newest
        numbered(checkpoints, 2)
        assert checkpoints.load_latest()["number"] == 2


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EFBIG])
def test_a_full_disk_is_one_whoever_words_it(tmp_path, monkeypatch, number):
    """Safetensors has an error of its own for it; the command line answers by the number."""

    def full(tensors: object, target: Path, metadata: object) -> None:
        raise SafetensorError(f"Error while serializing: I/O error: ... (os error {number})")

    monkeypatch.setattr(resume, "save_file", full)
    with pytest.raises(OSError, match=r"last\.safetensors") as told:
        save_state(tmp_path / "last.safetensors", {"a": 1})
    assert told.value.errno == number and list(tmp_path.iterdir()) == []


def test_a_save_that_fails_half_way_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    """A full disk must not cost the state that was already there."""
    path = checkpoint(tmp_path)
    before = path.read_bytes()

    def half_written(tensors: object, target: Path, metadata: object) -> None:
        Path(target).write_bytes(before[: len(before) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(resume, "save_file", half_written)
    with pytest.raises(OSError, match="No space"):
        save_state(path, {"w": torch.ones(3)})
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def saving(folder: Path, first: int, done: Connection) -> None:
    """In a process of its own: save and save, and tell what is saved."""
    torch.set_num_threads(1)
    for number in itertools.count(first):
        weights = torch.full((500_000,), float(number))
        Checkpoints(folder).save_last({"number": number, "weights": weights})
        done.send(number)


@pytest.mark.parametrize("kills", [3, pytest.param(100, marks=pytest.mark.slow)])
def test_a_process_killed_while_saving_loses_at_most_that_state(tmp_path, kills):
    """Sends kill -9 at random moments; saving directly to the path broke 8 of 24 such files."""
    delays, saved = random.Random(0), 0
    for _ in range(kills):
        ours, theirs = multiprocessing.Pipe(duplex=False)
        arguments = (tmp_path, saved + 1, theirs)
        saver = multiprocessing.get_context("fork").Process(target=saving, args=arguments)
        saver.start()
        theirs.close()
        saved = ours.recv()
        time.sleep(delays.uniform(0.0, 0.08))
        saver.kill()
        saver.join()
        with contextlib.suppress(EOFError):
            while True:
                saved = ours.recv()
        state = Checkpoints(tmp_path).load_latest()
        assert state["number"] in (saved, saved + 1)
        assert torch.equal(state["weights"], torch.full((500_000,), float(state["number"])))
        saved = state["number"]
