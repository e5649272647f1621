"""Forging a prepared corpus: labels, pairs, splits, files and the books."""

import json

import numpy as np
import pytest
from factories import read_waveform

from avkd.config.data_config import ForgeConfig
from avkd.data.crops.journal import read_journal
from avkd.data.faces import face_tracks
from avkd.data.manifest import FAKE, REAL, REAL_METHOD, Manifest, Sample
from avkd.data.media.video import iter_frames
from avkd.data.media.writing import write_video
from avkd.data.prepare import prepare
from avkd.data.prepare_file import PrepareSettings
from avkd.outcome import ExitCode
from avkd.synthesis import forgery, speech_synthesis, talking_face
from avkd.synthesis.forgery_methods import FORGERIES, boxes_around

FRAMES = 26  # a face that is seen for less than 25 is left out
PEOPLE = {"anna": "train", "ben": "train", "cleo": "val", "dan": "val", "eve": "test"}
TWICE = ("anna", "cleo")
MUTE = "dan"
METHODS = ("self_blended", "face_swap", "mouth_reenactment", "sound_swapped", "sound_shifted")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Two people in train and in val, the first of them with two clips; one person in test."""
    root = tmp_path_factory.mktemp("sources")
    samples = []
    for number, (person, split) in enumerate(PEOPLE.items()):
        for clip in range(2 if person in TWICE else 1):
            rng = np.random.default_rng([number, clip])
            voice = speech_synthesis.Voice.draw(np.random.default_rng(number))
            script = speech_synthesis.random_script(rng, 2.0)
            said = speech_synthesis.speak(script, voice=voice, num_frames=FRAMES, rng=rng)
            frames, points = talking_face.render(
                talking_face.Identity.draw(np.random.default_rng(number)),
                said.mouth,
                style=talking_face.STYLES["broadcast"],
                rng=rng,
            )
            path = root / person / f"{clip}.mp4"
            waveform = None if person == MUTE else said.waveform
            write_video(path, frames, waveform=waveform)
            face_tracks.write_face_sidecar(path, boxes_around(points), points, (160, 160))
            samples.append(
                Sample(
                    sample_id=f"made/real/{person}/{clip}",
                    path=f"{person}/{clip}.mp4",
                    kind="video",
                    label=REAL,
                    dataset="made",
                    method=REAL_METHOD,
                    identities=(person,),
                    split=split,
                )
            )
    out = tmp_path_factory.mktemp("prepared")
    prepare(
        Manifest(root=root, samples=tuple(samples)),
        out,
        PrepareSettings(detector="boxes"),
        workers=1,
    )
    return root, out


def forge(prepared, out, **settings):
    """The outcome, and the manifest of what was made."""
    sources, corpus = prepared
    outcome = forgery.forge(ForgeConfig(data=corpus, sources=sources, out=out, **settings))
    return outcome, Manifest.load(out / "manifest.jsonl")


SETTINGS = {"methods": METHODS, "seed": 3, "min_strength": 0.6, "max_strength": 0.9, "workers": 2}


@pytest.fixture(scope="module")
def forged(prepared, tmp_path_factory):
    outcome, manifest = forge(prepared, tmp_path_factory.mktemp("forged"), **SETTINGS)
    lines = outcome.text.splitlines()
    assert lines[0] == f"{len(manifest)} files in {manifest.root}" and "  7 real" in lines
    assert outcome.exit_code == ExitCode.SOME_SKIPPED and "not made, see" in lines[-1]
    return manifest


def test_every_real_is_encoded_again_and_forged_by_every_possible_method(forged):
    by_method = dict.fromkeys((REAL_METHOD, *METHODS), 0)
    for sample in forged.samples:
        by_method[sample.method] += 1
    # Eve (test) is alone: no partner; only Anna and Cleo say a second sentence. Dan has no sound,
    # so Cleo, too, has no sound of another person to take.
    assert by_method == {
        "real": 7,
        "self_blended": 7,
        "face_swap": 6,
        "mouth_reenactment": 4,
        "sound_swapped": 3,
        "sound_shifted": 6,
    }


def test_what_could_not_be_made_is_a_row_with_its_reason(forged):
    report = read_journal(forged.root / "report.jsonl")
    rows = {row["sample_id"]: row for row in report if row["status"] != "ok"}
    assert len(rows) == 7 * len(METHODS) + 7 - len(forged)
    assert "no sound" in rows[f"made_forged/sound_shifted/{MUTE}__0"]["message"]
    assert "in the same split" in rows["made_forged/face_swap/eve__0"]["message"]


def test_manifest_keeps_splits_apart(forged):
    manifest = forged
    assert manifest.check_identities() == 0
    reals = {s.sample_id: s for s in manifest.samples if s.label == REAL}
    for sample in manifest.samples:
        assert sample.kind == "video" and sample.num_frames == FRAMES
        assert all(PEOPLE[person] == sample.split for person in sample.identities)
        if sample.label == FAKE:
            assert sample.method in METHODS
            real = reals[sample.source_id]
            assert real.split == sample.split and real.identities[0] == sample.identities[0]
            is_swap = FORGERIES[sample.method].donor == "other_person"
            assert len(sample.identities) == (2 if is_swap else 1)


def _frames(manifest, sample_id):
    (sample,) = (s for s in manifest.samples if s.sample_id == sample_id)
    path = manifest.absolute_path(sample)
    return path, np.stack([frame.image for frame in iter_frames(path)])


def test_a_visible_fake_differs_from_its_real_in_the_face(forged):
    _, real = _frames(forged, "made_forged/real/anna__0")
    path, fake = _frames(forged, "made_forged/face_swap/anna__0")
    points = face_tracks.read_face_sidecar(path).landmarks[0]
    x, y = np.rint(points.mean(0)).astype(int)
    difference = np.abs(real.astype(int) - fake)[0]
    assert difference[y - 10 : y + 10, x - 10 : x + 10].mean() > 4 * difference[:20, :20].mean()


def test_a_sound_forgery_shows_the_very_same_picture(forged):
    real_path, real = _frames(forged, "made_forged/real/anna__0")
    path, fake = _frames(forged, "made_forged/sound_swapped/anna__0")
    assert np.array_equal(real, fake)
    own, other = read_waveform(real_path), read_waveform(path)
    length = min(len(own), len(other))
    assert np.corrcoef(own[:length], other[:length])[0, 1] < 0.9


def test_going_on_makes_only_what_is_missing_and_makes_it_the_same(prepared, forged):
    out = forged.root
    report = out / "report.jsonl"
    rows = report.read_text().splitlines(keepends=True)
    lost_row = next(row for row in rows if '"made_forged/self_blended/anna__1"' in row)
    lost = out / "fake/self_blended/anna__1.mp4"
    before, kept_time = lost.read_bytes(), (out / "real/anna__1.mp4").stat().st_mtime_ns
    report.write_text("".join(row for row in rows if row != lost_row))
    lost.unlink()
    _, again = forge(prepared, out, **{**SETTINGS, "workers": 1})
    assert lost.read_bytes() == before
    assert (out / "real/anna__1.mp4").stat().st_mtime_ns == kept_time
    assert again.fingerprint == forged.fingerprint
    assert len(report.read_text().splitlines()) == len(rows)


def test_report_tells_strength_and_donor(forged):
    lines = (forged.root / "report.jsonl").read_text().splitlines()
    rows = {row["sample_id"]: row for row in map(json.loads, lines)}
    swap = rows["made_forged/face_swap/anna__0"]
    assert 0.6 <= swap["strength"] <= 0.9
    assert swap["donor"].startswith("made/real/ben/")


def test_wrong_requests_are_named(prepared, forged, tmp_path):
    with pytest.raises(ValueError, match="choose each at most once"):
        forge(prepared, tmp_path, methods=("deepfake",))
    with pytest.raises(ValueError, match="other settings"):
        forge(prepared, forged.root, methods=METHODS, seed=4)


def test_few_clips_of_each_person_are_the_first_by_id(prepared, tmp_path):
    _, made = forge(prepared, tmp_path, methods=("sound_shifted",), clips_per_identity=1)
    reals = [s.sample_id for s in made.samples if s.label == REAL]
    assert sorted(reals) == [f"made_forged/real/{person}__0" for person in sorted(PEOPLE)]
