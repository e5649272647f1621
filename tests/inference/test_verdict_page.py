"""The page of `avkd predict`: every file and what it rests on; a name smuggles nothing in."""

from dataclasses import replace

import numpy as np
import pytest

from avkd.inference.evidence import Evidence, FaceMoments, JudgedFile, Show
from avkd.inference.verdict import FaceAgreement, Verdict, WindowScore, judge
from avkd.inference.verdict_page import write_verdict_page
from avkd.models.calibration import Calibration
from avkd.models.decision import DecisionRule, PredictionSets

RULE = DecisionRule(
    calibration=Calibration(kind="none"),
    threshold_logit=1.0,
    uncertain_half_width=0.05,
    source="a test",
    fit=None,
)

SETS = PredictionSets(
    coverage=0.9, largest_real=3.0, least_fake=-2.0, num_real=9, num_fake=9, unit="identities"
)


def _score(logit: float, number: int = 0, track: int = 0) -> WindowScore:
    return WindowScore(
        track=track,
        start_frame=number,
        num_frames=1,
        start_seconds=number / 25,
        end_seconds=(number + 1) / 25,
        logit=logit,
        probability=RULE.probability(logit),
    )


def _verdict(name: str, scores: list[WindowScore], rule: DecisionRule = RULE) -> Verdict:
    return judge(
        name,
        scores,
        rule,
        num_frames=len(scores),
        face_frames=len(scores),
        model_fingerprint="abc",
    )


def _show(crops: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    return crops[len(crops) // 2], None


def _show_with_heat(crops: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return crops[len(crops) // 2], np.linspace(0, 1, 256).reshape(16, 16)


def _moments(scores: list[WindowScore], show: Show = _show) -> dict[int, FaceMoments]:
    kept = Evidence()
    for place, score in enumerate(scores):
        kept.add(score, np.full((1, 16, 16, 3), place, np.uint8), np.zeros((1, 5, 2)))
    return kept.moments(show)


def test_the_most_suspicious_frames_are_kept_and_the_least_one():
    rng = np.random.default_rng(0)
    logits = rng.permutation(40) / 10
    face = _moments([_score(float(logit), place) for place, logit in enumerate(logits)])[0]
    places = [moment.score.start_frame for moment in face.most_suspicious]
    assert places == sorted(np.argsort(logits)[-5:].tolist())
    assert [int(moment.picture[0, 0, 0]) for moment in face.most_suspicious] == places
    least = face.least_suspicious
    assert least is not None and least.score.start_frame == int(np.argmin(logits))


def test_a_face_seen_once_has_no_least_suspicious_frame():
    moments = _moments([_score(1.0)])
    assert set(moments) == {0}
    assert len(moments[0].most_suspicious) == 1 and moments[0].least_suspicious is None


@pytest.mark.parametrize("show", [_show, _show_with_heat])
def test_the_page_has_every_file_its_decision_and_pictures(tmp_path, show):
    clip = [_score(3.0 + place / 9, place) for place in range(9)]
    faces = [_score(-1.0, 0, track=track) for track in range(3)]
    judged = [
        JudgedFile(_verdict("clip.mp4", clip), _moments(clip, show)),
        JudgedFile(_verdict("group.jpg", faces), _moments(faces, show)),
        JudgedFile(
            Verdict(
                file="x.mp4",
                decision="cannot_tell",
                reason="no face found",
                skipped=(),
                model_fingerprint="abc",
            )
        ),
    ]
    write_verdict_page(tmp_path / "page.html", judged, RULE)
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    for said in ("FAKE  clip.mp4", "REAL  group.jpg", "CANNOT TELL  x.mp4", "no face found"):
        assert " ".join(said.split()) in " ".join(page.split())
    assert page.count("data:image/svg+xml") == 3  # a timeline, its moments, the group's faces
    assert ("prove nothing of these pixels" in page) == (show is _show_with_heat)


def test_the_timeline_shows_weights_the_second_opinion_and_the_prediction_sets(tmp_path):
    weights = tuple(np.linspace(0.02, 0.06, 25))
    scores = [replace(_score(2.0, 25 * k), importance=weights, num_frames=25) for k in range(3)]
    rule = replace(RULE, uncertain_half_width=0.0, sets=SETS)
    verdict = replace(
        _verdict("clip.mp4", scores, rule),
        agreement=(FaceAgreement(track=0, disagreement=((0, -0.4), (1, -0.1), (2, 0.2))),),
        agreement_model="def",
    )
    for shown, said in ((verdict, True), (_verdict("clip.mp4", [_score(2.0, 0)] * 2), False)):
        write_verdict_page(tmp_path / "page.html", [JudgedFile(shown)], rule if said else RULE)
        page = (tmp_path / "page.html").read_text(encoding="utf-8")
        assert ("how much a frame counts in its window" in page) == said
        assert ("Disagreement of picture and sound" in page) == said
        assert ("{real, fake}" in page) == said and ("90.0% coverage" in page) == said
    assert verdict.decision == "uncertain" and "usual for real files and for fake" in verdict.reason
    text = verdict.to_text()
    assert "prediction sets: 90.0% coverage; conformal limits of 9 real and 9 fake" in text
    assert "P(fake) 0.881, {real, fake}, 0.00" in text
    assert "disagreement -0.100, largest +0.200 at 2 s" in text


def test_a_name_is_no_tag(tmp_path):
    name = "<script>alert(1)</script>.png"
    scores = [_score(0.0)]
    judged = [JudgedFile(_verdict(name, scores), _moments(scores))]
    write_verdict_page(tmp_path / "page.html", judged, RULE)
    assert "<script>alert" not in (tmp_path / "page.html").read_text(encoding="utf-8")
