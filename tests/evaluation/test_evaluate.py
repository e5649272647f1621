"""What an evaluation leaves in its folder."""

from pathlib import Path

import pytest
from test_summary import made_up_scores

from avkd.config.evaluation_config import EvaluateConfig
from avkd.evaluation import evaluate
from avkd.models.decision import DecisionRule
from avkd.models.model_header import ModelHeader

RULE = DecisionRule(calibration_scale=1.0, calibration_offset=0.0, threshold=0.5, source="val")


@pytest.mark.parametrize("rule", [RULE, None])
def test_the_verdicts_are_drawn_when_there_is_a_threshold_and_every_file_is_named(
    tmp_path: Path, rule: DecisionRule | None
) -> None:
    config = EvaluateConfig(
        model=Path("run/model.safetensors"),
        data=(Path("d"),),
        out=tmp_path,
        bootstrap_resamples=100,
    )
    header = ModelHeader(
        kind="detector", arguments={}, preprocessing={}, provenance={}, decision=rule
    )
    outcome = evaluate._report(config, header, made_up_scores())
    names = {path.name for path in tmp_path.iterdir()}
    pictures = {"report.png", "reliability.png"} | ({"confusion.png"} if rule else set())
    assert names == {"report.md", "report.csv"} | pictures
    last_line = outcome.text.splitlines()[-1]
    assert all(str(tmp_path / name) in last_line for name in names)
