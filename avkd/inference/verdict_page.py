"""Verdicts as one HTML page: the decision, P(fake) over time, the most telling frames, warnings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from avkd import __version__, durable
from avkd.inference.evidence import FaceMoments, JudgedFile
from avkd.inference.verdict import TrackScore, Verdict
from avkd.models.decision import DecisionRule
from avkd.reporting.figures import canvas, verdicts
from avkd.reporting.page import Answer, Headline, Picture, Section, to_html
from avkd.reporting.tables import Table

_MOST_FACES, _MOST_LINES = 30, 8  # shown of a file, the most suspicious first; the table has all
_WORDS = {
    "real": "no sign of forgery was found; that is no proof that there is none",
    "fake": "the score is above the threshold",
}


def write_verdict_page(path: Path, judged: Sequence[JudgedFile], rule: DecisionRule) -> None:
    """Write the page atomically.

    Args:
        path: Of the HTML file.
        judged: In order.
        rule: Of the model that judged; its band of uncertain verdicts is drawn.
    """
    page = to_html(
        title="Verdicts of avkd",
        headlines=[_headline(file.verdict) for file in judged],
        sections=[_section(file, rule) for file in judged],
        facts={
            "avkd": __version__,
            "model": judged[0].verdict.model_fingerprint if judged else "",
            "threshold from": rule.source,
        },
    )
    durable.write_text(path, page)


def _headline(verdict: Verdict) -> Headline:
    probability, threshold = verdict.probability, verdict.threshold
    answers: tuple[Answer, ...] = ()
    if probability is not None and threshold is not None:
        detail = f"threshold {threshold:.3f}; {len(verdict.tracks)} face(s)"
        answers = (Answer(subject="P(fake)", value=f"{probability:.3f}", detail=detail),)
    return Headline(
        title=f"{verdict.decision.replace('_', ' ').upper()}  {verdict.file}",
        quantity=verdict.reason or _WORDS[verdict.decision],
        answers=answers,
        warnings=tuple(note.message for note in verdict.warnings),
    )


def _section(file: JudgedFile, rule: DecisionRule) -> Section:
    verdict = file.verdict
    return Section(
        title=verdict.file,
        tables=(_faces(verdict.tracks),) if verdict.tracks else (),
        pictures=tuple(_pictures(file, rule)),
        notes=tuple(f"{note.code}: {note.message}" for note in verdict.skipped),
    )


def _faces(tracks: Sequence[TrackScore]) -> Table:
    return Table.of(
        tracks,
        {
            "face": lambda track: f"face {track.track}",
            "P(fake)": lambda track: f"{track.probability:.3f}",
            "from, s": lambda track: f"{track.start_seconds:.2f}",
            "to, s": lambda track: f"{track.end_seconds:.2f}",
            "windows": lambda track: track.num_windows,
        },
        caption="Every face, the most suspicious first: the file has its score.",
    )


def _pictures(file: JudgedFile, rule: DecisionRule) -> list[Picture]:
    verdict, found = file.verdict, []
    faces = {
        f"face {track.track}": [
            (window.start_seconds, window.end_seconds, window.probability)
            for window in verdict.windows
            if window.track == track.track
        ]
        for track in verdict.tracks
        if track.num_windows > 1
    }
    if faces:
        faces = dict(list(faces.items())[:_MOST_LINES])
        figure = verdicts.timeline_figure(faces, rule.threshold, rule.uncertain_half_width)
        caption = "P(fake) of every window. Dashed: the threshold; grey: where nothing is said."
        found.append(canvas.picture(figure, caption))
    glimpses = []
    for track in verdict.tracks[:_MOST_FACES]:
        moments = file.moments.get(track.track)
        if moments is None:
            continue
        first, *others = moments.most_suspicious
        if others:
            found.append(_moments(track, moments))
        else:
            text = f"face {track.track}: {track.probability:.2f}"
            glimpses.append((first.picture, first.heat, text))
    if glimpses:
        caption = "Faces as the network saw them, the most suspicious first, and their P(fake)."
        caption += _of_heat(glimpses)
        found.append(canvas.picture(verdicts.moments_figure(glimpses), caption))
    return found


def _moments(track: TrackScore, moments: FaceMoments) -> Picture:
    least = moments.least_suspicious
    shown = [
        (
            moment.picture,
            moment.heat,
            f"{moment.score.start_seconds:.2f} s: {moment.score.probability:.2f}",
        )
        for moment in (*moments.most_suspicious, *([least] if least else []))
    ]
    caption = f"Face {track.track} as the network saw it, where it looks most like a forgery"
    caption += ", and last where it looks least like one." if least else "."
    return canvas.picture(verdicts.moments_figure(shown), caption + _of_heat(shown))


def _of_heat(shown: Sequence[tuple[object, object, str]]) -> str:
    if all(heat is None for _, heat, _ in shown):
        return ""
    return (
        " Colours: which pixels the score comes from, the brightest most. They say what this "
        "network looks at, and prove nothing of these pixels."
    )
