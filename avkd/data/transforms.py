"""Views of a clip: what is drawn for each, from (seed, epoch, clip, view) alone, and applying it.

Drawing happens in the loader and costs nothing; applying happens on the device, on uint8 batches.
What was drawn stays on the CPU, where deciding by it does not wait for a GPU.
Mask meaning everywhere: masked = removed. Shapes: B clips, T frames, H W pixels.
Source of the augmentations and their order: RealForensics (Haliassos et al. 2022), stage one.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional

from avkd.data.audio_features import MASK_VALUE, MEL_BINS, MEL_FRAMES_PER_VIDEO_FRAME
from avkd.data.faces.face_crop import CROP_PIXELS
from avkd.data.windows import WINDOW_FRAMES

CLIP_FRAMES = WINDOW_FRAMES  # training sees what evaluation sees
VIEW_PIXELS = 140  # side of the window cut from a stored crop of a video
VIDEO_VIEW_SHARE = VIEW_PIXELS / CROP_PIXELS
CHANNEL_MEAN = (0.485, 0.456, 0.406)  # of ImageNet, as every published backbone expects
CHANNEL_STD = (0.229, 0.224, 0.225)
_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


# What zoom 1 shows: half of the window's side around the mouth, whose corners the face template
# puts at 0.76 of the window's height (`face_crop.TEMPLATE`); from under the nose to the chin.
_MOUTH_SIDE = 0.5
_MOUTH_CENTRE_Y = 0.73

_MAX_TIME_MASK_FRAMES = 11
_ERASED_AREA = (0.02, 0.33)
_ERASED_ASPECT = (0.3, 3.3)
_SMALLEST_SCALE = 0.25


@dataclass(frozen=True)
class Views:
    """How each of B clips is seen; every field is a tensor on the CPU with leading axis B."""

    crop: Tensor
    """(B, 2) int: top and left of the window in the stored crop, in its pixels."""
    flip: Tensor
    """(B,) bool: mirrored left to right."""
    grayscale: Tensor
    """(B,) bool: colour removed."""
    erased: Tensor
    """(B, 4) float: top, left, bottom, right of the erased rectangle as shares of the side."""
    time_mask: Tensor
    """(B, 2) int: first masked video frame and number of masked frames."""
    mel_mask: Tensor
    """(B, 2) int: first masked mel bin and number of masked bins."""
    color_jitter: Tensor
    """(B, 2) float: contrast factor about mid grey, then brightness added, in 0..1; 1, 0 = none."""
    downscale: Tensor
    """(B,) float: share of the resolution that is kept, in (0, 1]; 1 = all."""
    zoom: Tensor
    """(B,) float: how far the window closes in on the mouth, 0 = all of it, 1 = the mouth alone."""

    def each(self, change: Callable[[Tensor], Tensor]) -> "Views":
        """Views of changed tensors."""
        return Views(*(change(getattr(self, f.name)) for f in _FIELDS))

    def where(self, keep: Tensor) -> "Views":
        """The views of the clips for which ``keep``, (B,) bool, is true."""
        return self.each(lambda tensor: tensor[keep])

    @staticmethod
    def cat(views: "Sequence[Views]") -> "Views":
        """One batch out of several."""
        return Views(*(torch.cat([getattr(v, f.name) for v in views]) for f in _FIELDS))


_FIELDS = dataclasses.fields(Views)


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """How likely each change of a student's view is; by default it is only cropped and flipped."""

    crop: bool = True
    """Random crop of the stored picture; else the centre crop."""
    flip: float = 0.5
    grayscale: float = 0.0
    erasing: float = 0.0
    time_mask: float = 0.0
    frequency_mask_max: int = 0
    color_jitter: float = 0.0
    """Largest change of contrast (as a factor) and of brightness (in 0..1)."""
    downscale: float = 0.0
    """Probability that the view loses resolution, down to a quarter."""
    zoom: tuple[float, float] = (0.0, 0.0)
    """Least and most that the window closes in on the mouth, see `Views.zoom`."""


