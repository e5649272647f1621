"""Pictures through a video encoder and back, in memory: the traces that every clip on the net has.

For training, where a file for each clip would be too slow (`perturbations.reencoding` has the
encoders of sites, with files). One thread, a constant quality; the same input gives the same output
on one machine.
"""

from fractions import Fraction
from typing import Literal

import numpy as np
from PIL import Image

Codec = Literal["h264", "mpeg4"]

_LEAST_PIXELS = 48


def through_codec(
    frames: np.ndarray, codec: Codec, quantiser: int, *, share: float = 1.0
) -> np.ndarray:
    """``frames`` (T, S, S, 3) uint8 RGB encoded as one clip, and decoded.

    The quantiser is h264's constant rate factor, 0..51, or mpeg4's own, 1..31; larger is worse. The
    pictures are brought to a ``share`` of their side before, and back after.
    """
    import av  # late: training without fakes made online needs no PyAV

    size = frames.shape[1]
    side = max(_LEAST_PIXELS, 2 * round(size * share / 2))
    encoder = av.CodecContext.create("libx264" if codec == "h264" else "mpeg4", "w")
    encoder.width = encoder.height = side
    encoder.pix_fmt = "yuv420p"
    encoder.time_base = Fraction(1, 25)
    encoder.thread_count = 1
    if codec == "h264":
        # Without mbtree: its AVX-512 code does not repeat.
        encoder.options = {"crf": str(quantiser), "preset": "superfast", "x264-params": "mbtree=0"}
    else:
        encoder.options = {"qmin": str(quantiser), "qmax": str(quantiser)}
    packets = []
    for number, frame in enumerate(frames):
        picture = av.VideoFrame.from_ndarray(_resized(frame, side), format="rgb24")
        picture.pts = number
        packets += encoder.encode(picture)
    packets += encoder.encode(None)
    decoder = av.CodecContext.create(codec, "r")
    decoder.thread_count = 1
    decoder.extradata = encoder.extradata
    decoded = [frame for packet in packets for frame in decoder.decode(packet)]
    decoded += decoder.decode(None)
    assert len(decoded) == len(frames), "as many pictures come out as went in"
    return np.stack([_resized(frame.to_ndarray(format="rgb24"), size) for frame in decoded])


def _resized(frame: np.ndarray, side: int) -> np.ndarray:
    if frame.shape[0] == side:
        return np.ascontiguousarray(frame)
    return np.asarray(Image.fromarray(frame).resize((side, side), Image.Resampling.BICUBIC))
