"""From a manifest of files to a prepared corpus: crops and sound written once, resumable, reported.

Every input file becomes one row of the report; a file that fails is a row with its reason and the
run goes on. Knows nothing of datasets' layouts or of training.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import shutil
import time
from collections import Counter
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from avkd import durable
from avkd.data import nuisance
from avkd.data.crops import crop_store
from avkd.data.crops.crop_writer import CropWriter, PackedTrack, TrackPacker
from avkd.data.crops.journal import append_journal, read_journal
from avkd.data.faces import face_crop, face_tracks
from avkd.data.faces.track_extraction import (
    DETECT_EVERY_FRAMES,
    MIN_FRAMES,
    FileKind,
    FilePlan,
    cut_crops,
    iter_file,
    load_detector,
    plan_tracks,
    read_sound,
    sound_of_track,
)
from avkd.data.manifest import Manifest, Sample
from avkd.data.media import image_files
from avkd.data.media.media import MediaError
from avkd.data.perturbations import perturbed_frames, perturbed_sound
from avkd.data.perturbations.perturbations import CROPPING, FRAME_RATE, SOUND, Perturbation
from avkd.data.perturbations.perturbed_frames import Alteration, perturbing
from avkd.data.worker_pool import Outcome, run_isolated

_log = logging.getLogger(__name__)
_DISK_FULL = "disk_full"
INPUTS_NAME = "inputs.jsonl"
# What the pool says of a file that took its worker down.
_INTERNAL = "internal_error"
_OLDER = {"crop_margin": 1.0}  # what corpora older than a setting were made with
_POOL_CODES = {"error": _INTERNAL, "crashed": "decoder_crashed", "timeout": "timeout"}


@dataclass(frozen=True, kw_only=True)
class PrepareSettings:
    """All that decides what the crops look like; two corpora with equal ones may be mixed."""

    detector: str
    detect_every_frames: int
    min_frames: int
    max_seconds: float | None
    crop_size: int
    crop_margin: float = 1.0
    jpeg_quality: int = crop_store.JPEG_QUALITY
    perturbation: Perturbation | None = None
    version: int = 2
    """Raised whenever the code makes other crops from the same settings."""

    @property
    def fingerprint(self) -> str:
        """Digest written into every record made with these settings."""
        fields = asdict(self)
        # Corpora older than a setting keep their digest.
        if self.perturbation is None:
            del fields["perturbation"]
        if self.crop_margin == 1.0:
            del fields["crop_margin"]
        return durable.fingerprint(fields)


@dataclass(frozen=True)
class PrepareReport:
    """What became of the files of one call, those of earlier calls included."""

    out: Path
    manifest: Manifest
    """The prepared corpus, as saved in ``manifest.jsonl``."""
    num_inputs: int
    """Files this shard is responsible for."""
    num_new: int
    """Files worked on now; the rest was done before."""
    codes: dict[str, int]
    """Files by outcome: ``ok`` or the reason of failure."""
    flags: dict[str, int]
    """Usable files by remark: ``short``, ``several_faces``, ``damaged``, ``stopped_by_limit``,
    ``no_sound_to_perturb``."""
    seconds: float

    @property
    def num_ok(self) -> int:
        """Files that can be used."""
        return self.codes.get("ok", 0)


@dataclass(frozen=True, kw_only=True)
class _Job:
    sample: Sample
    source: Path
    work: Path
    """Beginning of the names of the files this job writes its tracks to."""
    settings: PrepareSettings


@dataclass(frozen=True)
class _Done:
    row: dict[str, Any]
    tracks: list[PackedTrack]


def prepare(
    manifest: Manifest,
    out: Path,
    *,
    detector: str = "mtcnn",
    detect_every_frames: int = DETECT_EVERY_FRAMES,
    min_frames: int = MIN_FRAMES,
    max_seconds: float | None = 120.0,
    workers: int = 2,
    timeout_seconds: float = 600.0,
    shard: tuple[int, int] = (0, 1),
    retry_failed: bool = False,
    crop_pixels: int = face_crop.CROP_PIXELS,
    crop_margin: float = 1.0,
    perturbation: Perturbation | None = None,
) -> PrepareReport:
    """Find, follow, align and store the faces of every file of a manifest.

    Run again after a kill, it redoes at most the files in flight.

    Args:
        manifest: Samples of kind ``video``, ``frames`` or ``image``.
        out: Corpus folder: ``manifest.jsonl`` (one ``crops`` sample per usable file, its primary
            track), ``report.jsonl``, ``prepare.json``, ``index.jsonl``, ``shards/``.
        detector: ``mtcnn``, ``boxes`` (sidecars) or ``none`` (already face crops).
        detect_every_frames: Frames from one search for faces to the next.
        min_frames: Shorter tracks are dropped; files shorter than this are kept, flagged ``short``.
        max_seconds: Longer files are cut there, flagged ``stopped_by_limit``; None = no limit.
        workers: Child processes.
        timeout_seconds: Wall-clock limit for one file.
        shard: (i, n): do the i-th of n parts; parts may run at once, also on several machines, into
            one folder. Each rewrites ``manifest.jsonl`` from all reports when it ends.
        retry_failed: Try files again that failed in an earlier run.
        crop_pixels: Side of the stored crops.
        crop_margin: How much wider than the template's window they look.
        perturbation: Done to every whole frame before its faces are cut out, or to the sound.

    Raises:
        ValueError: bad arguments; or ``out`` was made with other settings or is in use.
        ModuleNotFoundError: the detector's weights are not installed, or an encoder is not there.
        OSError: no room on the disk; nothing half-written counts as done.
    """
    started = time.monotonic()
    index, count = shard
    if not 0 <= index < count:
        raise ValueError(f"shard {index}/{count}: the first number runs from 0 to {count - 1}")
    if any(sample.kind == "crops" for sample in manifest.samples):
        raise ValueError(f"{manifest.root}: holds prepared crops already; give the source manifest")
    if detector not in ("none", "boxes"):
        load_detector(detector)  # fail now, not once per file
    if perturbation is not None:
        _check_perturbation(perturbation, manifest)
    settings = PrepareSettings(
        detector=detector,
        detect_every_frames=detect_every_frames,
        min_frames=min_frames,
        max_seconds=max_seconds,
        crop_size=crop_pixels,
        crop_margin=crop_margin,
        perturbation=perturbation,
    )
    part = "" if count == 1 else f"part-{index}-of-{count}-"
    mine = [sample for sample in manifest.samples if _shard_of(sample, count) == index]
    out.mkdir(parents=True, exist_ok=True)
    busy = f"{out}: another prepare is at work here; wait for it"
    with durable.locked(out / f".{part}lock", busy):  # one process per part of a corpus
        _check_settings(out, settings, manifest.root)
        work = out / f".{part}work"
        _emptied(work)
        read_journal(out / f"{part}report.jsonl", repair=True)
        before = _latest_rows(out)
        todo = [s for s in mine if _is_open(before.get(s.sample_id), retry_failed)]
        writer = CropWriter(out, settings_fingerprint=settings.fingerprint, part=part)
        jobs = (
            _Job(
                sample=sample,
                source=manifest.absolute_path(sample),
                work=work / f"{number:08d}",
                settings=settings,
            )
            for number, sample in enumerate(todo)
        )
        outcomes = run_isolated(
            _prepare_file,
            jobs,
            workers=workers,
            timeout_seconds=timeout_seconds,
            some_worked=any(row["status"] == "ok" for row in before.values()),
        )
        for outcome in tqdm(outcomes, total=len(todo), desc="prepare", unit="file"):
            _commit(outcome, writer, out / f"{part}report.jsonl")
        shutil.rmtree(work)
        return _finish(manifest, out, settings, mine, len(todo), time.monotonic() - started)


def _check_perturbation(perturbation: Perturbation, manifest: Manifest) -> None:
    """Refuse now, not once per file, what no file or no file of this kind can undergo."""
    perturbed_frames.check_available(perturbation)
    perturbed_sound.check_available(perturbation)
    needs_time = perturbation.name in (*SOUND, FRAME_RATE)
    if needs_time and any(sample.kind == "image" for sample in manifest.samples):
        raise ValueError(
            f"{manifest.root}: holds single pictures, on which the perturbation "
            f"{perturbation.name} has no effect; take one of pictures, e.g. jpeg, or videos alone"
        )


def _is_open(row: dict[str, Any] | None, retry_failed: bool) -> bool:
    if row is None or row["status"] == _INTERNAL:  # a bug of ours, which may be mended by now
        return True
    return retry_failed and row["status"] != "ok"


def _shard_of(sample: Sample, count: int) -> int:
    """Which of ``count`` parts a sample belongs to, whatever else the manifest holds."""
    return int(hashlib.sha256(sample.sample_id.encode()).hexdigest(), 16) % count


def _emptied(folder: Path) -> None:
    """Make a folder for temporary files, without what a killed run left there."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir()


