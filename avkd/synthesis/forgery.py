"""`avkd forge`: labelled forgeries made from the real clips of a corpus; reals re-encoded alike.

Chooses targets and donors, reads and writes files, keeps the books; the pictures are changed by
`forgery_methods`.
"""

import dataclasses
import functools
import itertools
import json
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from avkd import durable
from avkd.config.data_config import ForgeConfig
from avkd.data.clock import FRAMES_PER_SECOND, SAMPLES_PER_FRAME
from avkd.data.crops.crop_store import CropStore
from avkd.data.crops.journal import append_journal, read_journal
from avkd.data.crops.prepared_corpus import read_description
from avkd.data.faces import face_tracks
from avkd.data.manifest import FAKE, REAL, REAL_METHOD, Manifest, Sample
from avkd.data.media.video import iter_frames
from avkd.data.media.writing import write_video
from avkd.data.worker_pool import Workers
from avkd.outcome import ExitCode, Outcome
from avkd.synthesis import forgery_methods
from avkd.synthesis.forgery_methods import FORGERIES, Clip

_REGION_MARGIN = 2.2
"""How far beyond the landmarks a forgery may reach, in distances between the eyes."""
_MOST_SECONDS = 12.0
"""Longer clips are cut."""
_TIMEOUT_SECONDS = 600.0
_VERSION = 4  # of what is written; 3: no two methods blend alike; 4: x264's superfast preset
_PRESET = "superfast"
"""A fifth of the time of "fast" for 0.3 dB at the same size (GRID, crf 20); real and fake alike."""
_SETTINGS_FILE, _REPORT_FILE = "forge.json", "report.jsonl"


@dataclass(frozen=True, kw_only=True)
class _Job:
    """One file to write: ``made`` from ``target``, with ``donor``'s help."""

    made: Sample
    target: Sample
    donor: Sample | None
    strength: float


def forge(config: ForgeConfig) -> Outcome:
    """Forge every real clip of a prepared corpus by every method.

    Writes ``real/<name>.mp4``, ``fake/<method>/<name>.mp4`` (H.264, same quality; a face sidecar
    beside each), ``manifest.jsonl`` and ``report.jsonl``. An interrupted run goes on where it
    was and tries again what failed.
    Fakes share scene, length and codec with the real they name as ``source_id``; donors come from
    the same split. `sound_swapped` and `sound_shifted` leave the picture as it is: a
    detector that only looks cannot and should not find them.

    Each forgery's strength is drawn evenly from the range.

    Raises:
        ValueError: unknown methods, no real clips, or ``out`` was made with other settings.
    """
    sources = config.sources or Path(read_description(config.data)["source_root"])
    methods = tuple(FORGERIES) if config.methods is None else config.methods
    unknown = sorted(set(methods) - set(FORGERIES))
    if unknown or not methods or len(set(methods)) != len(methods):
        raise ValueError(
            f"methods={methods!r}: choose each at most once from {', '.join(FORGERIES)}"
        )
    corpus = Manifest.load(config.data / "manifest.jsonl")
    of_split = [s for s in corpus.samples if s.label == REAL and config.split in (None, s.split)]
    reals = _few_of_each(of_split, config.clips_per_identity)
    if not reals:
        where = "" if config.split is None else f" in the {config.split} split"
        raise ValueError(f"{config.data}: no real clips{where}; forgeries are made from real ones")
    strength = (config.min_strength, config.max_strength)
    settings = {
        "corpus": corpus.fingerprint,
        "version": _VERSION,
        "methods": sorted(methods),
        "split": config.split,
        "clips_per_identity": config.clips_per_identity,
        "strength": list(strength),
        "seed": config.seed,
        "crf": config.crf,
        "max_seconds": _MOST_SECONDS,
    }
    claim(config.out / _SETTINGS_FILE, settings)

    jobs, failures = _plan(reals, methods, strength, config.seed)
    report = config.out / _REPORT_FILE
    past = read_journal(report, repair=True)
    known = {row["sample_id"] for row in past}
    append_journal(report, [row for row in failures if row["sample_id"] not in known])
    finished = {row["sample_id"] for row in past if row["status"] == "ok"}
    waiting = [job for job in jobs if job.made.sample_id not in finished]
    with Workers(functools.partial(_make, config, sources), config.workers) as children:
        outcomes = children.run(
            waiting, timeout_seconds=_TIMEOUT_SECONDS, some_worked=bool(finished)
        )
        for outcome in tqdm(outcomes, total=len(waiting), desc="forge", unit="clip"):
            row = _row(outcome.item, outcome.status, outcome.message)
            counted = {"num_frames": outcome.result, "seconds": round(outcome.seconds, 3)}
            append_journal(report, [row | counted])
    return _conclude(config.out, jobs)


