"""From command lines and YAML files to configs: what is accepted, and what each mistake is told."""

from pathlib import Path

import pytest

from avkd.config.data_config import (
    DoctorConfig,
    ForgeConfig,
    LayoutConfig,
    PrepareConfig,
    SynthConfig,
)
from avkd.config.evaluation_config import EvaluateConfig, PredictConfig, ReportConfig
from avkd.config.image_config import DistillConfig
from avkd.config.load import ConfigError, parse, to_yaml
from avkd.config.online_config import OnlineConfig
from avkd.config.study_config import CompareConfig, MatrixConfig, RobustnessConfig
from avkd.config.training_config import (
    FinetuneConfig,
    LoopConfig,
    OptimConfig,
    PretrainConfig,
    VideoModelConfig,
    ViewConfig,
)

REQUIRED = ("--data", "corpus", "--run", "runs/a")

ODD_FILE_NAMES = (
    "plain.mp4",
    "colon:name.mp4",
    "colon: space.mp4",
    "comma, and space.mp4",
    "it's.mp4",
    'quo"te.mp4',
    "back\\slash.mp4",
    "-dash.mp4",
    "--two.mp4",
    " spaces around ",
    "[ac]*.mp4",
    "{x}.mp4",
    "#hash",
    "&anchor",
    "~",
    "null",
    "true",
    "1",
    "1e3",
    "2020-01-01",
    "line\nbreak.mp4",
    "é😀.mp4",
    "x" * 254,
)


def pretrain(*arguments: str) -> PretrainConfig:
    return parse("pretrain", PretrainConfig, [*REQUIRED, *arguments])


def predict(*arguments: str) -> PredictConfig:
    return parse("predict", PredictConfig, ["--model", "m", *arguments], "files")


def mistake(config_class: type, *arguments: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse("verb", config_class, list(arguments))
    message = str(caught.value)
    assert message.startswith("avkd verb: ") and "\n" not in message
    return message


def yaml_file(folder: Path, text: str) -> str:
    path = folder / "settings.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


# Misspelt keys


@pytest.mark.parametrize(
    ("flag", "key", "likely"),
    [
        ("--resme", "resme", "resume"),
        ("--optim.lrr", "optim.lrr", "optim.lr"),
        ("--lr", "lr", "optim.lr"),
        ("--epochs", "epochs", "loop.epochs"),
        ("--audio_witdh", "audio_witdh", "audio_width"),
        ("--video.hiden", "video.hiden", "video.hidden"),
    ],
)
@pytest.mark.parametrize("joined", [False, True])
def test_a_misspelt_flag_is_named_together_with_the_likely_one(flag, key, likely, joined):
    arguments = (f"{flag}=1",) if joined else (flag, "1")
    message = mistake(PretrainConfig, *REQUIRED, *arguments)
    assert f"unknown setting '{key}': did you mean '{likely}'?" in message


@pytest.mark.parametrize("config", [EvaluateConfig, ReportConfig])
def test_a_withdrawn_setting_is_answered_with_what_to_do_instead(config, tmp_path):
    needed = ["--model=m", "--data=d"] if config is EvaluateConfig else ["--scores=s"]
    for given in (
        ["--flat_memory", "true"],
        [f"--config={yaml_file(tmp_path, 'flat_memory: false')}"],
    ):
        assert "'flat_memory': it is withdrawn" in mistake(config, *given, *needed, "--out=o")


def test_a_renamed_setting_is_answered_with_its_new_name(tmp_path):
    needed = ["--data=d", "--run=r"]
    told = mistake(DistillConfig, "--views.tone=0.2", *needed)
    assert "'views.tone': it is called color_jitter now" in told
    stored = yaml_file(tmp_path, "views:\n  shrink: 0.5\n")
    told = mistake(DistillConfig, f"--config={stored}", *needed)
    assert "'views.shrink': it is called downscale now" in told


@pytest.mark.parametrize("flag", ["--optim.warmup_epoch", "--loop.epoch", "--resum", "--audio_wid"])
def test_an_abbreviated_flag_is_a_misspelt_one(flag):
    """An accepted abbreviation changes its meaning when a setting with the same start is added."""
    assert "did you mean" in mistake(PretrainConfig, *REQUIRED, f"{flag}=1")


@pytest.mark.parametrize(
    ("text", "key", "likely"),
    [
        ("resum: true\n", "resum", "resume"),
        ("optim:\n  lrr: 1\n", "optim.lrr", "optim.lr"),
        ("video:\n  hiden: 3\n", "video.hiden", "video.hidden"),
        ("optimm:\n  lr: 1\n", "optimm.lr", "optim.lr"),
    ],
)
def test_a_misspelt_yaml_key_is_named_together_with_the_likely_one(tmp_path, text, key, likely):
    """A key that a YAML file cannot misspell unnoticed is the reason for typed configs."""
    message = mistake(PretrainConfig, "--config", yaml_file(tmp_path, text), *REQUIRED)
    assert f"unknown setting '{key}': did you mean '{likely}'?" in message


def test_a_key_like_no_other_points_to_the_list_of_settings():
    message = mistake(PretrainConfig, *REQUIRED, "--zzzz", "1")
    assert "unknown setting 'zzzz': see --help" in message


# Wrong values


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("optim.lr", "fast"),
        ("loop.epochs", "2.5"),
        ("target_center", "per_frame"),
        ("video.name", "resnet"),
        ("resume", "maybe"),
    ],
)
def test_a_value_of_the_wrong_type_names_its_key_and_itself(flag, value):
    message = mistake(PretrainConfig, *REQUIRED, f"--{flag}={value}")
    assert flag in message and value in message


