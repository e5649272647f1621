"""The zero-shot score, with a network whose answers are known: it sees grey levels and hears tones.

Level k of the picture belongs to tone k of the sound, so every file's agreement is known exactly.
"""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from einops import rearrange, reduce
from torch import Tensor, nn
from torch.nn import functional

from avkd.config.evaluation_config import EvaluateConfig
from avkd.data import audio_features
from avkd.data.clip_items import ClipItem
from avkd.data.clock import SAMPLE_RATE_HZ, SAMPLES_PER_FRAME
from avkd.data.crops.crop_store import DamagedTrack
from avkd.data.faces import face_tracks
from avkd.data.faces.face_crop import CROP_PIXELS, TEMPLATE
from avkd.data.manifest import Manifest, Sample
from avkd.data.media.writing import write_video
from avkd.data.model_input import ModelInput
from avkd.data.prepare import prepare
from avkd.data.prepare_file import PrepareSettings
from avkd.data.transforms import CHANNEL_MEAN, CHANNEL_STD
from avkd.data.windows import WINDOW_FRAMES
from avkd.evaluation import av_agreement
from avkd.evaluation.av_agreement import LEAST_FRAMES, FileAgreement, judge
from avkd.evaluation.evaluate import evaluate
from avkd.models.build import build_cross_modal_network
from avkd.models.cross_modal_network import CrossModalOutput
from avkd.models.model_file import ModelFileError, save_model
from avkd.outcome import ExitCode
from avkd.reporting.scores import read_head, read_scores
from avkd.runtime import Runtime, start

VIDEO = ModelInput(image_size=16)
CODES = 6
ARGUMENTS = {
    "video": {"name": "cnn3d_gru", "image_size": 32, "width": 4, "reduced": 8, "hidden": 16},
    "audio": {"name": "resnet18", "width": 8},
    "projection_dim": 16,
    "predictor_dim": 32,
}


def tone(code: int) -> np.ndarray:
    """One frame of sound; the tones lie far apart on the mel scale and end where they began."""
    times = np.arange(SAMPLES_PER_FRAME) / SAMPLE_RATE_HZ
    return np.round(9000 * np.sin(2 * np.pi * 200 * 2**code * times)).astype(np.int16)


def heard(codes: np.ndarray) -> np.ndarray:
    return np.concatenate([tone(code) for code in codes])


def loudest_bins() -> Tensor:
    mel = audio_features.log_mel(
        torch.from_numpy(np.stack([heard(np.full(25, c)) for c in range(CODES)])).float() / 32768
    )
    return mel[:, 0].mean(1).argmax(-1)


class KnowingNetwork(nn.Module):
    """Reads the code of each frame off picture and sound; adds what the score must not see.

    That is a strong code of the place in the window, and for the sound a constant.
    """

    def __init__(self) -> None:
        super().__init__()
        self.bins = loudest_bins()

    def forward(self, clip: Tensor, _: Tensor, mel: Tensor, __: Tensor) -> CrossModalOutput:
        grey = reduce(clip, "b c t h w -> b t c", "mean") * torch.tensor(CHANNEL_STD)
        level = (grey + torch.tensor(CHANNEL_MEAN)).mean(-1) * 255
        seen = ((level - 20) / 40).round().long()
        loudest = reduce(mel, "b 1 (t four) m -> b t m", "mean", four=4).argmax(-1)
        sound = (rearrange(loudest, "b t -> b t 1") - self.bins).abs().argmin(-1)
        place = 5 * torch.eye(WINDOW_FRAMES)
        video, audio = (
            torch.cat(
                [functional.one_hot(codes, CODES).float(), place.expand(len(codes), -1, -1)], -1
            )
            for codes in (seen, sound)
        )
        targets = (video, audio + 3)
        return CrossModalOutput(video, audio + 3, *targets, *targets, None)  # type: ignore[arg-type]


@dataclass
class Memory:
    """A crop store of one track, in memory."""

    pictures: np.ndarray
    sound: np.ndarray | None

    def crop_pixels(self, path: str) -> int:
        return CROP_PIXELS

    def frames(self, path: str, first: int, count: int) -> np.ndarray:
        assert first >= 0 and first + count <= len(self.pictures)
        grey = (20 + 40 * self.pictures[first : first + count]).astype(np.uint8)
        return np.broadcast_to(grey[:, None, None, None], (count, 150, 150, 3)).copy()

    def waveform(self, path: str, start_frame: int, num_samples: int) -> np.ndarray | None:
        if self.sound is None:
            return None
        found = self.sound[start_frame * SAMPLES_PER_FRAME :][:num_samples]
        return np.pad(found, (0, num_samples - len(found)))


