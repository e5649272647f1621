"""The whole way from files to a corpus: reports, resuming, shards, and real clips."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from avkd.data.crops.crop_store import CropStore
from avkd.data.crops.journal import read_journal
from avkd.data.faces import face_tracks
from avkd.data.faces.face_crop import TEMPLATE
from avkd.data.faces.track_extraction import TrackPlan, finished_plan, plan_tracks
from avkd.data.manifest import Manifest, Sample
from avkd.data.media import source_file, video
from avkd.data.media.media_file import MediaError
from avkd.data.media.source_file import SourceFile
from avkd.data.media.writing import write_video
from avkd.data.perturbations.perturbations import Perturbation
from avkd.data.prepare import prepare
from avkd.data.prepare_file import PrepareJob, PrepareSettings, prepare_file
from avkd.data.worker_pool import Reply
from avkd.outcome import Bug

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"


def sample(name: str, kind: str = "video") -> Sample:
    return Sample(
        sample_id=f"toy/real/{Path(name).stem}",
        path=name,
        kind=kind,
        label=0,
        dataset="toy",
        method="real",
        split="train",
    )


def write_toy(path: Path, frames: int, *, sound: bool = True) -> None:
    """A video with its faces known: grey, with the frame's number as brightness."""
    images = (np.full((160, 200, 3), 40 + 2 * n, np.uint8) for n in range(frames))
    waveform = np.full(frames * 640, 0.25, np.float32) if sound else None
    write_video(path, images, waveform=waveform)
    boxes = np.tile([30.0, 10, 150, 150], (frames, 1))
    landmarks = np.repeat((TEMPLATE + np.array([20, 5]))[None], frames, axis=0)
    face_tracks.write_face_sidecar(path, boxes, landmarks, (200, 160))


@pytest.fixture
def toys(tmp_path: Path) -> Manifest:
    root = tmp_path / "source"
    write_toy(root / "a.mp4", 40)
    write_toy(root / "b.mp4", 12, sound=False)
    write_toy(root / "silent.mp4", 30, sound=False)
    (root / "text.mp4").write_text("not a video")
    write_video(root / "nosidecar.mp4", [np.zeros((16, 16, 3), np.uint8)] * 3)
    names = ["a.mp4", "b.mp4", "silent.mp4", "text.mp4", "nosidecar.mp4", "absent.mp4"]
    return Manifest(root=root, samples=tuple(map(sample, names)))


def test_every_file_is_a_row_and_the_run_goes_on(toys: Manifest, tmp_path: Path) -> None:
    out = tmp_path / "out"
    report = prepare(toys, out, PrepareSettings(detector="boxes"), workers=2)
    assert report.codes == {"ok": 3, "not_media": 1, "bad_input": 1, "not_found": 1}
    assert report.flags == {"short": 1} and report.num_new == 6
    manifest = Manifest.load(out / "manifest.jsonl")
    assert [s.num_frames for s in manifest.samples] == [40, 12, 30]
    assert [s.has_audio for s in manifest.samples] == [True, False, False]
    assert {s.kind for s in manifest.samples} == {"crops"}
    store = CropStore(out)
    crops = store.frames(manifest.samples[0].path, 0, 40)
    brightness = crops[:, 30:120, 30:120].mean(axis=(1, 2, 3))
    np.testing.assert_allclose(brightness, 40 + 2 * np.arange(40), atol=3)
    sound = store.waveform(manifest.samples[0].path, 10, 640)
    assert sound is not None and abs(sound.mean() / 32767 - 0.25) < 0.01
    indices = store.geometry(manifest.samples[0].path, "source_frame_indices")
    assert indices.tolist() == list(range(40))
    rows = [json.loads(line) for line in (out / "report.jsonl").read_text().splitlines()]
    assert {row["sample_id"] for row in rows} == {s.sample_id for s in toys.samples}
    assert all(row["message"] for row in rows if row["status"] != "ok")
    assert not [path for path in out.iterdir() if "work" in path.name]

    again = prepare(toys, out, PrepareSettings(detector="boxes"), workers=1)
    assert again.num_new == 0 and again.codes == report.codes
    with pytest.raises(ValueError, match="min_frames was 25, is 10"):
        prepare(toys, out, PrepareSettings(detector="boxes", min_frames=10))


