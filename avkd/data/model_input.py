"""What a detector looks at: how many frames, which window of the crop, at which size.

Written into the model file by the stage that trained it, read back by whoever uses the model, so
that both see the same pixels.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from torch import Tensor

from avkd.data import transforms
from avkd.data.faces.face_crop import CROP_PIXELS
from avkd.data.sampling import ClipBatch
from avkd.data.transforms import CHANNEL_MEAN, CHANNEL_STD, CLIP_FRAMES, VIDEO_VIEW_SHARE, Views
from avkd.data.windows import Window, WindowRule

IMAGE_VIEW_SHARE = 224 / 256  # resize to 256, crop 224: what every published image model expects
FRAMES_PER_FILE = 32  # the field's convention for image detectors on videos

Faces = Literal["aligned", "whole"]
Region = Literal["face", "mouth"]


@dataclass(frozen=True, kw_only=True)
class ModelInput:
    """How a detector sees a face; unless told otherwise, as the video networks do."""

    clip_frames: int = CLIP_FRAMES
    """L: consecutive frames it is given at once; 1 = an image model."""
    crop_pixels: int = CROP_PIXELS
    """Side of the stored crops it was trained on."""
    view_share: float = VIDEO_VIEW_SHARE
    """Side of its window as a share of a stored crop's, in (0, 1]."""
    image_size: int
    """Side of its input in pixels."""
    windows_per_file: int | None = None
    """Clips spread over a file, at most; None = as many as cover every frame."""
    landmarks: bool = False
    """Whether it is told where eyes, nose and mouth are."""
    faces: Faces = "aligned"
    """What a crop is: a face brought to the template, or the whole picture made square."""
    crop_margin: float = 1.0
    """How much wider a stored crop looks than the template's window (`face_crop`)."""
    region: Region = "face"
    """What is shown of it: all of the window, or half its side around the mouth (`Views.zoom`)."""
    motion_only: bool = False
    """Whether the clip's own mean picture is subtracted, so that only what moves is left."""

    @classmethod
    def read(cls, preprocessing: Mapping[str, Any]) -> "ModelInput":
        """The input that a model file describes (`describe`).

        Raises:
            ValueError: it describes none, or one that this avkd cannot give.
        """
        preprocessing = {**_BEFORE_THERE_WAS_A_CHOICE, **preprocessing}
        fields: dict[str, Any] = {name: preprocessing.get(name) for name in _IS_GOOD}
        for name, is_good in _IS_GOOD.items():
            if not is_good(fields[name]):
                raise ValueError(f"its input is not described: {name} is {fields[name]!r}")
        found = cls(**fields)
        if found.crop_pixels * found.view_share < _LEAST_PIXELS:
            raise ValueError(
                f"its input is not described: view_share {found.view_share} of crops of "
                f"{found.crop_pixels} pixels leaves nothing to see"
            )
        for name, value in found.describe().items():
            if preprocessing.get(name) != value:
                raise ValueError(
                    f"it was trained with {name} = {preprocessing.get(name)!r}, this avkd would "
                    f"give it {value!r}; use the avkd version that made it"
                )
        return found

    def describe(self) -> dict[str, Any]:
        """Plain values for a model file."""
        return {**vars(self), "channel_mean": list(CHANNEL_MEAN), "channel_std": list(CHANNEL_STD)}

    @property
    def window_rule(self) -> WindowRule:
        """Which segments of a file are looked at, unless a protocol says otherwise."""
        return WindowRule(
            size_frames=self.clip_frames,
            placing="covering" if self.windows_per_file is None else "spread",
            most=self.windows_per_file,
        )

    def windows(self, num_frames: int) -> Sequence[Window]:
        """Which segments of a file of ``num_frames`` frames are looked at."""
        return self.window_rule.windows(num_frames)

    def slack(self, crop_pixels: int) -> int:
        """How far a view may be moved in a stored crop of ``crop_pixels``."""
        return transforms.slack_pixels(crop_pixels, self.view_share)

    @property
    def zoom(self) -> float:
        """How far a clean view closes in on the mouth, see `Views.zoom`."""
        return 1.0 if self.region == "mouth" else 0.0

    def center_views(self, num_clips: int, crop_pixels: int) -> Views:
        """The views of evaluation, of stored crops of ``crop_pixels``."""
        return transforms.center_views(num_clips, self.slack(crop_pixels), self.zoom)

    def see(self, batch: ClipBatch, views: Views) -> tuple[Tensor, ...]:
        """What the network is called with for the clips of a batch; see `view`."""
        return self.view(batch.frames, batch.landmarks, views)

    def view(self, frames: Tensor, landmarks: Tensor | None, views: Views) -> tuple[Tensor, ...]:
        """What the network is called with, of stored crops (B, L, S, S, 3) uint8 RGB.

        Landmarks are (B, L, 5, 2) in pixels of the crop, or None if they are not wanted.

        Returns:
            (B, 3, L, s, s) pictures; and, if wanted, (B, L, 5, 2) landmarks in shares of the view,
            NaN where they are not known.
        """
        clip = transforms.apply_video(
            frames, views, self.image_size, self.view_share, motion_only=self.motion_only
        )
        if not self.landmarks:
            return (clip,)
        assert landmarks is not None, "a dataset for this input reads the landmarks"
        seen = transforms.apply_to_points(landmarks, views, frames.shape[2], self.view_share)
        return clip, seen


_LEAST_PIXELS = 8  # of a view's side in the stored crop


def _is_count(value: Any, least: int = 1, most: int = 1024) -> bool:
    return type(value) is int and least <= value <= most


# A model file is untrusted: every field is checked before anything is made from it.
_IS_GOOD: Mapping[str, Callable[[Any], bool]] = {
    "clip_frames": _is_count,
    "crop_pixels": lambda value: _is_count(value, 32),  # as `avkd prepare` makes them
    "view_share": lambda value: type(value) is float and 0.0 < value <= 1.0,
    "image_size": lambda value: _is_count(value, 16),
    "windows_per_file": lambda value: value is None or _is_count(value, most=2**31),
    "landmarks": lambda value: type(value) is bool,
    "faces": lambda value: value in get_args(Faces),
    "crop_margin": lambda value: type(value) is float and 0.5 <= value <= 4.0,
    "region": lambda value: value in get_args(Region),
    "motion_only": lambda value: type(value) is bool,
}
# What a file means that is older than these settings.
_BEFORE_THERE_WAS_A_CHOICE: Mapping[str, Any] = {
    "crop_margin": 1.0,
    "region": "face",
    "motion_only": False,
}
