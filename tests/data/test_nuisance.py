"""Facts beside the face: what `prepare` finds of a file, and that nothing unknown is an error."""

import math
from pathlib import Path

import numpy as np
import pytest
from factories import CLIP_FRAMES as FRAMES
from factories import speech, write_clip
from PIL import Image

from avkd.data import nuisance
from avkd.data.crops.prepared_corpus import read_nuisance
from avkd.data.faces.face_crop import TEMPLATE
from avkd.data.faces.track_extraction import plan_tracks
from avkd.data.manifest import Manifest, Sample
from avkd.data.media.source_file import SourceFile
from avkd.data.prepare import prepare
from avkd.data.prepare_file import PrepareSettings


def facts_of(path: Path, kind: str = "video", detector: str = "boxes", **limits: float) -> dict:
    source = SourceFile(path, kind, with_sound=True, **limits)
    return nuisance.facts_of_file(source, plan_tracks(source, detector=detector))


def test_the_facts_of_a_video_are_what_it_was_made_of(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    write_clip(path, sound=speech(0.3))
    facts = facts_of(path)
    assert tuple(facts) == nuisance.FACTS
    assert (facts["width"], facts["height"], facts["frames_per_second"]) == (200, 160, 25)
    assert (facts["codec"], facts["sound_codec"], facts["has_sound"]) == ("h264", "aac", True)
    assert facts["duration_seconds"] == FRAMES / 25
    assert facts["file_bytes"] == path.stat().st_size
    assert facts["bit_rate"] == pytest.approx(8 * path.stat().st_size / 1.2, rel=1e-5)
    assert facts["leading_silence_seconds"] == pytest.approx(0.3, abs=0.07)
    assert facts["sound_level_db"] == pytest.approx(20 * math.log10(0.25 * math.sqrt(0.75)), abs=1)
    assert facts["first_frame_brightness"] == pytest.approx(50, abs=2)


def test_the_face_is_measured_in_the_pixels_of_the_file_and_placed_relative_to_it(
    tmp_path: Path,
) -> None:
    write_clip(tmp_path / "a.mp4")
    write_clip(tmp_path / "b.mp4", left=40)
    one, other = facts_of(tmp_path / "a.mp4"), facts_of(tmp_path / "b.mp4")
    assert one["face_side_pixels"] == pytest.approx(150, rel=0.01)  # the template, not scaled
    assert one["face_area_share"] == pytest.approx(150**2 / (200 * 160), rel=0.02)
    middle = TEMPLATE.mean(axis=0) + np.array([20, 5])
    assert one["face_center_x"] == pytest.approx(middle[0] / 200, abs=1e-3)
    assert one["face_center_y"] == pytest.approx(middle[1] / 160, abs=1e-3)
    assert other["face_center_x"] - one["face_center_x"] == pytest.approx(0.1, abs=1e-3)


def test_what_a_file_does_not_have_is_not_known_and_no_sound_is_a_fact(tmp_path: Path) -> None:
    write_clip(tmp_path / "a.mp4")
    facts = facts_of(tmp_path / "a.mp4", detector="none")
    assert facts["has_sound"] is False
    absent = ("sound_codec", "leading_silence_seconds", "sound_level_db", "face_side_pixels")
    assert [facts[name] for name in (*absent, "face_center_x")] == [None] * 5
    picture = tmp_path / "face.jpg"
    Image.fromarray(np.full((40, 30, 3), (255, 0, 0), np.uint8)).save(picture)
    facts = facts_of(picture, kind="image", detector="none")
    assert (facts["codec"], facts["width"], facts["height"]) == ("jpeg", 30, 40)
    assert facts["first_frame_brightness"] == pytest.approx(0.299 * 255, abs=2)
    gone = ("duration_seconds", "bit_rate", "has_sound", "frames_per_second")
    assert [facts[name] for name in gone] == [None] * 4


def test_a_file_that_was_cut_has_the_length_its_header_claims(tmp_path: Path) -> None:
    write_clip(tmp_path / "a.mp4")
    facts = facts_of(tmp_path / "a.mp4", max_seconds=0.4)
    assert facts["duration_seconds"] == pytest.approx(FRAMES / 25, abs=0.1)


def test_a_file_that_is_gone_meanwhile_costs_its_size_only(tmp_path: Path) -> None:
    write_clip(tmp_path / "a.mp4", sound=speech(0.0))
    source = SourceFile(tmp_path / "a.mp4", "video", with_sound=True)
    plan = plan_tracks(source, detector="boxes")
    source.path.unlink()
    facts = nuisance.facts_of_file(source, plan)
    assert facts["file_bytes"] is None and facts["bit_rate"] is None
    assert facts["duration_seconds"] == FRAMES / 25 and facts["has_sound"] is True


def test_digital_silence_has_a_level_and_is_silent_from_end_to_end(tmp_path: Path) -> None:
    write_clip(tmp_path / "a.mp4", sound=np.zeros(FRAMES * 640, np.float32))
    facts = facts_of(tmp_path / "a.mp4")
    assert facts["sound_level_db"] == -100
    assert facts["leading_silence_seconds"] == FRAMES / 25


def test_prepare_reports_the_facts_and_an_older_corpus_has_none(tmp_path: Path) -> None:
    write_clip(tmp_path / "in" / "a.mp4", sound=speech(0.2))
    sample = Sample(
        sample_id="toy/real/a", path="a.mp4", kind="video", label=0, dataset="toy", method="real"
    )
    out = tmp_path / "out"
    prepare(
        Manifest(root=tmp_path / "in", samples=(sample,)),
        out,
        PrepareSettings(detector="boxes"),
        workers=1,
    )
    facts = read_nuisance(out)["toy/real/a"]
    assert facts["leading_silence_seconds"] == pytest.approx(0.2, abs=0.07)
    assert set(facts) == set(nuisance.FACTS)
    report = out / "report.jsonl"
    report.write_text(report.read_text().replace('"nuisance"', '"of_another_version"'))
    assert read_nuisance(out) == {}