def _check_settings(out: Path, settings: PrepareSettings, root: Path) -> None:
    path = out / "prepare.json"
    if not path.exists():
        durable.write_json(path, _description(settings, root))
        return
    earlier = {**_OLDER, **json.loads(path.read_text(encoding="utf-8"))["settings"]}
    now = asdict(settings)
    changed = [
        f"{name} was {earlier.get(name)!r}, is {value!r}"
        for name, value in now.items()
        if earlier.get(name) != value
    ]
    if changed:
        raise ValueError(
            f"{out}: prepared with other settings ({'; '.join(changed)}); "
            "use the same settings, or another output folder"
        )


def _description(settings: PrepareSettings, root: Path) -> dict[str, Any]:
    return {
        "settings": asdict(settings),
        "fingerprint": settings.fingerprint,
        "source_root": str(root.resolve()),
    }


def source_root(out: Path) -> Path:
    """Folder of the videos a corpus was prepared from.

    Raises:
        FileNotFoundError: ``out`` is no prepared corpus.
    """
    return Path(_read_description(out)["source_root"])


def _read_description(out: Path) -> dict[str, Any]:
    path = out / "prepare.json"
    if not path.is_file():
        raise FileNotFoundError(f"{out}: no prepared corpus here; run `avkd prepare` first")
    description: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return description


