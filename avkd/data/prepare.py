"""From a manifest of files to a prepared corpus: crops and sound written once, resumable, reported.

Every input file becomes one row of the report; a file that fails is a row with its reason and the
run goes on.
"""

import errno
import logging
import shutil
import time
from collections import Counter
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from avkd import durable
from avkd.data.crops.crop_writer import CropWriter
from avkd.data.crops.journal import append_journal, read_journal
from avkd.data.crops.prepared_corpus import (
    INPUTS_NAME,
    SETTINGS_NAME,
    read_description,
    read_report,
)
from avkd.data.faces import face_tracks
from avkd.data.faces.track_extraction import load_detector
from avkd.data.inventory import part_of
from avkd.data.manifest import Manifest
from avkd.data.perturbations.perturbations import FRAME_RATE, SOUND, Perturbation
from avkd.data.perturbations.perturbed_file import check_available
from avkd.data.prepare_file import (
    DISK_FULL,
    PreparedFile,
    PrepareJob,
    PrepareSettings,
    prepare_file,
    report_row,
)
from avkd.data.worker_pool import CODES_OF_FILES, Reply, Workers

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PrepareReport:
    """What became of the files of one call, those of earlier calls included."""

    num_new: int
    """Files worked on now; the rest was done before."""
    codes: dict[str, int]
    """Files this shard is responsible for by outcome: ``ok`` or the reason of failure."""
    flags: dict[str, int]
    """Usable files by remark: ``short``, ``several_faces``, ``damaged``, ``stopped_by_limit``,
    ``hdr``, ``no_sound_to_perturb``."""
    seconds: float

    @property
    def num_ok(self) -> int:
        """Files that can be used."""
        return self.codes.get("ok", 0)


def prepare(
    manifest: Manifest,
    out: Path,
    settings: PrepareSettings,
    *,
    detector_file: Path | None = None,
    workers: int = 2,
    timeout_seconds: float = 600.0,
    shard: tuple[int, int] = (0, 1),
) -> PrepareReport:
    """Find, follow, align and store the faces of every file (no crops) of a manifest.

    Run again after a kill, it redoes at most the files in flight. ``out`` gets ``manifest.jsonl``
    (one ``crops`` sample per usable file, its primary track), ``report.jsonl``, ``prepare.json``,
    ``index.jsonl``, ``shards/``. A shard (i, n) is the i-th of n parts; parts may run at once, also
    on several machines, into one folder. Each rewrites ``manifest.jsonl`` from all reports when it
    ends.

    Raises:
        ValueError: bad arguments; or ``out`` was made with other settings or is in use;
            `ModelRefused` where the detector's file is not what it should be.
        ModuleNotFoundError: the detector's weights are not installed, or an encoder is not there.
        OSError: no room on the disk; nothing half-written counts as done.
    """
    started = time.monotonic()
    index, count = shard
    assert 0 <= index < count
    if any(sample.kind == "crops" for sample in manifest.samples):
        raise ValueError(f"{manifest.root}: holds prepared crops already; give the source manifest")
    if settings.detector not in ("none", "boxes"):
        load_detector(settings.detector, file=detector_file)  # fail now, not once per file
    if settings.perturbation is not None:
        _check_perturbation(settings.perturbation, manifest)
    part = "" if count == 1 else f"part-{index}-of-{count}-"
    mine = [sample for sample in manifest.samples if part_of(sample.sample_id, count) == index]
    out.mkdir(parents=True, exist_ok=True)
    busy = f"{out}: another prepare is at work here; wait for it"
    with durable.locked(out / f".{part}lock", busy):  # one process per part of a corpus
        description = {
            "settings": asdict(settings),
            "fingerprint": settings.fingerprint,
            "source_root": str(manifest.root.resolve()),
        }
        if (out / SETTINGS_NAME).exists():
            _check_unchanged(out, settings)
        else:
            durable.write_json(out / SETTINGS_NAME, description)
        work = out / f".{part}work"
        shutil.rmtree(work, ignore_errors=True)  # what a killed run left there
        work.mkdir()
        read_journal(out / f"{part}report.jsonl", repair=True)
        before = read_report(out)
        # Also after a bug of ours, which may be mended by now.
        undone = (None, CODES_OF_FILES["error"])
        todo = [s for s in mine if before.get(s.sample_id, {}).get("status") in undone]
        writer = CropWriter(out, part)
        jobs = (
            PrepareJob(
                sample=sample,
                source=manifest.absolute_path(sample),
                work=work / f"{number:08d}",
                settings=settings,
                detector_file=detector_file,
            )
            for number, sample in enumerate(todo)
        )
        some_worked = any(row["status"] == "ok" for row in before.values())
        with Workers(prepare_file, workers) as children:
            outcomes = children.run(jobs, timeout_seconds=timeout_seconds, some_worked=some_worked)
            for outcome in tqdm(outcomes, total=len(todo), desc="prepare", unit="file"):
                _commit(outcome, writer, out / f"{part}report.jsonl")
        shutil.rmtree(work)
        rows = _finish(manifest, out, settings, description)
    own = [rows[sample.sample_id] for sample in mine]
    return PrepareReport(
        num_new=len(todo),
        codes=_tally(own),
        flags=dict(Counter(flag for row in own for flag in row.get("flags", ()))),
        seconds=time.monotonic() - started,
    )


def _check_perturbation(perturbation: Perturbation, manifest: Manifest) -> None:
    """Refuse now, not once per file, what no file or no file of this kind can undergo."""
    check_available(perturbation)
    needs_time = perturbation.name in (*SOUND, FRAME_RATE)
    if needs_time and any(sample.kind == "image" for sample in manifest.samples):
        raise ValueError(
            f"{manifest.root}: holds single pictures, on which the perturbation "
            f"{perturbation.name} has no effect; take one of pictures, e.g. jpeg, or videos alone"
        )


def _check_unchanged(out: Path, settings: PrepareSettings) -> None:
    earlier = read_description(out)["settings"]
    changed = [
        f"{name} was {earlier.get(name)!r}, is {value!r}"
        for name, value in asdict(settings).items()
        if earlier.get(name) != value
    ]
    if changed:
        raise ValueError(
            f"{out}: prepared with other settings ({'; '.join(changed)}); "
            "use the same settings, or another output folder"
        )


def _commit(outcome: Reply[PrepareJob, PreparedFile], writer: CropWriter, report: Path) -> None:
    """Make one file's outcome durable: crops first, then its row."""
    done = outcome.result
    if done is None:
        row = report_row(outcome.item.sample)
        row |= {"status": CODES_OF_FILES[outcome.status], "message": outcome.message}
        append_journal(report, [row | {"seconds": round(outcome.seconds, 3)}])
        return
    try:
        if done.row["status"] == DISK_FULL:
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


def _finish(
    manifest: Manifest, out: Path, settings: PrepareSettings, description: dict[str, Any]
) -> dict[str, dict[str, Any]]:
    """Write the corpus' manifest and the totals, from all parts' reports; returns their rows."""
    rows = read_report(out)
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
    Manifest(root=out, samples=crops, notes=(*notes, note)).save(out / "manifest.jsonl")
    replace(manifest, notes=notes).save(out / INPUTS_NAME)
    every = [rows[s.sample_id] for s in manifest.samples if s.sample_id in rows]
    totals = {"inputs": len(manifest), "done": len(every), "codes": _tally(every)}
    durable.write_json(out / SETTINGS_NAME, description | {"counts": totals})
    return rows


def _tally(rows: list[dict[str, Any]]) -> dict[str, int]:
    return dict(Counter(row["status"] for row in rows).most_common())