def test_a_yaml_value_of_the_wrong_type_names_its_key(tmp_path):
    config = yaml_file(tmp_path, "loop:\n  epochs: many\n")
    message = mistake(PretrainConfig, "--config", config, *REQUIRED)
    assert "loop.epochs" in message and "many" in message


@pytest.mark.parametrize(
    ("flag", "value", "told"),
    [
        ("loop.precision", "fp8", "auto, fp32, bf16"),
        ("loop.batch_size", "x", "a whole number"),
        ("optim.lr", "x", "a number or null"),
        ("motion_only", "perhaps", "true or false"),
    ],
)
def test_what_a_setting_takes_is_said_as_a_user_would_write_it(flag, value, told):
    message = mistake(PretrainConfig, *REQUIRED, f"--{flag}={value}")
    assert message.endswith(f"{flag}: {value!r}, but it takes {told}")


@pytest.mark.parametrize(
    ("config_class", "arguments", "expected"),
    [
        (PretrainConfig, (*REQUIRED, "--loop.epochs", "0"), "loop.epochs must be at least 1"),
        (PretrainConfig, (*REQUIRED, "--optim.lr", "-1"), "optim: want lr > 0"),
        (PretrainConfig, (*REQUIRED, "--views.erasing", "1.5"), "views.erasing: want 0..1"),
        (FinetuneConfig, REQUIRED, "--ssl_weight 0 to train without it"),
        (
            PrepareConfig,
            ("--source", "s", "--layout", "lrw", "--out", "o", "--shard", "4/4"),
            "i/n",
        ),
        (SynthConfig, ("--out", "o", "--workers", "0"), "workers must be at least 1"),
        (ForgeConfig, ("--data", "d", "--out", "o", "--min_strength", "2"), "min_strength"),
    ],
)
def test_the_text_of_our_own_check_reaches_the_user(config_class, arguments, expected):
    """The parser wraps what a dataclass raises; the cure we wrote must survive that."""
    assert expected in mistake(config_class, *arguments)


@pytest.mark.parametrize(
    ("verb", "config_class", "key", "word"),
    [
        ("compare", CompareConfig, "sets", "x"),
        ("compare", CompareConfig, "sets", "[x]"),
        ("matrix", MatrixConfig, "trainings", "x"),
    ],
)
def test_what_is_a_list_of_mappings_says_so(verb, config_class, key, word):
    with pytest.raises(ConfigError) as told:
        parse(verb, config_class, [f"--{key}", word])
    cure = f"{key} is a list of mappings; write them in a YAML file for --config"
    assert str(told.value) == f"avkd {verb}: {cure}"


def test_a_missing_required_setting_is_named():
    assert "run" in mistake(PretrainConfig, "--data", "a")
    assert "data" in mistake(PretrainConfig, "--run", "r")


def test_a_stray_word_is_refused_where_a_verb_takes_none():
    assert "stray" in mistake(PretrainConfig, *REQUIRED, "stray")


