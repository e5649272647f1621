"""Verdicts as one HTML page: the decision, P(fake) over time, the most telling frames, warnings."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from avkd import __version__, durable
from avkd.data.clock import FRAMES_PER_SECOND
from avkd.inference.evidence import FaceMoments, JudgedFile
from avkd.inference.verdict import TrackScore, Verdict, WindowScore, set_in_words
from avkd.models.decision import DecisionRule, PredictionSets
from avkd.reporting.figures import canvas, verdicts
from avkd.reporting.figures.verdicts import Line
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
            **({"prediction sets": _promise(rule.sets)} if rule.sets else {}),
        },
    )
    durable.write_text(path, page)


def _promise(sets: PredictionSets) -> str:
    return f"{sets.coverage:.1%} coverage; {sets.origin}"


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
        (
            {
                "face": f"face {track.track}",
                "P(fake)": f"{track.probability:.3f}",
                "from, s": f"{track.start_seconds:.2f}",
                "to, s": f"{track.end_seconds:.2f}",
                "windows": track.num_windows,
                **({} if track.prediction_set is None else {"prediction set": _set_of(track)}),
            }
            for track in tracks
        ),
        caption="Every face, the most suspicious first: the file has its score.",
    )


def _set_of(track: TrackScore) -> str:
    return set_in_words(track.prediction_set or ())


def _pictures(file: JudgedFile, rule: DecisionRule) -> list[Picture]:
    verdict = file.verdict
    found = [*_timeline(verdict, rule)]
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


def _timeline(verdict: Verdict, rule: DecisionRule) -> Iterator[Picture]:
    """P(fake) over time; below it what counts within the windows, and the second opinion."""
    drawn = [track.track for track in verdict.tracks if track.num_windows > 1][:_MOST_LINES]
    windows = {n: [window for window in verdict.windows if window.track == n] for n in drawn}
    faces = {
        f"face {n}": [((w.start_seconds + w.end_seconds) / 2, w.probability) for w in of_face]
        for n, of_face in windows.items()
    }
    if not faces:
        return
    caption = "P(fake) of every window. Dashed: the threshold; grey: where nothing is said."
    further: dict[str, dict[str, Line]] = {}
    weights = {f"face {n}": _weights(of_face) for n, of_face in windows.items()}
    if all(weights.values()):
        further["weight"] = weights
        caption += " Weight: how much a frame counts in its window; 1 = as much as any other."
    opinions: dict[str, Line] = {
        f"face {o.track}": o.disagreement for o in verdict.agreement if o.disagreement
    }
    if shown := {name: opinions[name] for name in faces if name in opinions}:
        further["disagreement"] = shown
        caption += (
            " Disagreement of picture and sound, a second opinion on a scale of its own: "
            "0 = nothing to do with each other, below 0 = they agree."
        )
    figure = verdicts.timeline_figure(faces, rule.threshold, rule.uncertain_range, further)
    yield canvas.picture(figure, caption)


def _weights(windows: Sequence[WindowScore]) -> Line:
    """(seconds, weight) of each frame; empty where the network does not weigh them."""
    return [
        (window.start_seconds + frame / FRAMES_PER_SECOND, weight * len(window.importance))
        for window in windows
        if window.importance is not None
        for frame, weight in enumerate(window.importance)
    ]


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
