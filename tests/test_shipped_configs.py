"""Every YAML file under configs/: loads, is complete, says its own command, and fits the others."""

import functools
from pathlib import Path
from typing import Any

import pytest
import yaml

from avkd import cli
from avkd.config.load import parse, to_yaml
from avkd.config.protocol_config import ProtocolConfig
from avkd.config.training_config import FinetuneConfig, PretrainConfig, VideoModelConfig
from avkd.data.layouts import LAYOUTS

REPOSITORY = Path(__file__).resolve().parents[1]
EVERY = sorted(path.relative_to(REPOSITORY) for path in (REPOSITORY / "configs").rglob("*.yaml"))
PROTOCOLS = [path for path in EVERY if path.parent.name == "protocols"]
CONFIGS = [path for path in EVERY if path not in PROTOCOLS]

# The rows of the published table: file, backbone, weight of the auxiliary task.
PAPER = {
    "finetune_csn101": ("csn101", 1.0),
    "finetune_cnn_lstm": ("cnn_lstm", 1.0),
    "finetune_gru_attention_ssl_1.0": ("published_gru", 1.0),
    "finetune_gru_attention_ssl_0.0": ("published_gru", 0.0),
    "finetune_gru_attention_ssl_0.3": ("published_gru", 0.3),
    "finetune_gru_attention_ssl_0.5": ("published_gru", 0.5),
    "finetune_gru_attention_ssl_0.7": ("published_gru", 0.7),
}


def verb_of(path: Path) -> str:
    """The verb that a config's file name begins with."""
    (verb,) = (verb for verb in cli.VERBS if path.stem.split("_")[0] == verb)
    return verb


@functools.cache
def load(path: Path) -> Any:
    verb = verb_of(path)
    return parse(verb, cli._find(cli.VERBS[verb].config), ["--config", str(REPOSITORY / path)])


def stage_one_of(config: FinetuneConfig) -> PretrainConfig | None:
    """The shipped config whose run writes the stage-one file that ``config`` starts from."""
    found = [
        pretrain
        for pretrain in (load(path) for path in CONFIGS if verb_of(path) == "pretrain")
        if config.pretrained == pretrain.run / "model.safetensors"
    ]
    return found[0] if found else None


@pytest.mark.parametrize("path", CONFIGS, ids=str)
def test_a_config_loads_and_leaves_nothing_to_guess(path: Path) -> None:
    """A setting that is not in the file would follow a default that may change."""
    config = load(path)
    written = yaml.safe_load((REPOSITORY / path).read_text())
    assert written == yaml.safe_load(to_yaml(config))


@pytest.mark.parametrize("path", CONFIGS, ids=str)
def test_a_config_opens_with_its_own_command_and_what_to_expect(path: Path) -> None:
    lines = (REPOSITORY / path).read_text().splitlines()
    assert lines[0] == f"# avkd {verb_of(path)} --config {path.as_posix()}"
    assert lines[1].startswith("# ") and lines[2].startswith("# "), "its cost; what to expect"


@pytest.mark.parametrize("path", [p for p in CONFIGS if verb_of(p) == "finetune"], ids=str)
def test_stage_two_starts_from_a_shipped_stage_one(path: Path) -> None:
    config = load(path)
    stage_one = stage_one_of(config)
    assert stage_one is not None, f"{path}: no config writes {config.pretrained}"
    # The backbone comes with the stage-one file; naming it here must not contradict it.
    assert config.start != "pretrained" or config.video in (VideoModelConfig(), stage_one.video)
    assert config.loop.seed == stage_one.loop.seed


def test_runs_do_not_write_over_each_other() -> None:
    verbs = ("pretrain", "finetune", "distill")
    runs = [load(path).run for path in CONFIGS if verb_of(path) in verbs]
    runs += [load(path).out for path in CONFIGS if verb_of(path) == "compare"]
    assert len(set(runs)) == len(runs)


@pytest.mark.parametrize("path", [p for p in CONFIGS if verb_of(p) == "distill"], ids=str)
def test_a_teacher_is_the_model_of_a_shipped_training(path: Path) -> None:
    config = load(path)
    trained = [p for p in CONFIGS if verb_of(p) in ("finetune", "distill") and p != path]
    made = {load(p).run / "model.safetensors": p for p in trained}
    assert config.teacher is None or config.teacher in made, f"nothing makes {config.teacher}"