def test_a_missing_or_broken_config_file_is_a_user_mistake(tmp_path):
    assert "nowhere.yaml" in mistake(PretrainConfig, "--config", str(tmp_path / "nowhere.yaml"))
    mistake(PretrainConfig, "--config", yaml_file(tmp_path, "data: [a\nrun: r"))
    mistake(PretrainConfig, "--config", yaml_file(tmp_path, "- a\n- b\n"))


# Settings without effect


@pytest.mark.parametrize(
    ("config_class", "arguments", "key"),
    [
        (PretrainConfig, ("--video.name", "published_gru", "--video.heads", "8"), "video.heads"),
        (PretrainConfig, ("--video.name", "csn101", "--video.hidden", "8"), "video.hidden"),
        (PretrainConfig, ("--video.time_axis", "published"), "video.time_axis"),
        (FinetuneConfig, ("--ssl_weight=0", "--views.frequency_mask_max=3"), "frequency_mask_max"),
        (FinetuneConfig, ("--ssl_weight", "0", "--real_ratio", "2"), "real_ratio"),
    ],
)
def test_a_setting_without_effect_is_an_error(config_class, arguments, key):
    """Otherwise somebody compares two runs that were the same."""
    message = mistake(config_class, *REQUIRED, *arguments)
    assert key in message and "no effect" in message


# Lists, booleans, positionals


def test_lists_are_written_as_words_or_as_yaml():
    expected = (Path("a"), Path("b"))
    for written in (["--data", "a", "b"], ["--data=[a,b]"], ["--data", "[a, b]"]):
        config = parse("pretrain", PretrainConfig, [*written, "--run", "r"])
        assert config.data == expected, written
    assert parse("pretrain", PretrainConfig, ["--data=a:b", "--run", "r"]).data == (Path("a:b"),)


def test_words_of_a_list_are_taken_as_they_are():
    words = [name for name in ODD_FILE_NAMES if not name.startswith(("--", "["))]
    config = parse("pretrain", PretrainConfig, ["--data", *words, "--run", "r"])
    assert config.data == tuple(Path(word) for word in words)


def test_an_empty_list_is_refused_with_our_own_words():
    assert "data is empty" in mistake(PretrainConfig, "--data=[]", "--run", "r")


def test_booleans_stand_alone_or_with_their_value():
    assert pretrain().resume is False
    for written, expected in [
        (["--resume"], True),
        (["--resume", "true"], True),
        (["--resume", "false"], False),
        (["--resume=true"], True),
        (["--resume=false"], False),
    ]:
        assert pretrain(*written).resume is expected, written
    both = pretrain("--resume", "--force")
    assert both.resume and both.force


def test_a_bare_boolean_does_not_swallow_the_file_after_it():
    config = predict("--json", "a.mp4")
    assert config.json and config.files == (Path("a.mp4"),)


@pytest.mark.parametrize("name", ODD_FILE_NAMES, ids=repr)
def test_any_file_name_can_be_judged(name):
    """Files come from users: a name that breaks the command line is a file nobody can check."""
    assert predict("--", name).files == (Path(name),)
    if not name.startswith("-"):
        assert predict(name).files == (Path(name),)


def test_positionals_are_collected_from_before_between_and_after_the_flags():
    expected = (Path("a"), Path("b"), Path("c"))
    assert predict("a", "b", "--device", "cpu", "c").files == expected
    assert predict("--files", "a", "b", "--device", "cpu", "c").files == expected
    assert predict("--files=[a,b,c]").files == expected


def test_a_single_positional_takes_one_value_and_refuses_a_second():
    def doctor(*words: str) -> DoctorConfig:
        return parse("doctor", DoctorConfig, words, "source")

    for words in (["a b", "--json", "x"], ["--json", "x", "a b"], ["--source", "a b"]):
        assert doctor(*words).source == Path("a b")
    with pytest.raises(ConfigError, match="c"):
        doctor("a b", "c")


# Files and flags together


def test_later_flags_win_over_the_file_and_leave_its_other_settings(tmp_path):
    config = yaml_file(tmp_path, "data: [a]\nrun: r\nloop:\n  epochs: 30\n  seed: 4\n")
    read = parse("v", PretrainConfig, ["--config", config, "--loop.seed", "5", "--data", "b"])
    assert (read.loop.epochs, read.loop.seed, read.data) == (30, 5, (Path("b"),))


