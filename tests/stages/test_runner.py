"""What the stages share: where a run computes, and what it may not be resumed without."""

from dataclasses import replace
from pathlib import Path

import pytest

from avkd import runtime
from avkd.config.training_config import LoopConfig, PretrainConfig
from avkd.stages.runner import start_machine
from avkd.training import run_folder


def test_a_resumed_run_keeps_the_precision_that_it_was_begun_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The probe goes by a clock: on a busy machine it may find otherwise the next time."""
    monkeypatch.setattr(runtime, "_bf16_is_fast_and_right", lambda device: True)
    config = PretrainConfig(data=(Path("d"),), run=tmp_path, loop=LoopConfig(device="cpu"))
    begun = start_machine(config)
    assert begun.precision == "bf16"
    run_folder.write_environment(tmp_path, begun.describe())
    monkeypatch.setattr(runtime, "_bf16_is_fast_and_right", lambda device: False)
    assert start_machine(config).precision == "fp32"
    resumed = replace(config, resume=True)
    assert start_machine(resumed).precision == "bf16"
    (tmp_path / "environment.json").write_text('{"precision": "fp8"}')
    assert start_machine(resumed).precision == "fp32"
    asked = replace(resumed, loop=replace(config.loop, precision="fp32"))
    assert start_machine(asked).precision == "fp32"
