"""A verdict: never softer than its worst face, never `real` by accident, safe to print."""

import csv
import dataclasses
import io
import json
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from factories import make_head

from avkd.inference.verdict import (
    Note,
    Verdict,
    WindowScore,
    judge,
    printable,
)
from avkd.inference.verdict_log import opened
from avkd.metrics.pooling import MEAN_LOGIT, RULES, Pooling, pooled_scores
from avkd.models.calibration import Calibration
from avkd.models.decision import DecisionRule
from avkd.reporting.model_scores import read_score_files
from avkd.reporting.scores import ClipScore, write_scores

WHOLE = {"num_frames": 25, "face_frames": 25, "model_fingerprint": "abc"}


def sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))


def answer_of(logit: float) -> str:
    return "fake" if logit >= 0.5 else "uncertain" if logit >= -0.5 else "real"


def make_window(track: int, start_frame: int, logit: float, num_frames: int = 25) -> WindowScore:
    return WindowScore(
        track=track,
        start_frame=start_frame,
        num_frames=num_frames,
        start_seconds=start_frame / 25,
        end_seconds=(start_frame + num_frames) / 25,
        logit=logit,
        probability=sigmoid(logit),
        num_repeated=25 - num_frames,
    )


def table_of(folder: Path, verdicts: list[Verdict]) -> str:
    with opened(folder / "out.csv", resume=False, fingerprint="abc") as log:
        for verdict in verdicts:
            log.add(verdict)
    return (folder / "out.csv").read_text(encoding="utf-8")


def make_verdict(
    windows: list[WindowScore],
    *,
    num_frames: int = 50,
    face_frames: int = 50,
    file: str = "clip.mp4",
    **options: object,
) -> Verdict:
    rule = SimpleNamespace(
        probability=options.pop("probability_of", sigmoid),
        decide=options.pop("answer_of", answer_of),
        threshold=0.6,
        source="balanced accuracy on faceforensics val",
        pooling=options.pop("pooling", MEAN_LOGIT),
        sets=None,
    )
    return judge(
        file,
        windows,
        rule,
        num_frames=num_frames,
        face_frames=face_frames,
        model_fingerprint="abc",
        **options,
    )


def test_the_file_has_the_mean_logit_of_its_most_suspicious_face() -> None:
    windows = [
        make_window(0, 0, -3.0),
        make_window(0, 25, -1.0),
        make_window(1, 0, 4.0),
        make_window(1, 25, 1.0),
    ]
    verdict = make_verdict(windows)
    assert verdict.decision == "fake"
    assert verdict.probability == sigmoid(2.5)
    assert [(t.track, t.logit, t.num_windows) for t in verdict.tracks] == [(1, 2.5, 2), (0, -2, 2)]
    assert verdict.tracks[0].end_seconds == 2.0
    assert [note.code for note in verdict.warnings] == ["several_faces"]


@pytest.mark.parametrize("pooling", [*RULES])
def test_a_face_is_pooled_as_the_rule_of_the_model_file_says(pooling: str) -> None:
    """Else its threshold would be held against numbers of another kind."""
    logits = [-3.0, 8.0, 1.5]
    windows = [make_window(0, 25 * k, logit) for k, logit in enumerate(logits)]
    verdict = make_verdict(windows, num_frames=75, face_frames=75, pooling=pooling)
    expected = pooled_scores(logits, [], pooling, sigmoid)
    assert verdict.tracks[0].logit == expected[0]
    assert verdict.probability == sigmoid(expected[0])


CALIBRATIONS = {
    "none": Calibration(),
    "temperature": Calibration(kind="temperature", scale=0.5),
    "platt": Calibration(kind="platt", scale=0.7, offset=-0.4),
    "isotonic": Calibration(
        kind="isotonic", knots=((-1.5, 0.1), (0.0, 0.4), (0.5, 0.4), (2.0, 0.9))
    ),
}