def test_the_published_distillation_differs_in_the_teacher_and_the_soft_loss_alone() -> None:
    folder = Path("configs/image")
    labels, kl, mse = (load(folder / f"distill_resnet8_{n}.yaml") for n in ("labels", "kl", "mse"))
    assert (labels.teacher, kl.soft, mse.soft) == (None, "kl", "mse")
    assert kl.teacher == mse.teacher is not None and kl.temperature == 4.0
    assert kl.soft_weight == mse.soft_weight == 0.4
    apart = ("run", "teacher", "soft", "alpha", "temperature", "teacher_outputs")
    common = [{k: v for k, v in vars(c).items() if k not in apart} for c in (labels, kl, mse)]
    assert common[0] == common[1] == common[2]


def test_evaluation_reads_what_stage_two_and_preparation_write() -> None:
    made = {load(path).run / "model.safetensors" for path in CONFIGS if verb_of(path) == "finetune"}
    prepared = {load(path).out for path in CONFIGS if verb_of(path) == "prepare"}
    evaluations = [load(path) for path in CONFIGS if verb_of(path) == "evaluate"]
    assert evaluations
    for config in evaluations:
        assert config.model in made
        assert set(config.data) <= prepared


def test_the_published_table_has_exactly_its_seven_runs() -> None:
    paths = [path for path in CONFIGS if path.parent.name == "paper"]
    finetuned = {path.stem: load(path) for path in paths if verb_of(path) == "finetune"}
    assert finetuned.keys() == PAPER.keys()
    for name, (backbone, weight) in PAPER.items():
        config = finetuned[name]
        assert config.ssl_weight == weight
        stage_one = stage_one_of(config)
        assert stage_one is not None and stage_one.video.name == backbone
        assert config.run == Path("runs/paper") / name
    # Rows of one table differ in the backbone and the weight alone.
    common = [
        {k: v for k, v in vars(c).items() if k not in ("ssl_weight", "run", "pretrained", "video")}
        for c in finetuned.values()
    ]
    assert all(settings == common[0] for settings in common)


def load_protocol(path: Path) -> ProtocolConfig:
    return parse("evaluate", ProtocolConfig, ["--config", str(REPOSITORY / path)])


@pytest.mark.parametrize("path", PROTOCOLS, ids=str)
def test_a_protocol_loads_is_complete_and_opens_with_its_command(path: Path) -> None:
    text = (REPOSITORY / path).read_text()
    protocol = load_protocol(path)
    assert yaml.safe_load(text) == yaml.safe_load(to_yaml(protocol))
    assert protocol.name == path.stem
    lines = text.splitlines()
    assert lines[0].startswith(f"# avkd evaluate --protocol {path.as_posix()} --model MODEL --data")
    assert lines[1].startswith("# Cost: ") and lines[2].startswith("# Expect: ")
    assert "(memory)" not in text, "what was not looked up is left out"


@pytest.mark.parametrize("path", PROTOCOLS, ids=str)
def test_the_counts_of_a_protocol_are_those_of_the_datasets_and_fit_its_files(path: Path) -> None:
    protocol = load_protocol(path)
    counts = {(count.dataset, count.method): count.files for count in protocol.official_counts}
    if not counts:
        return
    datasets = {dataset for dataset, _ in counts}
    with_reals = {dataset for dataset, method in counts if method == "real"}
    assert with_reals == (datasets if protocol.reals_from is None else {protocol.reals_from})
    assert datasets <= set(LAYOUTS), "no layout gives a dataset that name"
    if protocol.methods is not None:
        assert {method for _, method in counts} == {"real", *protocol.methods}


def test_both_readings_of_a_published_protocol_differ_in_the_last_window_alone() -> None:
    """RealForensics' clips and LipForensics' clips, of the same files."""
    for path in PROTOCOLS:
        if path.stem.startswith("realforensics_"):
            one = load_protocol(path)
            other = load_protocol(path.with_name(path.name.replace("real", "lip", 1)))
            assert (one.windows, other.windows) == ("covering", "whole")
            apart = ("name", "source", "windows")
            fields = [{k: v for k, v in vars(p).items() if k not in apart} for p in (one, other)]
            assert fields[0] == fields[1]
            assert (one.clip_frames, one.pooling) == (25, "mean_logit")
            # Of Celeb-DF and DFDC both look at all of a file.
            is_short = not path.stem.endswith(("celebdf_v2", "dfdc"))
            assert one.first_frames == (110 if is_short else None)
