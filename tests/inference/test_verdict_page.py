"""The page of `avkd predict`: every file and what it rests on; a name smuggles nothing in."""

import numpy as np

from avkd.inference.evidence import Evidence
from avkd.inference.verdict import Verdict, WindowScore, cannot_tell, judge
from avkd.inference.verdict_page import JudgedFile, write_verdict_page
from avkd.models.calibration import Calibration
from avkd.models.decision import DecisionRule

RULE = DecisionRule(
    calibration=Calibration(kind="none"),
    threshold_logit=1.0,
    uncertain_half_width=0.05,
    source="a test",
    fit=None,
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


def _verdict(name: str, scores: list[WindowScore]) -> Verdict:
    return judge(
        name,
        scores,
        num_frames=len(scores),
        face_frames=len(scores),
        probability_of=RULE.probability,
        answer_of=RULE.decide,
        threshold=RULE.threshold,
        pooling=RULE.pooling,
        threshold_origin="a test",
        model_fingerprint="abc",
    )


def _evidence(scores: list[WindowScore]) -> Evidence:
    kept = Evidence()
    for place, score in enumerate(scores):
        kept.add(score, np.full((1, 16, 16, 3), place, np.uint8))
    return kept


def test_the_most_suspicious_frames_are_kept_and_the_least_one():
    rng = np.random.default_rng(0)
    logits = rng.permutation(40) / 10
    kept = _evidence([_score(float(logit), place) for place, logit in enumerate(logits)])
    shown = kept.most_suspicious(0)
    places = [moment.score.start_frame for moment in shown]
    assert places == sorted(np.argsort(logits)[-5:].tolist())
    assert [int(moment.crop[0, 0, 0]) for moment in shown] == places
    least = kept.least_suspicious(0)
    assert least is not None and least.score.start_frame == int(np.argmin(logits))


def test_a_face_seen_once_has_no_least_suspicious_frame():
    kept = _evidence([_score(1.0)])
    assert len(kept.most_suspicious(0)) == 1 and kept.least_suspicious(0) is None
    assert kept.most_suspicious(7) == [] and kept.least_suspicious(7) is None


def test_the_page_has_every_file_its_decision_and_pictures(tmp_path):
    clip = [_score(3.0 + place / 9, place) for place in range(9)]
    faces = [_score(-1.0, 0, track=track) for track in range(3)]
    judged = [
        JudgedFile(_verdict("clip.mp4", clip), _evidence(clip)),
        JudgedFile(_verdict("group.jpg", faces), _evidence(faces)),
        JudgedFile(
            cannot_tell("x.mp4", reason="no face found", skipped=(), model_fingerprint="abc"),
            Evidence(),
        ),
    ]
    write_verdict_page(tmp_path / "page.html", judged, RULE)
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    for said in ("FAKE  clip.mp4", "REAL  group.jpg", "CANNOT TELL  x.mp4", "no face found"):
        assert " ".join(said.split()) in " ".join(page.split())
    assert page.count("data:image/svg+xml") == 3  # a timeline, its moments, the group's faces


def test_a_name_is_no_tag(tmp_path):
    name = "<script>alert(1)</script>.png"
    scores = [_score(0.0)]
    judged = [JudgedFile(_verdict(name, scores), _evidence(scores))]
    write_verdict_page(tmp_path / "page.html", judged, RULE)
    assert "<script>alert" not in (tmp_path / "page.html").read_text(encoding="utf-8")