def test_parts_together_equal_the_whole(toys: Manifest, tmp_path: Path) -> None:
    prepare(toys, tmp_path / "whole", PrepareSettings(detector="boxes"), workers=1)
    for index in range(2):
        prepare(
            toys, tmp_path / "parts", PrepareSettings(detector="boxes"), workers=1, shard=(index, 2)
        )
    whole, parts = (Manifest.load(tmp_path / n / "manifest.jsonl") for n in ("whole", "parts"))
    assert parts.samples == whole.samples
    one, two = CropStore(tmp_path / "whole"), CropStore(tmp_path / "parts")
    for entry in whole.samples:
        np.testing.assert_array_equal(one.frames(entry.path, 0, 9), two.frames(entry.path, 0, 9))


_DRIVER = """
import sys
from pathlib import Path
from avkd.data.manifest import Manifest
from avkd.data.prepare import prepare
from avkd.data.prepare_file import PrepareSettings
if __name__ == "__main__":
    settings = PrepareSettings(detector="boxes")
    prepare(Manifest.load(Path(sys.argv[1])), Path(sys.argv[2]), settings, workers=1)
"""


def test_a_killed_run_resumes_to_the_same_corpus(tmp_path: Path) -> None:
    """Kill -9 in the middle; the restart redoes at most what was in flight."""
    root, out = tmp_path / "source", tmp_path / "out"
    for number in range(8):
        write_toy(root / f"v{number}.mp4", 30)
    manifest = Manifest(root=root, samples=tuple(sample(f"v{n}.mp4") for n in range(8)))
    manifest.save(root / "manifest.jsonl")
    (tmp_path / "driver.py").write_text(_DRIVER)
    command = [sys.executable, "driver.py", str(root / "manifest.jsonl"), str(out)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL)
    report = out / "report.jsonl"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and (
        not report.exists() or report.read_bytes().count(b"\n") < 3
    ):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = report.read_bytes().count(b"\n")
    resumed = prepare(manifest, out, PrepareSettings(detector="boxes"), workers=1)
    assert done >= 3 and resumed.num_new == 8 - done and resumed.num_ok == 8
    store = CropStore(out)
    assert len(store.paths()) == 8 and all(map(store.verify, store.paths()))


_LIMITED_DRIVER = """
import resource
import sys
from pathlib import Path
from avkd.data.manifest import Manifest
from avkd.data.prepare import prepare
from avkd.data.prepare_file import PrepareSettings
if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), int(sys.argv[3])))
    settings = PrepareSettings(detector="boxes")
    prepare(Manifest.load(Path(sys.argv[1])), Path(sys.argv[2]), settings, workers=1)
"""


