"""`avkd synth`: people who do not exist, speaking, in the folder trees of known datasets.

Decides who says what in which file; `speech_synthesis` speaks, `talking_face` films and
`forgery_methods` forges. Every file is a function of (seed, its name) alone. Invented faces prove
that code learns; they are no evidence about real forgeries.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from avkd import durable
from avkd.config.data_config import SynthConfig
from avkd.data.clock import FRAMES_PER_SECOND
from avkd.data.faces import face_tracks
from avkd.data.media.writing import write_video
from avkd.data.worker_pool import Workers
from avkd.outcome import Outcome
from avkd.synthesis import forgery_methods, speech_synthesis, talking_face
from avkd.synthesis.forgery import claim, generator_of, write_faces
from avkd.synthesis.forgery_methods import Clip

WORDS = ("ABOUT", "BEFORE", "CHANGE", "DURING", "EVENING", "FAMILY", "GROUND", "HUNDRED")
LRW_FRAMES = 29
# Dataset folder -> how it is made. Celeb-DF's stand-in uses methods that FF++'s never shows.
FACEFORENSICS_METHODS = {
    "Deepfakes": "face_swap",
    "Face2Face": "warped_geometry",
    "FaceSwap": "self_blended",
    "NeuralTextures": "generator_artifacts",
}
CELEBDF_METHODS = ("texture_resynthesis", "mouth_reenactment")

_STRENGTHS = (0.9, 1.0)  # strong, so that a small network can learn them in minutes
_SECONDS_PER_CLIP_LIMIT = 300.0
_CRF = 20  # of all files, real and forged alike
_SETTINGS_FILE = "synth.json"


@dataclass(frozen=True)
class _Take:
    """One person filmed once."""

    person: str
    clip: str
    style: str
    num_frames: int
    word: str | None = None


@dataclass(frozen=True)
class _Job:
    """One video file to write."""

    path: str
    take: _Take
    has_sound: bool
    forgery: str | None = None
    donor: _Take | None = None


def synth(config: SynthConfig) -> Outcome:
    """Write `lrw_like`, `faceforensics_like` and `celebdf_like` below ``out``.

    Each video gets a face sidecar, so `prepare` can run with ``detector="boxes"``. No person is in
    two trees, nor on two sides of a split. An interrupted run goes on where it was.

    Raises:
        ValueError: ``out`` holds a corpus of other settings.
        RuntimeError: clips could not be written; names the first.
    """
    assert config.words <= len(WORDS)
    out, seed = config.out, config.seed
    settings = {
        "seed": seed,
        "num_identities": config.identities,
        "clips_per_identity": config.clips_per_identity,
        "num_words": config.words,
        "seconds": config.seconds,
        "crf": _CRF,
    }
    claim(out / _SETTINGS_FILE, settings)
    num_frames = round(config.seconds * FRAMES_PER_SECOND)
    jobs = [
        *_lrw_like(config.identities, config.clips_per_identity, config.words),
        *_faceforensics_like(out, config.identities, num_frames),
        *_celebdf_like(out, config.identities // 2, num_frames),
    ]
    missing = [job for job in jobs if not face_tracks.face_sidecar_path(out / job.path).exists()]
    with Workers(functools.partial(_write, out, seed), config.workers) as children:
        outcomes = children.run(missing, timeout_seconds=_SECONDS_PER_CLIP_LIMIT)
        for outcome in tqdm(outcomes, total=len(missing), desc="synth", unit="clip"):
            if outcome.status != "ok":
                problem = f"{outcome.status}: {outcome.message}"
                raise RuntimeError(f"{out / outcome.item.path}: {problem}")
    return Outcome(f"{len(jobs)} videos in {out}")


def _lrw_like(num_identities: int, clips_per_identity: int, num_words: int) -> Iterator[_Job]:
    sizes = {"train": num_identities, "val": num_identities // 4, "test": num_identities // 4}
    for split, num_people in sizes.items():
        for number in range(num_people * clips_per_identity):
            word = WORDS[number % num_words]
            person = f"lrw_{split}_{number // clips_per_identity}"
            name = f"{word}_{number // num_words + 1:05d}.mp4"
            take = _Take(person, name, "broadcast", LRW_FRAMES, word)
            yield _Job(f"lrw_like/lipread_mp4/{word}/{split}/{name}", take, has_sound=True)


def _faceforensics_like(out: Path, num_people: int, num_frames: int) -> Iterator[_Job]:
    tree = "faceforensics_like"
    pairs = [[f"{n:03d}", f"{n + 1:03d}"] for n in range(0, num_people, 2)]
    num_held_out = max(1, round(0.2 * len(pairs)))
    parts = {
        "train": pairs[: -2 * num_held_out],
        "val": pairs[-2 * num_held_out : -num_held_out],
        "test": pairs[-num_held_out:],
    }
    for split, listed in parts.items():
        durable.write_json(out / tree / f"{split}.json", listed)

    def take(person: str, clip: str) -> _Take:
        return _Take(f"ff_{person}", clip, "broadcast", num_frames)

    for target, source in [order for pair in pairs for order in (pair, pair[::-1])]:
        real = f"{tree}/original_sequences/youtube/c23/videos/{target}.mp4"
        yield _Job(real, take(target, "first"), has_sound=False)
        for folder, forgery in FACEFORENSICS_METHODS.items():
            donor = {
                "none": None,
                "other_person": take(source, "first"),
                "same_person": take(target, "second"),
            }[forgery_methods.FORGERIES[forgery].donor]
            path = f"{tree}/manipulated_sequences/{folder}/c23/videos/{target}_{source}.mp4"
            yield _Job(path, take(target, "first"), False, forgery, donor)


def _celebdf_like(out: Path, num_people: int, num_frames: int) -> Iterator[_Job]:
    tree = "celebdf_like"
    test_rows = []

    def take(person: str, clip: str) -> _Take:
        return _Take(f"celeb_{person}", clip, "interview", num_frames)

    for person in range(num_people):
        # Partners are neighbours, so that no pair stands on two sides of the official list.
        tested, partner = person >= num_people // 4 * 2, person ^ 1
        for number, forgery in enumerate(CELEBDF_METHODS):
            filmed = take(f"id{person}", f"{number}")
            real = f"Celeb-real/id{person}_{number:04d}.mp4"
            fake = f"Celeb-synthesis/id{person}_id{partner}_{number:04d}.mp4"
            yield _Job(f"{tree}/{real}", filmed, has_sound=True)
            needs_other = forgery_methods.FORGERIES[forgery].donor == "same_person"
            donor = take(f"id{person}", "other") if needs_other else None
            yield _Job(f"{tree}/{fake}", filmed, True, forgery, donor)
            test_rows += [f"1 {real}", f"0 {fake}"] if tested else []
    for number in range(num_people // 2):
        real = f"YouTube-real/{number:05d}.mp4"
        yield _Job(f"{tree}/{real}", take(f"youtube{number}", "0"), has_sound=True)
        test_rows += [f"1 {real}"] if number % 2 else []
    durable.write_text(out / tree / "List_of_testing_videos.txt", "\n".join(test_rows) + "\n")


def _write(out: Path, seed: int, job: _Job) -> None:
    """Make one video; its sidecar comes last and marks it as complete."""
    clip = _film(seed, job.take)
    frames = clip.frames
    if job.forgery is not None:
        rng = generator_of(seed, job.path)
        donor = None if job.donor is None else _film(seed, job.donor)
        strength = rng.uniform(*_STRENGTHS)
        frames = forgery_methods.apply(job.forgery, clip, donor, strength=strength, rng=rng).frames
    path = out / job.path
    waveform = clip.waveform if job.has_sound else None
    write_video(path, frames, waveform=waveform, crf=_CRF)
    if job.take.word is not None:
        voice = _voice(seed, job.take.person)
        duration = speech_synthesis.script_seconds(
            speech_synthesis.word_script(job.take.word), voice
        )
        lines = [f"Text: {job.take.word}", "", "", "", f"Duration: {duration:.2f} seconds"]
        durable.write_text(path.with_suffix(".txt"), "\n".join(lines) + "\n")
    write_faces(path, clip.landmarks, (talking_face.FRAME_SIZE, talking_face.FRAME_SIZE))


@functools.lru_cache(maxsize=8)
def _film(seed: int, take: _Take) -> Clip:
    """Film a take; a real clip and its forgeries are neighbours in the list and share it."""
    rng = generator_of(seed, take.person, take.clip)
    seconds = take.num_frames / FRAMES_PER_SECOND
    voice, start = _voice(seed, take.person), float(rng.uniform(-0.4, 0.0))
    script = speech_synthesis.random_script(rng, 1.4 * seconds + 0.5)
    if take.word is not None:
        before = speech_synthesis.random_script(rng, 0.4 * seconds)[1:]
        word = speech_synthesis.word_script(take.word)
        lead = speech_synthesis.script_seconds(before, voice)
        start = seconds / 2 - lead - speech_synthesis.script_seconds(word, voice) / 2
        script = [*before, *word, *script[1:]]
    said = speech_synthesis.speak(
        script, voice=voice, num_frames=take.num_frames, rng=rng, start=start
    )
    identity = talking_face.Identity.draw(generator_of(seed, take.person, "face"))
    style = talking_face.STYLES[take.style]
    frames, landmarks = talking_face.render(identity, said.mouth, style=style, rng=rng)
    return Clip(frames, landmarks, said.waveform)


def _voice(seed: int, person: str) -> speech_synthesis.Voice:
    return speech_synthesis.Voice.draw(generator_of(seed, person, "voice"))