def slack_pixels(crop_pixels: int, view_share: float) -> int:
    """How far a view may be moved about in a stored crop of ``crop_pixels``."""
    return crop_pixels - round(crop_pixels * view_share)


def draw_view(
    rng: "np.random.Generator", augmentation: Augmentation, slack: int = CROP_PIXELS - VIEW_PIXELS
) -> Views:
    """Draw one view (B = 1). The same generator state gives the same view.

    The generator is advanced by the same number of draws whatever comes out. ``slack``: pixels by
    which the window may be moved in the stored crop (`slack_pixels`).
    """
    crop = rng.integers(0, slack + 1, size=2)
    if not augmentation.crop:
        crop = np.full(2, slack // 2)
    flip, grayscale, erase, mask = rng.random(4) < (
        augmentation.flip,
        augmentation.grayscale,
        augmentation.erasing,
        augmentation.time_mask,
    )
    time_mask = draw_run(rng, _MAX_TIME_MASK_FRAMES, CLIP_FRAMES) if mask else (0, 0)
    mel_mask = draw_run(rng, augmentation.frequency_mask_max, MEL_BINS)
    erased = _draw_rectangle(rng) if erase else (0.0, 0.0, 0.0, 0.0)
    contrast, brightness = augmentation.color_jitter * rng.uniform(-1.0, 1.0, size=2)
    chance, kept = rng.random(2)
    downscale = _SMALLEST_SCALE**kept if chance < augmentation.downscale else 1.0
    zoom = rng.uniform(*augmentation.zoom)
    return Views(
        crop=torch.from_numpy(crop)[None],
        flip=torch.tensor([bool(flip)]),
        grayscale=torch.tensor([bool(grayscale)]),
        erased=torch.tensor([erased]),
        time_mask=torch.tensor([time_mask]),
        mel_mask=torch.tensor([mel_mask]),
        color_jitter=torch.tensor([(1.0 + contrast, brightness)], dtype=torch.float32),
        downscale=torch.tensor([downscale], dtype=torch.float32),
        zoom=torch.tensor([zoom], dtype=torch.float32),
    )


def draw_run(rng: "np.random.Generator", longest: int, total: int) -> tuple[int, int]:
    """One masked run inside ``0..total``: length uniform on 0..longest, start where it fits.

    RealForensics' masks can never reach the last frame or the last mel bin; ours can.

    Returns:
        (start, length); length 0 masks nothing.
    """
    length = int(rng.integers(0, longest + 1))
    return int(rng.integers(0, total - length + 1)), length


def center_views(
    num_clips: int, slack: int = CROP_PIXELS - VIEW_PIXELS, zoom: float = 0.0
) -> Views:
    """The view of evaluation: central window, nothing else changed."""
    unchanged = Augmentation(crop=False, flip=0.0, zoom=(zoom, zoom))
    view = draw_view(np.random.default_rng(0), unchanged, slack)
    return view.each(lambda tensor: tensor.repeat_interleave(num_clips, dim=0))


def apply_video(
    frames: Tensor,
    views: Views,
    image_size: int,
    view_share: float = VIDEO_VIEW_SHARE,
    *,
    motion_only: bool = False,
) -> Tensor:
    """Crop, flip, downscale, grayscale, color jitter, normalise, erase and mask, in this order.

    Frames are (B, T, S, S, 3) uint8 RGB, stored crops; the window's side is a share of S.
    ``motion_only`` takes off the clip's own mean picture instead of the mean colour.

    Returns:
        (B, 3, T, image_size, image_size) float, normalised by ImageNet mean and deviation;
        0 (the mean colour, or the clip's mean picture) where erased or masked.
    """
    assert frames.dtype == torch.uint8
    clip = _cropped(frames, views, image_size, round(frames.shape[2] * view_share))
    for index in (views.downscale < 1).nonzero().flatten().tolist():
        clip[index] = _downscaled(clip[index], float(views.downscale[index]))
    luma = rearrange(_on(clip.device, _LUMA), "c -> c 1 1 1")
    mean, std = _normalisation(clip.device)
    for index in views.grayscale.nonzero().flatten().tolist():
        clip[index] = (clip[index] * luma).sum(0, keepdim=True)  # no product that autocast halves
    unchanged = views.color_jitter.new_tensor([1.0, 0.0])
    for index in (views.color_jitter != unchanged).any(1).nonzero().flatten().tolist():
        contrast, brightness = views.color_jitter[index]
        clip[index] = ((clip[index] - 0.5) * contrast + 0.5 + brightness).clamp(0.0, 1.0)
    if motion_only:
        mean = clip.mean(dim=2, keepdim=True)
    erased = _erased_pixels(_on(clip.device, views.erased), image_size)
    masked = run_mask(_on(clip.device, views.time_mask), frames.shape[1])
    kept = ~rearrange(erased, "b h w -> b 1 1 h w") & ~rearrange(masked, "b t -> b 1 t 1 1")
    return (clip - mean) / std * kept


def as_pictures(clip: Tensor) -> np.ndarray:
    """Views (B, 3, T, s, s) as they look, (B, T, s, s, 3) uint8 RGB: undoes the normalisation."""
    mean, std = _normalisation(clip.device)
    levels = (255 * (clip.detach() * std + mean)).round().clamp(0, 255)
    return rearrange(levels, "b c t h w -> b t h w c").byte().cpu().numpy()


def _normalisation(device: torch.device) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each channel, (1, 3, 1, 1, 1)."""
    mean, std = _on(device, (CHANNEL_MEAN, CHANNEL_STD))
    return rearrange(mean, "c -> 1 c 1 1 1"), rearrange(std, "c -> 1 c 1 1 1")


def _on(device: torch.device, numbers: Any) -> Tensor:
    """A few numbers, or a tensor of them, on ``device``; nothing waits for it."""
    return torch.as_tensor(numbers).to(device, non_blocking=True)


def apply_to_points(
    points: Tensor, views: Views, crop_pixels: int, view_share: float = VIDEO_VIEW_SHARE
) -> Tensor:
    """Where points (B, T, P, 2) of stored crops lie in a view: x and y in pixels; NaN = not known.

    Returns:
        (B, T, P, 2) in shares of the view's side, outside 0..1 where the window does not reach.
    """
    windows = _on(points.device, window_pixels(views, round(crop_pixels * view_share)))
    top, left, side = windows.unbind(dim=1)
    corner = rearrange([left, top], "xy b -> b 1 1 xy")
    shares = (points - corner) / rearrange(side, "b -> b 1 1 1")
    mirrored = torch.stack([1.0 - shares[..., 0], shares[..., 1]], dim=-1)
    flip = rearrange(_on(points.device, views.flip), "b -> b 1 1 1")
    return torch.where(flip, mirrored, shares)


def apply_audio(mel: Tensor, views: Views) -> Tensor:
    """Mask log-mels (B, 1, 4T, 80) at the instants masked in the picture, and one band, with 0.

    Video frame i masks mel frames 4i..4i+3.
    """
    of_mel = views.time_mask * MEL_FRAMES_PER_VIDEO_FRAME
    times = run_mask(_on(mel.device, of_mel), mel.shape[2])
    bands = run_mask(_on(mel.device, views.mel_mask), mel.shape[3])
    masked = rearrange(times, "b t -> b 1 t 1") | rearrange(bands, "b m -> b 1 1 m")
    return mel.masked_fill(masked, MASK_VALUE)


def run_mask(runs: Tensor, total: int) -> Tensor:
    """(B, 2) runs of (start, length) -> (B, total) bool, true = masked."""
    positions = torch.arange(total, device=runs.device)
    start, length = runs[:, :1], runs[:, 1:]
    return (positions >= start) & (positions < start + length)


def window_pixels(views: Views, view_pixels: int) -> Tensor:
    """Top, left and side of the window of each view in the stored crop, (B, 3) int, in its pixels.

    The whole window lies where `Views.crop` says and has a side of ``view_pixels``; zooming in, the
    side shrinks evenly to that of the mouth and the centre moves down to it.
    """
    zoom = views.zoom.double()  # one rounding for all sizes and devices
    side = view_pixels * (1.0 - (1.0 - _MOUTH_SIDE) * zoom)
    centre_y = view_pixels * (0.5 + (_MOUTH_CENTRE_Y - 0.5) * zoom)
    top = (centre_y - side / 2).round().long() + views.crop[:, 0]
    left = ((view_pixels - side) / 2).round().long() + views.crop[:, 1]
    return torch.stack([top, left, side.round().long()], dim=1)


def _cropped(frames: Tensor, views: Views, image_size: int, view_pixels: int) -> Tensor:
    """(B, T, S, S, 3) uint8 -> (B, 3, T, s, s) float in 0..1, cropped, mirrored and resized.

    The result lies in memory as (B, T, s, s, 3), which is what 3D convolutions like best.
    """
    windows = []
    places = zip(
        frames, window_pixels(views, view_pixels).tolist(), views.flip.tolist(), strict=True
    )
    for clip, (top, left, side), flip in places:
        window = clip[:, top : top + side, left : left + side]
        windows.append(window.flip(2) if flip else window)
    if len({window.shape for window in windows}) == 1:
        return _resized(torch.stack(windows), image_size)
    return torch.cat([_resized(window[None], image_size) for window in windows])


def _resized(clips: Tensor, image_size: int) -> Tensor:
    """(B, T, S, S, 3) uint8 -> (B, 3, T, s, s) float in 0..1."""
    images = rearrange(clips, "b t h w c -> (b t) c h w")
    # On a CPU whole grey levels are resized, 14 times faster than floats (measured, 2 threads);
    # CUDA knows floats only. The two differ by less than one level.
    if images.device.type != "cpu":
        images = images.float()
    # Antialiasing matters below 112 pixels, where plain bilinear sampling would alias.
    resized = functional.interpolate(
        images, size=(image_size, image_size), mode="bilinear", antialias=True
    )
    return rearrange(resized.float() / 255.0, "(b t) c h w -> b c t h w", b=clips.shape[0])


def _downscaled(clip: Tensor, share: float) -> Tensor:
    """(3, T, s, s) brought down to a share of its resolution and back up."""
    size = max(1, round(clip.shape[-1] * share))
    small = functional.interpolate(clip, size=(size, size), mode="bilinear", antialias=True)
    return functional.interpolate(small, size=clip.shape[-2:], mode="bilinear")


def _erased_pixels(rectangles: Tensor, image_size: int) -> Tensor:
    """(B, 4) shares -> (B, s, s) bool, true = erased."""
    position = (torch.arange(image_size, device=rectangles.device) + 0.5) / image_size
    top, left, bottom, right = (rectangles[:, i : i + 1] for i in range(4))
    rows = (position >= top) & (position < bottom)
    columns = (position >= left) & (position < right)
    return rearrange(rows, "b h -> b h 1") & rearrange(columns, "b w -> b 1 w")


def _draw_rectangle(rng: "np.random.Generator") -> tuple[float, float, float, float]:
    """Random erasing (Zhong et al. 2020): area 2-33 %, aspect log-uniform on 0.3..3.3."""
    while True:
        area = rng.uniform(*_ERASED_AREA)
        aspect = math.exp(rng.uniform(math.log(_ERASED_ASPECT[0]), math.log(_ERASED_ASPECT[1])))
        height, width = math.sqrt(area * aspect), math.sqrt(area / aspect)
        if height <= 1.0 and width <= 1.0:
            top, left = rng.uniform(0.0, 1.0 - height), rng.uniform(0.0, 1.0 - width)
            return top, left, top + height, left + width
