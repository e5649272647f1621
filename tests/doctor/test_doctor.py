"""What `avkd doctor` finds: each check with a planted fault and without, and trees as a whole."""

import dataclasses
import json
import os
import tarfile
import typing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from avkd import cli, durable
from avkd.config.data_config import DoctorConfig, LayoutConfig, PrepareConfig
from avkd.data import worker_pool
from avkd.data.layouts import LAYOUTS
from avkd.data.manifest import Manifest, Sample
from avkd.data.media import image_files, video, writing
from avkd.doctor.doctor import recognise, run_doctor
from avkd.doctor.file_facts import FileJob, MediaFacts, digest, examine
from avkd.doctor.report import Report
from avkd.doctor.shortcuts import PROPERTIES, distribution, separation, summary
from avkd.doctor.soundness import Examined, Finding, check
from avkd.outcome import ExitCode

# Checks of what is known


def sample(side: str | None, name: str, number: int, **other) -> Sample:
    label = int(name == "fake")
    sample_id = f"toy/{side}/{name}/{number}"
    told = {
        "sample_id": sample_id,
        "path": f"{side}/{name}/{number}.mp4",
        "kind": "video",
        "label": label,
        "dataset": "toy",
        "method": "swap" if label else "real",
        "identities": (f"toy/{side}-{number}",),
        "split": side,
        "source_id": sample_id.replace("fake", "real") if label else None,
    }
    return Sample(**(told | other))


FACTS = MediaFacts(
    width=640,
    height=480,
    codec="h264",
    frames_per_second=25.0,
    seconds=4.0,
    has_audio=True,
    bits_per_pixel=0.1,
)


def clean(**other) -> Examined:
    """Ten reals and the forgeries made from them on every side, all alike."""
    samples = tuple(
        sample(side, name, number)
        for side in ("train", "val", "test")
        for name in ("real", "fake")
        for number in range(10)
    )
    corpus = Examined(
        layout="real_fake",
        manifest=Manifest(Path(), samples, ("videos: 60 found, 60 official, difference +0",)),
        facts={each.sample_id: FACTS for each in samples},
        digests={each.sample_id: each.sample_id for each in samples},
    )
    return dataclasses.replace(corpus, **other)


def with_sample(index: int, **changes) -> Examined:
    """The clean corpus with another sample at a place; 0..9 are train reals, 10..19 train fakes."""
    corpus = clean()
    samples = list(corpus.manifest.samples)
    samples[index] = dataclasses.replace(samples[index], **changes)
    return dataclasses.replace(
        corpus, manifest=dataclasses.replace(corpus.manifest, samples=tuple(samples))
    )


def with_facts(where: str, **changes) -> Examined:
    """The clean corpus with other facts of the files whose id holds a text."""
    facts = {
        sample_id: dataclasses.replace(told, **changes) if where in sample_id else told
        for sample_id, told in clean().facts.items()
    }
    return clean(facts=facts)


def with_note(*notes: str) -> Examined:
    corpus = clean()
    return dataclasses.replace(corpus, manifest=dataclasses.replace(corpus.manifest, notes=notes))


def only(keep) -> Examined:
    return clean(manifest=clean().manifest.where(keep))


def same_bytes(*sample_ids: str) -> Examined:
    return clean(digests=clean().digests | dict.fromkeys(sample_ids, "same"))


def row(corpus: Examined, code: str) -> Finding:
    (found,) = [finding for finding in check(corpus) if finding.code == code]
    return found


def test_a_clean_corpus_passes_every_check():
    codes = [finding.code for finding in check(clean())]
    assert sorted(codes) == [
        *("classes", "content", "files", "identities", "inventory"),
        *("labels", "lengths", "shortcuts", "sources"),
    ]
    assert {finding.level for finding in check(clean())} == {"ok"}


