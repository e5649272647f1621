"""What a verdict warns of and what it leaves out; what nothing can be said of, whatever the score.

Knows the file's plan and the model, no score.
"""

from collections.abc import Iterator

import numpy as np

from avkd.data.faces.track_extraction import FilePlan
from avkd.data.model_input import ModelInput
from avkd.inference.shots import JoinedShots
from avkd.inference.verdict import Note
from avkd.models import starter

UNCALIBRATED = Note(
    code="uncalibrated",
    message="P(fake) is the bare sigmoid of the score: it says which side of the threshold the "
    "file is on, not how sure that is; fit it with `avkd calibrate`",
)
_FLAGS = {
    "damaged": "the file is damaged; only the frames that could be decoded were judged",
    "stopped_by_limit": "only the first part of the file was judged (max_seconds, max_minutes)",
    "long_stills": "pictures that stand still for longer than a minute were cut to a minute",
}
_HDR = Note(
    code="hdr",
    message="the video is HDR (PQ or HLG), whose colours no model here has learned; convert it to "
    "SDR and judge that",
)
_CARD = "avkd/models/" + starter.CARD.relative_to(starter.FOLDER.parent).as_posix()
_LEAST_EYE_PIXELS = 16.0
"""From eye to eye; below, `starter` calls nearly everything real (measured, RESULTS.md)."""


def abstentions(plan: FilePlan, seen: ModelInput) -> Iterator[Note]:
    """Why nothing is said of a file, whatever its score."""
    if "hdr" in plan.flags:
        yield _HDR
    eyes = [track.landmarks[:, 1] - track.landmarks[:, 0] for track in plan.tracks]
    sizes = [float(np.median(np.linalg.norm(distance, axis=1))) for distance in eyes]
    if seen.faces != "whole" and sizes and max(sizes) < _LEAST_EYE_PIXELS:
        message = f"the face is tiny: {max(sizes):.0f} pixels from eye to eye"
        yield Note(code="tiny_face", message=message)


def of_file(plan: FilePlan) -> Iterator[Note]:
    """What decoding met."""
    for flag in plan.flags:
        message = _FLAGS.get(flag)
        if message is None:
            continue
        if flag == "long_stills":
            message += f"; {plan.counts['seconds_left_out']} s were left out"
        missing = plan.counts.get("missing_frames", 0)
        if flag == "damaged" and missing:
            share = missing / (missing + plan.counts["source_frames"])
            message += f"; {missing} frames that its header announces are missing ({share:.0%})"
        yield Note(code=flag, message=message)


def of_shots(faces: JoinedShots) -> Iterator[Note]:
    """Which tracks were taken for one face."""
    if faces.num_joined:
        message = f"{faces.num_joined} shot(s) were taken to show a face seen before, and joined to"
        yield Note(code="joined_shots", message=f"{message} it")


def of_starter(name: str | None) -> Iterator[Note]:
    """How far a model that ships with avkd, if it is one, can be trusted."""
    if name is not None:
        message = (
            f"judged by {name}, which ships with avkd and knows few people and few kinds of fakes; "
            f"how far it can be trusted: {_CARD}"
        )
        yield Note(code="starter_model", message=message)


def of_skipped(num_too_brief: int, num_not_finite: int) -> Iterator[Note]:
    """Faces and windows that were not scored."""
    if num_too_brief:
        message = f"{num_too_brief} further face(s) were seen too briefly for this model"
        yield Note(code="face_too_brief", message=message)
    if num_not_finite:
        message = f"{num_not_finite} window(s) to which the detector gave no number"
        yield Note(code="logit_not_finite", message=message)