@pytest.mark.parametrize(("room_for_tracks", "stored"), [(2.5, 2), (0.5, 0)])
def test_a_full_disk_stops_the_run_with_a_cure_and_leaves_only_whole_records(
    tmp_path: Path, room_for_tracks: float, stored: int
) -> None:
    """Files may not grow past a limit: hit in the shard (2.5 tracks) or in a worker (0.5)."""
    root, out = tmp_path / "source", tmp_path / "out"
    for number in range(4):
        write_toy(root / f"v{number}.mp4", 30)
    manifest = Manifest(root=root, samples=tuple(sample(f"v{n}.mp4") for n in range(4)))
    manifest.save(root / "manifest.jsonl")
    prepare(manifest, tmp_path / "whole", PrepareSettings(detector="boxes"), workers=1)
    track_bytes = (tmp_path / "whole/shards/00000.bin").stat().st_size / 4
    (tmp_path / "driver.py").write_text(_LIMITED_DRIVER)
    command = [sys.executable, "driver.py", str(root / "manifest.jsonl"), str(out)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    full = subprocess.run(
        [*command, str(int(room_for_tracks * track_bytes))],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert full.returncode != 0 and "free some space and run the same command" in full.stderr
    named = [row["path"] for row in read_journal(out / "index.jsonl")]
    assert len(named) == stored and all(CropStore(out).verify(path) for path in named)

    resumed = prepare(manifest, out, PrepareSettings(detector="boxes"), workers=1)
    assert resumed.num_new == 4 - stored and resumed.num_ok == 4
    store = CropStore(out)
    assert len(store.paths()) == 4 and all(map(store.verify, store.paths()))
    assert (out / "shards/00000.bin").stat().st_size == 4 * track_bytes


def test_folders_of_frames_and_pictures_become_crops_too(tmp_path: Path) -> None:
    root = tmp_path / "source"
    (root / "clip").mkdir(parents=True)
    for number in range(30):
        picture = Image.new("RGB", (180, 180), (number * 8, 100, 100))
        picture.save(root / "clip" / f"f{number}.png")
    Image.new("RGB", (99, 70), (9, 200, 9)).save(root / "one.png")
    samples = (sample("clip", "frames"), sample("one.png", "image"))
    out = tmp_path / "out"
    prepare(Manifest(root, samples), out, PrepareSettings(detector="none"), workers=1)
    prepared = Manifest.load(out / "manifest.jsonl").samples
    assert [s.num_frames for s in prepared] == [30, 1]
    crops = CropStore(out).frames(prepared[0].path, 0, 30)
    np.testing.assert_allclose(crops[..., 0].mean(axis=(1, 2)), np.arange(30) * 8, atol=3)


def test_prepared_corpora_and_unknown_detectors_are_refused(tmp_path: Path) -> None:
    crops = Manifest(tmp_path, (sample("a", "crops"),))
    with pytest.raises(ValueError, match="prepared crops already"):
        prepare(crops, tmp_path / "out", PrepareSettings())
    with pytest.raises(ValueError, match="unknown face detector 'haar'"):
        prepare(
            Manifest(tmp_path, (sample("a"),)), tmp_path / "out", PrepareSettings(detector="haar")
        )


def test_a_real_talking_face_is_cut_out_aligned_with_its_sound(tmp_path: Path) -> None:
    pytest.importorskip("lz4.frame", reason="needs avkd[face]")
    path = SHARED / "grid" / "s1" / "bbaf2n.mpg"
    if not path.exists():
        pytest.skip("needs the real clips in ../shared/data")
    (plan,) = plan_tracks(SourceFile(path, "video")).tracks
    assert plan.score > 0.95
    prepare(
        Manifest(path.parent, (sample(path.name),)), tmp_path / "out", PrepareSettings(), workers=1
    )
    store = CropStore(tmp_path / "out")
    (track,) = store.paths()
    assert store.frames(track, 0, 75).shape == (75, 150, 150, 3)
    assert store.row(track).num_samples == 75 * 640
    sound = store.waveform(track, 0, 75 * 640)
    assert sound is not None and np.abs(sound).max() > 3000
    assert np.abs(store.landmarks(track).mean(axis=0) - TEMPLATE).max() < 4


def test_a_video_without_a_face_says_so() -> None:
    pytest.importorskip("lz4.frame", reason="needs avkd[face]")
    path = SHARED / "detector_video" / "bottle-detection.mp4"
    if not path.exists():
        pytest.skip("needs the real clips in ../shared/data")
    with pytest.raises(MediaError) as caught:
        plan_tracks(SourceFile(path, "video", max_seconds=4.0))
    assert caught.value.code == "no_face"


def test_a_bug_in_every_file_ends_the_run_and_nothing_counts_as_done(
    toys: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a library changed under us: once that is mended, the same command does the work."""

    def all_fail(children: object, jobs: Iterable[Any], **limits: object) -> Iterator[Any]:
        for job in jobs:
            yield Reply(job, "error", None, "TypeError: no such argument", 0.1, "Traceback ...")
        raise Bug("all 6 item(s) failed in our own code")

    with monkeypatch.context() as broken, pytest.raises(Bug, match="all 6"):
        broken.setattr("avkd.data.worker_pool.Workers.run", all_fail)
        prepare(toys, tmp_path / "out", PrepareSettings(detector="boxes"))
    rows = read_journal(tmp_path / "out" / "report.jsonl")
    assert {row["status"] for row in rows} == {"internal_error"}
    report = prepare(toys, tmp_path / "out", PrepareSettings(detector="boxes"))
    assert report.num_new == 6 and report.codes["ok"] == 3


def test_a_file_whose_names_are_no_text_is_read_all_the_same(tmp_path: Path) -> None:
    """Titles in odd encodings are common; PyAV 18 and 19 want to be asked differently."""
    path = tmp_path / "odd.mp4"
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "TITLEXX"
        stream = container.add_stream("mpeg4", rate=25)
        stream.width = stream.height = 32
        frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    content = path.read_bytes()
    assert b"TITLEXX" in content
    path.write_bytes(content.replace(b"TITLEXX", b"TITLE\xff\xfe"))
    assert len(list(SourceFile(path, "video").frames())) == 1


def test_a_wreck_is_refused_and_a_scratch_is_not(tmp_path: Path) -> None:
    track = TrackPlan(0, np.zeros((50, 5, 2)), np.zeros((50, 2, 3)), 1.0)
    source = SourceFile(tmp_path / "a.mp4", "video")
    source.sizes = [(160, 200)] * 50
    source.counts = Counter(source_frames=50, corrupt_frames=9, bad_packets=0)
    assert finished_plan(source, [track], 25).flags == ("damaged",)
    source.counts = Counter(source_frames=1, bad_packets=41)
    with pytest.raises(MediaError, match="41 of 42 frames are damaged or encrypted") as caught:
        finished_plan(source, [track], 25)
    assert caught.value.code == "too_damaged"


@pytest.mark.parametrize(
    ("detector", "perturbation", "times"),
    [
        ("boxes", None, 1),
        ("none", None, 1),
        ("boxes", Perturbation(name="blur", severity=1), 1),
        ("boxes", Perturbation(name="h264", severity=1), 1),
        ("boxes", Perturbation(name="cropping", severity=1), 2),
        ("finder", None, 2),
        ("finder", Perturbation(name="h264", severity=1), 1),
        ("finder", Perturbation(name="h264", severity=1, faces="clean"), 2),
    ],
)
@pytest.mark.parametrize("is_short", [True, False])
def test_a_video_is_opened_once_or_where_faces_must_be_found_first_and_it_is_long_twice(
    is_short: bool,
    detector: str,
    perturbation: Perturbation | None,
    times: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Frames, sound, header and first frame all come from one pass; encoded copies do not count."""
    write_toy(tmp_path / "a.mp4", 30)
    if not is_short:
        monkeypatch.setattr(source_file, "MOST_KEPT_BYTES", 0)
    faces = face_tracks.Faces(
        np.array([[30.0, 10, 150, 150]]),
        np.ones(1),
        np.add(TEMPLATE, [20, 5])[None],
    )
    name = f"{detector} of one pass"  # detectors are kept by name
    if detector == "finder":
        detector = name
        finder = {name: lambda min_face_fraction: lambda frames: faces}
        monkeypatch.setattr(face_tracks, "DETECTORS", finder)
    opened: list[Path] = []
    real_open = video.open_container
    monkeypatch.setattr(video, "open_container", lambda p: (opened.append(p), real_open(p))[1])
    settings = PrepareSettings(detector=detector, max_seconds=None, perturbation=perturbation)
    done = prepare_file(
        PrepareJob(
            sample=sample("a.mp4"),
            source=tmp_path / "a.mp4",
            work=tmp_path / "work",
            settings=settings,
        )
    )
    assert done.row["status"] == "ok" and done.row["has_audio"], done.row["message"]
    assert opened.count(tmp_path / "a.mp4") == (1 if is_short else times)
    assert {path.name for path in tmp_path.iterdir()} == {
        *("a.mp4", "a.mp4.faces.json", "work-0.track")
    }


def test_tracks_of_a_sidecar_end_with_their_file_and_brief_ones_leave_nothing(
    tmp_path: Path,
) -> None:
    """Known faces are cut out before anybody knows how long the file is."""
    write_toy(tmp_path / "a.mp4", 40)
    sidecar = tmp_path / "a.mp4.faces.json"
    content = json.loads(sidecar.read_text())
    face = content["faces"][0]
    away = [value + 400 for value in face["box"]]
    content["faces"] = [{**face, "frame": n} for n in range(-3, 60)]
    content["faces"] += [{**face, "frame": n, "box": away} for n in (*range(30, 60), 90)]
    sidecar.write_text(json.dumps(content))
    report = prepare(
        Manifest(tmp_path, (sample("a.mp4"),)), tmp_path / "out", PrepareSettings(detector="boxes")
    )
    (row,) = read_journal(tmp_path / "out" / "report.jsonl")
    assert (row["tracks"], row["tracks_dropped"], row["file_frames"]) == (1, 1, 40)
    store = CropStore(tmp_path / "out")
    (track,) = store.paths()
    assert report.num_ok == 1 and store.row(track).num_frames == 40
    assert store.geometry(track, "source_frame_indices").tolist() == list(range(40))
    assert store.row(track).source_start_frame == 0 and store.verify(track)


def test_a_thousand_brief_tracks_open_no_thousand_files(tmp_path: Path) -> None:
    write_toy(tmp_path / "a.mp4", 40)
    sidecar = tmp_path / "a.mp4.faces.json"
    content = json.loads(sidecar.read_text())
    face = content["faces"][0]
    for number in range(1500):
        box = [value + 200 * (number + 1) for value in face["box"]]
        content["faces"].append({**face, "frame": 30, "box": box})
    sidecar.write_text(json.dumps(content))
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, limit[1]))
    try:
        report = prepare(
            Manifest(tmp_path, (sample("a.mp4"),)),
            tmp_path / "out",
            PrepareSettings(detector="boxes"),
        )
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)
    (row,) = read_journal(tmp_path / "out" / "report.jsonl")
    assert report.num_ok == 1 and (row["tracks"], row["tracks_dropped"]) == (1, 1500)
