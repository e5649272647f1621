"""What a run tells and keeps: rows once each, TensorBoard curves, and which folder may be used."""

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from avkd.config.load import to_yaml
from avkd.config.training_config import LoopConfig, OptimConfig, PretrainConfig
from avkd.training import run_folder
from avkd.training.resume import save_state
from avkd.training.run_log import RunLog


def log_to(folder: Path, first_step: int = 0) -> RunLog:
    return RunLog(folder, first_step=first_step, total_steps=10, label="test")


def steps(folder: Path) -> list[int]:
    lines = (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["step"] for line in lines]


def test_a_row_holds_its_step_time_and_values(tmp_path):
    with log_to(tmp_path) as log:
        time.sleep(0.02)
        log.waited(0.01)
        log.scalars(0, {"loss/total": 0.25, "optim/rate": 1e-3})
        log.advance(0.25)
    (row,) = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert row["stall"] == pytest.approx(0.01 / row["seconds"], rel=0.2) and row["stall"] <= 0.5
    assert row.pop("seconds") >= 0.02 and row.pop("stall") > 0
    assert row == {"step": 0, "loss/total": 0.25, "optim/rate": 1e-3}


def test_a_row_is_on_disk_as_soon_as_it_is_logged(tmp_path):
    with log_to(tmp_path) as log:
        log.scalars(0, {"a": 1.0})
        assert steps(tmp_path) == [0]


def test_rows_from_the_resumed_step_on_are_dropped(tmp_path):
    """A step that is done twice must not be drawn twice."""
    with log_to(tmp_path) as log:
        for step in range(5):
            log.scalars(step, {"a": float(step)})
    with log_to(tmp_path, first_step=3) as log:
        assert steps(tmp_path) == [0, 1, 2]
        log.scalars(3, {"a": 3.0})
    assert steps(tmp_path) == [0, 1, 2, 3]


@pytest.mark.parametrize("torn", ['{"step": 2, "a": 1', '{"st', '{"a": 1.0}', "\n"])
def test_a_half_written_last_row_is_ignored(tmp_path, torn):
    """A kill -9 may cut a row anywhere; the run must still resume."""
    (tmp_path / "log.jsonl").write_text('{"step": 0, "a": 1.0}\n{"step": 1, "a": 1.0}\n' + torn)
    with log_to(tmp_path, first_step=2) as log:
        log.scalars(2, {"a": 2.0})
    assert steps(tmp_path) == [0, 1, 2]


def test_a_new_run_starts_an_empty_log(tmp_path):
    (tmp_path / "log.jsonl").write_text('{"step": 0, "a": 1.0}\n')
    with log_to(tmp_path):
        assert steps(tmp_path) == []


def test_tensorboard_shows_the_curves_and_pictures(tmp_path):
    with log_to(tmp_path) as log:
        for step in range(3):
            log.scalars(step, {"loss/total": step / 2})
        log.image(2, "views/student", np.zeros((8, 16, 3), dtype=np.uint8))
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(e.step, e.value) for e in events.Scalars("loss/total")] == [(0, 0), (1, 0.5), (2, 1)]
    (image,) = events.Images("views/student")
    assert (image.step, image.height, image.width) == (2, 8, 16)


def test_tensorboard_shows_no_step_twice_after_a_resume(tmp_path):
    with log_to(tmp_path) as log:
        for step in range(5):
            log.scalars(step, {"loss/total": 0.0})
    with log_to(tmp_path, first_step=3) as log:
        log.scalars(3, {"loss/total": 1.0})
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(e.step, e.value) for e in events.Scalars("loss/total")] == [
        (0, 0),
        (1, 0),
        (2, 0),
        (3, 1),
    ]


def test_a_message_and_the_bar_go_to_standard_error(tmp_path, capsys):
    """Standard output belongs to results, so that they can be piped."""
    with log_to(tmp_path) as log:
        log.say("epoch 1/2")
        log.advance(0.5)
    captured = capsys.readouterr()
    assert "epoch 1/2" in captured.err and captured.out == ""


# Run folders

CONFIG = PretrainConfig(data=(Path("a"),), run=Path("r"), loop=LoopConfig(epochs=3))
LONGER = replace(CONFIG, loop=LoopConfig(epochs=4))


def start(folder: Path, config: PretrainConfig, *, resume: bool) -> None:
    run_folder.check(folder, config, resume=resume)
    run_folder.write_config(folder, config, resume=resume)


def started(folder: Path) -> Path:
    start(folder, CONFIG, resume=False)
    save_state(folder / "checkpoints" / "last.safetensors", {"step": 1})
    return folder


def test_a_new_run_leaves_its_config(tmp_path):
    start(tmp_path / "deep" / "run", CONFIG, resume=False)
    assert (tmp_path / "deep" / "run" / "config.yaml").read_text() == to_yaml(CONFIG)


def test_a_folder_with_a_run_is_not_overwritten(tmp_path):
    """Hours of training would be gone for a repeated command."""
    folder = started(tmp_path)
    with pytest.raises(FileExistsError, match="--resume continues it"):
        start(folder, LONGER, resume=False)
    assert (folder / "config.yaml").read_text() == to_yaml(CONFIG)