@pytest.mark.parametrize(
    ("corpus", "level", "code", "count", "named"),
    [
        (
            with_note("a: 58 found, 60 official, difference -2", "b, difference +0", "hidden: 3"),
            *("warning", "inventory", 1, "58 found"),
        ),
        (with_sample(0, path="a/fake/x/1.mp4"), "error", "label_against_name", 1, "fake/x/1.mp4"),
        (with_sample(10, path="original/1.mp4"), "error", "label_against_name", 1, "original/1"),
        (
            only(lambda s: s.split != "val" or s.label == 1),
            *("error", "class_missing", 1, "no real in the val split"),
        ),
        (
            with_facts("val/real", problem="not_media"),
            *("error", "class_missing", 1, "no real in the val split"),
        ),
        (with_facts("toy", problem="not_media"), "error", "class_missing", 0, ""),
        (only(lambda s: s.split == "test"), "note", "no_train_split", 0, ""),
        (only(lambda s: s.split != "val"), "warning", "no_val_split", 1, ""),
        (with_sample(3, split=None), "note", "no_split", 1, "train/real/3.mp4"),
        (with_facts("train/real/1", problem="not_found"), "warning", "missing", 1, "real/1.mp4"),
        (with_facts("train/real/1", problem="empty_file"), "warning", "empty", 1, "real/1.mp4"),
        (with_facts("val/fake/1", problem="timeout"), "warning", "unreadable", 1, "timeout"),
        (with_facts("val/fake/1", damage=("cut_off",)), "warning", "damaged", 1, "cut_off"),
        (clean(facts={}), "note", "not_opened", 60, ""),
        (with_facts("val/fake/1", seconds=0.96), "warning", "short", 1, "24 frames"),
        (
            same_bytes("toy/train/real/1", "toy/train/fake/2"),
            *("error", "same_bytes_two_labels", 1, "'train/real/1.mp4' = 'train/fake/2.mp4'"),
        ),
        (
            same_bytes("toy/train/real/1", "toy/val/real/2"),
            *("error", "same_bytes_two_splits", 1, "'train/real/1.mp4' = 'val/real/2.mp4'"),
        ),
        (same_bytes("toy/val/real/1", "toy/val/real/2"), "warning", "same_bytes", 1, "val/real/2"),
        (
            with_sample(0, identities=("toy/test-1",)),
            *("error", "identity_two_splits", 1, "'toy/test-1': train 'train/real/0.mp4', test"),
        ),
        (with_sample(0, identities=()), "note", "no_identity", 1, "train/real/0.mp4"),
        (
            with_sample(10, source_id="toy/test/real/0"),
            *("error", "source_other_split", 1, "train 'train/fake/0.mp4' of test"),
        ),
    ],
)
def test_a_planted_fault_is_a_row_of_its_own(corpus, level, code, count, named):
    found = row(corpus, code)
    assert (found.level, found.count) == (level, count)
    assert any(named in text for text in found.files or ("",)), found.files
    assert found.cure or level == "note"


def test_a_file_that_is_both_kinds_of_double_is_told_as_both():
    corpus = same_bytes("toy/train/real/1", "toy/val/fake/2")
    assert {finding.code for finding in check(corpus) if finding.level == "error"} == {
        "same_bytes_two_labels",
        "same_bytes_two_splits",
    }


def test_no_row_says_ok_of_what_was_not_looked_at():
    codes = {finding.code for finding in check(clean(facts={}, digests={}))}
    assert not codes & {"files", "content", "lengths", "shortcuts"}


def test_a_corpus_of_speakers_need_not_hold_fakes():
    reals = only(lambda s: s.label == 0)
    assert row(reals, "class_missing").count == 3
    speakers = dataclasses.replace(reals, layout="talking_faces")
    assert row(speakers, "real_only").level == "note"


def test_one_clip_exactly_is_long_enough():
    assert row(with_facts("val/fake/1", seconds=1.0), "lengths").level == "ok"


def test_prepared_frames_are_counted_where_no_file_was_opened():
    corpus = dataclasses.replace(with_sample(0, num_frames=12), facts={}, digests={})
    assert row(corpus, "short").files == ("'train/real/0.mp4': 12 frames",)


