"""YuNet: finds faces and five landmarks with one small network, OpenCV Zoo's ONNX file of it.

After Wu, Peng, Yu, "YuNet: A Tiny Millisecond-level Face Detector", Machine Intelligence Research
20, 2023. Only the published file is taken, known by its digest before anything in it is parsed: an
ONNX file may name other files. Legend: N cells, F faces.
"""

import hashlib
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from avkd.data.faces.face_tracks import Faces, smallest_face_pixels
from avkd.outcome import ModelRefused

SHA256 = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"
"""Of face_detection_yunet_2023mar.onnx."""
_MOST_FILE_BYTES = 1 << 20
_INPUT_PIXELS = 640
_STRIDES = (8, 16, 32)
_LEAST_SCORE = 0.7
_MOST_OVERLAP = 0.3
_MOST_CANDIDATES = 1000
_GAP_PIXELS = 16


class YunetDetector:
    """`FaceDetector` with YuNet, of the file face_detection_yunet_2023mar.onnx, on one CPU thread.

    The network is sure of faces of 10 to 300 of its 640 pixels. A picture is therefore shown
    twice, whole and at half its size, side by side in the one square that it looks at. The smallest
    face kept is a share of the picture's shorter side.

    Raises:
        ModelRefused: another file, or none.
        ModuleNotFoundError: onnxruntime is not installed; the message says how to get it.
    """

    def __init__(self, file: Path, *, min_face_fraction: float = 0.1) -> None:
        self.min_face_fraction = min_face_fraction
        content = _published(file)
        try:
            import onnxruntime
        except ModuleNotFoundError:
            cure = "pip install 'avkd[yunet]'"
            raise ModuleNotFoundError(f"YuNet needs onnxruntime: {cure}") from None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        providers = ["CPUExecutionProvider"]
        self._session = onnxruntime.InferenceSession(content, options, providers=providers)

    def __call__(self, image: np.ndarray) -> Faces:
        """Find the faces in a picture, uint8 RGB (H, W, 3)."""
        canvas, copies = _shown_twice(image)
        names = [output.name for output in self._session.get_outputs()]
        given = {self._session.get_inputs()[0].name: np.moveaxis(canvas, 2, 0)[None]}
        outputs = dict(zip(names, self._session.run(None, given), strict=True))
        found = [_of_stride(outputs, stride) for stride in _STRIDES]
        boxes, scores, points = (np.concatenate(part) for part in zip(*found, strict=True))
        boxes, points = _in_picture(boxes, points, copies)
        smallest = smallest_face_pixels(self.min_face_fraction, min(image.shape[:2]))
        large = np.flatnonzero((boxes[:, 2:] - boxes[:, :2]).max(axis=1, initial=0) >= smallest)
        kept = large[_once(boxes[large], scores[large])]
        return Faces(boxes[kept], scores[kept], points[kept])


class _Copy(NamedTuple):
    """Where a picture lies in the network's square."""

    left: int
    top: int
    scale: tuple[float, float]
    """Pixels of the picture for one of the square's, across and down."""


Found = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Boxes (F, 4) x0 y0 x1 y1, scores (F,) and landmarks (F, 5, 2) as of `Faces`."""


def _shown_twice(image: np.ndarray) -> tuple[np.ndarray, list[_Copy]]:
    """The network's input, float32 BGR (640, 640, 3) in [0, 255], and where the picture is in it.

    The second copy lies below the first, or to its right where the picture is upright.
    """
    height, width = image.shape[:2]
    longer, shorter = max(height, width), min(height, width)
    factor = min(_INPUT_PIXELS / longer, (_INPUT_PIXELS - _GAP_PIXELS) / (1.5 * shorter))
    canvas = np.zeros((_INPUT_PIXELS, _INPUT_PIXELS, 3), np.float32)
    copies, start = [], 0
    for share in (factor, factor / 2):
        across, down = max(1, int(width * share)), max(1, int(height * share))
        left, top = (start, 0) if height > width else (0, start)
        small = Image.fromarray(image).resize((across, down), Image.Resampling.BILINEAR)
        canvas[top : top + down, left : left + across] = np.asarray(small)[:, :, ::-1]
        copies.append(_Copy(left, top, (width / across, height / down)))
        start = (across if height > width else down) + _GAP_PIXELS
    return canvas, copies


def _of_stride(outputs: Mapping[str, np.ndarray], stride: int) -> Found:
    """What the cells of one stride say, in pixels of the input.

    Args:
        outputs: ``cls_S`` and ``obj_S`` (1, N, 1) in [0, 1]: the score is the root of their
            product; ``bbox_S`` (1, N, 4): middle from the cell's corner, logarithm of the size;
            ``kps_S`` (1, N, 10): landmarks from the cell's corner; all in strides.
        stride: S, of a cell in pixels.
    """
    side = _INPUT_PIXELS // stride
    sure, there, box, kps = (outputs[f"{n}_{stride}"][0] for n in ("cls", "obj", "bbox", "kps"))
    scores = np.sqrt(np.clip(sure, 0, 1) * np.clip(there, 0, 1))[:, 0].astype(np.float64)
    likely = np.flatnonzero(scores >= _LEAST_SCORE)
    corners = np.stack([likely % side, likely // side], axis=1)
    middle = (corners + box[likely, :2]) * stride
    half = np.exp(box[likely, 2:].astype(np.float64)) * stride / 2
    points = (corners[:, None] + kps[likely].reshape(-1, 5, 2)) * stride
    return np.concatenate([middle - half, middle + half], axis=1), scores[likely], points


def _in_picture(
    boxes: np.ndarray, points: np.ndarray, copies: Sequence[_Copy]
) -> tuple[np.ndarray, np.ndarray]:
    """From pixels of the network's square to those of the picture."""
    first, second = copies
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    in_second = (middle >= np.array([second.left, second.top]) - _GAP_PIXELS / 2).all(axis=1)
    corner = np.where(in_second[:, None], (second.left, second.top), (first.left, first.top))
    scale = np.where(in_second[:, None], second.scale, first.scale)
    moved = (boxes - np.tile(corner, 2)) * np.tile(scale, 2)
    return moved, (points - corner[:, None]) * scale[:, None]


def _once(boxes: np.ndarray, scores: np.ndarray) -> list[int]:
    """Which boxes remain, surest first, where those that overlap a surer one are left out."""
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    kept: list[int] = []
    for number in np.argsort(-scores, kind="stable")[:_MOST_CANDIDATES].tolist():
        low = np.maximum(boxes[number, :2], boxes[kept, :2])
        high = np.minimum(boxes[number, 2:], boxes[kept, 2:])
        shared = np.clip(high - low, 0, None).prod(axis=1)
        if (shared <= _MOST_OVERLAP * (areas[number] + areas[kept] - shared)).all():
            kept.append(number)
    return kept


def _published(file: Path) -> bytes:
    """The content of the published file.

    Raises:
        ModelRefused: it is another one.
    """
    try:
        status = file.stat()
        is_small = stat.S_ISREG(status.st_mode) and status.st_size <= _MOST_FILE_BYTES
        content = file.read_bytes() if is_small else b""
    except OSError as error:
        raise ModelRefused(f"{file}: cannot be read ({error.strerror})") from error
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise ModelRefused(
            f"{file}: not YuNet as published; download face_detection_yunet_2023mar.onnx (SHA-256 "
            f"{SHA256[:12]}...) from OpenCV Zoo, github.com/opencv/opencv_zoo"
        )
    return content