def item(pictures: np.ndarray, sound: np.ndarray | None, name: str = "a") -> ClipItem:
    sample = Sample(
        sample_id=f"toy/{name}",
        path=name,
        kind="video",
        label=0,
        dataset="toy",
        method="real",
        split="test",
        num_frames=len(pictures),
    )
    store: Any = Memory(pictures, sound)
    return ClipItem(sample, store)


def codes(count: int, seed: int = 0) -> np.ndarray:
    """Never the same twice in a row, so that every frame has a neighbour that differs."""
    steps = np.random.default_rng(seed).integers(1, CODES, count)
    return np.cumsum(steps) % CODES


@pytest.fixture(scope="module")
def machine() -> Runtime:
    return start(device="cpu", threads=1)


def judged(machine: Runtime, *items: ClipItem, batch_size: int = 4) -> list[FileAgreement]:
    network: Any = KnowingNetwork()
    return list(judge(network, items, model_input=VIDEO, machine=machine, batch_size=batch_size))


def mean_score(found: FileAgreement) -> float:
    return float(np.mean(found.of_windows()))


def test_disagreement_is_minus_the_cosine_of_what_differs_from_the_files_own_mean() -> None:
    """Against the formula, frame by frame."""
    parts = torch.randn(4, 5, 3, 7, generator=torch.Generator().manual_seed(0))
    found = av_agreement.disagreement(*parts)
    for window in range(5):
        for frame in range(3):
            vp, ap, vt, at = (part[window, frame] - part[:, frame].mean(0) for part in parts)
            cosines = [float(a @ b / (a.norm() * b.norm())) for a, b in ((vp, at), (ap, vt))]
            assert found[window, frame].item() == pytest.approx(-np.mean(cosines), abs=1e-5)


def test_what_the_place_in_the_window_explains_takes_no_part() -> None:
    """A stage one that has learnt nothing but a clock must give 0, not perfect agreement."""
    clock = torch.randn(25, 7, generator=torch.Generator().manual_seed(0)).expand(5, -1, -1)
    assert torch.equal(av_agreement.disagreement(clock, clock, clock, clock), torch.zeros(5, 25))
    parts = torch.randn(4, 5, 25, 7, generator=torch.Generator().manual_seed(1))
    with_clock = av_agreement.disagreement(*(part + 10 * clock for part in parts))
    assert torch.allclose(with_clock, av_agreement.disagreement(*parts), atol=1e-4)


def test_matched_sound_agrees_and_swapped_or_shifted_sound_does_not(machine: Runtime) -> None:
    said = codes(70)
    matched, swapped, shifted = judged(
        machine,
        item(said, heard(said)),
        item(said, heard(codes(70, seed=1))),
        item(said, np.roll(heard(said), 7 * SAMPLES_PER_FRAME)),
    )
    assert mean_score(matched) == pytest.approx(-1.0, abs=1e-4)
    assert mean_score(swapped) > -0.3 and mean_score(shifted) > -0.3


def test_the_frames_whose_sound_was_replaced_are_the_ones_that_disagree(machine: Runtime) -> None:
    said = codes(90)
    replaced = said.copy()
    replaced[40:65] = codes(25, seed=3)
    (found,) = judged(machine, item(said, heard(replaced)))
    values = np.array([value for _, value in found.of_frames()])
    assert values.shape == (90,)
    assert values[40:65].mean() > values[:40].mean() + 0.5
    assert values[40:65].mean() > values[65:].mean() + 0.5


def test_silence_at_the_ends_changes_nothing_but_the_place(machine: Runtime) -> None:
    """A leading silence is what gives the fakes of some benchmarks away: it must not be read."""
    said = codes(62)
    still = np.zeros(25, dtype=np.int64)
    quiet = np.zeros(25 * SAMPLES_PER_FRAME, np.int16)
    plain, before, after = judged(
        machine,
        item(said, heard(said)),
        item(np.concatenate([still, said]), np.concatenate([quiet, heard(said)])),
        item(np.concatenate([said, still]), np.concatenate([heard(said), quiet])),
    )
    assert before.of_windows() == after.of_windows() == plain.of_windows()
    starts = [window.start_frame for window in plain.windows]
    assert [window.start_frame for window in before.windows] == [25 + start for start in starts]
    assert [frame for frame, _ in before.of_frames()] == list(range(25, 25 + 62))


def test_sound_that_ends_before_the_picture_is_silence_too(machine: Runtime) -> None:
    said = codes(80)
    (found,) = judged(machine, item(said, heard(said)[: 50 * SAMPLES_PER_FRAME]))
    assert found.windows[-1].start_frame + WINDOW_FRAMES == 50