def _few_of_each(reals: Sequence[Sample], most: int | None) -> list[Sample]:
    """At most ``most`` clips of each person; of people nobody knows, all."""
    counts: Counter[tuple[str, ...]] = Counter()
    kept = []
    for sample in sorted(reals, key=lambda sample: sample.sample_id):
        counts[sample.identities] += 1
        if most is None or not sample.identities or counts[sample.identities] <= most:
            kept.append(sample)
    return kept


def claim(path: Path, settings: dict[str, Any]) -> None:
    """Write what a corpus is made with to ``path``, its settings file.

    Raises:
        ValueError: it was begun with other settings.
    """
    if path.exists() and json.loads(path.read_text(encoding="utf-8")) != settings:
        raise ValueError(f"{path}: made with other settings; choose another folder or delete it")
    durable.write_json(path, settings)


def _plan(
    reals: Sequence[Sample], methods: Sequence[str], strength: tuple[float, float], seed: int
) -> tuple[list[_Job], list[dict[str, Any]]]:
    """Every file to write, and a report row for each that cannot be."""
    jobs, failures = [], []
    for target in reals:
        real = _made_sample(target, None, REAL_METHOD)
        jobs.append(_Job(made=real, target=target, donor=None, strength=0.0))
        for method in methods:
            rng = generator_of(seed, target.sample_id, method, "plan")
            level = float(rng.uniform(*strength))
            donor, reason = _choose_donor(method, target, reals, rng)
            made = _made_sample(target, donor, method)
            job = _Job(made=made, target=target, donor=donor, strength=level)
            if reason:
                failures.append(_row(job, "not_possible", reason))
            else:
                jobs.append(job)
    return jobs, failures


def _choose_donor(
    method: str, target: Sample, reals: Sequence[Sample], rng: np.random.Generator
) -> tuple[Sample | None, str]:
    """A donor for ``target`` (None where none is needed) or the reason why there is none."""
    forgery = FORGERIES[method]
    if forgery.changes == "sound" and not target.has_audio:
        return None, "the clip has no sound"
    if forgery.donor == "none":
        return None, ""

    def fits(other: Sample) -> bool:
        if other.split != target.split or other.sample_id == target.sample_id:
            return False
        if forgery.changes == "sound" and not other.has_audio:
            return False
        if forgery.donor == "same_person":
            return bool(target.identities) and other.identities == target.identities
        known = bool(other.identities) and bool(target.identities)
        return known and not set(other.identities) & set(target.identities)

    fitting = sorted(filter(fits, reals), key=lambda sample: sample.sample_id)
    if not fitting:
        who = forgery.donor.replace("_", " ")
        return None, f"no other real clip of the {who} in the same split"
    return fitting[int(rng.integers(len(fitting)))], ""


def _made_sample(target: Sample, donor: Sample | None, method: str) -> Sample:
    dataset = f"{target.dataset}_forged"
    name = target.sample_id.removeprefix(f"{target.dataset}/{REAL_METHOD}/").replace("/", "__")
    real_id = f"{dataset}/{REAL_METHOD}/{name}"
    label = REAL if method == REAL_METHOD else FAKE
    people = target.identities if donor is None else target.identities + donor.identities
    return Sample(
        sample_id=f"{dataset}/{method}/{name}",
        path=f"real/{name}.mp4" if label == REAL else f"fake/{method}/{name}.mp4",
        kind="video",
        label=label,
        dataset=dataset,
        method=method,
        identities=tuple(dict.fromkeys(people)),
        split=target.split,
        source_id=None if label == REAL else real_id,
        has_audio=target.has_audio,
    )


def _row(job: _Job, status: str, message: str) -> dict[str, Any]:
    return {
        "sample_id": job.made.sample_id,
        "label": job.made.label,
        "method": job.made.method,
        "split": job.made.split,
        "strength": round(job.strength, 4),
        "donor": None if job.donor is None else job.donor.sample_id,
        "status": status,
        "message": message,
    }


def _conclude(out: Path, jobs: Sequence[_Job]) -> Outcome:
    """Write the manifest of what was made, and count it."""
    rows = {row["sample_id"]: row for row in read_journal(out / _REPORT_FILE)}
    samples = tuple(
        dataclasses.replace(job.made, num_frames=rows[job.made.sample_id]["num_frames"])
        for job in jobs
        if rows[job.made.sample_id]["status"] == "ok"
    )
    num_failures = sum(row["status"] != "ok" for row in rows.values())
    notes = (f"made by avkd forge: {len(samples)} files, {num_failures} not made (report.jsonl)",)
    Manifest(root=out, samples=samples, notes=notes).save(out / "manifest.jsonl")
    counts = Counter(sample.method for sample in samples)
    lines = [f"{len(samples)} files in {out}"]
    lines += [f"  {count} {method}" for method, count in sorted(counts.items())]
    if not num_failures:
        return Outcome("\n".join(lines))
    lines.append(f"  {num_failures} not made, see {out / _REPORT_FILE}")
    return Outcome("\n".join(lines), ExitCode.SOME_SKIPPED)