def test_remarks_of_the_layout_are_notes_and_told_once():
    notes = check(with_note("hidden: 3", "a, difference +0", "hidden: 3"))
    assert [f.message for f in notes if f.code == "layout"] == ["hidden: 3 (2 times)"]


def test_the_gravest_rows_come_first():
    corpus = dataclasses.replace(with_note("a remark"), digests={}, facts={})
    corpus = dataclasses.replace(
        corpus, manifest=corpus.manifest.where(lambda s: s.split != "val" or s.label)
    )
    levels = [finding.level for finding in check(corpus)]
    assert levels == sorted(levels, key=["error", "warning", "note", "ok"].index)
    assert levels[0] == "error" and "note" in levels


# Shortcuts

BY_NAME = {kind.name: kind for kind in PROPERTIES}


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("picture size", {"width": 256, "height": 256}),
        ("frame rate", {"frames_per_second": 30.0}),
        ("codec", {"codec": "mpeg4"}),
        ("sound", {"has_audio": False}),
        ("seconds", {"seconds": 9.0}),
        ("bits per pixel", {"bits_per_pixel": 0.02}),
    ],
)
def test_a_property_that_tells_the_class_is_a_warning_with_its_number(name, changes):
    found = row(with_facts("fake", **changes), "shortcut")
    assert found.level == "warning" and found.message.startswith(f"{name} alone")
    assert "train 1.00, val 1.00, test 1.00" in found.message
    one_side = row(with_facts("val/fake", **changes), "shortcut")
    assert "AUC val 1.00" in one_side.message and "train" not in one_side.message


def sizes(*widths: int) -> list[MediaFacts]:
    return [dataclasses.replace(FACTS, width=width, height=width) for width in widths]


def test_separation_is_the_area_under_the_curve():
    seconds = [dataclasses.replace(FACTS, seconds=float(value)) for value in (1, 2, 3, 4)]
    # Of the four pairs (1, 3) x (2, 4) three have the larger second.
    found = separation(BY_NAME["seconds"], [seconds[0], seconds[2]], [seconds[1], seconds[3]])
    assert found.auc == 0.75
    turned = separation(BY_NAME["seconds"], [seconds[1], seconds[3]], [seconds[0], seconds[2]])
    assert turned.auc == 0.75
    assert not found.is_shortcut  # four files tell nothing


def test_sizes_that_are_neither_larger_nor_smaller_are_seen_too():
    reals, fakes = sizes(*[720] * 20), sizes(*[256, 256, 1080, 1080] * 5)
    found = separation(BY_NAME["picture size"], reals, fakes)
    assert found.auc == 1.0 and found.is_shortcut


def test_values_that_occur_once_separate_nothing():
    """Else every corpus of crops, each of its own size, would be told to be unsound."""
    reals, fakes = sizes(*range(100, 300, 2)), sizes(*range(101, 301, 2))
    found = separation(BY_NAME["picture size"], reals, fakes)
    assert abs(found.auc - 0.5) < 0.02 and not found.is_shortcut


def test_what_is_not_known_is_not_judged():
    silent = [dataclasses.replace(FACTS, has_audio=None)] * 3
    assert separation(BY_NAME["sound"], silent, silent) is None
    assert summary(BY_NAME["sound"], silent) == "-"
    assert distribution(BY_NAME["sound"], silent) == {"values": {}, "num_values": 0}


def test_the_usual_value_comes_with_its_share():
    assert summary(BY_NAME["picture size"], sizes(8, 8, 16)) == "8x8 66%"
    assert summary(BY_NAME["picture size"], sizes(8, 8)) == "8x8"
    assert summary(BY_NAME["seconds"], [FACTS]) == "4"
    told = distribution(BY_NAME["picture size"], sizes(8, 8, 16))
    assert told["values"] == {"8x8": 2, "16x16": 1}
    assert told["percentiles_5_50_95"][1] == 8.0


# Files


def write_picture(path: Path, seed: int, size: int = 32) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size, size + 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def write_video(path: Path, seed: int, frames: int = 30, *, sound: bool = True) -> Path:
    noise = np.random.default_rng(seed).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    images = (np.roll(noise, number, axis=0) for number in range(frames))
    waveform = np.full(frames * 640, 0.2, np.float32) if sound else None
    writing.write_video(path, images, waveform=waveform, preset="ultrafast")
    return path


