"""What is said about one file: the decision, the score of every window, what was left out and why.

How a file's number comes about: the raw logits of the windows of a face track are pooled as when
the threshold was chosen (the `DecisionRule` of the model file says how); the file takes the most
suspicious track (one forged face makes a forged file) and every track is listed. A file that could
not be judged is ``cannot_tell`` with its reason, never ``real``.
"""

import dataclasses
import json
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from avkd.metrics.pooling import pooled_scores
from avkd.models.decision import DecisionRule, Label
from avkd.outcome import printable

Decision = Literal["real", "fake", "uncertain", "cannot_tell"]

MIN_COVERAGE = 0.5  # of the file's frames with a judged face, or the verdict carries a warning
SCHEMA_VERSION = 1
CSV_COLUMNS = ("file", "probability_fake", "label", "status", "message", "model")
_NUM_WINDOWS_SHOWN = 8
_TOO_NEAR = "the score is too near the threshold to say"


@dataclass(frozen=True, kw_only=True)
class WindowScore:
    """What the detector said about one stretch of one face."""

    track: int
    """Face track it belongs to, from 0."""
    start_frame: int
    """First frame, in the 25 frames-per-second stream."""
    num_frames: int
    """Frames that were really there."""
    start_seconds: float
    """Time of its beginning, from the first frame."""
    end_seconds: float
    """Time of its end."""
    logit: float
    """Raw score; higher = fake."""
    probability: float
    """P(fake) in [0, 1], after calibration."""
    num_repeated: int = 0
    """Copies of the last frame that filled it up; above 0 only in a short track."""
    importance: tuple[float, ...] | None = None
    """How much each of its frames counts, in order, sum 1; None = the network does not weigh
    them."""

    def __post_init__(self) -> None:
        assert self.num_frames >= 1 and self.start_frame >= 0, self
        assert math.isfinite(self.logit) and 0.0 <= self.probability <= 1.0, self
        assert 0.0 <= self.start_seconds <= self.end_seconds < math.inf, self


@dataclass(frozen=True, kw_only=True)
class TrackScore:
    """One face followed through the file."""

    track: int
    """Its number, from 0."""
    num_windows: int
    """Windows behind its score."""
    start_seconds: float
    """Where its first window begins."""
    end_seconds: float
    """Where its last window ends."""
    logit: float
    """Raw logits of its windows, pooled."""
    probability: float
    """P(fake) of that, in [0, 1]."""
    prediction_set: tuple[Label, ...] | None = None
    """Labels that the score leaves possible, with the verdict's ``coverage``; None = the model has
    no such rule."""


@dataclass(frozen=True, kw_only=True)
class FaceAgreement:
    """How far the picture of a face disagrees with the sound, for stage one (`--agreement`).

    On its own scale, which ranks and is no probability: 0 = picture and sound have nothing to do
    with each other, below 0 = they agree, down to -1.
    """

    track: int
    """The face."""
    disagreement: tuple[tuple[int, float], ...]
    """(second of the file, mean disagreement of its frames in [-1, 1]), in order of time."""
    reason: str = ""
    """Why there is none: no sound, or too little; else empty."""


