"""What an evaluation scores, refuses and leaves in its folder."""

import shlex
import shutil
import weakref
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from factories import spoil
from PIL import Image

from avkd.config.evaluation_config import EvaluateConfig
from avkd.config.image_config import ImageModelConfig
from avkd.config.load import parse
from avkd.data.crops.prepared_corpus import CropProvenance
from avkd.data.manifest import Manifest, Sample
from avkd.data.model_input import ModelInput
from avkd.data.prepare import prepare
from avkd.data.prepare_file import PrepareSettings
from avkd.evaluation import evaluate
from avkd.evaluation.protocol import protocol_of
from avkd.evaluation.score_rows import scores_head
from avkd.models.build import build_image_detector
from avkd.models.calibration import Calibration
from avkd.models.decision import DecisionRule
from avkd.models.model_file import save_model
from avkd.models.model_header import ModelHeader
from avkd.outcome import ExitCode
from avkd.reporting.scores import ClipScore, read_head, read_scores, write_scores
from avkd.reporting.summary import read_lines

PLATT = Calibration(kind="platt", scale=0.5, offset=0.1)
RULE = DecisionRule(calibration=PLATT, threshold_logit=0.0, source="val")
NUM_FRAMES = 12


def window_score(number: int, kind: type[ClipScore] = ClipScore) -> ClipScore:
    return kind(
        sample_id=f"d/{number}",
        label=number % 2,
        dataset="d",
        method="swap" if number % 2 else "real",
        split="test",
        window=0,
        start_frame=0,
        num_frames=1,
        logit=float(number % 7),
        probability=0.5,
    )


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
    rows = [window_score(number) for number in range(20)]
    head = scores_head(
        model=config.model,
        model_fingerprint="0" * 16,
        crops=CropProvenance("0" * 16, "", ""),
        windows="all",
        command="avkd evaluate",
    )
    path = tmp_path / "scores" / "d.csv"
    write_scores(path, head, rows)
    text = evaluate._report(config, header, [path], protocol_of(config))
    names = {path.name for path in tmp_path.iterdir()} - {"scores"}
    pictures = {"report.png", "reliability.png"} | ({"confusion.png"} if rule else set())
    assert names == {"report.md", "report.csv", "report.html"} | pictures
    last_line = text.splitlines()[-1]
    assert all(str(tmp_path / name) in last_line for name in names)


def corpus(folder: Path, dataset: str, methods: dict[str, int]) -> Path:
    """A prepared corpus of grey clips of 12 frames: so many files of each method."""
    rng = np.random.default_rng(0)
    samples = []
    for method, count in methods.items():
        for number in range(count):
            path = folder / "source" / method / str(number)
            path.mkdir(parents=True)
            for frame in range(NUM_FRAMES):
                picture = rng.integers(0, 255, (40, 40, 3), dtype=np.uint8)
                Image.fromarray(picture).save(path / f"{frame:03}.png")
            samples.append(
                Sample(
                    sample_id=f"{dataset}/{method}/{number}",
                    path=f"{method}/{number}",
                    kind="frames",
                    label=int(method != "real"),
                    dataset=dataset,
                    method=method,
                    split="test",
                )
            )
    manifest = Manifest(folder / "source", tuple(samples))
    prepare(
        manifest, folder / "prepared", PrepareSettings(detector="none", crop_size=32), workers=1
    )
    return folder / "prepared"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    settings = ImageModelConfig(widths=(4, 8, 8), image_size=28)
    save_model(
        path,
        build_image_detector(**settings.arguments()).eval(),
        kind="image_detector",
        arguments=settings.arguments(),
        preprocessing=ModelInput(
            clip_frames=1,
            crop_pixels=32,
            view_share=0.875,
            image_size=28,
            windows_per_file=4,
            faces="whole",
        ).describe(),
        provenance={},
        decision=RULE,
    )
    return path


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("corpora")
    return {
        "one": corpus(root / "one", "one", {"real": 2, "swap": 2, "reenact": 1}),
        "two": corpus(root / "two", "two", {"real": 1, "morph": 2}),
    }


def settings(model: Path, out: Path, *data: Path, **changes: object) -> EvaluateConfig:
    fields: dict = {"model": model, "data": data, "out": out, "bootstrap_resamples": 100}
    return EvaluateConfig(**fields, device="cpu", threads=1, tables_only=True, **changes)