def test_a_file_without_enough_sound_is_a_reason_and_never_a_number(machine: Runtime) -> None:
    said = codes(60)
    short = heard(said)
    short[(LEAST_FRAMES - 1) * SAMPLES_PER_FRAME :] = 0
    found = judged(
        machine,
        item(said, None, "mute"),
        item(said, np.zeros(60 * SAMPLES_PER_FRAME, np.int16), "silent"),
        item(said, short, "short"),
        item(said[:20], heard(said[:20]), "brief"),
        item(said[:LEAST_FRAMES], heard(said[:LEAST_FRAMES]), "least"),
    )
    rows = list(av_agreement.score_rows(found))
    assert [(row.sample_id, row.status, row.logit) for row in rows[:4]] == [
        ("toy/mute", "no_sound", None),
        ("toy/silent", "silent", None),
        ("toy/short", "too_little_sound", None),
        ("toy/brief", "too_little_sound", None),
    ]
    assert str(LEAST_FRAMES - 1) in rows[2].message
    assert [(row.status, row.start_frame) for row in rows[4:]] == [("ok", 0), ("ok", 5)]


def test_a_file_whose_crops_are_damaged_is_a_reason_too(
    machine: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = codes(40)
    read = Memory.frames

    def frames(store: Memory, path: str, start: int, count: int) -> np.ndarray:
        if path == "rotten":
            raise DamagedTrack("rotten: damaged")
        return read(store, path, start, count)

    monkeypatch.setattr(Memory, "frames", frames)
    files = [item(said, heard(said), name) for name in ("rotten", "good")]
    first, second = judged(machine, *files)
    (row,) = av_agreement.score_rows([first])
    assert (row.sample_id, row.status, row.message) == (
        *("toy/rotten", "damaged_crops", "rotten: damaged"),
    )
    assert second.of_windows() == judged(machine, files[1])[0].of_windows()


def test_a_row_has_a_score_and_no_probability(machine: Runtime) -> None:
    """The disagreement ranks; a sigmoid of it would be read as P(fake)."""
    said = codes(40)
    found = judged(machine, item(said, heard(said)))
    for row, value in zip(av_agreement.score_rows(found), found[0].of_windows(), strict=True):
        assert (row.logit, row.probability, row.num_frames) == (value, None, WINDOW_FRAMES)


def test_the_batch_size_changes_nothing(machine: Runtime) -> None:
    said = codes(75)
    (one,) = judged(machine, item(said, heard(said)), batch_size=1)
    (many,) = judged(machine, item(said, heard(said)), batch_size=64)
    assert one.of_windows() == pytest.approx(many.of_windows(), abs=1e-6)


@pytest.mark.parametrize("length", [30, 31, 34, 40, 499, 500, 501, 1234])
def test_every_frame_is_seen_and_no_stretch_is_too_short_or_too_long(length: int) -> None:
    parts = av_agreement.chunks(range(7, 7 + length))
    assert [frame for part in parts for frame in part] == list(range(7, 7 + length))
    assert all(LEAST_FRAMES <= len(part) <= av_agreement.CHUNK_FRAMES for part in parts)
    for part in parts:
        windows = av_agreement.windows_of(part, first_index=3)
        assert [window.index for window in windows] == list(range(3, 3 + len(windows)))
        assert len({window.start_frame for window in windows}) == len(windows) >= 2
        assert {int(f) for window in windows for f in window.frame_indices} == set(part)


def test_a_long_file_is_judged_stretch_by_stretch(
    machine: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(av_agreement, "CHUNK_FRAMES", 60)
    said = codes(130)
    (found,) = judged(machine, item(said, heard(said)))
    assert mean_score(found) == pytest.approx(-1.0, abs=1e-4)
    assert [window.index for window in found.windows] == list(range(len(found.windows)))
    assert [frame for frame, _ in found.of_frames()] == list(range(130))


def test_frames_are_written_as_they_come_with_the_mean_where_windows_overlap(
    machine: Runtime, tmp_path: Path
) -> None:
    said = codes(37)
    found = judged(machine, item(said, heard(codes(37, 5)), 'a,"b"'), item(said, None, "mute"))
    path = tmp_path / "frames" / "toy.csv"
    passed = av_agreement.writing_frames(path, found)
    assert next(passed) is found[0] and not path.exists()
    assert list(passed) == found[1:]
    lines = path.read_text().splitlines()
    assert lines[0].startswith("# avkd-frames-1") and "higher = fake" in lines[0]
    rows = list(csv.DictReader(lines[1:]))
    assert {row["sample_id"] for row in rows} == {'toy/a,"b"'}
    assert [int(row["frame"]) for row in rows] == list(range(37))
    assert float(rows[30]["seconds"]) == 1.2
    disagreement = found[0].disagreement
    assert disagreement is not None
    holders = [
        values[20 - window.start_frame]
        for window, values in zip(found[0].windows, disagreement, strict=True)
        if window.start_frame <= 20 < window.start_frame + WINDOW_FRAMES
    ]
    assert len(holders) == 4  # starts 0, 5, 10 and 12
    assert float(rows[20]["disagreement"]) == pytest.approx(np.mean(holders), abs=1e-6)


def stage_one(path: Path, **preprocessing: object) -> Path:
    torch.manual_seed(0)
    save_model(
        path,
        build_cross_modal_network(**ARGUMENTS),
        kind="cross_modal",
        arguments=ARGUMENTS,
        preprocessing={
            **ModelInput(image_size=32).describe(),
            **audio_features.preprocessing(),
            **preprocessing,
        },
        provenance={},
    )
    return path


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"mel_bins": 40}, "mel_bins = 40"),
        ({"clip_frames": 1}, "25 frames"),
        ({"landmarks": True}, "landmarks True"),
    ],
)
def test_a_stage_one_of_another_input_is_refused(
    tmp_path: Path, changed: dict[str, object], told: str
) -> None:
    """Scoring with another spectrogram than it was trained on would give numbers all the same."""
    with pytest.raises(ModelFileError, match=told):
        av_agreement.load_stage_one(stage_one(tmp_path / "m.safetensors", **changed))


