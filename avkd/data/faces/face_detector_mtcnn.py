"""MTCNN: finds faces and five landmarks with three small cascaded networks.

After Zhang, Zhang, Li, Qiao, "Joint Face Detection and Alignment using Multi-task Cascaded
Convolutional Networks", 2016, Figure 2 and Section II, with the weights of `mtcnn_weights`.
Legend: B patches, C channels, H W pixels.
"""

from collections.abc import Iterator

import numpy as np
import torch
from einops import rearrange
from PIL import Image
from torch import nn
from torch.nn import functional

from avkd.data.faces import mtcnn_weights
from avkd.data.faces.face_tracks import Faces, smallest_face_pixels

_PROPOSAL_CELL_PIXELS = 12
_PROPOSAL_STRIDE_PIXELS = 2
_PYRAMID_FACTOR = 0.709  # area halves from level to level
_THRESHOLDS = {"pnet": 0.6, "rnet": 0.7, "onet": 0.8}
_MOST_CANDIDATES = 1000
_MOST_PROPOSALS = 256
"""Windows passed on to the second network; a frame full of texture must not cost seconds."""
_REFINE_PIXELS = 24
_OUTPUT_PIXELS = 48


def _conv(channels_in: int, channels_out: int, kernel_size: int) -> list[nn.Module]:
    return [nn.Conv2d(channels_in, channels_out, kernel_size), nn.PReLU(channels_out)]


def _pool(kernel_size: int) -> nn.Module:
    # Rounding sizes up, as the networks were trained.
    return nn.MaxPool2d(kernel_size, stride=2, ceil_mode=True)


class ProposalNetwork(nn.Module):
    """P-Net: (B, 3, H, W) in [-1, 1] -> face logits (B, 2, h, w), box offsets (B, 4, h, w)."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(*_conv(3, 10, 3), _pool(2), *_conv(10, 16, 3), *_conv(16, 32, 3))
        self.box = nn.Conv2d(32, 4, 1)
        self.face = nn.Conv2d(32, 2, 1)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Judge every 12x12 window at stride 2."""
        features = self.trunk(images)
        return self.face(features), self.box(features)


class RefineNetwork(nn.Module):
    """R-Net: patches (B, 3, 24, 24) in [-1, 1] -> face logits (B, 2), box offsets (B, 4)."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            *_conv(3, 28, 3), _pool(3), *_conv(28, 48, 3), _pool(3), *_conv(48, 64, 2)
        )
        self.hidden = nn.Sequential(nn.Linear(576, 128), nn.PReLU(128))
        self.box = nn.Linear(128, 4)
        self.face = nn.Linear(128, 2)

    def forward(self, patches: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Judge and refine candidate windows."""
        # Columns before rows: the published weights come from a column-major framework.
        features = self.hidden(rearrange(self.trunk(patches), "B C H W -> B (W H C)"))
        return self.face(features), self.box(features)


class OutputNetwork(nn.Module):
    """O-Net: patches (B, 3, 48, 48) in [-1, 1] -> logits (B, 2), offsets (B, 4), points (B, 10)."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            *_conv(3, 32, 3), _pool(3), *_conv(32, 64, 3), _pool(3),
            *_conv(64, 64, 3), _pool(2), *_conv(64, 128, 2),
        )  # fmt: skip
        self.hidden = nn.Sequential(nn.Linear(1152, 256), nn.PReLU(256))
        self.box = nn.Linear(256, 4)
        self.points = nn.Linear(256, 10)
        self.face = nn.Linear(256, 2)

    def forward(self, patches: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Judge and refine windows, and place the five landmarks (all x, then all y)."""
        features = self.hidden(rearrange(self.trunk(patches), "B C H W -> B (W H C)"))
        return self.face(features), self.box(features), self.points(features)