@dataclass(frozen=True, kw_only=True)
class Note:
    """Something left out, or something the reader must be warned of."""

    code: str
    """Stable name for programs, e.g. ``short``, ``several_faces``, ``no_face``."""
    message: str
    """One sentence for people."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The outcome for one file.

    A verdict that contradicts itself cannot be made: see ``__post_init__``.
    """

    file: str
    """The file as the user named it."""
    decision: Decision
    """``real``, ``fake``, ``uncertain`` (judged, near the threshold) or ``cannot_tell``."""
    reason: str
    """Why it is uncertain or cannot be told; empty otherwise."""
    probability: float | None = None
    """P(fake) of the most suspicious track in [0, 1]; None exactly when it cannot be told."""
    threshold: float | None = None
    """P(fake) from which on a file counts as fake."""
    threshold_origin: str = ""
    """Where the threshold was chosen."""
    model_fingerprint: str
    """Digest of the model file that judged."""
    coverage: float | None = None
    """Least share of real, and of fake, faces whose ``prediction_set`` holds the right answer."""
    coverage_origin: str = ""
    """What that was fitted on, and of what files it holds."""
    tracks: tuple[TrackScore, ...] = ()
    """Every face that was scored, most suspicious first."""
    windows: tuple[WindowScore, ...] = ()
    """Every scored window, by track and time."""
    skipped: tuple[Note, ...] = ()
    """What was not scored, and why."""
    warnings: tuple[Note, ...] = ()
    """Why to take the decision with care."""
    smallest_face_pixels: int | None = None
    """Side of the smallest face that was searched for; None = none was searched."""
    agreement: tuple[FaceAgreement, ...] = ()
    """A second opinion on each face, where it was asked for; it takes no part in the decision."""
    agreement_model: str = ""
    """Digest of the stage-one file that gave it; empty = not asked."""

    def __post_init__(self) -> None:
        assert self.decision in get_args(Decision), self.decision
        assert bool(self.reason) == (self.decision in ("uncertain", "cannot_tell")), self
        if self.decision == "cannot_tell":
            assert self.probability is None, self
            return
        assert self.windows and self.tracks, self
        assert self.probability is not None and 0.0 <= self.probability <= 1.0, self
        assert self.threshold is not None and self.threshold_origin, self
        if self.decision == "real":
            assert self.probability <= self.threshold, self  # equal where a calibration is flat
        if self.decision == "fake":
            assert self.probability >= self.threshold, self

    def to_json(self) -> str:
        """All fields as one line of ASCII JSON: floats keep every bit, odd characters are escaped.

        Every ``probability`` is P(fake); the key ``probability_means`` says so. A change of what
        a key means, or its removal, raises ``schema_version``.
        """
        fields = {
            "schema_version": SCHEMA_VERSION,
            "probability_means": "P(fake)",
            **dataclasses.asdict(self),
        }
        return json.dumps(fields, ensure_ascii=True, allow_nan=False)

    def summary_line(self) -> str:
        """The verdict in one line."""
        name = printable(self.file)
        if self.probability is None or self.threshold is None:
            return f"CANNOT TELL  {name}: {printable(self.reason)}"
        word = self.decision.upper()
        return (
            f"{word}  {name}: P(fake) {self.probability:.3f}, threshold {self.threshold:.3f}; "
            f"{_counted(len(self.windows), 'window')} of {_counted(len(self.tracks), 'face')}"
        )

    def to_text(self) -> str:
        """The verdict for a terminal: the one line first, then what is behind it."""
        lines = [self.summary_line()]
        if self.decision == "uncertain":
            lines.append(f"  uncertain because {printable(self.reason)}")
        if self.probability is not None:
            lines.append(f"  threshold from {printable(self.threshold_origin)}")
            if self.coverage is not None:
                promise = f"{self.coverage:.1%} coverage; {printable(self.coverage_origin)}"
                lines.append(f"  prediction sets: {promise}")
            lines += [_track_line(track) for track in self.tracks]
            lines += self._window_lines()
            lines += [_agreement_line(opinion) for opinion in self.agreement]
        lines += [_note_line("warning", note) for note in self.warnings]
        lines += [_note_line("skipped", note) for note in self.skipped]
        if self.smallest_face_pixels is not None:
            lines.append(f"  faces below {self.smallest_face_pixels} pixels were not searched for")
        lines.append(f"  model {printable(self.model_fingerprint)}")
        return "\n".join(lines) + "\n"

    def _window_lines(self) -> list[str]:
        """The most suspicious windows, in the order of time."""
        if len(self.windows) == 1:
            return []
        by_suspicion = sorted(self.windows, key=lambda window: -window.logit)
        shown = sorted(by_suspicion[:_NUM_WINDOWS_SHOWN], key=lambda w: (w.start_seconds, w.track))
        head = "windows" if len(shown) == len(self.windows) else "most suspicious windows"
        return [f"  {head}:", *(_window_line(window) for window in shown)]


def judge(
    file: str,
    windows: Sequence[WindowScore],
    rule: DecisionRule,
    *,
    num_frames: int,
    face_frames: int,
    model_fingerprint: str,
    skipped: Sequence[Note] = (),
    warnings: Sequence[Note] = (),
    abstentions: Sequence[Note] = (),
    smallest_face_pixels: int | None = None,
) -> Verdict:
    """Pool the windows of each track, take the most suspicious track, and decide.

    Adds the warnings that follow from the windows alone: ``short``, ``several_faces`` and
    ``low_coverage``.

    Args:
        file: as the user named it.
        windows: scored windows of all tracks in any order; none gives ``cannot_tell``.
        rule: of the model file: how windows are pooled, probabilities, threshold, decision.
        num_frames: frames of the whole file at 25 per second.
        face_frames: in how many of them a face was that the windows speak for.
        model_fingerprint: digest of the model file.
        skipped: what was not scored, and why.
        warnings: what else the caller knows, e.g. conditions unlike those in training.
        abstentions: reasons for which the file is ``uncertain`` whatever its score.
        smallest_face_pixels: as the field.
    """
    if not windows:
        return Verdict(
            file=file,
            decision="cannot_tell",
            reason="; ".join(note.message for note in skipped) or "no face was found to judge",
            model_fingerprint=model_fingerprint,
            skipped=tuple(skipped),
            warnings=tuple(warnings),
            smallest_face_pixels=smallest_face_pixels,
        )
    tracks = _pool_tracks(windows, rule)
    answer, reason, sets = rule.decide(tracks[0].logit), "", rule.sets
    if answer == "uncertain":
        reason = _TOO_NEAR if sets is None else sets.why_uncertain(tracks[0].logit)
    if abstentions:
        answer, reason = "uncertain", "; ".join(note.message for note in abstentions)
    own_warnings = _own_warnings(windows, len(tracks), num_frames, face_frames)
    return Verdict(
        file=file,
        decision=answer,
        reason=reason,
        probability=tracks[0].probability,
        threshold=rule.threshold,
        threshold_origin=rule.source,
        model_fingerprint=model_fingerprint,
        coverage=None if sets is None else sets.coverage,
        coverage_origin="" if sets is None else sets.origin,
        tracks=tracks,
        windows=tuple(sorted(windows, key=lambda w: (w.track, w.start_frame))),
        skipped=tuple(skipped),
        warnings=(*abstentions, *own_warnings, *warnings),
        smallest_face_pixels=smallest_face_pixels,
    )