def test_a_scorer_with_the_other_ones_model_is_refused_with_the_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = stage_one(tmp_path / "m.safetensors")
    config = EvaluateConfig(model=path, data=(tmp_path,), out=tmp_path / "out", device="cpu")
    with pytest.raises(ModelFileError, match="--scorer av_agreement"):
        evaluate(config)

    class Header:
        kind = "detector"

    monkeypatch.setattr(av_agreement, "read_header", lambda _: Header())
    with pytest.raises(ModelFileError, match="avkd pretrain"):
        av_agreement.load_stage_one(path)


def film(path: Path, *, with_sound: bool) -> None:
    rng = np.random.default_rng(len(path.stem))
    images = (rng.integers(0, 256, (160, 200, 3)).astype(np.uint8) for _ in range(36))
    sound = heard(codes(36)).astype(np.float32) / 32768 if with_sound else None
    write_video(path, images, waveform=sound)
    landmarks = np.repeat((TEMPLATE + np.array([20, 5]))[None], 36, axis=0)
    boxes = np.tile([30.0, 10, 150, 150], (36, 1))
    face_tracks.write_face_sidecar(path, boxes, landmarks, (200, 160))


@pytest.mark.usefixtures("undrawn")
def test_the_verb_scores_a_corpus_and_says_that_nothing_is_calibrated(tmp_path: Path) -> None:
    samples = []
    for name in ("real0", "real1", "fake0", "fake1", "mute"):
        film(tmp_path / f"{name}.mp4", with_sound=name != "mute")
        label = int(name.startswith("fake"))
        samples.append(
            Sample(
                sample_id=f"toy/{name}",
                path=f"{name}.mp4",
                kind="video",
                label=label,
                dataset="toy",
                method="swapped" if label else "real",
                split="test",
            )
        )
    corpus, out = tmp_path / "prepared", tmp_path / "out"
    prepare(
        Manifest(root=tmp_path, samples=tuple(samples)),
        corpus,
        PrepareSettings(detector="boxes"),
        workers=1,
    )
    outcome = evaluate(
        EvaluateConfig(
            model=stage_one(tmp_path / "m.safetensors"),
            data=(corpus,),
            out=out,
            scorer="av_agreement",
            device="cpu",
            threads=1,
            bootstrap_resamples=100,
        )
    )
    assert outcome.exit_code == ExitCode.SOME_SKIPPED
    assert read_head(out / "scores/toy.csv").scorer == "av_agreement"
    rows = read_scores(out / "scores/toy.csv")
    assert {row.sample_id: row.status for row in rows if not row.is_scored} == {
        "toy/mute": "no_sound"
    }
    assert all(row.probability is None for row in rows)
    with (out / "frames/toy.csv").open() as file:
        frames = list(csv.reader(file))[2:]
    assert {row[0] for row in frames} == {
        f"toy/{name}" for name in ("real0", "real1", "fake0", "fake1")
    }
    report = (out / "report.md").read_text()
    assert "not calibrated: the score is no probability" in report
    assert av_agreement.NOTE in report and "| no_sound | 1 |" in report
    assert not (out / "reliability.png").exists()
