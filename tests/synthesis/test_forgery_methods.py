"""Every forgery method: seeded, bounded to the face, graded by strength."""

import numpy as np
import pytest

from avkd.blending.blenders import BLENDER_OF_METHOD, BLENDERS
from avkd.data.silence import silent_ends
from avkd.synthesis import forgery_methods, speech_synthesis, talking_face
from avkd.synthesis.forgery_methods import FORGERIES, Clip

PICTURE = [name for name, forgery in FORGERIES.items() if forgery.changes == "picture"]
SOUND = [name for name, forgery in FORGERIES.items() if forgery.changes == "sound"]
FRAMES = 8


def _clip(person, sentence):
    rng = np.random.default_rng(100 + sentence)
    voice = speech_synthesis.Voice.draw(np.random.default_rng(person))
    script = speech_synthesis.random_script(rng, 1.0)
    # Sound of 1.6 s, so that a shift of 0.8 s does not come back to the start.
    said = speech_synthesis.speak(script, voice=voice, num_frames=40, rng=rng)
    frames, landmarks = talking_face.render(
        talking_face.Identity.draw(np.random.default_rng(person)),
        said.mouth[10 : 10 + FRAMES],
        style=talking_face.STYLES["broadcast"],
        rng=rng,
    )
    return Clip(frames, landmarks, said.waveform)


TARGET = _clip(person=1, sentence=1)
DONORS = {
    "none": None,
    "other_person": _clip(person=2, sentence=2),
    "same_person": _clip(person=1, sentence=3),
}


def _forge(name, strength=1.0, seed=0):
    rng = np.random.default_rng(seed)
    donor = DONORS[FORGERIES[name].donor]
    return forgery_methods.apply(name, TARGET, donor, strength=strength, rng=rng)


def _difference(forged):
    return np.abs(forged.frames.astype(int) - TARGET.frames)


def test_there_are_at_least_five_visible_methods():
    assert len(PICTURE) >= 5


@pytest.mark.parametrize("name", FORGERIES)
def test_same_seed_gives_the_same_forgery_and_leaves_the_target_alone(name):
    before = TARGET.frames.copy()
    first, again = _forge(name), _forge(name)
    assert np.array_equal(TARGET.frames, before)
    assert np.array_equal(first.frames, again.frames)
    assert np.array_equal(first.waveform, again.waveform)
    other = _forge(name, seed=7)
    same_sound = np.array_equal(first.waveform, other.waveform)
    assert name in SOUND or (same_sound and not np.array_equal(first.frames, other.frames))


@pytest.mark.parametrize("name", FORGERIES)
def test_strength_zero_changes_nothing(name):
    forged = _forge(name, strength=0.0)
    assert np.array_equal(forged.frames, TARGET.frames)
    assert np.array_equal(forged.waveform, TARGET.waveform)


@pytest.mark.parametrize("name", PICTURE)
def test_only_the_face_changes(name):
    changed = _difference(_forge(name)).max(-1)
    y, x = np.mgrid[: changed.shape[1], : changed.shape[2]]
    centre = TARGET.landmarks.mean(1)
    eyes = np.linalg.norm(TARGET.landmarks[:, 1] - TARGET.landmarks[:, 0], axis=-1)
    for index in range(FRAMES):
        radius = np.hypot(x - centre[index, 0], y - centre[index, 1])
        assert changed[index][radius < eyes[index]].max() > 8
        assert changed[index][radius > 2.2 * eyes[index]].max() == 0


@pytest.mark.parametrize("name", PICTURE)
def test_more_strength_changes_more(name):
    faint, plain = (_difference(_forge(name, strength)).mean() for strength in (0.15, 1.0))
    assert 0 < faint < plain


