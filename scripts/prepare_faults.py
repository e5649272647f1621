"""Many clips, some of them broken, prepared by drivers that are killed: what is in the store?

Usage: python scripts/prepare_faults.py OUT [FILES] [KILLS] [FIRST] [LAST]
  FILES        clips that are made, one in a hundred broken (default 10000)
  KILLS        of the driver and all it started, by SIGKILL, evenly over the work (default 5)
  FIRST, LAST  pool, shards or ray: what begins, and what goes on after the last kill (pool)
Prints what came of it beside an undisturbed run; exit code 1 where a file is missing or there
twice, or a stored track differs.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import av
import numpy as np

from avkd.data.crops.crop_store import CropStore
from avkd.data.crops.journal import read_journal

ONE_BROKEN_IN = 100
DISTINCT = 40
SHARDS = 3
FRAMES, SIDE = 6, 64
SCRIPTS = Path(__file__).parent


def main(out: Path, files: int, kills: int, first: str, last: str) -> int:
    """Make the clips, prepare them twice, compare."""
    source = out / "clips"
    broken = make_clips(source, files)
    finish("pool", source, out / "undisturbed")
    disturbed = out / "disturbed"
    killed_at = []
    for kill in range(kills):
        engine = first if kill < kills - 1 or kills == 1 else last
        killed_at.append(killed(engine, source, disturbed, files * (kill + 1) // (kills + 1)))
    finish(last, source, disturbed)
    failures = difference(disturbed, out / "undisturbed", files, broken)
    print(
        f"{files} clips, {broken} broken; {first}, then {last}; killed with {killed_at} files "
        f"done: {outcomes(disturbed)}; {'; '.join(failures) or 'as undisturbed, nothing twice'}"
    )
    return bool(failures)


def make_clips(folder: Path, count: int) -> int:
    """``count`` clips of some people in a labelled folder; how many of them are broken."""
    shutil.rmtree(folder, ignore_errors=True)
    originals = folder.parent / "originals"
    originals.mkdir(parents=True, exist_ok=True)
    for number in range(DISTINCT):
        _encode(originals / f"{number}.mp4", np.random.default_rng(number))
    broken = 0
    for number in range(count):
        label = "fake" if number % 2 else "real"
        path = folder / label / f"person{number % 50}" / f"{number}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        if number % ONE_BROKEN_IN == ONE_BROKEN_IN // 2:
            content = (originals / "0.mp4").read_bytes()
            ways = (b"", content[: len(content) // 3], os.urandom(2000), b"<html>not here</html>")
            path.write_bytes(ways[broken % len(ways)])
            broken += 1
        else:
            path.hardlink_to(originals / f"{number % DISTINCT}.mp4")
    return broken


def _encode(path: Path, rng: np.random.Generator) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25, width=SIDE, height=SIDE)
        for _ in range(FRAMES):
            picture = rng.integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        container.mux(stream.encode())


def start(engine: str, source: Path, out: Path) -> list[subprocess.Popen[bytes]]:
    """The drivers of one engine, each the head of a process group."""
    given = ["prepare", "--layout", "real_fake", "--source", str(source), "--out", str(out)]
    given += ["--detector", "none", "--crop_pixels", "64"]
    verb = [sys.executable, "-m", "avkd", *given]
    on_ray = [sys.executable, str(SCRIPTS / "on_ray.py"), str(SHARDS), "1", *given]
    parts = [[*verb, "--workers", "1", "--shard", f"{part}/{SHARDS}"] for part in range(SHARDS)]
    commands = {
        "pool": [[*verb, "--workers", "2"]],
        "shards": parts,
        "ray": [[*on_ray, "--workers", "1"]],
    }[engine]
    out.mkdir(parents=True, exist_ok=True)
    with (out.parent / f"{out.name}.log").open("ab") as log:
        return [
            subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
            for command in commands
        ]


def finish(engine: str, source: Path, out: Path) -> None:
    """Run to the end; some clips are broken, so that every verb says 3."""
    for driver in start(engine, source, out):
        if driver.wait() not in (0, 3):
            raise SystemExit(f"{engine} ended with {driver.returncode}; see {out}.log")


def killed(engine: str, source: Path, out: Path, wanted: int) -> int:
    """Run until ``wanted`` files are done, then kill; how many were done."""
    drivers = start(engine, source, out)
    while num_done(out) < wanted and any(driver.poll() is None for driver in drivers):
        time.sleep(0.05)
    for driver in drivers:
        if driver.poll() is None:
            os.killpg(driver.pid, signal.SIGKILL)
        driver.wait()
    _wait_until(lambda: not _at_work(out))
    return num_done(out)


def _at_work(out: Path) -> bool:
    """Whether a process names the corpus: Ray's parts outlive their driver by a moment."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has ended meanwhile
            line = path.read_bytes()
            if os.fsencode(out) in line and b"--shard" in line:
                return True
    return False


def _wait_until(is_true: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not is_true():
        if time.monotonic() > end:
            raise SystemExit("processes of a killed driver are still at work")
        time.sleep(0.1)


def num_done(out: Path) -> int:
    """Rows in the reports of all parts."""
    return sum(path.read_bytes().count(b"\n") for path in out.glob("*report.jsonl"))


def outcomes(out: Path) -> dict[str, int]:
    """How many files have which outcome."""
    return dict(Counter(row["status"] for row in _rows(out)).most_common())


def difference(out: Path, other: Path, files: int, broken: int) -> list[str]:
    """What is wrong with ``out``, in words."""
    failures = []
    named = Counter(row["sample_id"] for row in _rows(out))
    if len(named) != files or max(named.values()) > 1:
        failures.append(f"{len(named)} of {files} files have a row, {max(named.values())} at most")
    stores = [CropStore(corpus) for corpus in (out, other)]
    digests = [{path: store.digest(path) for path in store.paths()} for store in stores]
    if len(digests[0]) != files - broken:
        failures.append(f"{len(digests[0])} tracks of {files - broken}")
    if digests[0] != digests[1]:
        failures.append("stored tracks differ from those of the undisturbed run")
    manifests = [(corpus / "manifest.jsonl").read_bytes() for corpus in (out, other)]
    if manifests[0].splitlines()[1:] != manifests[1].splitlines()[1:]:
        failures.append("the manifest differs")
    if not all(map(stores[0].verify, stores[0].paths())):
        failures.append("some stored tracks are damaged")
    return failures


def _rows(out: Path) -> list[dict[str, str]]:
    return [row for path in out.glob("*report.jsonl") for row in read_journal(path)]


if __name__ == "__main__":
    if not 2 <= len(sys.argv) <= 6:
        sys.exit(__doc__)
    numbers = [int(number) for number in sys.argv[2:4]] + [10000, 5][len(sys.argv[2:4]) :]
    engines = sys.argv[4:6] + ["pool", "pool"][len(sys.argv[4:6]) :]
    sys.exit(main(Path(sys.argv[1]).resolve(), numbers[0], numbers[1], engines[0], engines[1]))
