"""Perturbed sound: each kind against its definition, in step with the picture, and in a corpus."""

import json
import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.signal import butter, lfilter

from avkd import cli
from avkd.data.crops.crop_store import CropStore
from avkd.data.manifest import Manifest
from avkd.data.media.media_file import MediaError
from avkd.data.media.sound import read_sound_file
from avkd.data.media.writing import check_encoder, write_sound, write_video
from avkd.data.perturbations.perturbations import SOUND, Perturbation
from avkd.data.perturbations.perturbed_file import SOUND_ENCODERS, check_available, perturbed_sound

SEVERITIES = (1, 2, 3, 4, 5)
NAMES_OF_FILES = [f"set/real/{number}" for number in range(12)]


def speech(num_samples: int) -> np.ndarray:
    """Noise of the band of speech in syllables, int16."""
    noise = np.random.default_rng(5).normal(size=num_samples)
    weights = butter(2, [300 / 8000, 3000 / 8000], "band")
    voiced = lfilter(*weights, noise) * (np.sin(np.arange(num_samples) / 800) > 0)
    return np.round(20_000 * voiced / np.abs(voiced).max()).astype(np.int16)


def altered(
    sound: np.ndarray, name: str, severity: int, sample_id: str, scratch: Path, seed: int = 0
) -> np.ndarray:
    perturbation = Perturbation(name=name, severity=severity, seed=seed)
    kept = sound.copy()
    found, flags = perturbed_sound(sound, perturbation, sample_id=sample_id, scratch=scratch)
    assert found is not None and found.dtype == np.int16 and found.shape == sound.shape
    assert flags == () and not scratch.exists()
    np.testing.assert_array_equal(sound, kept)
    return found


def decibels(sound: np.ndarray, other: np.ndarray) -> float:
    """Of a sound above what was added to it."""
    added = other.astype(float) - sound
    return 10 * math.log10(np.square(sound.astype(float)).sum() / np.square(added).sum())


@pytest.mark.parametrize(("severity", "wanted"), [(1, 30), (2, 20), (3, 10), (4, 5), (5, 0)])
def test_noise_lies_so_far_below_the_level_of_the_whole_sound(
    severity: int, wanted: float, tmp_path: Path
) -> None:
    """Silent stretches count: the level is that of the clip, not of its loud parts."""
    sound = speech(64_000) // 4
    sound[32_000:] = 0
    found = altered(sound, "sound_noise", severity, "a", tmp_path / "x")
    assert decibels(sound, found) == pytest.approx(wanted, abs=0.1)
    added = found.astype(float) - sound
    assert added[:32_000].std() == pytest.approx(added[32_000:].std(), rel=0.05)
    spectrum = np.square(np.abs(np.fft.rfft(added))[1:]).reshape(8, -1).mean(axis=1)
    assert spectrum.max() < 1.2 * spectrum.min()  # white


def test_noise_equals_its_definition_sample_by_sample(tmp_path: Path) -> None:
    sound = speech(400)
    noise = Perturbation(name="sound_noise", severity=2)
    normal = noise.drawing_of_file("a").standard_normal(400, dtype=np.float32)
    level = math.sqrt(sum((value / 32767) ** 2 for value in sound.tolist()) / 400)
    exact = [
        32767 * min(max(value / 32767 + level / 10 * draw, -1.0), 1.0)
        for value, draw in zip(sound.tolist(), normal.tolist(), strict=True)
    ]
    found = altered(sound, "sound_noise", 2, "a", tmp_path / "x")
    assert np.abs(found - np.array(exact)).max() < 0.51


def test_loud_sound_is_clipped_not_wrapped(tmp_path: Path) -> None:
    loud = np.full(4000, 32_767, np.int16)
    found = altered(loud, "sound_noise", 2, "a", tmp_path / "x")
    assert found.min() > 10_000 and (found == 32_767).mean() > 0.4