@pytest.mark.parametrize("pooling", [*RULES])
@pytest.mark.parametrize("kind", [*CALIBRATIONS])
def test_a_verdict_has_the_probability_that_an_evaluation_has(
    tmp_path: Path, kind: str, pooling: Pooling
) -> None:
    """And both lie on the side of the threshold that the decision names."""
    curve = CALIBRATIONS[kind]
    random = np.random.default_rng(0)
    files = [[-2.5, -1.0, 2.9], [0.3], *random.normal(0, 3, (6, 14)).tolist()]
    rows = [
        ClipScore(
            sample_id=str(number),
            label=0,
            dataset="d",
            method="real",
            split="test",
            window=window,
            start_frame=25 * window,
            num_frames=25,
            logit=logit,
            probability=curve.probability(logit),
        )
        for number, logits in enumerate(files)
        for window, logit in enumerate(logits)
    ]
    write_scores(tmp_path / "d.csv", make_head(pooling=pooling, calibration=curve), rows)
    evaluated, _ = read_score_files([tmp_path / "d.csv"])
    for logits, logit, probability in zip(
        files, evaluated["logit"], evaluated["probability"], strict=True
    ):
        for threshold in (logit - 0.01, logit, logit + 0.01):
            rule = DecisionRule(
                calibration=curve, threshold_logit=threshold, pooling=pooling, source="val"
            )
            windows = [
                dataclasses.replace(make_window(0, 25 * k, x), probability=curve.probability(x))
                for k, x in enumerate(logits)
            ]
            verdict = judge("a.mp4", windows, rule, **WHOLE)
            assert (verdict.tracks[0].logit, verdict.probability) == (logit, probability)
            assert verdict.decision == ("fake" if logit >= threshold else "real")
            if logit >= threshold:
                assert probability >= rule.threshold
            else:
                assert probability <= rule.threshold


def test_the_order_of_windows_does_not_matter() -> None:
    windows = [make_window(k % 2, 25 * k, 0.1 * k) for k in range(6)]
    assert make_verdict(windows) == make_verdict(windows[::-1])


@pytest.mark.parametrize(("logit", "decision"), [(-3, "real"), (0, "uncertain"), (3, "fake")])
def test_the_decision_is_the_callers_rule_on_the_pooled_logit(logit: float, decision: str) -> None:
    assert make_verdict([make_window(0, 0, logit)]).decision == decision


def test_files_of_one_probability_may_lie_on_both_sides_of_the_threshold() -> None:
    """Where a calibration is flat only the logit tells them apart."""
    flat = {
        "probability_of": lambda logit: 0.6,
        "answer_of": lambda x: "fake" if x >= 0 else "real",
    }
    for logit, decision in ((-1.0, "real"), (1.0, "fake")):
        verdict = make_verdict([make_window(0, 0, logit)], **flat)
        assert (verdict.decision, verdict.probability, verdict.threshold) == (decision, 0.6, 0.6)


def test_a_file_without_a_scored_window_is_never_real() -> None:
    skipped = [Note(code="no_face", message="no face in 250 frames")]
    verdict = make_verdict([], skipped=skipped)
    assert verdict.decision == "cannot_tell"
    assert verdict.probability is None
    assert verdict.reason == "no face in 250 frames"
    assert make_verdict([]).reason
    assert "CANNOT TELL" in verdict.to_text()
    assert "real" not in verdict.to_text().lower()


@pytest.mark.parametrize(
    "changes",
    [
        {"decision": "real", "probability": 0.9},
        {"decision": "fake", "probability": 0.1},
        {"decision": "real", "probability": None},
        {"decision": "real", "probability": math.nan},
        {"decision": "real", "windows": ()},
        {"decision": "cannot_tell"},
        {"decision": "genuine"},
        {"threshold_origin": ""},
    ],
)
def test_a_verdict_that_contradicts_itself_cannot_be_made(changes: dict) -> None:
    good = make_verdict([make_window(0, 0, -3.0)])
    fields = {name: getattr(good, name) for name in good.__dataclass_fields__}
    assert Verdict(**fields) == good
    with pytest.raises(AssertionError):
        Verdict(**{**fields, **changes})


def test_cannot_tell_needs_a_reason() -> None:
    with pytest.raises(AssertionError):
        Verdict(
            file="a.mp4", decision="cannot_tell", reason="", skipped=(), model_fingerprint="abc"
        )


def test_warnings_name_short_tracks_and_low_coverage_and_keep_the_callers() -> None:
    own = Note(code="out_of_training", message="8 frames per second")
    windows = [make_window(0, 0, 1.0, num_frames=10)]
    verdict = make_verdict(windows, num_frames=21, face_frames=10, warnings=[own])
    assert [note.code for note in verdict.warnings] == ["short", "low_coverage", "out_of_training"]
    assert "10 of 21 frames" in verdict.warnings[1].message
    assert make_verdict([make_window(0, 0, 1.0)], num_frames=50, face_frames=25).warnings == ()


