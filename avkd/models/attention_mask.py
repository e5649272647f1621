"""The attention mask of ADDNet, from five landmarks instead of 68.

The paper (Zi et al. 2020, arXiv 2101.01456, figure 2) fills the convex hulls of the face and of
eyes, nose and mouth, blurs both and adds them: background 0, skin about 0.5, organs near 1. Five
points have no hulls, so **this is an approximation**: the face is an ellipse, each organ a disc, of
an average face's proportions.
"""

import torch
from einops import rearrange
from torch import Tensor

# In units of the distance between the eyes of an upright face, 63 mm on average; the other means
# taken: brows 25 mm above the eyes, mouth 67 mm and chin 115 mm below, face 132 mm wide.
_MOUTH_BELOW_EYES = 1.06
_CENTRE_BELOW_EYES = 0.71
_HALF_HEIGHT = 1.11
_HALF_WIDTH = 1.05
_EYE_RADIUS = 0.27
_NOSE_RADIUS = 0.32
_MOUTH_RADIUS = 0.42
_BLUR_PIXELS = 2.6 / 224  # share of the view: deviation of a Gaussian of 15x15 pixels at 224


def attention_mask(landmarks: Tensor, size: int) -> Tensor:
    """Where a forger works: 0 outside the face, 0.5 on its skin, 1 on eyes, nose and mouth.

    ``landmarks`` are (B, L, 5, 2), x and y of left eye, right eye, nose and both mouth corners, in
    shares of the view (0..1, may lie outside); NaN where there are none.

    Returns:
        (B, L, 1, size, size) float32 in [0, 1]; ones for a frame without usable landmarks, so that
        the network sees all of it.
    """
    points = landmarks.float()
    left_eye, right_eye, nose, left_mouth, right_mouth = points.unbind(dim=-2)
    eyes, mouth = (left_eye + right_eye) / 2, (left_mouth + right_mouth) / 2
    down = mouth - eyes
    # A turned head brings the eyes together, a nodding one the mouth nearer: the larger one holds.
    unit = torch.maximum(_length(right_eye - left_eye), _length(down) / _MOUTH_BELOW_EYES)
    down = down / _length(down).clamp_min(1e-6)
    across = torch.stack((-down[..., 1], down[..., 0]), dim=-1)

    position = (torch.arange(size, device=points.device) + 0.5) / size
    pixels = torch.stack(torch.meshgrid(position, position, indexing="xy"), dim=-1)

    def disc(centre: Tensor, radius: float) -> Tensor:
        distance = _length(pixels - _per_pixel(centre))
        return _soft(_per_pixel(unit) * radius - distance)

    offset = pixels - _per_pixel(eyes + down * unit * _CENTRE_BELOW_EYES)
    x = (offset * _per_pixel(across)).sum(-1, keepdim=True) / _HALF_WIDTH
    y = (offset * _per_pixel(down)).sum(-1, keepdim=True) / _HALF_HEIGHT
    face = _soft(_per_pixel(unit) - torch.hypot(x, y))
    eyes_seen = disc(left_eye, _EYE_RADIUS), disc(right_eye, _EYE_RADIUS)
    others = disc(nose, _NOSE_RADIUS), disc(mouth, _MOUTH_RADIUS)
    organs = torch.stack((*eyes_seen, *others)).amax(dim=0)
    mask = rearrange((face + organs) / 2, "b l h w 1 -> b l 1 h w")
    usable = points.isfinite().all(dim=-1).all(dim=-1) & (unit[..., 0] > 0)
    return torch.where(rearrange(usable, "b l -> b l 1 1 1"), mask, torch.ones_like(mask))


def _length(vectors: Tensor) -> Tensor:
    return torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)


def _per_pixel(values: Tensor) -> Tensor:
    return rearrange(values, "b l v -> b l 1 1 v")


def _soft(inside: Tensor) -> Tensor:
    """1 well inside, 0 well outside: what a Gaussian blur makes of a straight edge."""
    return torch.special.ndtr(inside / _BLUR_PIXELS)