def test_a_run_that_never_reached_a_checkpoint_may_be_started_again(tmp_path):
    start(tmp_path, CONFIG, resume=False)
    start(tmp_path, LONGER, resume=False)
    assert "epochs: 4" in (tmp_path / "config.yaml").read_text()


def test_a_run_killed_in_its_first_save_may_be_started_again(tmp_path):
    """A part of a file is no checkpoint; it is swept away."""
    start(tmp_path, CONFIG, resume=False)
    (tmp_path / "checkpoints").mkdir()
    half = tmp_path / "checkpoints" / ".last.safetensors.abc.tmp"
    half.write_bytes(b"half")
    for resume in (True, False):  # whichever the queue that starts it again is told
        start(tmp_path, CONFIG, resume=resume)
    with run_folder.held(tmp_path):
        assert not half.exists()


def test_two_trainings_do_not_write_into_one_folder(tmp_path):
    second = run_folder.held(tmp_path)
    with (
        run_folder.held(tmp_path),
        pytest.raises(ValueError, match="another training is at work there"),
        second,
    ):
        pass
    with run_folder.held(tmp_path):
        pass


def test_a_run_folder_may_be_moved(tmp_path):
    folder = started(tmp_path / "here")
    folder.rename(tmp_path / "there")
    moved = replace(CONFIG, run=tmp_path / "there", resume=True)
    start(tmp_path / "there", moved, resume=True)
    assert (tmp_path / "there" / "config.yaml").read_text() == to_yaml(CONFIG)
    with pytest.raises(ValueError, match="was started with"):  # moved, but another run
        start(tmp_path / "there", replace(LONGER, run=tmp_path / "there"), resume=True)


def test_the_same_settings_resume_whatever_resume_and_force_say(tmp_path):
    """A finished run at chance is told to be written with `--resume --force`."""
    folder = started(tmp_path)
    start(folder, replace(CONFIG, resume=True, force=True), resume=True)
    assert (folder / "config.yaml").read_text() == to_yaml(CONFIG)


def test_other_settings_do_not_resume_and_the_difference_is_named(tmp_path):
    folder = started(tmp_path)
    with pytest.raises(ValueError, match=r"'loop.epochs: 3', not 'loop.epochs: 4'.*decay"):
        start(folder, LONGER, resume=True)


def test_a_run_whose_schedule_does_not_know_its_end_may_be_made_longer(tmp_path):
    """A cosine of four epochs is another run than one of three, from its first step on."""
    open_ended = replace(
        CONFIG,
        optim=OptimConfig(lr=1e-3, warmup_epochs=1.0, decay="constant"),
        momentum_start=0.99,
        momentum_end=0.99,
    )
    longer = replace(open_ended, loop=LoopConfig(epochs=4))
    start(tmp_path, open_ended, resume=False)
    save_state(tmp_path / "checkpoints" / "last.safetensors", {"step": 1})
    start(tmp_path, replace(longer, resume=True), resume=True)
    assert (tmp_path / "config.yaml").read_text() == to_yaml(longer)
    with pytest.raises(ValueError, match=r"'loop.epochs: 4', not 'loop.epochs: 3'; resume"):
        start(tmp_path, open_ended, resume=True)
    for changed in ({"momentum_end": 1.0}, {"optim": replace(longer.optim, decay="cosine")}):
        assert not replace(longer, **changed).is_open_ended
    assert not replace(longer, optim=replace(longer.optim, warmup_epochs=None)).is_open_ended


def test_a_config_of_an_older_version_is_read_but_never_completed_by_new_defaults(tmp_path):
    """Its keys may stand in another order; a setting that came later may have changed the run."""
    path = started(tmp_path) / "config.yaml"
    text = yaml.safe_dump(yaml.safe_load(to_yaml(CONFIG)), sort_keys=True)
    path.write_text(text)
    start(tmp_path, CONFIG, resume=True)
    path.write_text(text.replace("motion_only: false\n", ""))
    with pytest.raises(ValueError, match=r"earlier avkd without motion_only; start a new --run"):
        start(tmp_path, CONFIG, resume=True)
    start(tmp_path, replace(CONFIG, resume=True, resume_changed=True), resume=True)
    path.write_text(text + "of_old: 1\n")
    with pytest.raises(ValueError, match=r"config\.yaml: unknown .*'of_old'.*start a new --run"):
        start(tmp_path, CONFIG, resume=True)


def test_there_is_nothing_to_resume_in_an_empty_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="no run there to resume"):
        start(tmp_path, CONFIG, resume=True)


def test_the_environment_names_machine_versions_and_command(tmp_path):
    run_folder.write_environment(tmp_path, {"device": "cpu"})
    environment = json.loads((tmp_path / "environment.json").read_text())
    assert environment["device"] == "cpu" and environment["command"]
    assert {"avkd", "commit", "python", "platform", "started"} <= environment.keys()
