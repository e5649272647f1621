"""A made-up talking face: an identity and the mouth's shape per frame -> RGB frames and landmarks.

A face is painted once per identity (colour and relief), then, frame by frame, eyes and mouth are
painted on it, it is lit, turned and laid over a background.

Canonical coordinates: pixels from the face's centre, x right, y down, at scale 1 of the frame.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter, gaussian_filter1d

from avkd.blending.bilinear import sample_bilinear

FRAME_SIZE = 160

_HALF_CANVAS = 112
_EYE_X, _EYE_Y = 19.0, -13.0
_NOSE_TIP_Y = 10.0
_MOUTH_Y = 32.0
_JAW_DROP = 6.0
_EYE_BOX = (13, 9)
_MOUTH_BOX = (27, 20)
_LIGHT_HEIGHT = 0.75

_AXIS = np.arange(-_HALF_CANVAS, _HALF_CANVAS, dtype=np.float32)
_X, _Y = np.meshgrid(_AXIS, _AXIS)
_FRAME_X, _FRAME_Y = np.meshgrid(*2 * (np.arange(FRAME_SIZE, dtype=np.float32),))

_SKINS = np.array([(232, 190, 168), (214, 162, 132), (188, 132, 100), (146, 98, 70), (104, 68, 50)])
_HAIRS = np.array([(38, 28, 24), (74, 48, 32), (120, 82, 48), (176, 140, 92), (110, 108, 106)])
_IRISES = np.array([(70, 46, 30), (96, 74, 44), (84, 104, 84), (86, 112, 140)])


@dataclass(frozen=True, kw_only=True)
class RenderStyle:
    """How a corpus was shot."""

    background_contrast: float = 22
    ambient_light: float = 0.55
    noise_level: float = 2.0
    """Camera noise, standard deviation in grey levels."""
    blur_sigma: float = 0.0
    """Softness of the lens in pixels; 0 = sharp."""
    gamma: float = 1.0
    colour_gain: tuple[float, float, float] = (1.0, 1.0, 1.0)


STYLES: dict[str, RenderStyle] = {
    "broadcast": RenderStyle(),
    "interview": RenderStyle(
        background_contrast=40,
        ambient_light=0.42,
        noise_level=3.5,
        blur_sigma=0.6,
        gamma=1.15,
        colour_gain=(1.05, 1.0, 0.9),
    ),
}


def _between(low: float, high: float) -> Any:
    """A field of `Identity` that is drawn evenly."""
    return field(metadata={"span": (low, high)})


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What stays the same in every clip of one person; lengths in pixels."""

    half_width: float = _between(42, 49)
    half_height: float = _between(57, 66)
    jaw: float = _between(0.12, 0.4)
    eye_spread: float = _between(-2, 2)
    eye_size: float = _between(0.88, 1.15)
    nose_length: float = _between(-2, 3)
    nose_width: float = _between(0.8, 1.25)
    mouth_width: float = _between(14.5, 18.5)
    lip_thickness: float = _between(2.6, 4.6)
    brow_height: float = _between(10.5, 14)
    brow_thickness: float = _between(1.3, 2.8)
    hairline: float = _between(-46, -36)
    skin: np.ndarray
    hair: np.ndarray
    iris: np.ndarray
    texture_seed: int

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "Identity":
        """A person at random."""
        tone = rng.uniform(0, len(_SKINS) - 1.01)
        lighter, darker = _SKINS[int(tone)], _SKINS[int(tone) + 1]
        spans = {f.name: f.metadata["span"] for f in fields(cls) if f.metadata}
        return cls(
            **{name: float(rng.uniform(*span)) for name, span in spans.items()},
            skin=lighter + (tone % 1) * (darker - lighter) + rng.normal(0, 5, 3),
            hair=_HAIRS[rng.integers(len(_HAIRS))] * rng.uniform(0.8, 1.15),
            iris=_IRISES[rng.integers(len(_IRISES))] * rng.uniform(0.85, 1.15),
            texture_seed=int(rng.integers(2**31)),
        )