def csv_row(verdict: Verdict) -> tuple[str | float | None, ...]:
    """The verdict as a row of `CSV_COLUMNS`.

    ``probability_fake`` and ``label`` (real, fake, uncertain) are empty where ``status`` is not
    ``ok`` but the code of the reason, with the reason in ``message``; where it is ``ok`` that names
    the warnings. ``model`` is the fingerprint of the model file.
    """
    name, model = printable(verdict.file), verdict.model_fingerprint
    if verdict.probability is None:
        status = verdict.skipped[0].code if verdict.skipped else "not_judged"
        return name, None, "", status, printable(verdict.reason), model
    warned = " ".join(note.code for note in verdict.warnings)
    return name, verdict.probability, verdict.decision, "ok", warned, model


def _pool_tracks(windows: Sequence[WindowScore], rule: DecisionRule) -> tuple[TrackScore, ...]:
    """Tracks with the windows of each pooled, most suspicious first."""
    windows_of: dict[int, list[WindowScore]] = defaultdict(list)
    for window in windows:
        windows_of[window.track].append(window)
    tracks = []
    for number, members in windows_of.items():
        logits = [window.logit for window in members]
        logit, probability = pooled_scores(logits, (), rule.pooling, rule.probability)
        tracks.append(
            TrackScore(
                track=number,
                num_windows=len(members),
                start_seconds=min(window.start_seconds for window in members),
                end_seconds=max(window.end_seconds for window in members),
                logit=logit,
                probability=probability,
                prediction_set=None if rule.sets is None else rule.sets.of(logit),
            )
        )
    return tuple(sorted(tracks, key=lambda track: (-track.logit, track.track)))


def _own_warnings(
    windows: Sequence[WindowScore], num_tracks: int, num_frames: int, face_frames: int
) -> Iterator[Note]:
    if num_filled_up := sum(window.num_repeated > 0 for window in windows):
        message = f"{_counted(num_filled_up, 'window')} had to be filled up with repeated frames"
        yield Note(code="short", message=message)
    if num_tracks > 1:
        message = f"{num_tracks} faces; the number is that of the most suspicious one"
        yield Note(code="several_faces", message=message)
    if face_frames < MIN_COVERAGE * num_frames:
        message = f"a face was judged in only {face_frames} of {num_frames} frames"
        yield Note(code="low_coverage", message=message)


def _track_line(track: TrackScore) -> str:
    possible = "" if track.prediction_set is None else f", {set_in_words(track.prediction_set)}"
    return (
        f"  face {track.track}: P(fake) {track.probability:.3f}{possible}, "
        f"{track.start_seconds:.2f} to {track.end_seconds:.2f} s, "
        f"{_counted(track.num_windows, 'window')}"
    )


def set_in_words(labels: Sequence[Label]) -> str:
    """A prediction set as mathematicians write it."""
    return f"{{{', '.join(labels)}}}"


def _window_line(window: WindowScore) -> str:
    bar = "#" * round(20 * window.probability)
    return (
        f"    {window.start_seconds:8.2f} to {window.end_seconds:8.2f} s  face {window.track}  "
        f"{window.probability:.3f}  {bar}".rstrip()
    )


def _agreement_line(opinion: FaceAgreement) -> str:
    head = f"  face {opinion.track}, picture against sound (stage one, no probability): "
    if not opinion.disagreement:
        return f"{head}none, {printable(opinion.reason)}"
    values = [value for _, value in opinion.disagreement]
    second, worst = max(opinion.disagreement, key=lambda pair: pair[1])
    mean = math.fsum(values) / len(values)
    return f"{head}disagreement {mean:+.3f}, largest {worst:+.3f} at {second} s"


def _note_line(kind: str, note: Note) -> str:
    return f"  {kind} ({printable(note.code)}): {printable(note.message)}"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
