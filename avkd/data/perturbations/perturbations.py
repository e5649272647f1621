"""Perturbations at five severities, to see how much of them a detector stands: the table of all.

Seven are those of DeeperForensics-1.0 (Jiang et al., CVPR 2020). Ours are what social networks and
editors do: to single pictures, to the clip as a whole (encoders, a chain of them, the frame rate;
see `reencoding`) and to its sound (see `perturbed_file`).
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from avkd.data.perturbations import picture_perturbations as pictures

NUM_SEVERITIES = 5
FRAME_RATE = "frame_rate"
CROPPING = "cropping"
OVERLAY_TEXT = "overlay_text"


@dataclass(frozen=True)
class Kind:
    """A row of the table."""

    group: Literal["deeperforensics", "picture", "video", "sound"]
    amounts: tuple[float, ...]
    """At severities 1 to 5."""
    change: Callable[[np.ndarray, float, np.random.Generator], np.ndarray] | None = None
    """(uint8 RGB (H, W, 3), amount, generator) to a new picture; None = takes the whole file."""


KINDS: dict[str, Kind] = {
    # DeeperForensics' CS, CC, BW, GNC, GB, "JPEG", which is none, and VC
    "saturation": Kind("deeperforensics", (0.4, 0.3, 0.2, 0.1, 0.0), pictures.saturation),
    "contrast": Kind("deeperforensics", (0.85, 0.725, 0.6, 0.475, 0.35), pictures.contrast),
    "blocks": Kind("deeperforensics", (16, 32, 48, 64, 80), pictures.blocks),
    "noise": Kind("deeperforensics", (0.001, 0.002, 0.005, 0.01, 0.05), pictures.noise),
    "blur": Kind("deeperforensics", (7, 9, 13, 17, 21), pictures.blur),
    "pixelation": Kind("deeperforensics", (2, 3, 4, 5, 6), pictures.pixelation),
    "compression": Kind("deeperforensics", (30, 32, 35, 38, 40)),  # constant rate factor of x264
    "jpeg": Kind("picture", (90, 70, 50, 30, 10), pictures.jpeg),  # quality
    "resize": Kind("picture", (2 / 3, 1 / 2, 1 / 3, 1 / 4, 1 / 6), pictures.resize),
    "bar": Kind("picture", (0.05, 0.1, 0.15, 0.2, 0.25), pictures.bar),
    OVERLAY_TEXT: Kind("picture", (1, 2, 3, 4, 5), pictures.overlay_text),  # lines
    CROPPING: Kind("picture", (0.05, 0.1, 0.15, 0.2, 0.25), pictures.cropping),
    # Constant rate factor on each codec's own scale
    "h264": Kind("video", (23, 28, 33, 38, 43)),
    "hevc": Kind("video", (23, 28, 33, 38, 43)),
    "av1": Kind("video", (40, 50, 56, 60, 63)),
    "vp9": Kind("video", (31, 39, 47, 55, 63)),
    "chain": Kind("video", (1, 2, 3, 4, 5)),  # which of `reencoding.CHAINS`
    FRAME_RATE: Kind("video", (20, 15, 12.5, 10, 8)),  # pictures a second that are left of 25
    "sound_reencoding": Kind("sound", (64, 32, 24, 16, 8)),  # kbit a second
    "sound_noise": Kind("sound", (30, 20, 10, 5, 0)),  # dB of the sound above the noise
    "sound_shift": Kind("sound", (1, 2, 3, 5, 10)),  # frames of 40 ms
}
"""All perturbations by name."""
SOUND = tuple(name for name, kind in KINDS.items() if kind.group == "sound")


@dataclass(frozen=True, kw_only=True)
class Perturbation:
    """What is done to the frames of every file of a corpus."""

    name: str
    """One of `KINDS`."""
    severity: int
    """1 (mild) to 5."""
    faces: Literal["perturbed", "clean"] = "perturbed"
    """Frames that faces are searched on."""
    seed: int = 0
    """Draws noise and places, file by file."""

    def __post_init__(self) -> None:
        assert self.name in KINDS and 1 <= self.severity <= NUM_SEVERITIES, self

    @property
    def amount(self) -> float:
        """The number behind the severity, e.g. the size of the blur."""
        return KINDS[self.name].amounts[self.severity - 1]

    def drawing_of_file(self, sample_id: str) -> np.random.Generator:
        """What draws once a file; alike at every severity, so that these compare."""
        return np.random.default_rng(_digest(f"{sample_id}\n{self.seed}\n{self.name}"))

    def picture(self, image: np.ndarray, sample_id: str, frame_index: int) -> np.ndarray:
        """Perturb one frame (H, W, 3) of a file; the same frame always comes out the same."""
        change = KINDS[self.name].change
        assert change is not None, f"{self.name} is not a change of single pictures"
        if self.name == OVERLAY_TEXT:  # it stands still; all else is drawn anew for every frame
            rng = self.drawing_of_file(sample_id)
        else:
            text = f"{sample_id}\n{self.seed}\n{self.name}\n{self.severity}"
            rng = np.random.default_rng([_digest(text), frame_index])
        return change(image, self.amount, rng)

    def moves(self, width: int, height: int) -> np.ndarray:
        """Where the points of a picture of this size go: a matrix (2, 3) from old to new pixels."""
        share = self.amount if self.name == CROPPING else 0.0
        scale = 1 / (1 - 2 * share)
        return np.array(
            [[scale, 0.0, -scale * share * width], [0.0, scale, -scale * share * height]]
        )


def _digest(text: str) -> int:
    # Surrogates: file names that are not valid UTF-8 become part of ids.
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest(), "big")