def _make(config: ForgeConfig, sources: Path, job: _Job) -> int:
    """Write one file; gives its number of frames."""
    store = _open_store(config.data)
    source = _Source.find(store, sources, job.target)
    if job.made.label == REAL:
        frames, waveform = source.images(), source.waveform(store)
    else:
        donor = None
        if job.donor is not None:
            donor = _Source.find(store, sources, job.donor).clip(store)
        forged = forgery_methods.apply(
            job.made.method,
            source.clip(store),
            donor,
            strength=job.strength,
            rng=generator_of(config.seed, job.target.sample_id, job.made.method),
        )
        frames, waveform = source.images(forged.frames), forged.waveform
    path = config.out / job.made.path
    write_video(path, frames, waveform=waveform, crf=config.crf, preset=_PRESET)
    write_faces(path, source.landmarks, (source.width, source.height))
    return source.num_frames


def write_faces(video: Path, landmarks: np.ndarray, size: tuple[int, int]) -> None:
    """Write the face sidecar of a video of this width and height; it marks it as complete."""
    boxes = forgery_methods.boxes_around(landmarks)
    face_tracks.write_face_sidecar(video, boxes, landmarks, size)


_open_store = functools.lru_cache(maxsize=1)(CropStore)


@dataclass(frozen=True, kw_only=True)
class _Source:
    """The stretch of a source video that a prepared track covers, in whole frames at 25 fps."""

    path: Path
    track: str
    start_frame: int
    landmarks: np.ndarray
    width: int
    height: int

    @classmethod
    def find(cls, store: CropStore, sources: Path, sample: Sample) -> "_Source":
        row, landmarks = store.row(sample.path), store.geometry(sample.path, "landmarks")
        num_frames = min(row.num_frames, int(_MOST_SECONDS * FRAMES_PER_SECOND))
        path = sources / row.source_path
        if not np.isfinite(landmarks).all():
            raise ValueError(f"{path}: has no landmarks (input came cropped); prepare the videos")
        first = next(iter_frames(path, frames_per_second=None))
        return cls(
            path=path,
            track=sample.path,
            start_frame=row.source_start_frame,
            landmarks=landmarks[:num_frames],
            # H.264 with halved colour planes holds even sizes only.
            width=first.width - first.width % 2,
            height=first.height - first.height % 2,
        )

    @property
    def num_frames(self) -> int:
        return len(self.landmarks)

    @functools.cached_property
    def window(self) -> np.ndarray:
        """Left, top, right, bottom of the part of the frame that a forgery may touch."""
        eyes = self.landmarks[:, 1] - self.landmarks[:, 0]
        margin = _REGION_MARGIN * np.linalg.norm(eyes, axis=-1).max()
        points = self.landmarks.reshape(-1, 2)
        low = np.clip(points.min(0) - margin, 0, None)
        high = np.clip(points.max(0) + margin, None, (self.width, self.height))
        return np.concatenate([np.floor(low), np.ceil(high)]).astype(int)

    def clip(self, store: CropStore) -> Clip:
        """What a forgery may see and touch: the window of every frame, and the sound."""
        left, top, right, bottom = self.window
        images = [image[top:bottom, left:right].copy() for image in self.images()]
        if len(images) != self.num_frames:
            raise ValueError(
                f"{self.path}: {len(images)} frames where {self.num_frames} were prepared; "
                "the file has changed: prepare it again"
            )
        return Clip(np.stack(images), self.landmarks - self.window[:2], self.waveform(store))

    def images(self, changed: np.ndarray | None = None) -> Iterator[np.ndarray]:
        """Whole frames one by one, with ``changed`` (T, h, w, 3) put into the window."""
        stop = self.start_frame + self.num_frames
        frames = iter_frames(self.path, max_seconds=stop / FRAMES_PER_SECOND)
        for index, frame in enumerate(itertools.islice(frames, self.start_frame, stop)):
            image = frame.image[: self.height, : self.width].copy()
            if changed is not None:
                left, top, right, bottom = self.window
                image[top:bottom, left:right] = changed[index]
            yield image

    def waveform(self, store: CropStore) -> np.ndarray | None:
        stored = store.waveform(self.track, 0, self.num_frames * SAMPLES_PER_FRAME)
        return None if stored is None else stored.astype(np.float32) / 32768


def generator_of(seed: int, *names: str) -> np.random.Generator:
    """Randomness that depends on a seed and on names alone."""
    return np.random.default_rng([seed, *(zlib.crc32(name.encode("utf-8")) for name in names)])