def test_what_makes_a_file_unlike_all_training_leaves_it_uncertain_whatever_its_score() -> None:
    hdr = Note(code="hdr", message="the video is HDR")
    for logit in (-5.0, 0.0, 5.0):
        verdict = make_verdict([make_window(0, 0, logit)], abstentions=[hdr])
        assert verdict.decision == "uncertain" and verdict.reason == "the video is HDR"
        assert verdict.warnings[0] == hdr and verdict.probability == sigmoid(logit)
        assert "uncertain because the video is HDR" in verdict.to_text()
    near = make_verdict([make_window(0, 0, 0.0)])
    assert near.decision == "uncertain" and "too near the threshold" in near.reason
    assert make_verdict([make_window(0, 0, 5.0)]).reason == ""


def test_a_table_has_a_row_for_every_file_judged_or_not(tmp_path: Path) -> None:
    note = Note(code="no_face", message="no face found, in any frame")
    verdicts = [
        make_verdict([make_window(0, 0, 3.0)], file="a, b.mp4"),
        Verdict(
            file="c\n.jpg",
            decision="cannot_tell",
            reason=note.message,
            skipped=(note,),
            model_fingerprint="abc",
        ),
        make_verdict([make_window(0, 0, -3.0)], file="d.mp4"),
    ]
    rows = list(csv.DictReader(io.StringIO(table_of(tmp_path, verdicts))))
    assert [row["file"] for row in rows] == ["a, b.mp4", "c\\n.jpg", "d.mp4"]
    assert [row["status"] for row in rows] == ["ok", "no_face", "ok"]
    assert [row["label"] for row in rows] == ["fake", "", "real"]
    assert float(rows[0]["probability_fake"]) == verdicts[0].probability
    assert rows[1]["probability_fake"] == "" and rows[1]["message"] == note.message


def test_a_spreadsheet_runs_no_name_of_a_file(tmp_path: Path) -> None:
    verdict = make_verdict([make_window(0, 0, 3.0)], file="=HYPERLINK(1).mp4")
    table = table_of(tmp_path, [verdict])
    assert next(csv.DictReader(io.StringIO(table)))["file"] == "'=HYPERLINK(1).mp4"


@pytest.mark.parametrize("name", ["\x1b[2Jx.mp4", "a\nREAL b", "\u202egpm", "\x7f\x9b", "\udcff"])
def test_control_characters_of_a_name_never_reach_the_terminal(name: str) -> None:
    note = Note(code=name, message=name)
    verdict = make_verdict([make_window(0, 0, 3.0)], file=name, skipped=[note], warnings=[note])
    lines = verdict.to_text().split("\n")
    assert all(line.isprintable() for line in lines)
    assert len(lines) == len(make_verdict([make_window(0, 0, 3.0)]).to_text().split("\n")) + 2
    text = verdict.to_json()
    assert text.isascii()
    assert text.isprintable()
    assert json.loads(text)["file"] == name


def test_printable_leaves_ordinary_names_alone() -> None:
    assert printable("Zoë été 日本.mp4") == "Zoë été 日本.mp4"


def test_json_holds_every_field_and_every_bit() -> None:
    verdict = make_verdict([make_window(0, 0, 0.1 + 0.2), make_window(1, 25, -1 / 3)])
    values = json.loads(verdict.to_json())
    assert values.pop("probability_means") == "P(fake)" and values.pop("schema_version") == 1
    assert set(values) == set(verdict.__dataclass_fields__)
    assert values["probability"] == verdict.probability
    windows = tuple(WindowScore(**window) for window in values["windows"])
    assert windows == verdict.windows
    assert values["tracks"][0]["logit"] == verdict.tracks[0].logit
    assert "\n" not in verdict.to_json()


def test_the_text_begins_with_the_verdict_in_one_line() -> None:
    windows = [make_window(0, 25 * k, 2.0 if k == 12 else 0.5) for k in range(20)]
    verdict = make_verdict(windows, num_frames=500, face_frames=500)
    lines = verdict.to_text().splitlines()
    assert lines[0] == verdict.summary_line()
    assert lines[0].startswith("FAKE  clip.mp4: P(fake) 0.6")
    assert "threshold 0.600" in lines[0]
    assert "20 windows of 1 face" in lines[0]
    assert "faceforensics val" in lines[1]
    shown = [line for line in lines if "#" in line]
    assert len(shown) == 8
    assert any("12.00 to    13.00 s" in line for line in shown)


@pytest.mark.parametrize(
    "changes", [{"logit": math.nan}, {"probability": 1.5}, {"end_seconds": -1.0}]
)
def test_a_window_score_must_make_sense(changes: dict) -> None:
    good = make_window(0, 0, 1.0)
    fields = {name: getattr(good, name) for name in good.__dataclass_fields__}
    with pytest.raises(AssertionError):
        WindowScore(**{**fields, **changes})