def face_detector(out: Path) -> str:
    """Where the faces of a corpus came from: ``mtcnn``, ``boxes`` or ``none``.

    Raises:
        FileNotFoundError: ``out`` is no prepared corpus.
    """
    return str(read_settings(out)["detector"])


def read_settings(out: Path) -> dict[str, Any]:
    """What made the crops of a corpus, as `PrepareSettings` has it.

    Raises:
        FileNotFoundError: ``out`` is no prepared corpus.
    """
    return {**_OLDER, **_read_description(out)["settings"]}


def read_failures(out: Path) -> dict[str, tuple[str, str]]:
    """Code and message of every file of a corpus that could not be prepared, by sample id."""
    rows = _latest_rows(out).values()
    return {
        row["sample_id"]: (row["status"], row["message"]) for row in rows if row["status"] != "ok"
    }


def read_nuisance(out: Path) -> dict[str, dict[str, Any]]:
    """The nuisance facts of every file of a corpus that has them, by sample id.

    Corpora prepared before there were any have none: the facts are not known.
    """
    rows = _latest_rows(out).values()
    return {row["sample_id"]: row["nuisance"] for row in rows if "nuisance" in row}


def _prepare_file(job: _Job) -> _Done:
    """One file, in a worker process."""
    started = time.monotonic()
    if job.settings.detector in face_tracks.DETECTORS:
        import torch  # late: only the networks need it

        torch.set_num_threads(1)  # workers share the machine by files, not by threads
    row: dict[str, Any] = _row_of(job.sample)
    tracks: list[PackedTrack] = []
    try:
        tracks, facts = _store_tracks(job)
        row |= {"status": "ok", "message": "", **facts}
    except MediaError as error:
        row |= {"status": error.code, "message": str(error)}
    except ValueError as error:
        row |= {"status": "bad_input", "message": str(error)}
    except OSError as error:
        code = _DISK_FULL if error.errno in durable.NO_ROOM_ERRNOS else "io_error"
        row |= {"status": code, "message": str(error)}
    row["seconds"] = round(time.monotonic() - started, 3)
    return _Done(row, tracks)


