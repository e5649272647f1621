"""`import avkd`: light, typed, and every public name does what its own example says."""

import doctest
import importlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

import avkd
from avkd import cli
from avkd.data.manifest import Manifest, Sample
from avkd.data.media.writing import write_video
from avkd.data.prepare import prepare
from avkd.data.prepare_file import PrepareSettings

SIZE = 192  # the crops of the shipped models
FRAMES = {"a": 40, "b": 60, "short": 10}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three short videos, a picture, and a corpus of all of them."""
    root = tmp_path_factory.mktemp("place")
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (200, 200, 3), np.uint8)).save(root / "picture.png")
    samples = []
    for number, (name, count) in enumerate(FRAMES.items()):
        video = [np.full((64, 64, 3), 4 * frame, np.uint8) for frame in range(count)]
        write_video(root / f"{name}.mp4", video, crf=1)
        samples.append(made_up(f"{name}.mp4", "video", label=number % 2))
    samples.append(made_up("picture.png", "image", label=0))
    manifest = Manifest(root, tuple(samples))
    prepare(
        manifest, root / "prepared", PrepareSettings(detector="none", crop_size=SIZE), workers=1
    )
    return root


def made_up(path: str, kind: str, *, label: int) -> Sample:
    return Sample(
        sample_id=f"set/{path}",
        path=path,
        kind=kind,
        label=label,
        dataset="set",
        method="fake" if label else "real",
        split="train",
    )


def imported_by(statement: str) -> set[str]:
    code = f"{statement}; import sys; print(*sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(said.stdout.split())


def test_importing_and_listing_load_nothing_heavy() -> None:
    loaded = imported_by("import avkd; dir(avkd); avkd.list_models()")
    assert not loaded & {"torch", "numpy", "pandas", "scipy", "matplotlib", "av", "timm"}


def test_predicting_loads_no_package_that_only_training_or_reporting_needs() -> None:
    """A model that ships is loaded: its network is ours, so timm's packages stay away, too."""
    load = "avkd.load_model('starter-fast', device='cpu')"
    loaded = imported_by(f"import avkd; {load}; import avkd.inference.predict")
    unwanted = {"librosa", "tensorboard", "matplotlib", "sklearn", "adamp", "pandas"}
    assert not loaded & {*unwanted, "timm", "torchvision", "torch._dynamo"}


def test_all_public_names_are_there_and_typed() -> None:
    assert set(avkd.__all__) == set(avkd._HOMES) <= set(dir(avkd))
    for name in avkd.__all__:
        assert getattr(avkd, name).__doc__, name
    assert (Path(avkd.__file__).parent / "py.typed").is_file()
    with pytest.raises(AttributeError, match="no attribute 'load_modle'"):
        avkd.load_modle  # noqa: B018


@pytest.mark.parametrize(
    "name", ["avkd", *(n for n in avkd.__all__ if n not in ("Verdict", "FileFeatures"))]
)
def test_the_example_of_every_public_name_runs(name: str, place: Path, monkeypatch) -> None:
    """Documentation that no longer runs is worse than none."""
    monkeypatch.chdir(place)
    found = avkd if name == "avkd" else getattr(avkd, name)
    module = found if name == "avkd" else importlib.import_module(found.__module__)
    tests = doctest.DocTestFinder(recurse=False).find(found, name, module=module)
    assert sum(len(test.examples) for test in tests) >= 2, f"{name} has no example"
    runner = doctest.DocTestRunner()
    for test in tests:
        assert runner.run(test).failed == 0


