"""A finished model gets a new rule from the val side of other corpora, and nothing else changes."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from factories import write_grey_corpus, write_image_model
from safetensors.torch import load_file

from avkd import cli
from avkd.config.evaluation_config import CalibrateConfig
from avkd.evaluation.recalibrate import recalibrate
from avkd.models.decision import DecisionRule
from avkd.models.image_detector import ImageDetector
from avkd.models.model_file import load_detector, read_header

OLD = DecisionRule(threshold_logit=3.0, source="validation files of long ago")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_grey_corpus(tmp_path_factory.mktemp("mine"), "mine", broken=2)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    provenance = {"seed": 7, "excluded_methods": ["secret"]}
    return write_image_model(tmp_path / "model.safetensors", decision=OLD, provenance=provenance)


@pytest.fixture(autouse=True)
def brightness(monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    """The network is untrained: a bright picture gets a high logit instead of its answer."""
    shown: list[torch.Tensor] = []

    def forward(self: ImageDetector, pictures: torch.Tensor) -> SimpleNamespace:
        shown.append(pictures)
        return SimpleNamespace(logit=3 * pictures.mean(dim=tuple(range(1, pictures.ndim))) + 2)

    monkeypatch.setattr(ImageDetector, "forward", forward)
    return shown


def settings(model: Path, *data: Path, **changes: object) -> CalibrateConfig:
    values = {"out": model.with_name("mine.safetensors"), "device": "cpu", "threads": 1}
    return CalibrateConfig(model=model, data=data, **{**values, **changes})


@pytest.mark.parametrize("kind", ["platt", "temperature", "isotonic", "none"])
def test_the_weights_stay_and_the_rule_is_of_the_files_given(
    model: Path, corpus: Path, kind: str, brightness: list[torch.Tensor]
) -> None:
    before = model.read_bytes()
    outcome = recalibrate(settings(model, corpus, calibration=kind))
    assert model.read_bytes() == before, "the model that was given is left alone"
    old, new = load_file(model), load_file(model.with_name("mine.safetensors"))
    assert old.keys() == new.keys() and all(torch.equal(old[name], new[name]) for name in old)

    was, header = read_header(model), load_detector(model.with_name("mine.safetensors")).header
    assert (header.kind, header.arguments, header.preprocessing) == (
        was.kind,
        was.arguments,
        was.preprocessing,
    )
    assert header.provenance == {**was.provenance, "recalibrated_from": was.sha256}
    rule = header.decision
    assert rule is not None and rule.fit is not None and rule.calibration.kind == kind
    # Ten of twelve fakes could be read; neither other sides nor the method kept unseen took part.
    assert (rule.fit.num_real, rule.fit.num_fake) == (12, 10)
    assert sum(len(pictures) for pictures in brightness) == 22
    assert rule.fit.datasets == ("mine",) and rule.fit.methods == ("swap",)
    assert rule.fit.replaced_source == OLD.source
    assert "22 validation files of mine" in rule.source
    # Dark reals and bright fakes: the threshold lies between them.
    assert [rule.decide(logit) for logit in (-9.0, 9.0)] == ["real", "fake"]
    better = rule.fit.same_files_log_loss_after < rule.fit.same_files_log_loss_before
    assert better == (kind != "none")
    assert outcome.exit_code == 3 and "2 further validation files" in outcome.text
    assert "to be tested as unseen: secret" in outcome.text
    assert f"log-loss {rule.fit.same_files_log_loss_before:.3f} before" in outcome.text


def test_the_files_of_the_fit_can_be_told_from_others(
    model: Path, corpus: Path, tmp_path: Path
) -> None:
    """The same files give the same digest, others another; and a second fit names the first."""
    first = settings(model, corpus)
    other = write_grey_corpus(tmp_path / "other", "other")
    again = settings(first.out, corpus, out=tmp_path / "again.safetensors")
    both = settings(first.out, corpus, other, out=tmp_path / "both.safetensors")
    fits = []
    for config in (first, again, both):
        recalibrate(config)
        rule = read_header(config.out).decision
        assert rule is not None and rule.fit is not None
        fits.append(rule.fit)
    assert fits[0].files_fingerprint == fits[1].files_fingerprint != fits[2].files_fingerprint
    assert fits[2].datasets == ("mine", "other") and fits[2].num_fake == 22
    first_rule = read_header(first.out).decision
    assert first_rule is not None and fits[1].replaced_source == first_rule.source


def test_corpora_that_cannot_choose_are_refused(model: Path, corpus: Path, tmp_path: Path) -> None:
    reals = write_grey_corpus(tmp_path / "reals", "reals", only_real=True)
    with pytest.raises(ValueError, match="both classes, there are 12 real and 0 fake"):
        recalibrate(settings(model, reals))
    with pytest.raises(ValueError, match="--calibration platt"):
        recalibrate(settings(model, reals, calibration="isotonic"))
    with pytest.raises(ValueError, match="a second corpus named 'mine'"):
        recalibrate(settings(model, corpus, corpus))
    assert not model.with_name("mine.safetensors").exists()


def test_a_corpus_without_a_val_side_chooses_nothing(
    model: Path, corpus: Path, tmp_path: Path
) -> None:
    unsplit = write_grey_corpus(tmp_path / "unsplit", "unsplit", without_side="val")
    with pytest.raises(ValueError, match=r"nothing in its val split.*must choose nothing"):
        recalibrate(settings(model, corpus, unsplit))


def test_the_command_line_makes_the_file(
    model: Path, corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = model.with_name("new.safetensors")
    arguments = ["--model", model, "--data", corpus, "--out", out, "--device", "cpu"]
    code = cli.main(["calibrate", *map(str, arguments), "--calibration", "temperature"])
    assert code == 3 and f"wrote {out}" in capsys.readouterr().out
    rule = read_header(out).decision
    assert rule is not None and rule.calibration.kind == "temperature"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"out": Path("run/../run/model.safetensors")}, "is the model itself"),
        ({"out": Path("run/rule.json")}, "ends in .safetensors"),
        ({"data": ()}, "data is empty"),
        ({"batch_size": 0}, "batch_size"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(changes: dict, message: str) -> None:
    values = {"model": Path("run/model.safetensors"), "data": (Path("a"),)}
    values["out"] = Path("run/mine.safetensors")
    with pytest.raises(ValueError, match=message):
        CalibrateConfig(**{**values, **changes})