def job(path: Path, kind: str = "video", read: str = "headers") -> FileJob:
    return FileJob(sample_id="x", path=path, kind=kind, read=read)


def test_facts_of_a_video(tmp_path):
    path = write_video(tmp_path / "a.mp4", 0)
    facts = examine(job(path))
    assert (facts.width, facts.height, facts.codec) == (64, 48, "h264")
    assert facts.frames_per_second == 25 and facts.has_audio and not facts.problem
    assert facts.seconds == pytest.approx(1.2, abs=0.1)
    bits = 8 * path.stat().st_size / (64 * 48 * 30)
    assert facts.bits_per_pixel == pytest.approx(bits, rel=0.1)
    assert not examine(job(write_video(tmp_path / "b.mp4", 0, sound=False))).has_audio


def test_damage_is_seen_only_when_all_is_read(tmp_path):
    path = write_video(tmp_path / "a.mp4", 0)
    content = bytearray(path.read_bytes())
    middle = content.index(b"mdat") + 20_000
    content[middle : middle + 4000] = bytes(4000)
    path.write_bytes(content)
    assert not examine(job(path)).damage
    damaged = examine(job(path, read="all"))
    assert damaged.damage and not damaged.problem


def test_facts_of_pictures(tmp_path):
    picture = write_picture(tmp_path / "a.JPG", 0)
    facts = examine(job(picture, "image"))
    assert (facts.width, facts.height, facts.codec) == (40, 32, "jpeg")
    assert facts.seconds is None and facts.frames_per_second is None
    for number in range(12):
        write_picture(tmp_path / "clip" / f"{number}.png", number, 16)
    facts = examine(job(tmp_path / "clip", "frames"))
    assert (facts.width, facts.seconds, facts.codec) == (24, 12 / 25, "png")
    (tmp_path / "clip" / "11.png").write_text("no picture")
    assert examine(job(tmp_path / "clip", "frames")).problem == ""
    assert examine(job(tmp_path / "clip", "frames", "all")).problem == "not_media"


def test_folders_in_an_archive_are_read_where_they_lie(tmp_path):
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        for folder, size in (("3", 16), ("4", 24), ("5", 16)):
            for number in range(2):
                picture = write_picture(tmp_path / "loose.png", number, size)
                archive.add(picture, f"{folder}/{number}.png")
    one, other, equal = (job(tmp_path / "a.tar.gz" / name, "frames") for name in "345")
    facts = examine(one)
    assert (facts.width, facts.height, facts.seconds, facts.codec) == (24, 16, 2 / 25, "png")
    assert facts.signature == examine(equal).signature != examine(other).signature
    assert digest(one) == digest(equal) != digest(other)
    assert examine(job(tmp_path / "a.tar.gz" / "9", "frames")).problem == "no_frames"


def test_equal_content_has_equal_signature_and_digest(tmp_path):
    paths = [write_picture(tmp_path / name, seed) for name, seed in (("a.png", 1), ("b.png", 1))]
    other = write_picture(tmp_path / "c.png", 2)
    assert len({examine(job(path, "image")).signature for path in paths}) == 1
    assert digest(job(paths[0], "image")) == digest(job(paths[1], "image"))
    assert digest(job(paths[0], "image")) != digest(job(other, "image"))
    for folder in ("one", "two"):
        write_picture(tmp_path / folder / "0.png", 1)
        write_picture(tmp_path / folder / "1.png", 2)
    one, two = (job(tmp_path / folder, "frames") for folder in ("one", "two"))
    assert examine(one).signature == examine(two).signature and digest(one) == digest(two)