def test_the_object_and_the_command_say_the_same(place: Path, capsys) -> None:
    """Two paths from file to verdict would drift apart."""
    file = str(place / "picture.png")
    ours = avkd.load_model("starter-fast", device="cpu").predict(file, face_detector="none")
    flags = ["--model", "starter-fast", "--detector", "none", "--json", "true", "--device", "cpu"]
    assert cli.main(["predict", file, *flags]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(ours.to_json())


def test_a_score_of_stored_crops_is_the_verdicts(place: Path) -> None:
    model = avkd.load_model("starter-fast", device="cpu")
    verdict = model.predict(place / "picture.png", face_detector="none")
    clip = avkd.Corpus(place / "prepared", clip_frames=1)[3]
    assert clip.sample_id == "set/picture.png"
    (logit,) = model.score(clip.frames[None], clip.landmarks[None])
    assert float(logit) == pytest.approx(verdict.windows[0].logit, abs=1e-5)
    found = model.features(place / "picture.png", face_detector="none")
    assert float(found.logits[0]) == pytest.approx(float(logit), abs=1e-5)
    with pytest.raises(ValueError, match="want uint8 of shape"):
        model.score(clip.frames[None].float())
    with pytest.raises(ValueError, match="want uint8 of shape"):
        model.preprocess(clip.frames)


def test_a_file_that_cannot_be_used_is_named(place: Path) -> None:
    model = avkd.load_model("starter-fast", device="cpu")
    assert model.predict(place / "absent.png").decision == "cannot_tell"
    with pytest.raises(ValueError, match=r"absent\.png"):
        avkd.features(model, place / "absent.png")


@pytest.mark.parametrize(
    ("name", "cure"),
    [
        ("startr", "did you mean 'starter'"),
        ("runs/none.safetensors", "models that ship: starter, starter-fast"),
        ("resnet8", r"avkd\.create_model\('resnet8'\)"),
    ],
)
def test_a_model_that_is_not_there_is_refused_with_the_cure(name: str, cure: str) -> None:
    with pytest.raises(FileNotFoundError, match=cure):
        avkd.load_model(name)


@pytest.mark.parametrize("kind", ["video", "audio", "image"])
def test_every_listed_network_is_created(kind: str) -> None:
    for name in avkd.list_models(kind):
        with torch.device("meta"):
            assert isinstance(avkd.create_model(name), torch.nn.Module)


@pytest.mark.parametrize(
    ("name", "cure"),
    [
        ("starter", r"avkd\.load_model\('starter'\)"),
        ("cnn_lstn", "did you mean cnn_lstm"),
        ("nothing like it", r"see avkd\.list_models"),
    ],
)
def test_a_network_that_is_not_there_is_refused_with_the_cure(name: str, cure: str) -> None:
    with pytest.raises(ValueError, match=cure):
        avkd.create_model(name)
    with pytest.raises(ValueError, match="choose weights, video"):
        avkd.list_models("vidoe")


def test_a_corpus_gives_consecutive_frames_of_its_videos(place: Path) -> None:
    """Frame n of every video is grey level 4 n, so the pictures tell which frames they are."""
    corpus = avkd.Corpus(place / "prepared")
    assert len(corpus) == 4 and [int(clip.label) for clip in corpus] == [0, 1, 0, 0]
    for index, num_frames in enumerate(FRAMES.values()):
        clip = corpus[index]
        assert clip.frames.shape == (25, SIZE, SIZE, 3) and clip.frames.dtype == torch.uint8
        assert clip.waveform.shape == (16000,) and clip.landmarks.shape == (25, 5, 2)
        start = corpus.window(index).start_frame
        shown = [min(frame, num_frames - 1) for frame in range(start, start + 25)]
        levels = clip.frames.float().mean(dim=(1, 2, 3)) / 4
        torch.testing.assert_close(levels, torch.tensor(shown).float(), atol=0.6, rtol=0)
    assert torch.equal(corpus[-2].frames, corpus[2].frames)


def test_windows_depend_on_seed_epoch_and_index_only(place: Path) -> None:
    """A loader with workers must give what one without gives, and epochs must differ."""
    corpus = avkd.Corpus(place / "prepared", seed=3)
    alone, apart = (
        next(iter(DataLoader(corpus, batch_size=3, num_workers=workers))) for workers in (0, 2)
    )
    assert torch.equal(alone.frames, apart.frames) and alone.sample_id == apart.sample_id

    def starts(dataset: avkd.Corpus) -> list[int]:
        return [dataset.window(1).start_frame for dataset.epoch in range(20)]

    assert len(set(starts(corpus))) > 5
    assert starts(corpus) == starts(avkd.Corpus(place / "prepared", seed=3))
    assert starts(corpus) != starts(avkd.Corpus(place / "prepared", seed=4))
    middle = avkd.Corpus(place / "prepared", random_windows=False)
    assert [middle.window(n).start_frame for n in range(4)] == [7, 17, 0, 0]


def test_a_corpus_is_transformed_and_its_splits_are_kept_apart(place: Path) -> None:
    corpus = avkd.Corpus(place / "prepared", transform=lambda clip: clip.sample_id)
    assert corpus[0] == "set/a.mp4"
    with pytest.raises(ValueError, match="nothing in it is of split test"):
        avkd.Corpus(place / "prepared", split="test")
    with pytest.raises(FileNotFoundError, match="avkd prepare"):
        avkd.Corpus(place)
