"""Facts of a file that say nothing of a forgery and may yet give its label away.

How long it is, how it is packed, how loud it begins, where the face stands: a detector can learn
any of them instead of the forgery. `prepare` writes them into its report while it has the file open
anyway.
"""

import math
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from avkd.data import silence
from avkd.data.clock import FRAMES_PER_SECOND
from avkd.data.media import image_files, picture_archive
from avkd.data.media.media_file import MediaError

if TYPE_CHECKING:  # who only reads the facts needs no PyAV
    from avkd.data.faces.track_extraction import FilePlan, TrackPlan
    from avkd.data.media.source_file import SourceFile

Fact = float | str | bool | None
"""None = not known, or this kind of file has no such thing."""

FACTS = (
    *("duration_seconds", "frames_per_second", "width", "height", "codec", "bit_rate"),
    *("file_bytes", "has_sound", "sound_codec", "leading_silence_seconds"),
    *("trailing_silence_seconds", "sound_level_db", "first_frame_brightness"),
    *("face_side_pixels", "face_area_share", "face_center_x", "face_center_y"),
)
"""Names of all facts, in the order of tables; `facts_of_file` gives every one of them."""

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, of red, green and blue
_QUIETEST_DB = -100.0  # what digital silence is given; one step of 16 bits is -90


def facts_of_file(source: "SourceFile", plan: "FilePlan") -> dict[str, Fact]:
    """What is known of a file beside its face; what cannot be found out is None, never an error.

    The facts are those of the file as it lies on the disk, whatever is done to it afterwards, after
    a pass with sound; a picture has no length, no rate and no sound. Only the faces are where they
    were cut out: with a perturbation, on the perturbed frames.

    Returns:
        A value for each of `FACTS`: seconds, pixels, bits a second, bytes; level in decibels
        relative to full scale; brightness 0..255 (mean luma); the face's centre and area relative
        to the frame.
    """
    facts: dict[str, Fact] = dict.fromkeys(FACTS)
    facts |= _encoding(source)
    if source.kind != "image" and "stopped_by_limit" not in plan.flags:  # counted, not claimed
        facts["duration_seconds"] = plan.num_frames / FRAMES_PER_SECOND
    if source.kind == "video":
        facts |= _sound(source.sound)
    if (first := source.first) is not None:
        facts |= {"width": first.width, "height": first.height}
        facts["first_frame_brightness"] = brightness(first.image)
        facts |= _geometry(plan.tracks[0], first.width, first.height)
    seconds, num_bytes = facts["duration_seconds"], facts["file_bytes"]
    if source.kind == "video" and seconds and num_bytes:
        facts["bit_rate"] = 8 * float(num_bytes) / float(seconds)
    return {name: _plain(value) for name, value in facts.items()}


def brightness(image: np.ndarray) -> float:
    """Mean luma, 0..255, of uint8 RGB (H, W, 3)."""
    return float(image.reshape(-1, 3).mean(axis=0) @ np.array(LUMA))


def _encoding(source: "SourceFile") -> dict[str, Fact]:
    """Of a folder, its first picture's; an archive is not unpacked once more for it."""
    facts: dict[str, Fact] = {}
    with suppress(MediaError, OSError):  # gone meanwhile
        if (info := source.info) is not None:
            facts = {
                "duration_seconds": info.duration_seconds,
                "frames_per_second": info.average_frames_per_second or None,
                "codec": info.codec,
                "sound_codec": info.sound_codec,
            }
            facts["file_bytes"] = source.path.stat().st_size
        elif picture_archive.split_path(source.path) is None:
            picture = image_files.picture_files(source.path)[0]
            facts["codec"] = image_files.format_of_name(picture.name)
            facts["file_bytes"] = picture.stat().st_size
    return facts


def _sound(sound: np.ndarray | None) -> dict[str, Fact]:
    if sound is None or not len(sound):
        return {"has_sound": False}
    ends = silence.silent_ends(sound)
    power = float(np.mean(np.square(sound.astype(np.float64) / 32768.0)))
    return {
        "has_sound": True,
        "leading_silence_seconds": ends.leading_seconds,
        "trailing_silence_seconds": ends.trailing_seconds,
        "sound_level_db": max(_QUIETEST_DB, 10 * math.log10(power)) if power else _QUIETEST_DB,
    }


def _geometry(track: "TrackPlan", width: int, height: int) -> dict[str, Fact]:
    """Size and place of the primary face, as its aligned crop shows them: means over the track."""
    if np.isnan(track.landmarks).any():  # no face was looked for: the pictures are crops already
        return {}
    scales = np.sqrt(np.abs(np.linalg.det(track.transforms[:, :, :2])))
    side = float(np.mean(track.crop_pixels / scales))
    center = track.landmarks.mean(axis=(0, 1))
    return {
        "face_side_pixels": side,
        "face_area_share": side**2 / (width * height),
        "face_center_x": float(center[0]) / width,
        "face_center_y": float(center[1]) / height,
    }


def _plain(value: Fact) -> Fact:
    """Fit for JSON: six digits are enough for what is only compared, and NaN is not known."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return value
    return float(f"{value:.6g}") if math.isfinite(value) else None