def test_files_of_no_use_are_answers(tmp_path):
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("not a video")
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "folder").mkdir()
    problems = {
        name: examine(job(tmp_path / name, kind)).problem
        for name, kind in (
            *(("empty.mp4", "video"), ("text.mp4", "video"), ("pipe.mp4", "video")),
            *(("gone.mp4", "video"), ("gone.png", "image"), ("folder", "frames")),
        )
    }
    assert problems == {
        "empty.mp4": "empty_file",
        "text.mp4": "not_media",
        "pipe.mp4": "not_regular_file",
        "gone.mp4": "not_found",
        "gone.png": "not_found",
        "folder": "no_frames",
    }


# From a tree to the table


def picture_tree(root: Path, sides=("train", "val"), count: int = 5) -> Path:
    seed = 0
    for side in sides:
        for name in ("real", "fake/swap"):
            for _ in range(count):
                seed += 1
                write_picture(root / side / name / f"{side}{seed}.png", seed)
    return root


def doctor(root: Path, **settings):
    settings = {"layout": "real_fake_images", "workers": 1, "timeout_seconds": 30.0} | settings
    return run_doctor(DoctorConfig(source=root, **settings))


def test_a_double_is_an_error_and_no_file_is_opened_in_this_process(tmp_path, monkeypatch):
    """A decoder that crashes on one of a million files must not take the report with it."""

    def refuse(*_, **__):
        raise AssertionError("opened in this process")

    root = picture_tree(tmp_path)
    twice = root / "val/real/copy.png"
    twice.write_bytes((root / "train/fake/swap/train6.png").read_bytes())
    for module, name in (
        (video, "open_container"),
        (image_files, "read_image"),
        (durable, "sha256_of_file"),
    ):
        monkeypatch.setattr(module, name, refuse)
    outcome = doctor(root)
    assert outcome.exit_code == ExitCode.NOTHING_USABLE
    assert "same_bytes_two_labels" in outcome.text and "same_bytes_two_splits" in outcome.text
    twice.unlink()
    outcome = doctor(root)
    assert outcome.exit_code == ExitCode.DONE
    assert outcome.text.splitlines()[-1].startswith("sound: ")


def test_names_alone_open_no_file(tmp_path):
    for path in picture_tree(tmp_path).rglob("*.png"):
        path.write_text("not a picture")
    outcome = doctor(tmp_path, read="names")
    assert outcome.exit_code == ExitCode.DONE
    assert "sound as far as names tell" in outcome.text and "not_opened (20)" in outcome.text


def test_a_warning_ends_with_three(tmp_path):
    picture_tree(tmp_path)
    (tmp_path / "train/real/broken.png").write_text("not a picture")
    outcome = doctor(tmp_path)
    assert outcome.exit_code == ExitCode.SOME_SKIPPED
    assert "'train/real/broken.png': not_media" in outcome.text


def test_a_file_that_kills_its_worker_or_hangs_is_a_row(tmp_path, monkeypatch):
    picture_tree(tmp_path)

    def end_badly(children, jobs, **_):
        for number, each in enumerate(jobs):
            status = {0: "crashed", 1: "timeout"}.get(number, "ok")
            facts = children._function(each) if status == "ok" else None
            yield worker_pool.Reply(each, status, facts, "", 0.0)

    monkeypatch.setattr(worker_pool.Workers, "run", end_badly)
    outcome = doctor(tmp_path)
    assert outcome.exit_code == ExitCode.SOME_SKIPPED and "unreadable (2)" in outcome.text
    assert ": decoder_crashed" in outcome.text and ": timeout" in outcome.text


def test_prepared_crops_are_judged_by_their_manifest(tmp_path):
    samples = [
        dataclasses.replace(each, kind="crops", num_frames=20, path=f"{each.sample_id}/track-0")
        for each in clean().manifest.samples
    ]
    Manifest(tmp_path, tuple(samples)).save(tmp_path / "manifest.jsonl")
    outcome = doctor(tmp_path / "manifest.jsonl", layout=None)
    assert outcome.exit_code == ExitCode.SOME_SKIPPED
    text = " ".join(outcome.text.split())  # a long folder's name breaks the lines elsewhere
    assert "layout manifest" in text and "not_opened (60)" in text and "short (60)" in text


