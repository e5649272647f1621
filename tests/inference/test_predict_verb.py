"""`avkd predict`: a row as soon as there is one, a row for every file, and on from there later."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import avkd
from avkd.config.evaluation_config import PredictConfig
from avkd.inference import judging
from avkd.inference import predict as verb
from avkd.outcome import Bug, ExitCode, ModelRefused


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "WORK", "stand_in_worker:work")


def files_of(folder: Path, orders: Sequence[str]) -> tuple[Path, ...]:
    folder.mkdir(exist_ok=True)
    for number, order in enumerate(orders):
        (folder / f"{number}.mp4").write_text(order)
    return tuple(folder / f"{number}.mp4" for number in range(len(orders)))


def config_of(files: Sequence[Path], **settings) -> PredictConfig:
    return PredictConfig(files=tuple(files), **{"model": Path("m"), "max_minutes": 1.0, **settings})


def rows_of(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_file_that_ends_or_hangs_its_process_is_one_row(tmp_path: Path, workers: int) -> None:
    orders = ["2.0", "crash", "-3.0", "hang", "unreadable", "bug", "empty", "1.0", "memory"]
    files = files_of(tmp_path / "in", orders)
    out = tmp_path / "out.jsonl"
    config = config_of(files, out=out, max_minutes=0.04, workers=workers)
    assert verb.predict(config).exit_code == ExitCode.SOME_SKIPPED
    rows = {Path(row["file"]).stem: row for row in rows_of(out)}
    assert len(rows) == len(rows_of(out)) == len(orders)
    decisions = [rows[str(number)]["decision"] for number in range(len(orders))]
    bad = ["cannot_tell"] * 4
    assert decisions == ["fake", "cannot_tell", "real", *bad, "fake", "cannot_tell"]
    codes = [rows[str(number)]["skipped"][0]["code"] for number in (1, 3, 4, 5, 6, 8)]
    broken = ["crashed", "timeout", "io_error", "internal_error"]
    assert codes == [*broken, "empty_file", "out_of_memory"]
    assert all(row["model_fingerprint"] == "m" for row in rows.values())


def test_a_bug_in_every_file_is_ours_and_rows_are_kept(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    with pytest.raises(Bug, match=r"(?s)Traceback.*no such argument"):
        verb.predict(config_of(files_of(tmp_path / "in", ["bug", "bug"]), out=out))
    assert [row["skipped"][0]["code"] for row in rows_of(out)] == ["internal_error"] * 2


def test_a_model_that_is_refused_is_said_before_any_file_and_spoils_no_output(
    tmp_path: Path,
) -> None:
    out = tmp_path / "out.jsonl"
    out.write_text("of yesterday\n")
    with pytest.raises(ModelRefused, match="give another"):
        verb.predict(config_of(files_of(tmp_path / "in", ["1"]), out=out, model=Path("refused")))
    assert out.read_text() == "of yesterday\n"


@pytest.mark.parametrize("name", ["out.jsonl", "out.csv"])
@pytest.mark.parametrize("torn", [0, 1, 40])
def test_resumed_rows_are_those_of_an_undisturbed_run(tmp_path: Path, name: str, torn: int) -> None:
    """A kill leaves whole rows and perhaps a part of one, which is judged again."""
    files = files_of(tmp_path / "in", ["2.0", "-3.0", "empty", "0.5", "1.5"])
    strange = tmp_path / "in" / '=2,"a\n.mp4'  # a formula, a comma, a quote and a line break
    strange.write_text("4.0")
    files = (*files[:2], strange, *files[2:])
    whole, out = tmp_path / f"whole_{name}", tmp_path / name
    assert verb.predict(config_of(files, out=whole)).exit_code == ExitCode.SOME_SKIPPED
    content = whole.read_bytes()
    place = 0
    for _ in range(4):
        place = content.index(b"\n", place) + 1
    out.write_bytes(content[: place + torn])
    config = config_of(files, out=out, resume=True)
    assert verb.predict(config).exit_code == ExitCode.SOME_SKIPPED
    assert out.read_bytes() == content
    assert verb.predict(config).exit_code == ExitCode.SOME_SKIPPED  # nothing left to do
    assert out.read_bytes() == content
    if name.endswith(".csv"):
        with whole.open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert [row["label"] for row in rows] == ["fake", "real", "fake", "", "fake", "fake"]
        assert {row["model"] for row in rows} == {"m"}


def test_shards_judge_every_file_once_and_one_process_may_finish_for_them(tmp_path: Path) -> None:
    files = files_of(tmp_path / "in", [str(number / 2 - 4) for number in range(16)])
    whole, out = tmp_path / "whole.jsonl", tmp_path / "out.jsonl"
    verb.predict(config_of(files, out=whole))
    for shard in ("0/3", "2/3"):
        assert verb.predict(config_of(files, out=out, shard=shard)).exit_code == ExitCode.DONE
    parts = [tmp_path / f"out.part-{index}-of-3.jsonl" for index in (0, 2)]
    assert not out.exists() and 0 < sum(len(rows_of(part)) for part in parts) < 16
    assert verb.predict(config_of(files, out=out, resume=True)).exit_code == ExitCode.DONE
    rows = [row for part in (*parts, out) for row in rows_of(part)]
    assert sorted(rows, key=lambda row: row["file"]) == sorted(
        rows_of(whole), key=lambda row: row["file"]
    )
    late = config_of(files, out=out, resume=True, shard="1/3")
    assert verb.predict(late).exit_code == ExitCode.DONE
    assert rows_of(tmp_path / "out.part-1-of-3.jsonl") == []
    for wrong in ("3/3", "1", "a/b", "-1/2"):
        with pytest.raises(ValueError, match="0 <= i < n"):
            config_of(files, shard=wrong)


def test_a_profile_adds_up_to_the_whole(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = files_of(tmp_path / "in", ["2.0", "hang 0.3"])
    with caplog.at_level("INFO"):
        verb.predict(config_of(files, profile=True))
    (line,) = [message for message in caplog.messages if " s in all: " in message]
    whole, *steps = [float(number) for number in re.findall(r"([\d.]+) s ", line)]
    assert line.split(": ")[1].startswith("import ") and ", rest " in line
    assert len(steps) == 3 and sum(steps) == pytest.approx(whole, abs=0.03)
    assert "decoding 0.30 s" in line
    with pytest.raises(ValueError, match="several workers overlap"):
        config_of(files, profile=True, workers=2)


def test_heat_maps_need_gradients(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    with pytest.raises(ValueError, match=r"give the model\.safetensors"):
        config_of([Path("a")], model=Path("m.onnx"), explain="grad_cam", page=page)


def test_without_resume_the_file_begins_anew(tmp_path: Path) -> None:
    files = files_of(tmp_path / "in", ["2.0", "1.0"])
    out = tmp_path / "out.jsonl"
    verb.predict(config_of(files, out=out))
    verb.predict(config_of(files[1:], out=out))
    assert [Path(row["file"]).name for row in rows_of(out)] == ["1.mp4"]


def test_rows_of_another_model_or_of_something_else_are_refused(tmp_path: Path) -> None:
    files = files_of(tmp_path / "in", ["2.0"])
    out = tmp_path / "out.jsonl"
    verb.predict(config_of(files, out=out))
    with pytest.raises(ValueError, match=r"of the model m, this one is n; give another --out"):
        verb.predict(config_of(files, out=out, resume=True, model=Path("n")))
    out.write_text("[1, 2]\n")
    with pytest.raises(ValueError, match="not verdicts of avkd predict"):
        verb.predict(config_of(files, out=out, resume=True))
    assert out.read_text() == "[1, 2]\n"


def test_a_folder_has_a_row_or_a_remark_for_everything(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """By content where the name says nothing; what is left out is said."""
    folder = tmp_path / "inbox"
    folder.mkdir()
    picture = Image.fromarray(np.zeros((8, 8, 3), np.uint8))
    for name, kind in {"a.jfif": "JPEG", "b": "PNG", "c.tiff": "TIFF", "d.gif": "GIF"}.items():
        picture.save(folder / name, kind)
    (folder / "e.mp4").write_text("1.0")
    (folder / "empty.png").touch()
    (folder / "notes.txt").write_text("hello")
    (folder / ".hidden.mp4").write_text("1.0")
    (folder / "link.mp4").symlink_to(folder / "e.mp4")
    with caplog.at_level("INFO"):
        found = [path.name for path in verb._files_of(folder)]
    assert found == ["a.jfif", "b", "c.tiff", "d.gif", "e.mp4", "empty.png"]
    assert "1 .txt" in caplog.text and "hidden: 1" in caplog.text and "'link.mp4'" in caplog.text


def test_a_name_that_is_too_long_for_the_disk_is_a_row(tmp_path: Path) -> None:
    files = (*files_of(tmp_path / "in", ["1.0"]), tmp_path / ("a" * 300 + ".mp4"))
    assert verb._files_of(files[1]) == [files[1]]


@pytest.mark.slow
def test_a_folder_of_300_files_killed_five_times_has_the_rows_of_an_undisturbed_run(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "inbox"
    folder.mkdir()
    draw = np.random.default_rng(0)
    for number in range(300):
        path = folder / f"{number:03}.png"
        if number % 10 == 3:
            path.write_bytes(draw.bytes(number))
        else:
            Image.fromarray(draw.integers(0, 255, (48, 48, 3), dtype=np.uint8)).save(path)
    command = [sys.executable, "-m", "avkd", "predict", str(folder), "--model", "starter-fast"]
    command += ["--detector", "none", "--device", "cpu", "--threads", "1", "--out"]
    whole, out = tmp_path / "whole.jsonl", tmp_path / "out.jsonl"
    assert subprocess.run([*command, str(whole)], capture_output=True).returncode == 3
    signals = [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGKILL, signal.SIGTERM]
    for kill, number in enumerate(signals):
        process = subprocess.Popen(
            [*command, str(out), "--resume", "true"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        while not out.exists() or out.read_bytes().count(b"\n") < 50 * (kill + 1) - 20:
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
        expected = {signal.SIGKILL: -9, signal.SIGTERM: 143, signal.SIGINT: 130}[number]
        assert process.returncode == expected
        assert number == signal.SIGKILL or b"go on with --resume true" in said
    done = subprocess.run([*command, str(out), "--resume", "true"], capture_output=True)
    assert done.returncode == 3
    assert out.read_bytes() == whole.read_bytes()


def test_a_module_among_the_files_is_not_imported(tmp_path: Path) -> None:
    """Python looks for modules in the current folder first, where the files of a stranger lie."""
    for module in ("numpy", "selectors", "safetensors"):
        (tmp_path / f"{module}.py").write_text("open('canary', 'w').close()")
    (tmp_path / "clip.mp4").write_bytes(b"no video")
    command = [sys.executable, "-P", "-m", "avkd", "predict", "clip.mp4"]
    environment = {**os.environ, "PYTHONPATH": str(Path(avkd.__file__).parents[1])}
    environment.pop("PYTHONSAFEPATH", None)
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert "CANNOT TELL" in done.stdout, done.stderr
    assert not (tmp_path / "canary").exists()