def protocol_file(folder: Path, *lines: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text("\n".join(("name: mine", "source: 'Made up, by me.'", *lines)))
    return path


def test_a_score_file_says_what_made_it(
    model: Path, corpora: dict[str, Path], tmp_path: Path
) -> None:
    config = settings(model, tmp_path / "out dir", corpora["one"], methods=("swap",))
    evaluate.evaluate(config)
    head = read_head(tmp_path / "out dir" / "scores" / "one.csv")
    crops = CropProvenance.of([corpora["one"]])
    assert (head.model, head.scorer, head.pooling) == (str(model), "detector", "mean_logit")
    assert head.calibration == RULE.calibration
    assert (head.preprocessing, head.perturbation) == (crops.fingerprint, "")
    assert "crop_size 32" in head.preprocessing_text
    assert head.windows == "at most 4 single frames, spread over the file"
    assert (head.protocol, head.protocol_fingerprint, head.reals_from) == ("", "", "")
    # The command is whole: it gives this very evaluation again.
    avkd, verb, *words = shlex.split(head.command)
    assert (avkd, verb) == ("avkd", "evaluate")
    assert parse(verb, EvaluateConfig, words) == config
    methods = Counter(row.method for row in read_scores(tmp_path / "out dir/scores/one.csv"))
    assert methods == {"real": 8, "swap": 8}


@pytest.mark.parametrize("batch_size", [1, 3])
def test_a_file_whose_crops_are_damaged_is_a_row_with_its_reason(
    model: Path, corpora: dict[str, Path], tmp_path: Path, batch_size: int
) -> None:
    """It ended the whole evaluation; the rest of its pictures, which can be read, are no score."""
    copied = shutil.copytree(corpora["one"], tmp_path / "one")
    whole = evaluate.evaluate(settings(model, tmp_path / "whole", copied, batch_size=batch_size))
    damaged = next(s for s in Manifest.load(copied / "manifest.jsonl").samples if s.label == 1)
    spoil(copied, damaged.path)
    outcome = evaluate.evaluate(settings(model, tmp_path / "out", copied, batch_size=batch_size))
    assert (whole.exit_code, outcome.exit_code) == (ExitCode.DONE, ExitCode.SOME_SKIPPED)
    *rest, row = read_scores(tmp_path / "out/scores/one.csv")
    assert (row.sample_id, row.status, row.logit) == (damaged.sample_id, "damaged_crops", None)
    assert damaged.path in row.message and f"`avkd verify {copied}`" in row.message
    expected = read_scores(tmp_path / "whole/scores/one.csv")
    assert rest == [row for row in expected if row.sample_id != damaged.sample_id]
    line = read_lines(tmp_path / "out/report.csv")[-1]
    assert (line["expected_fake"], line["scored_fake"]) == ("3", "2")
    assert "damaged_crops" in (tmp_path / "out/report.md").read_text().replace("\\", "")


def test_a_protocol_chooses_files_windows_and_pooling_and_the_report_says_so(
    model: Path, corpora: dict[str, Path], tmp_path: Path
) -> None:
    path = protocol_file(
        tmp_path,
        "methods: [swap, absent]",
        "windows: spread",
        "most_windows: 3",
        "first_frames: 6",
        "clip_frames: 1",
        "pooling: mean_probability",
        "official_counts: [{dataset: one, method: real, files: 2}, "
        "{dataset: one, method: swap, files: 140}]",
    )
    evaluate.evaluate(settings(model, tmp_path / "out", corpora["one"], protocol=path))
    rows = read_scores(tmp_path / "out/scores/one.csv")
    assert {row.method for row in rows} == {"real", "swap"}
    assert [row.start_frame for row in rows if row.sample_id == "one/swap/0"] == [1, 3, 5]
    head = read_head(tmp_path / "out/scores/one.csv")
    assert head.windows == "at most 3 single frames, spread over the first 6 frames"
    assert (head.protocol, head.pooling) == ("mine", "mean_probability")
    text = (tmp_path / "out" / "report.md").read_text()
    assert f"Protocol mine ({head.protocol_fingerprint}): Made up, by me." in text.replace("\\", "")
    assert "mean of the network's own probabilities" in text.replace("\\", "")
    assert "140" in text and "2 files of one (swap) where the protocol has 140" in text
    assert "files of one (real)" not in text  # of those there are as many as there should be
    assert "forgeries absent are in none of these corpora" in text
    assert "threshold was chosen on validation files under another rule" in text


def test_forgeries_can_be_set_against_the_reals_of_another_corpus(
    model: Path, corpora: dict[str, Path], tmp_path: Path
) -> None:
    """DeeperForensics is judged against the originals of FaceForensics++, not its own sources."""
    path = protocol_file(tmp_path, "methods: [morph]", "reals_from: one")
    config = settings(model, tmp_path / "out", corpora["two"], corpora["one"], protocol=path)
    evaluate.evaluate(config)
    assert {row.method for row in read_scores(tmp_path / "out/scores/one.csv")} == {"real"}
    assert {row.method for row in read_scores(tmp_path / "out/scores/two.csv")} == {"morph"}
    (line,) = read_lines(tmp_path / "out/report.csv")
    assert (line["dataset"], line["method"], line["reals_from"]) == ("two", "morph", "one")
    assert (line["expected_real"], line["expected_fake"]) == ("2", "2")
    assert "The real files of two are those of one." in (tmp_path / "out/report.md").read_text()
    with pytest.raises(
        ValueError, match=r"real files of 'one'; give that corpus too .*here are: two"
    ):
        evaluate.evaluate(settings(model, tmp_path / "no", corpora["two"], protocol=path))


def test_a_protocol_that_does_not_fit_is_refused_before_anything_is_scored(
    model: Path, corpora: dict[str, Path], tmp_path: Path
) -> None:
    for lines, told in (
        (["clip_frames: 25"], r"looks at 1 frame\(s\) at once, protocol 'mine' at 25"),
        (["windows: spread"], r"mine\.yaml: .*most_windows goes with"),
        (["windoes: spread"], r"mine\.yaml: .*did you mean 'windows'"),
        (["methods: [absent]", "split: val"], "nothing to score in its val split"),
    ):
        path = protocol_file(tmp_path, *lines)
        with pytest.raises(ValueError, match=told):
            evaluate.evaluate(settings(model, tmp_path / "out", corpora["one"], protocol=path))
    with pytest.raises(FileNotFoundError, match=r"none\.yaml: no such protocol"):
        config = settings(model, tmp_path, corpora["one"], protocol=tmp_path / "none.yaml")
        evaluate.evaluate(config)
    with pytest.raises(ValueError, match="sets split and methods"):
        settings(model, tmp_path, corpora["one"], protocol=path, methods=("swap",))
    assert not (tmp_path / "out").exists()


def test_corpora_with_other_crops_are_refused_before_anything_is_scored(
    model: Path, corpora: dict[str, Path], tmp_path: Path
) -> None:
    other = shutil.copytree(corpora["two"], tmp_path / "other")
    description = (other / "prepare.json").read_text()
    assert '"jpeg_quality": 95' in description
    (other / "prepare.json").write_text(description.replace('quality": 95', 'quality": 50'))
    given = (corpora["one"], other)
    told = r"crops differs: .*jpeg_quality 95.* for .*one.*, .*jpeg_quality 50.* for .*other"
    with pytest.raises(ValueError, match=told):
        evaluate.evaluate(settings(model, tmp_path / "out", *given))
    assert not (tmp_path / "out").exists()
    evaluate.evaluate(settings(model, tmp_path / "out", *given, mixed_preprocessing=True))
    assert "Mixed on request" in (tmp_path / "out" / "report.md").read_text()


def test_rows_go_to_their_file_as_they_come(
    model: Path, corpora: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A corpus of any size: none of its rows may be held while it is scored."""

    class Watched(ClipScore):
        __slots__ = ("__weakref__",)

    alive: weakref.WeakSet = weakref.WeakSet()
    most = []

    def score_items(*_: object, **__: object):
        for number in range(300):
            row = window_score(number, Watched)
            alive.add(row)
            most.append(len(alive))
            yield row

    monkeypatch.setattr(evaluate, "score_items", score_items)
    evaluate.evaluate(settings(model, tmp_path / "out", corpora["one"]))
    assert len(most) == 300 and max(most) <= 3


def test_a_folder_with_scores_of_something_else_is_refused_before_anything_is_scored(
    model: Path, corpora: dict[str, Path], tmp_path: Path
) -> None:
    """E.g. the folder of a training, whose validation scores the report would take in."""
    evaluate.evaluate(settings(model, tmp_path, corpora["one"]))
    evaluate.evaluate(settings(model, tmp_path, corpora["one"]))  # its own
    report = (tmp_path / "report.md").read_bytes()
    with pytest.raises(ValueError, match=r"one\.csv: scores of another .* give another --out"):
        evaluate.evaluate(settings(model, tmp_path, corpora["two"]))
    assert (tmp_path / "report.md").read_bytes() == report
    assert not (tmp_path / "scores" / "two.csv").exists()