def test_the_command_tells_and_writes_what_it_found(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root, told = Path("tree"), Path("told.json")
    for side in ("train", "val"):
        write_video(root / side / "real" / f"{side}1_a.mp4", len(side), sound=True)
        write_video(root / side / "fake" / f"{side}2_a.mp4", 9 + len(side), sound=False)
    again = root / "val" / "real" / "train1_b.mp4"
    again.write_bytes((root / "train/real/train1_a.mp4").read_bytes())
    arguments = ["doctor", "--source", str(root), "--workers", "1", "--json", str(told)]
    pattern = r"/(?P<identity>[a-z]+\d)_"
    code = cli.main([*arguments, "--options.identity_pattern", pattern, "--read", "all"])
    assert code == ExitCode.NOTHING_USABLE
    text = capsys.readouterr().out
    assert "layout real_fake, 5 files (read: all)" in text
    assert "h264" in text and "64x48" in text
    assert max(map(len, text.splitlines())) <= 100
    found = json.loads(told.read_text())
    errors = [each["code"] for each in found["findings"] if each["level"] == "error"]
    assert errors == ["same_bytes_two_splits", "identity_two_splits"]
    assert found["verdict"] == "not sound to train on"
    assert found["separation_auc"]["sound"].keys() == {"train", "val"}
    assert found["properties"]["codec"]["val real"]["values"] == {"h264": 2}


def test_the_table_fits_the_screen_and_json_names_all():
    files = tuple(f"{'folder/' * 30}{number}\x1b[2J.mp4" for number in range(9))
    finding = Finding("error", "planted", "words " * 40, files, "a cure " * 30, 9)
    report = Report("/data/x", "headers", with_facts("fake", width=7680), [finding], "not sound")
    text = report.as_text()
    assert max(map(len, text.splitlines())) <= 100
    assert "\x1b" not in text and "... and 6 more" in text and "7680x480" in text
    assert len(report.as_json()["findings"][0]["files"]) == 9


# Which layout


def test_a_tree_is_taken_for_what_knows_it_best(tmp_path):
    picture_tree(tmp_path / "pictures", sides=("",), count=10)
    assert recognise(tmp_path / "pictures", None, {})[0] == "real_fake_images"
    listed = tmp_path / "pictures" / "manifest.jsonl"
    Manifest(listed.parent, (sample("train", "real", 0),)).save(listed)
    assert recognise(tmp_path / "pictures", None, {})[0] == "manifest"
    for number in range(10):
        path = tmp_path / "talk" / f"s{number}" / "a.mp4"
        path.parent.mkdir(parents=True)
        path.touch()
    assert recognise(tmp_path / "talk", None, {})[0] == "talking_faces"
    assert recognise(tmp_path / "talk", None, {"speaker_pattern": "(?P<speaker>s.)"})[1]


def test_several_layouts_are_named(tmp_path):
    picture_tree(tmp_path, sides=("train", "valid", "test"))
    with pytest.raises(ValueError, match=r"kaggle_140k, .*real_fake_images.*say which it is"):
        recognise(tmp_path, None, {})


def test_a_tree_of_no_layout_and_a_useless_option_are_refused(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ValueError, match=r"no layout recognises.*--layout"):
        recognise(tmp_path, None, {})
    with pytest.raises(ValueError, match="compression has no effect on layout real_fake"):
        recognise(tmp_path, "real_fake", {"compression": "c23"})
    with pytest.raises(ValueError, match="no layout has all of the options"):
        recognise(tmp_path, None, {"compression": "c23", "speaker_pattern": "x"})
    with pytest.raises(FileNotFoundError, match="does not exist"):
        recognise(tmp_path / "gone", None, {})
    with pytest.raises(ValueError, match="is a file, layout lrw reads a folder"):
        recognise(tmp_path / "notes.txt", "lrw", {})


def test_the_right_folder_nearby_is_named(tmp_path):
    path = tmp_path / "lipread_mp4" / "ABOUT" / "train" / "ABOUT_00001.mp4"
    path.parent.mkdir(parents=True)
    path.touch()
    with pytest.raises(ValueError, match=r"lrw: .*Did you mean .*lipread_mp4"):
        recognise(tmp_path, None, {})


def test_a_fault_of_a_known_tree_is_told(tmp_path):
    picture_tree(tmp_path)
    write_picture(tmp_path / "real" / "stray.png", 99)
    with pytest.raises(ValueError, match="1 of 21 files lie outside"):
        recognise(tmp_path, None, {"identity_pattern": "(?P<identity>x)"})


FF_METHODS = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures")


@pytest.mark.parametrize(
    ("files", "told"),
    [
        (["Celeb-real/id0_0000.mp4", "Celeb-synthesis/id0_id1_0000.mp4"], "List_of_testing_videos"),
        (
            [
                "original_sequences/youtube/c23/videos/000.mp4",
                *(f"manipulated_sequences/{m}/c23/videos/000_001.mp4" for m in FF_METHODS),
            ],
            "no official split",
        ),
        (["dfdc_train_part_0/a.mp4", "dfdc_train_part_1/b.mp4"], "takes every video for real"),
        (["RealVideo-RealAudio/a/1.mp4", "FakeVideo-RealAudio/a/1.mp4"], "'FakeVideo-RealAudio'"),
        (["people/s1/a.mp4", "people/딥페이크/b.mp4"], "takes every video for real"),
    ],
)
def test_a_tree_with_fakes_is_never_certified_as_real(tmp_path, files, told):
    """What knows the tree and misses something is heard; no general layout reads it instead."""
    for name in files:
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    with pytest.raises(ValueError, match=told):
        recognise(tmp_path / "data", None, {})


def test_a_list_in_another_encoding_is_a_fault_of_the_dataset(tmp_path):
    for name in ("Celeb-real/id0_0000.mp4", "Celeb-synthesis/id0_id1_0000.mp4"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    row = "0 Celeb-synthesis/id0_id1_0000.mp4\n"
    (tmp_path / "List_of_testing_videos.txt").write_bytes(row.encode("utf-16"))
    with pytest.raises(ValueError, match=r"celebdf: .*List_of_testing_videos"):
        recognise(tmp_path, None, {})


@pytest.mark.parametrize(
    "names",
    [
        ("0_real", "1_fake"),
        ("nature", "ai"),
        ("reals", "fakes"),
        ("Authentic", "Deepfakes"),
        ("원본", "가짜"),
    ],
)
def test_folders_named_after_a_class_are_understood(tmp_path, names):
    for folder in names:
        for number in range(10):
            path = tmp_path / folder / f"{number}.mp4"
            path.parent.mkdir(exist_ok=True)
            path.touch()
    layout, manifest = recognise(tmp_path, None, {})
    assert layout == "real_fake"
    labels = {sample.path.partition("/")[0]: sample.label for sample in manifest.samples}
    assert labels == dict(zip(names, (0, 1), strict=True))


def test_folders_named_after_methods_keep_their_names(tmp_path):
    for folder in ("authentic", "deepfakes", "faceswap", "lip_sync"):
        for number in range(10):
            path = tmp_path / folder / f"{number}.mp4"
            path.parent.mkdir(exist_ok=True)
            path.touch()
    methods = {sample.method for sample in recognise(tmp_path, None, {})[1].samples}
    assert methods == {"real", "deepfakes", "faceswap", "lip_sync"}


def test_the_layouts_to_choose_from_are_those_there_are():
    (names, _) = typing.get_args(typing.get_type_hints(DoctorConfig)["layout"])
    assert set(typing.get_args(names)) == set(LAYOUTS)
    assert names == typing.get_type_hints(PrepareConfig)["layout"]


def test_settings_out_of_range_are_refused(tmp_path):
    for settings in ({"workers": 0}, {"timeout_seconds": 0.0}, {"json": tmp_path}):
        with pytest.raises(ValueError, match=next(iter(settings))):
            DoctorConfig(source=tmp_path, **settings)
    assert DoctorConfig(source=tmp_path).options == LayoutConfig()