@pytest.mark.parametrize(("severity", "frames"), [(1, 1), (2, 2), (3, 3), (4, 5), (5, 10)])
def test_sound_is_shifted_by_whole_frames_as_a_ring(
    severity: int, frames: int, tmp_path: Path
) -> None:
    sound = np.arange(11 * 640, dtype=np.int16)
    seen = set()
    for name in NAMES_OF_FILES:
        found = altered(sound, "sound_shift", severity, name, tmp_path / "x")
        later = [sound[(i - 640 * frames) % len(sound)] for i in range(len(sound))]
        earlier = [sound[(i + 640 * frames) % len(sound)] for i in range(len(sound))]
        seen.add("later" if found.tolist() == later else "earlier")
        assert found.tolist() in (later, earlier)
    assert seen == {"later", "earlier"}


def test_a_file_is_shifted_one_way_at_every_severity(tmp_path: Path) -> None:
    """Otherwise a curve over severities would compare two things at once."""
    sound = np.zeros(640 * 40, np.int16)
    sound[640 * 20] = 9
    for name in NAMES_OF_FILES:
        places = [
            int(altered(sound, "sound_shift", s, name, tmp_path / "x").argmax()) for s in SEVERITIES
        ]
        assert len({place > 640 * 20 for place in places}) == 1
    with pytest.raises(MediaError, match="no more than the 10 frames") as error:
        altered(sound[640 * 20 :][:6400], "sound_shift", 5, "a", tmp_path / "x")
    assert error.value.code == "too_short_to_shift"


def drawn(encoder: str) -> str:
    """A file that goes through this encoder."""
    chosen = Perturbation(name="sound_reencoding", severity=1)
    return next(
        name
        for name in NAMES_OF_FILES
        if SOUND_ENCODERS[chosen.drawing_of_file(name).integers(3)] == encoder
    )


@pytest.mark.parametrize("encoder", SOUND_ENCODERS)
def test_sound_encoded_again_stays_in_step_and_worsens(encoder: str, tmp_path: Path) -> None:
    """A delay of the codec left in would be taken for a forgery."""
    try:
        check_encoder(encoder)
    except ModuleNotFoundError as error:
        pytest.skip(str(error))
    sound, name = speech(3 * 16_000 + 123), drawn(encoder)
    quality = []
    for severity, kilobits in zip(SEVERITIES, (64, 32, 24, 16, 8), strict=True):
        found = altered(sound, "sound_reencoding", severity, name, tmp_path / "x")
        again = altered(sound, "sound_reencoding", severity, name, tmp_path / "y")
        np.testing.assert_array_equal(found, again)
        shifts = range(-40, 41)
        alike = [float(np.roll(found, -k).astype(float) @ sound.astype(float)) for k in shifts]
        assert abs(shifts[int(np.argmax(alike))]) <= 2  # 8 kbit Opus filters: 2 samples
        quality.append(decibels(sound, found))
        by_hand = tmp_path / "hand.mka"
        write_sound(by_hand, sound / 32767, encoder=encoder, bits_per_second=kilobits * 1000)
        decoded = read_sound_file(by_hand, num_samples=len(sound))
        assert decoded is not None and np.abs(decoded * 32767 - found).max() < 0.51
    assert all(left > right + 0.5 for left, right in pairwise(quality)), quality
    assert 10 < quality[0] < 40


@pytest.mark.parametrize("num_samples", [1, 640, 16_001])
@pytest.mark.parametrize("encoder", SOUND_ENCODERS)
def test_short_sound_keeps_its_length(encoder: str, num_samples: int, tmp_path: Path) -> None:
    sound = np.full(num_samples, 500, np.int16)
    found = altered(sound, "sound_reencoding", 5, drawn(encoder), tmp_path / "x")
    assert found.shape == (num_samples,)


