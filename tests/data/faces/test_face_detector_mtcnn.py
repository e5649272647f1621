"""MTCNN's arithmetic: computed of bytes what float pictures would give, bit by bit."""

import pytest
import torch
from torch.nn import functional

from avkd.data.faces import face_detector_mtcnn as mtcnn


@pytest.mark.parametrize("size", [(48, 64), (49, 64), (48, 63), (3, 5), (2, 2)])
def test_half_a_picture_is_the_mean_of_its_float_squares(size: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(size[0])
    pixels = torch.randint(0, 256, (3, *size), generator=generator, dtype=torch.uint8)
    whole = ((pixels.float() - 127.5) / 128)[None]
    wanted = functional.avg_pool2d(whole, 2, ceil_mode=True)
    assert torch.equal(mtcnn._normalised(mtcnn._halved(pixels))[None], wanted)


def test_patches_of_bytes_are_those_of_the_float_picture_and_black_outside_is_0() -> None:
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randint(0, 256, (3, 60, 80), generator=generator, dtype=torch.uint8)
    boxes = torch.tensor([[10.0, 5, 40, 35], [-8, -8, 24, 24], [70, 50, 95, 75], [90, 70, 99, 79]])
    inside, corner, end, outside = mtcnn._patches(pixels, boxes, 24)
    whole = functional.pad((pixels.float() - 127.5) / 128, (8, 15, 8, 15))
    for patch, left, top, side in ((inside, 10, 5, 30), (corner, -8, -8, 32), (end, 70, 50, 25)):
        window = whole[None, :, top + 8 : top + 8 + side, left + 8 : left + 8 + side]
        assert torch.equal(patch, functional.interpolate(window, size=(24, 24), mode="area")[0])
    assert not outside.any()