def _row_of(sample: Sample) -> dict[str, Any]:
    return {
        "sample_id": sample.sample_id,
        "label": sample.label,
        "dataset": sample.dataset,
        "method": sample.method,
        "split": sample.split,
        "path": sample.path,
    }


def _store_tracks(job: _Job) -> tuple[list[PackedTrack], dict[str, Any]]:
    """The tracks and facts of a file, its frames perturbed where that is wanted."""
    settings, kind = job.settings, job.sample.kind
    assert kind != "crops"
    with perturbing(
        settings.perturbation,
        lambda: iter_file(job.source, kind, max_seconds=settings.max_seconds, counts=Counter()),
        sample_id=job.sample.sample_id,
        scratch=job.work.with_name(f"{job.work.name}-encoded.mp4"),
    ) as alteration:
        return _store_altered_tracks(job, kind, alteration)


def _store_altered_tracks(
    job: _Job, kind: FileKind, alteration: Alteration
) -> tuple[list[PackedTrack], dict[str, Any]]:
    """Find the tracks of a file, then stream each one's crops into a file of its own."""
    settings = job.settings
    on_clean = settings.perturbation is not None and settings.perturbation.faces == "clean"
    plan = plan_tracks(
        job.source,
        kind=kind,
        detector=settings.detector,
        detect_every_frames=settings.detect_every_frames,
        min_frames=settings.min_frames,
        max_seconds=settings.max_seconds,
        crop_pixels=settings.crop_size,
        crop_margin=settings.crop_margin,
        alteration=None if on_clean else alteration,
    )
    if settings.detector == "boxes" or (on_clean and settings.detector != "none"):
        plan = _moved(plan, job, kind)
    packers = [
        TrackPacker(job.work.with_name(f"{job.work.name}-{number}.track"))
        for number in range(len(plan.tracks))
    ]
    sources: list[list[tuple[int, float]]] = [[] for _ in plan.tracks]
    counts: Counter[str] = Counter()
    first, frames = nuisance.peeked(
        iter_file(job.source, kind, max_seconds=settings.max_seconds, counts=counts)
    )
    for number, frame, crop in cut_crops(alteration(frames), plan.tracks):
        packers[number].add_frame(crop)
        sources[number].append((frame.source_index, frame.time_seconds))
    clean_sound = read_sound(job.source, kind, plan.num_frames)
    sound, sound_flags = perturbed_sound.perturbed_sound(
        clean_sound,
        settings.perturbation,
        sample_id=job.sample.sample_id,
        scratch=job.work.with_name(f"{job.work.name}-encoded.mka"),
    )
    digest = _sha256_of_source(job.source)
    packed = [
        packer.finish(
            path=f"{job.sample.sample_id}/track-{number}",
            waveform=sound_of_track(sound, track),
            source_path=job.sample.path,
            source_sha256=digest,
            source_start_frame=track.start_frame,
            geometry={
                "source_frame_indices": [index for index, _ in sources[number]],
                "source_times_seconds": [seconds for _, seconds in sources[number]],
                "landmarks": track.landmarks,
                "transforms": track.transforms,
            },
        )
        for number, (packer, track) in enumerate(zip(packers, plan.tracks, strict=True))
    ]
    facts = {
        "tracks": len(plan.tracks),
        "tracks_dropped": plan.num_dropped_tracks,
        "file_frames": plan.num_frames,
        "num_frames": len(plan.tracks[0]),
        "has_audio": sound is not None,
        "flags": [*plan.flags, *sound_flags],
        "decoding": plan.counts,
        "nuisance": nuisance.facts_of_file(
            job.source, kind, plan=plan, first=first, sound=clean_sound
        ),
    }
    return packed, facts