class MtcnnDetector:
    """The cascade as one callable on a picture; CPU, one picture at a time.

    Args:
        min_face_fraction: Smallest face searched for, as a share of the picture's shorter side
            (never below 20 pixels). Cost falls with its square.

    Raises:
        ModuleNotFoundError: the weights are not installed; the message says how to get them.
        ValueError: the weights are not the published ones.
    """

    def __init__(self, *, min_face_fraction: float = 0.1) -> None:
        self.min_face_fraction = min_face_fraction
        self.proposal = _loaded(ProposalNetwork(), "pnet")
        channels_last = torch.channels_last
        self.refine = _loaded(RefineNetwork(), "rnet").to(memory_format=channels_last)
        self.output = _loaded(OutputNetwork(), "onet").to(memory_format=channels_last)

    @torch.inference_mode()
    def __call__(self, image: np.ndarray) -> Faces:
        """Find the faces of a picture, uint8 RGB (H, W, 3); float32, best score first."""
        smallest = smallest_face_pixels(self.min_face_fraction, min(image.shape[:2]))
        shrunk, factor = _shrunk(image, smallest)
        boxes = self._propose(shrunk, smallest / factor)
        boxes = self._refine(shrunk, boxes)
        boxes, scores, points = self._finish(shrunk, boxes)
        return Faces(boxes.numpy() * factor, scores.numpy(), points.numpy() * factor)

    @torch.inference_mode()
    def follow(self, image: np.ndarray, boxes: np.ndarray) -> Faces:
        """Find faces again that were at ``boxes`` (N, 4) a moment before: the last network only."""
        height, width = image.shape[:2]
        squares = _squared(torch.from_numpy(boxes)).numpy()
        left, top = squares[:, :2].min(axis=0).clip(0, [width - 1, height - 1]).astype(int)
        right, bottom = np.ceil(squares[:, 2:].max(axis=0)).clip([left + 1, top + 1]).astype(int)
        corner = np.array([left, top], np.float32)
        smallest = float((squares[:, 2] - squares[:, 0]).min())
        shrunk, factor = _shrunk(image[top:bottom, left:right], smallest)
        there = (boxes - np.tile(corner, 2)) / factor
        found, scores, points = self._finish(shrunk, torch.from_numpy(there))
        boxes = found.numpy() * factor + np.tile(corner, 2)
        return Faces(boxes, scores.numpy(), points.numpy() * factor + corner)

    def _propose(self, image: torch.Tensor, smallest_face_pixels: float) -> torch.Tensor:
        height, width = image.shape[-2:]
        # The pyramid starts at a quarter or less: half a picture is enough to make it from.
        halve = smallest_face_pixels >= 4 * _PROPOSAL_CELL_PIXELS and min(height, width) >= 2
        base = _normalised(_halved(image) if halve else image)[None]
        boxes, scores = [torch.zeros(0, 4)], [torch.zeros(0)]
        for size in _pyramid(height, width, smallest_face_pixels):
            level = functional.interpolate(base, size=size, mode="area")
            logits, offsets = self.proposal(level)
            probability = logits[0].softmax(dim=0)[1]
            rows, columns = torch.nonzero(probability > _THRESHOLDS["pnet"], as_tuple=True)
            corner = torch.stack([columns, rows, columns, rows], dim=1) * _PROPOSAL_STRIDE_PIXELS
            cell = torch.tensor([0, 0, _PROPOSAL_CELL_PIXELS, _PROPOSAL_CELL_PIXELS])
            shift = rearrange(offsets[0, :, rows, columns], "C N -> N C") * _PROPOSAL_CELL_PIXELS
            scale = torch.tensor([width / size[1], height / size[0]] * 2)
            level_boxes = (corner + cell + shift) * scale
            level_scores = probability[rows, columns]
            kept = _suppressed(level_boxes, level_scores, 0.5)
            boxes.append(level_boxes[kept])
            scores.append(level_scores[kept])
        all_boxes, all_scores = torch.cat(boxes), torch.cat(scores)
        return all_boxes[_suppressed(all_boxes, all_scores, 0.7)[:_MOST_PROPOSALS]]

    def _refine(self, image: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
        squares = _squared(boxes)
        logits, offsets = self.refine(_patches(image, squares, _REFINE_PIXELS))
        scores = logits.softmax(dim=1)[:, 1]
        sure = scores > _THRESHOLDS["rnet"]
        refined = _shifted(squares, offsets)[sure]
        return refined[_suppressed(refined, scores[sure], 0.7)]

    def _finish(
        self, image: torch.Tensor, boxes: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        squares = _squared(boxes)
        logits, offsets, points = self.output(_patches(image, squares, _OUTPUT_PIXELS))
        scores = logits.softmax(dim=1)[:, 1]
        sides = (squares[:, 2:] - squares[:, :2])[:, None]
        landmarks = rearrange(points, "N (xy point) -> N point xy", xy=2)
        landmarks = squares[:, None, :2] + landmarks * sides
        sure = scores > _THRESHOLDS["onet"]
        refined, scores, landmarks = _shifted(squares, offsets)[sure], scores[sure], landmarks[sure]
        kept = _suppressed(refined, scores, 0.7, nested=True)
        return refined[kept], scores[kept], landmarks[kept]


def _shrunk(image: np.ndarray, smallest_face: float) -> tuple[torch.Tensor, int]:
    """A picture, uint8 RGB (H, W, 3), as uint8 (3, h, w), and what its sides were cut by.

    No network looks at more than 48 pixels of a face: large pictures are shrunk first.
    """
    factor = max(1, int(smallest_face / _OUTPUT_PIXELS))
    reduced = np.asarray(Image.fromarray(image).reduce(factor)) if factor > 1 else image
    return torch.from_numpy(np.ascontiguousarray(reduced.transpose(2, 0, 1))), factor


def _halved(pixels: torch.Tensor) -> torch.Tensor:
    """The means of squares of four pixels, (3, ceil(h / 2), ceil(w / 2)), exact in float32."""
    to_even = [(0, side % 2) for side in pixels.shape]
    pixels = torch.from_numpy(np.pad(pixels, [(0, 0), *to_even[1:]], "edge"))
    rows = pixels[:, ::2].short() + pixels[:, 1::2]
    return (rows[:, :, ::2] + rows[:, :, 1::2]).float() / 4


def _normalised(pixels: torch.Tensor) -> torch.Tensor:
    """Levels 0 to 255 as the networks want them, in [-1, 1]."""
    return pixels.to(torch.float32, copy=True).sub_(127.5).div_(128.0)


def _pyramid(height: int, width: int, smallest_face: float) -> Iterator[tuple[int, int]]:
    """Sizes (H, W) at which faces, from the smallest to the whole picture, fill one cell."""
    face = smallest_face
    while face <= min(height, width):
        scale = _PROPOSAL_CELL_PIXELS / face
        yield max(12, round(height * scale)), max(12, round(width * scale))
        face /= _PYRAMID_FACTOR


def _squared(boxes: torch.Tensor) -> torch.Tensor:
    """Squares of the longer side around the same centres."""
    half = (boxes[:, 2:] - boxes[:, :2]).amax(dim=1, keepdim=True) / 2
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    return torch.cat([centre - half, centre + half], dim=1)


def _shifted(boxes: torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
    """Boxes moved by offsets given in units of their own sides."""
    return boxes + offsets * (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)


def _patches(image: torch.Tensor, boxes: torch.Tensor, size: int) -> torch.Tensor:
    """Cut boxes out of the picture (black outside) and shrink each to (size, size) by area."""
    height, width = image.shape[-2:]
    patches = [torch.zeros(0, 3, size, size)]
    for x0, y0, x1, y1 in boxes.round().int().tolist():
        x1, y1 = max(x1, x0 + 1), max(y1, y0 + 1)
        left, top, right, bottom = max(x0, 0), max(y0, 0), min(x1, width), min(y1, height)
        if right <= left or bottom <= top:
            patches.append(torch.zeros(1, 3, size, size))
            continue
        margins = (left - x0, x1 - right, top - y0, y1 - bottom)
        # Only what is looked at is made float: a whole picture of it takes longer than P-Net.
        window = _normalised(image[:, top:bottom, left:right])[None]
        window = functional.pad(window, margins) if any(margins) else window
        patches.append(functional.interpolate(window, size=(size, size), mode="area"))
    # Three times faster through the small networks than contiguous patches.
    return torch.cat(patches).contiguous(memory_format=torch.channels_last)


def _suppressed(
    boxes: torch.Tensor, scores: torch.Tensor, limit: float, *, nested: bool = False
) -> torch.Tensor:
    """Non-maximum suppression: indices of the boxes kept, best first.

    Overlap is intersection over union; with ``nested``, over the smaller box (a face in a face).
    """
    order = scores.argsort(descending=True)[:_MOST_CANDIDATES]
    if len(order) < 2:
        return order
    ranked = boxes[order]
    sides = torch.minimum(ranked[:, None, 2:], ranked[None, :, 2:]) - torch.maximum(
        ranked[:, None, :2], ranked[None, :, :2]
    )
    common = sides.clamp(min=0).prod(dim=-1)
    areas = (ranked[:, 2:] - ranked[:, :2]).clamp(min=0).prod(dim=1)
    first, second = areas[:, None], areas[None, :]
    whole = torch.minimum(first, second) if nested else first + second - common
    clash = (common > limit * whole).numpy()
    alive = np.ones(len(order), bool)
    for rank in range(len(order)):
        if alive[rank]:
            alive[rank + 1 :] &= ~clash[rank, rank + 1 :]
    return order[torch.from_numpy(alive)]


def _loaded(network: nn.Module, name: str) -> nn.Module:
    """Fill a network with the published weights and freeze it.

    Every layer's tensors follow each other in the order of the network's definition, but for the
    box, points and face heads of O-Net, which our definition therefore lists in that order too.
    """
    arrays = mtcnn_weights.read_weights(name, [p.numel() for p in network.parameters()])
    for parameter, values in zip(network.parameters(), arrays, strict=True):
        parameter.data = _in_our_layout(values, parameter.shape)
        parameter.requires_grad_(False)
    return network.eval()


def _in_our_layout(values: np.ndarray, shape: torch.Size) -> torch.Tensor:
    """Bring a kernel from (H, W, in, out), a matrix from (in, out), to torch's layout."""
    tensor = torch.from_numpy(values.copy())
    if len(shape) == 4:
        out, into, height, width = shape
        sizes = {"H": height, "W": width, "I": into, "O": out}
        return rearrange(tensor, "(H W I O) -> O I H W", **sizes).contiguous()
    if len(shape) == 2:
        return rearrange(tensor, "(I O) -> O I", O=shape[0], I=shape[1]).contiguous()
    return tensor