@pytest.mark.parametrize("name", ["self_blended", "warped_geometry", "generator_artifacts"])
def test_a_forgery_does_not_flicker(name):
    """On a still film the change must be still: parameters are drawn once per clip."""
    still = Clip(np.repeat(TARGET.frames[:1], 4, 0), np.repeat(TARGET.landmarks[:1], 4, 0), None)
    rng = np.random.default_rng(0)
    frames = forgery_methods.apply(name, still, strength=0.8, rng=rng).frames
    assert np.ptp(frames, axis=0).max() == 0


def test_a_swapped_face_looks_more_like_the_donor():
    forged = _forge("face_swap")
    donor = DONORS["other_person"]

    def cheek_colour(frames, landmarks):
        x, y = np.rint(landmarks[:, [0, 3]].mean(1)).astype(int).T
        spots = zip(frames, x, y, strict=True)
        return np.stack([f[b - 2 : b + 3, a - 2 : a + 3] for f, a, b in spots]).mean()

    real, fake, wanted = (
        cheek_colour(frames, landmarks)
        for frames, landmarks in (
            (TARGET.frames, TARGET.landmarks),
            (forged.frames, TARGET.landmarks),
            (donor.frames, donor.landmarks),
        )
    )
    assert abs(fake - wanted) < abs(real - wanted)


@pytest.mark.parametrize("name", SOUND)
def test_sound_methods_leave_every_pixel_and_change_the_sound(name):
    forged = _forge(name)
    assert np.array_equal(forged.frames, TARGET.frames)
    assert forged.waveform.shape == TARGET.waveform.shape
    assert abs(np.corrcoef(forged.waveform, TARGET.waveform)[0, 1]) < 0.3


def test_a_shifted_sound_keeps_the_silence_at_both_ends_and_everything_that_was_said():
    """Else the silence alone would tell: the shortcut audit found that in an earlier version."""
    speech = 0.2 * np.sin(np.arange(16000) / 7.0, dtype=np.float32) * np.linspace(1, 0.5, 16000)
    sound = np.concatenate([np.zeros(4800), speech, np.zeros(3200)]).astype(np.float32)
    clip = Clip(TARGET.frames, TARGET.landmarks, sound)
    for seed in range(4):
        rng = np.random.default_rng(seed)
        shifted = forgery_methods.apply("sound_shifted", clip, strength=0.5, rng=rng).waveform
        found, wanted = silent_ends(shifted), silent_ends(sound)
        assert found.leading_seconds == pytest.approx(wanted.leading_seconds, abs=0.011)
        assert found.trailing_seconds == pytest.approx(wanted.trailing_seconds, abs=0.011)
        assert np.array_equal(np.sort(shifted), np.sort(sound))
        assert not np.array_equal(shifted, sound)


@pytest.mark.parametrize("strength", [0.3, 0.7, 1.0])
def test_a_swapped_sound_is_as_loud_as_the_clip_was(strength):
    """Else the level alone would tell: the shortcut audit found that in an earlier version."""
    rng = np.random.default_rng(0)
    own, other = 0.05 * rng.standard_normal((2, 16000)).astype(np.float32)
    target = Clip(TARGET.frames, TARGET.landmarks, own)
    donor = Clip(TARGET.frames, TARGET.landmarks, 3 * other)
    forged = forgery_methods.apply("sound_swapped", target, donor, strength=strength, rng=rng)
    assert np.std(forged.waveform) == pytest.approx(np.std(own), rel=1e-3)
    assert np.corrcoef(forged.waveform, other)[0, 1] > 0.7
    loud = Clip(TARGET.frames, TARGET.landmarks, np.sign(own))
    forged = forgery_methods.apply("sound_swapped", loud, donor, strength=strength, rng=rng)
    assert np.abs(forged.waveform).max() <= 1.0 + 1e-6


def test_no_two_methods_blend_alike_and_every_one_that_blends_says_how():
    assert set(BLENDER_OF_METHOD) == set(PICTURE) - {"warped_geometry"}  # which lays nothing in
    assert len(set(BLENDER_OF_METHOD.values())) == len(BLENDER_OF_METHOD)
    assert set(BLENDER_OF_METHOD.values()) <= set(BLENDERS)
