"""A protocol that says something impossible, or nothing, must not load."""

import dataclasses
from pathlib import Path

import pytest

from avkd.config.load import ConfigError, parse, to_yaml
from avkd.config.protocol_config import OfficialCount, ProtocolConfig


def make(**changes: object) -> ProtocolConfig:
    return ProtocolConfig(**{"name": "n", "source": "s", **changes})


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"name": " "}, "name is empty"),
        ({"source": ""}, "source is empty"),
        ({"methods": ()}, "methods: name each forgery once"),
        ({"methods": ("a", "a")}, "methods: name each forgery once"),
        ({"methods": ("a", "real")}, "methods: name each forgery once"),
        ({"reals_from": ""}, "reals_from is empty"),
        ({"windows": "spread"}, "most_windows goes with windows: spread"),
        ({"most_windows": 3}, "most_windows goes with windows: spread"),
        ({"windows": "spread", "most_windows": 0}, "most_windows must be at least 1"),
        ({"clip_frames": 0}, "clip_frames must be at least 1"),
        ({"first_frames": -1}, "first_frames must be at least 1"),
        (
            {"official_counts": (OfficialCount(dataset="d", method="m", files=1),) * 2},
            "counted twice",
        ),
    ],
)
def test_a_protocol_that_cannot_be_followed_is_refused(changes: dict, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        make(**changes)


@pytest.mark.parametrize("changes", [{"dataset": ""}, {"method": ""}, {"files": 0}])
def test_a_count_names_its_files_and_is_not_zero(changes: dict) -> None:
    with pytest.raises(ValueError, match="official_counts: each needs"):
        OfficialCount(**{"dataset": "d", "method": "m", "files": 1, **changes})


def test_a_protocol_survives_its_file(tmp_path: Path) -> None:
    config = make(
        methods=("a", "007"),
        reals_from="other",
        windows="spread",
        most_windows=32,
        clip_frames=1,
        pooling="confident",
        official_counts=(
            OfficialCount(dataset="d", method="real", files=140),
            OfficialCount(dataset="d", method="007", files=12),
        ),
    )
    (tmp_path / "p.yaml").write_text(to_yaml(config))
    assert parse("evaluate", ProtocolConfig, ["--config", str(tmp_path / "p.yaml")]) == config


def test_an_unknown_pooling_is_refused(tmp_path: Path) -> None:
    text = to_yaml(make()).replace("mean_logit", "median")
    (tmp_path / "p.yaml").write_text(text)
    with pytest.raises(ConfigError, match="pooling"):
        parse("evaluate", ProtocolConfig, ["--config", str(tmp_path / "p.yaml")])


def test_every_field_tells_two_protocols_apart() -> None:
    """The fingerprint at the head of scores is of all fields; none may be left out of equality."""
    assert all(field.compare for field in dataclasses.fields(ProtocolConfig))