def _moved(plan: FilePlan, job: _Job, kind: FileKind) -> FilePlan:
    """Tracks of the clean frames, brought to where the perturbation puts those faces."""
    perturbation = job.settings.perturbation
    if perturbation is None or perturbation.name != CROPPING:
        return plan
    frames = iter_file(job.source, kind, max_seconds=job.settings.max_seconds, counts=Counter())
    moves = np.stack([perturbation.moves(frame.width, frame.height) for frame in frames])
    return replace(plan, tracks=tuple(track.moved(moves) for track in plan.tracks))


def _sha256_of_source(path: Path) -> str:
    """Of a file's bytes; of a folder, of its pictures' digests in order."""
    if path.is_file():
        return durable.sha256_of_file(path)
    return hashlib.sha256("".join(image_files.picture_digests(path)).encode()).hexdigest()


def _commit(outcome: Outcome[_Job, _Done], writer: CropWriter, report: Path) -> None:
    """Make one file's outcome durable: crops first, then its row."""
    done = outcome.result
    if done is None:
        row = _row_of(outcome.item.sample)
        row |= {"status": _POOL_CODES[outcome.status], "message": outcome.message}
        append_journal(report, [row | {"seconds": round(outcome.seconds, 3)}])
        return
    try:
        if done.row["status"] == _DISK_FULL:
            raise OSError(errno.ENOSPC, done.row["message"])
        writer.append(done.tracks)
        append_journal(report, [done.row])
    except OSError as error:
        if error.errno not in durable.NO_ROOM_ERRNOS:
            raise
        cure = "no room for more crops: free some space and run the same command again"
        raise OSError(error.errno, f"{cure} ({error.strerror})", str(report.parent)) from error
    if done.row["status"] != "ok":
        _log.warning("%s: %s", done.row["status"], done.row["message"])


def _latest_rows(out: Path) -> dict[str, dict[str, Any]]:
    """The last report row of every file, of all parts."""
    reports = sorted(out.glob("*report.jsonl"))
    return {row["sample_id"]: row for report in reports for row in read_journal(report)}


def _finish(
    manifest: Manifest,
    out: Path,
    settings: PrepareSettings,
    mine: list[Sample],
    num_new: int,
    seconds: float,
) -> PrepareReport:
    """Write the corpus' manifest and the totals, from all parts' reports."""
    rows = _latest_rows(out)
    usable = [s for s in manifest.samples if rows.get(s.sample_id, {}).get("status") == "ok"]
    crops = tuple(
        replace(
            sample,
            path=f"{sample.sample_id}/track-0",
            kind="crops",
            num_frames=rows[sample.sample_id]["num_frames"],
            has_audio=rows[sample.sample_id]["has_audio"],
        )
        for sample in usable
    )
    note = f"prepared {len(crops)} of {len(manifest)} files, settings {settings.fingerprint}"
    notes = manifest.notes
    if (done := settings.perturbation) is not None:
        looked = settings.detector in face_tracks.DETECTORS
        where = f", faces found on the {done.faces} frames" if looked else ""
        notes = (*notes, f"perturbed: {done.name} at severity {done.severity}{where}")
    prepared = Manifest(root=out, samples=crops, notes=(*notes, note))
    prepared.save(out / "manifest.jsonl")
    replace(manifest, notes=notes).save(out / INPUTS_NAME)
    every = [rows[s.sample_id] for s in manifest.samples if s.sample_id in rows]
    totals = {"inputs": len(manifest), "done": len(every), "codes": _tally(every)}
    description = _description(settings, manifest.root)
    durable.write_json(out / "prepare.json", description | {"counts": totals})
    own = [rows[sample.sample_id] for sample in mine]
    return PrepareReport(
        out=out,
        manifest=prepared,
        num_inputs=len(mine),
        num_new=num_new,
        codes=_tally(own),
        flags=dict(Counter(flag for row in own for flag in row.get("flags", ()))),
        seconds=seconds,
    )


def _tally(rows: list[dict[str, Any]]) -> dict[str, int]:
    return dict(Counter(row["status"] for row in rows).most_common())