def render(
    identity: Identity, mouth: np.ndarray, *, style: RenderStyle, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Film ``identity`` saying what ``mouth`` says.

    ``mouth`` (T, 4) is opening, rounding, teeth, tongue (`speech_synthesis.MOUTH_PARAMETERS`);
    ``rng`` draws head motion, blinks, light, background and camera noise.

    Returns:
        Frames uint8 (T, 160, 160, 3) and landmarks float32 (T, 5, 2) in pixels: left eye, right
        eye, nose tip, left and right mouth corner as seen in the image.
    """
    painted = _PaintedHead(identity)
    background = _background(rng, style)
    noise = rng.normal(0, style.noise_level, (2 * FRAME_SIZE, 2 * FRAME_SIZE, 3))
    noise = noise.astype(np.float32)
    frames = np.empty((len(mouth), FRAME_SIZE, FRAME_SIZE, 3), np.uint8)
    landmarks = np.empty((len(mouth), 5, 2), np.float32)
    for index, (pose, shape) in enumerate(zip(_poses(rng, len(mouth)), mouth, strict=True)):
        head = painted.at(shape, pose, style.ambient_light)
        picture, landmarks[index] = _place(head, painted, shape, pose, background)
        if style.blur_sigma:
            picture = gaussian_filter(picture, (style.blur_sigma, style.blur_sigma, 0))
        top, left = rng.integers(0, FRAME_SIZE, 2)
        if style.gamma != 1:
            picture = 255 * (np.maximum(picture, 0) / 255) ** style.gamma
        picture *= np.array(style.colour_gain, np.float32)
        picture += noise[top : top + FRAME_SIZE, left : left + FRAME_SIZE]
        frames[index] = np.clip(picture + 0.5, 0, 255)
    return frames, landmarks


@dataclass(frozen=True)
class _Pose:
    """Head and light at one moment: angles in radians, shifts in pixels."""

    shift_x: float
    shift_y: float
    scale: float
    roll: float
    yaw: float
    pitch: float
    gaze_x: float
    eyelid: float
    light: float


def _poses(rng: np.random.Generator, num_frames: int) -> Iterator[_Pose]:
    def slow(size: float, sigma: float) -> np.ndarray:
        pad = int(4 * sigma)
        noise = gaussian_filter1d(rng.standard_normal(num_frames + 2 * pad), sigma)
        # Unit variance of white noise becomes 1 / (2 sqrt(pi) sigma) under the Gaussian.
        noise = noise[pad : pad + num_frames] * np.sqrt(2 * np.sqrt(np.pi) * sigma)
        return size * (0.6 * noise + 0.8 * rng.standard_normal())

    eyelid = np.zeros(num_frames)
    blink = rng.uniform(5, 40)
    while blink < num_frames:
        eyelid += np.exp(-0.5 * ((np.arange(num_frames) - blink) / 1.3) ** 2)
        blink += rng.uniform(30, 90)
    tracks = zip(
        slow(3.0, 9),
        slow(2.5, 9),
        1 + slow(0.05, 20),
        slow(0.05, 9),
        slow(0.16, 10),
        slow(0.09, 10),
        slow(1.3, 3),
        np.clip(eyelid, 0, 1),
        slow(0.7, 25),
        strict=True,
    )
    return (_Pose(*map(float, values)) for values in tracks)


class _PaintedHead:
    """Colour, cover, relief and surface normals of a person, without eyes and mouth."""

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        rng = np.random.default_rng(identity.texture_seed)
        self.depth = self._relief()
        slope_y, slope_x = np.gradient(self.depth)
        normals = np.stack([-slope_x, -slope_y, np.full_like(slope_x, 1.0)], -1)
        normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
        self.normals = normals.astype(np.float32)
        colour = self._skin(rng)
        cover = _soft(self._face_distance())
        colour, cover = self._neck(colour, cover)
        colour, cover = self._hair(colour, cover, rng)
        self.base = np.concatenate([colour, 255 * cover[..., None]], -1).astype(np.float32)
        below = np.clip((_Y - _MOUTH_Y - 4) / 12, 0, 1)
        above = np.clip((identity.half_height + 18 - _Y) / 16, 0, 1)
        self.jaw_share = (below * above).astype(np.float32)

    def _face_distance(self) -> np.ndarray:
        """Signed distance to the face's outline in pixels, roughly; positive inside."""
        who = self.identity
        down = np.clip(_Y / who.half_height, 0, 1)
        half_width = who.half_width * (1 - who.jaw * down**2)
        return (1 - np.sqrt((_X / half_width) ** 2 + (_Y / who.half_height) ** 2)) * half_width

    def _relief(self) -> np.ndarray:
        who = self.identity
        ball = 1 - (_X / (who.half_width * 1.12)) ** 2 - (_Y / (who.half_height * 1.15)) ** 2
        depth = 34 * np.sqrt(np.clip(ball, 0.02, None))
        nose_y = np.clip((_Y + 12) / (_NOSE_TIP_Y + who.nose_length + 12), 0, 1.25)
        nose_width = (3.4 + 3.2 * nose_y) * who.nose_width
        fall = 1 / (1 + np.exp((_Y - _NOSE_TIP_Y - who.nose_length - 4) / 1.3))
        depth += 11 * nose_y * fall * np.exp(-0.5 * (_X / nose_width) ** 2)
        for side in (-1, 1):
            eye = _blob(side * (_EYE_X + who.eye_spread), _EYE_Y - 1, 9, 5)
            cheek = _blob(side * 25, 14, 11, 11)
            depth += -4.0 * eye + 2.5 * cheek
            depth += 2.2 * _blob(side * 19, _EYE_Y - who.brow_height + 2, 14, 4)
        depth += 2.5 * _blob(0, who.half_height - 13, 12, 7) - 2 * _blob(0, _MOUTH_Y + 11, 12, 3)
        depth += 2.0 * _blob(0, _MOUTH_Y, 17, 8)
        return depth.astype(np.float32)

    def _skin(self, rng: np.random.Generator) -> np.ndarray:
        who = self.identity
        shape = _X.shape
        grain = gaussian_filter(rng.standard_normal(shape), 0.8) * 5
        blotch = gaussian_filter(rng.standard_normal(shape), 6) * 60
        colour = who.skin + (grain + blotch)[..., None] * (1.0, 0.95, 0.9)
        for side in (-1, 1):
            blush = _blob(side * 25, 14, 12, 10)
            colour += blush[..., None] * (9, -4, -4)
            fold = np.exp(-0.5 * ((_X - side * (13 + 0.45 * (_Y - 16))) / 1.6) ** 2)
            fold *= _blob(0, 23, 60, 7)
            nostril_y = _NOSE_TIP_Y + who.nose_length + 6
            nostril = _blob(side * 4.6 * who.nose_width, nostril_y, 2.3, 1.3)
            colour *= 1 - 0.10 * fold[..., None] - 0.62 * nostril[..., None]
            socket = _blob(side * (_EYE_X + who.eye_spread), _EYE_Y, 12, 7)
            colour *= 1 - 0.14 * socket[..., None]
            colour = self._brow(colour, side)
        for _ in range(rng.integers(0, 6)):
            mole = _blob(rng.uniform(-34, 34), rng.uniform(-30, 45), 0.9, 0.9)
            colour *= 1 - 0.45 * mole[..., None]
        under_lip = _blob(0, _MOUTH_Y + 9, 10, 2)
        return colour * (1 - 0.14 * under_lip[..., None])

    def _brow(self, colour: np.ndarray, side: int) -> np.ndarray:
        who = self.identity
        along = (_X * side - _EYE_X - who.eye_spread) / 12
        centre = _EYE_Y - who.brow_height + 3.5 * along**2 - 1.2 * along
        thickness = who.brow_thickness * np.clip(1.1 - 0.5 * along, 0.3, 1.4)
        cover = np.exp(-0.5 * ((_Y - centre) / thickness) ** 2) * _soft((1 - np.abs(along)) * 5)
        return colour + (0.8 * cover)[..., None] * (who.hair * 0.8 - colour)

    def _neck(self, colour: np.ndarray, cover: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        who = self.identity
        neck = _soft(who.half_width * 0.62 - np.abs(_X)) * (_Y > 20)
        shoulders = _soft(_Y - who.half_height - 10 - (np.abs(_X) / 15) ** 2)
        behind = (who.skin * 0.72, who.hair * 0.4 + np.array([40, 50, 70]))
        for part, paint in zip((neck, shoulders), behind, strict=True):
            part = np.clip(part - cover, 0, 1) if paint is behind[0] else part * (1 - cover)
            colour = colour + part[..., None] * (paint - colour)
            cover = np.maximum(cover, part)
        return colour, cover

    def _hair(
        self, colour: np.ndarray, cover: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        who = self.identity
        strands = gaussian_filter(rng.standard_normal(_X.shape), (5, 0.7)) * 60
        paint = who.hair + strands[..., None]
        outline = 1 - np.sqrt((_X / (who.half_width + 8)) ** 2 + (_Y / (who.half_height + 9)) ** 2)
        line = who.hairline + 30 * np.abs(_X / who.half_width) ** 4
        hair = _soft(outline * who.half_width) * _soft((line - _Y) / 1.5) * _soft(8 - _Y)
        # At the outer edge the hair's colour is full and only its cover fades: no rim of skin.
        share = np.where(cover < hair, 1.0, hair)
        return colour + share[..., None] * (paint - colour), np.maximum(cover, hair)

    def at(self, mouth: np.ndarray, pose: _Pose, ambient: float) -> np.ndarray:
        """The lit head (H, W, 4) in canonical coordinates, eyes and mouth painted in."""
        head = self.base.copy()
        self._paint_mouth(head, mouth)
        for side in (-1, 1):
            self._paint_eye(head, side, pose)
        light = np.array([np.sin(pose.light), -0.35, _LIGHT_HEIGHT], np.float32)
        light /= np.linalg.norm(light)
        shade = ambient + (1.22 - ambient) * np.clip(self.normals @ light, 0, None)
        head[..., :3] *= shade[..., None]
        return head

    def _paint_mouth(self, head: np.ndarray, mouth: np.ndarray) -> None:
        opening, rounding, teeth, tongue = (float(value) for value in mouth)
        who = self.identity
        box, x, y = _box(0, _MOUTH_Y, _MOUTH_BOX)
        half_width = self.mouth_half_width(rounding)
        lips = who.lip_thickness * (1 + 0.25 * max(rounding, 0)) * (1 - 0.15 * opening)
        # The arch of a mouth: full height in the middle, none at the corners.
        arch = np.sqrt(np.clip(1 - (x / half_width) ** 2, 0, 1))
        inner = np.sqrt(np.clip(1 - (x / (half_width * 0.88)) ** 2, 0, 1))
        gap_up, gap_down = 4.5 * opening * inner, 11.5 * opening * inner
        bow = 0.8 * np.exp(-0.5 * (x / 2.2) ** 2)
        upper = y + (lips * 0.85 - bow) * arch + 4.5 * opening * arch
        lower = lips * 1.15 * arch + 11.5 * opening * arch - y
        patch = head[box][..., :3]
        redness = who.skin * (0.80, 0.58, 0.60) + np.array([14, 4, 8])
        glow = 1 + 0.12 * np.exp(-0.5 * ((y - gap_down - lips * 0.55) / 1.4) ** 2)
        within = _soft(half_width - np.abs(x)) * (arch > 0)
        _cover(patch, _soft(np.minimum(upper, lower)) * within * 0.9, redness * glow[..., None])
        hole = _soft(np.minimum(y + gap_up, gap_down - y) + 0.1) * (inner > 0)
        _cover(patch, hole * min(1.0, 0.35 + 5 * opening), np.array([46, 16, 18]))
        inside = hole * min(1.0, 6 * opening)
        _cover(patch, inside * tongue * _soft(y - 5.5 * opening), np.array([172, 84, 84]))
        row = _soft(4.2 * min(1.0, 3 * opening) - (y + gap_up))
        _cover(patch, inside * teeth * row, np.array([226, 220, 206]))
        line = np.exp(-0.5 * (y / 0.7) ** 2) * arch * max(0.0, 1 - 8 * opening)
        _cover(patch, 0.55 * line, redness * 0.45)

    def mouth_half_width(self, rounding: float) -> float:
        """Half the distance between the mouth's corners, in pixels."""
        return self.identity.mouth_width * (1 - 0.38 * max(rounding, 0) - 0.16 * min(rounding, 0))

    def _paint_eye(self, head: np.ndarray, side: int, pose: _Pose) -> None:
        who = self.identity
        box, x, y = _box(side * (_EYE_X + who.eye_spread), _EYE_Y, _EYE_BOX)
        half_width, open_share = 8.6 * who.eye_size, 1 - pose.eyelid
        arch = np.clip(1 - (x / half_width) ** 2, 0, 1)
        top, bottom = -4.3 * who.eye_size * arch * open_share, 3.2 * who.eye_size * arch
        bottom = bottom * (0.35 + 0.65 * open_share)
        patch = head[box][..., :3]
        opened = _soft(np.minimum(y - top, bottom - y)) * (0.15 + 0.85 * open_share) * (arch > 0.02)
        _cover(patch, opened, np.array([222, 216, 210]))
        radius = np.sqrt((x - pose.gaze_x) ** 2 + (y + 0.4) ** 2)
        _cover(patch, opened * _soft(4.1 * who.eye_size - radius), who.iris)
        _cover(patch, opened * _soft(1.9 - radius), np.array([14, 12, 12]))
        glint = np.exp(-0.5 * ((x - pose.gaze_x + 1.2) ** 2 + (y + 1.8) ** 2) / 0.5)
        _cover(patch, opened * glint * 0.9, np.array([255, 255, 255]))
        lash = np.exp(-0.5 * ((y - top) / 0.95) ** 2) * (arch > 0.02)
        _cover(patch, 0.85 * lash, who.hair * 0.35)
        crease = np.exp(-0.5 * ((y - top + 2.8) / 0.8) ** 2) * arch
        _cover(patch, 0.3 * crease, who.skin * 0.5)
        _cover(patch, 0.3 * np.exp(-0.5 * ((y - bottom) / 0.8) ** 2) * arch, who.skin * 0.45)


def _place(
    head: np.ndarray, painted: _PaintedHead, mouth: np.ndarray, pose: _Pose, background: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Turn the head, lay it over the background; the picture and the five landmarks in it."""
    centre = FRAME_SIZE / 2 - 0.5
    # Plain floats: numpy's own float64 scalars would turn every float32 field into float64.
    cosine, sine = float(np.cos(pose.roll)) / pose.scale, float(np.sin(pose.roll)) / pose.scale
    right = _FRAME_X - (centre + pose.shift_x)
    down = _FRAME_Y - (centre + 4 + pose.shift_y)
    x, y = cosine * right + sine * down, cosine * down - sine * right
    grid = _HALF_CANVAS + np.rint(np.stack([y, x])).astype(np.intp)
    grid = np.clip(grid, 0, 2 * _HALF_CANVAS - 1)
    # Nearer parts of the relief move more when the head turns; the jaw sinks as the mouth opens.
    depth = painted.depth[grid[0], grid[1]] - 18
    drop = _JAW_DROP * float(mouth[0])
    canvas_x = x - pose.yaw * depth + _HALF_CANVAS
    canvas_y = y - pose.pitch * depth + _HALF_CANVAS - drop * painted.jaw_share[grid[0], grid[1]]
    layer = sample_bilinear(head, canvas_x, canvas_y)
    cover = layer[..., 3:] * np.float32(1 / 255)
    picture = background + cover * (layer[..., :3] - background)

    who = painted.identity
    eye_x, half_mouth = _EYE_X + who.eye_spread, painted.mouth_half_width(float(mouth[1]))
    points = np.array(
        [
            (-eye_x, _EYE_Y),
            (eye_x, _EYE_Y),
            (0, _NOSE_TIP_Y + who.nose_length),
            (-half_mouth, _MOUTH_Y),
            (half_mouth, _MOUTH_Y),
        ]
    )
    rows = np.rint(points + _HALF_CANVAS).astype(np.intp)
    turned = points + (painted.depth[rows[:, 1], rows[:, 0]] - 18)[:, None] * (pose.yaw, pose.pitch)
    cosine, sine = np.cos(pose.roll) * pose.scale, np.sin(pose.roll) * pose.scale
    rotation = np.array([[cosine, -sine], [sine, cosine]])
    offset = np.array([centre + pose.shift_x, centre + 4 + pose.shift_y])
    return picture, turned @ rotation.T + offset


def _background(rng: np.random.Generator, style: RenderStyle) -> np.ndarray:
    """A static wall (160, 160, 3): a colour, soft shapes and a fine texture."""
    shape = (FRAME_SIZE, FRAME_SIZE, 3)
    wall = (rng.uniform(50, 180) + rng.normal(0, 16, 3)) * np.ones(shape)
    shapes = gaussian_filter(rng.standard_normal(shape), (14, 14, 0))
    shapes = 0.35 * shapes + 0.65 * shapes.mean(-1, keepdims=True)  # mostly light, less colour
    wall += style.background_contrast * shapes / shapes.std()
    wall += 0.15 * style.background_contrast * rng.standard_normal(shape)
    edge = rng.uniform(0.1, 0.9) * FRAME_SIZE
    wall[:, : int(edge)] += rng.normal(0, 0.7 * style.background_contrast)
    return gaussian_filter(np.clip(wall, 5, 250), (0.7, 0.7, 0)).astype(np.float32)


def _soft(distance: np.ndarray) -> np.ndarray:
    """Cover of a pixel whose distance to an outline is given: 0 outside, 1 inside, soft between."""
    return np.clip(distance + 0.5, 0, 1)


def _blob(x: float, y: float, width: float, height: float) -> np.ndarray:
    return np.exp(-0.5 * (((_X - x) / width) ** 2 + ((_Y - y) / height) ** 2))


def _box(
    x: float, y: float, half: tuple[int, int]
) -> tuple[tuple[slice, slice], np.ndarray, np.ndarray]:
    """The canvas region around (x, y) and its coordinates relative to that point."""
    column, row = round(x) + _HALF_CANVAS, round(y) + _HALF_CANVAS
    rows = slice(row - half[1], row + half[1] + 1)
    columns = slice(column - half[0], column + half[0] + 1)
    return (rows, columns), _X[rows, columns] - x, _Y[rows, columns] - y


def _cover(patch: np.ndarray, cover: np.ndarray, paint: np.ndarray) -> None:
    """Lay ``paint`` over ``patch`` (h, w, 3) in place."""
    patch += cover[..., None] * (paint - patch)