@pytest.mark.parametrize("name", ["sound_noise", "sound_reencoding"])
def test_every_file_draws_its_own(name: str, tmp_path: Path) -> None:
    sound = speech(8000)
    first = altered(sound, name, 3, "a", tmp_path / "x")
    np.testing.assert_array_equal(first, altered(sound, name, 3, "a", tmp_path / "x"))
    others = [altered(sound, name, 3, other, tmp_path / "x") for other in NAMES_OF_FILES]
    assert any((other != first).mean() > 0.5 for other in others)


def test_where_there_is_nothing_to_perturb_a_flag_says_so(tmp_path: Path) -> None:
    silence = np.zeros(6400, np.int16)
    for name in SOUND:
        shift = Perturbation(name=name, severity=5)
        for sound in (None, silence):
            found, flags = perturbed_sound(sound, shift, sample_id="a", scratch=tmp_path / "x")
            assert found is sound and flags == ("no_sound_to_perturb",)
    for other in (None, Perturbation(name="blur", severity=1)):
        assert perturbed_sound(None, other, sample_id="a", scratch=tmp_path / "x") == (None, ())


def test_missing_sound_encoders_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("avkd.data.perturbations.perturbed_file.SOUND_ENCODERS", ("aac", "libnone"))
    with pytest.raises(ModuleNotFoundError, match="libnone"):
        check_available(Perturbation(name="sound_reencoding", severity=1))
    check_available(Perturbation(name="sound_noise", severity=1))


def test_a_corpus_with_shifted_sound_through_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The picture stays as it is; a file without sound stays, too, and is counted."""
    source, out = tmp_path / "tree", tmp_path / "out"
    frames = [np.full((64, 64, 3), 5 * n, np.uint8) for n in range(30)]
    waveform = (speech(19_200) / 32767).astype(np.float32)
    write_video(source / "test/real/heard.mp4", frames, waveform=waveform)
    write_video(source / "test/fake/mute.mp4", frames)
    place = ("--source", source, "--out", out, "--layout", "real_fake", "--detector", "none")
    asked = ("--perturbation", "sound_shift", "--severity", 5, "--workers", 1)
    assert cli.main(["prepare", *map(str, (*place, *asked))]) == 0
    assert "1 flagged no_sound_to_perturb" in capsys.readouterr().out
    store = CropStore(out)
    rows = [json.loads(line) for line in (out / "report.jsonl").read_text().splitlines()]
    remarks = {row["method"]: "no_sound_to_perturb" in row["flags"] for row in rows}
    assert remarks == {"fake": True, "real": False}
    place = ("--source", source, "--out", tmp_path / "clean", *place[4:])
    assert cli.main(["prepare", *map(str, place), "--workers", "1"]) == 0
    clean = CropStore(tmp_path / "clean")
    for made in Manifest.load(out / "manifest.jsonl").samples:
        np.testing.assert_array_equal(
            store.frames(made.path, 0, 30), clean.frames(made.path, 0, 30)
        )
        assert made.has_audio == (made.method == "real")
        before = clean.waveform(made.path, 0, 30 * 640)
        if before is not None:
            found = store.waveform(made.path, 0, 30 * 640)
            assert found is not None
            ways = [np.roll(before, way * 6400).tolist() for way in (1, -1)]
            assert found.tolist() in ways


@pytest.mark.parametrize("name", [*SOUND, "frame_rate"])
def test_single_pictures_are_refused_what_needs_time(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for label in ("real", "fake"):
        (tmp_path / "tree/test" / label).mkdir(parents=True)
        Image.new("RGB", (64, 64)).save(tmp_path / "tree/test" / label / "a.png")
    place = ("--source", tmp_path / "tree", "--out", tmp_path / "out", "--detector", "none")
    asked = ("--perturbation", name, "--severity", 1, "--layout", "real_fake_images")
    assert cli.main(["prepare", *map(str, (*place, *asked))]) == 2
    assert f"on which the perturbation {name} has no effect" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