def test_a_part_of_a_section_keeps_the_defaults_of_its_verb(tmp_path):
    """Stage two has its own defaults of the shared sections; one knob must not reset them."""
    config = yaml_file(tmp_path, "views:\n  erasing: 0.1\noptim:\n  lr: 1e-3\n")
    for extra in (["--config", config], ["--views.erasing", "0.1", "--optim.lr", "1e-3"]):
        read = parse("v", FinetuneConfig, [*REQUIRED, "--ssl_weight", "0", *extra])
        assert read.views == ViewConfig(erasing=0.1, time_mask=0.5, frequency_mask_max=0)
        assert read.optim == OptimConfig(lr=1e-3)
        assert read.loop == LoopConfig(epochs=60, batch_size=32)


EXAMPLES = {
    SynthConfig: SynthConfig(out=Path("o"), seed=3, workers=1),
    PrepareConfig: PrepareConfig(
        source=Path("with space: colon"),
        layout="talking_faces",
        out=Path("-o"),
        options=LayoutConfig(speaker_pattern=r"(?P<speaker>\d+)[#'\"]", val_speakers=("1", "no")),
        split="val",
        max_seconds=2.5,
        workers=2,
        shard="1/3",
    ),
    ForgeConfig: ForgeConfig(data=Path("d"), out=Path("o"), methods=("a", "b"), workers=1),
    EvaluateConfig: EvaluateConfig(model=Path("m"), data=(Path("a"), Path("b, c")), out=Path("o")),
    ReportConfig: ReportConfig(scores=(Path("a"), Path("b c")), out=Path("o"), seed=3),
    DistillConfig: DistillConfig(
        data=(Path("a"),), run=Path("r"), fakes="both", online=OnlineConfig(parts=0.1), alpha=None
    ),
    RobustnessConfig: RobustnessConfig(
        models=(Path("m"),), source=Path("s"), layout="lrw", out=Path("o"), detector="boxes"
    ),
    PredictConfig: PredictConfig(files=(Path("é"),), model=Path("m"), json=True, threads=2),
    PretrainConfig: PretrainConfig(
        data=(Path("a"),),
        run=Path("r"),
        video=VideoModelConfig(name="cnn3d_gru", width=8, dropout=0.0),
        momentum_start=0.99,
        optim=OptimConfig(lr=3e-4),
        resume=True,
    ),
    FinetuneConfig: FinetuneConfig(
        data=(Path("a"),),
        run=Path("r"),
        pretrained=Path("m"),
        real_data=(Path("b"), Path("c")),
        exclude_methods=("FaceSwap", "1e3x"),
    ),
}


@pytest.mark.parametrize("config_class", EXAMPLES, ids=lambda c: c.__name__)
def test_the_written_yaml_reads_back_to_an_equal_config(config_class, tmp_path):
    """config.yaml of a run folder is what a run is resumed and repeated from."""
    config = EXAMPLES[config_class]
    path = yaml_file(tmp_path, to_yaml(config))
    assert parse("verb", config_class, ["--config", path]) == config


def test_the_printed_config_reads_back_to_an_equal_config(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        pretrain("--print_config")
    assert not stop.value.code
    path = yaml_file(tmp_path, capsys.readouterr().out)
    assert parse("pretrain", PretrainConfig, ["--config", path]) == pretrain()


@pytest.mark.parametrize("config_class", EXAMPLES, ids=lambda c: c.__name__)
def test_help_shows_every_setting(config_class, capsys):
    with pytest.raises(SystemExit):
        parse("verb", config_class, ["--help"])
    text = capsys.readouterr().out
    for name in vars(EXAMPLES[config_class]):
        assert f"--{name}" in text


def test_what_was_said_before_leaves_nothing_behind(tmp_path: Path) -> None:
    """A verb's parser is made once, and answers many commands."""
    first = pretrain()
    path = yaml_file(tmp_path, "loop: {epochs: 7}\nviews: {grayscale: 0.25}")
    changed = pretrain("--config", path, "--optim.lr", "0.5", "--data", "x", "y")
    assert (changed.loop.epochs, changed.views.grayscale, changed.optim.lr) == (7, 0.25, 0.5)
    mistake(PretrainConfig, *REQUIRED, "--loop.epochs", "0", "--optim.lr", "0.25")
    assert pretrain() == first
