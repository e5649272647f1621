"""Views of a clip: what is drawn for whom, and what applying it does to pixels and cells."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from avkd.data.faces.face_crop import CROP_PIXELS, TEMPLATE
from avkd.data.transforms import (
    CHANNEL_MEAN,
    CHANNEL_STD,
    CLIP_FRAMES,
    VIEW_PIXELS,
    Augmentation,
    Views,
    apply_audio,
    apply_to_points,
    apply_video,
    center_views,
    draw_view,
    run_mask,
    slack_pixels,
    window_pixels,
)

STUDENT = Augmentation(grayscale=0.5, erasing=0.5, time_mask=1.0, frequency_mask_max=26)
TEACHER = Augmentation()


def draw_many(augmentation: Augmentation, count: int, seed: int = 0) -> Views:
    return Views.cat(
        [draw_view(np.random.default_rng([seed, index]), augmentation) for index in range(count)]
    )


def clips(count: int, num_frames: int = CLIP_FRAMES, seed: int = 0) -> torch.Tensor:
    """Smooth pictures, so that resizing by another method gives nearly the same."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count * num_frames, 3, 6, 6, generator=generator)
    fine = torch.nn.functional.interpolate(coarse, size=(CROP_PIXELS, CROP_PIXELS), mode="bicubic")
    pixels = (fine.clamp(0, 1) * 255).round().to(torch.uint8)
    return pixels.reshape(count, num_frames, 3, CROP_PIXELS, CROP_PIXELS).permute(0, 1, 3, 4, 2)


def changed(views: Views, **fields: object) -> Views:
    return dataclasses.replace(views, **{k: torch.tensor(v) for k, v in fields.items()})


def in_pixels(clip: torch.Tensor) -> torch.Tensor:
    """Undo the normalisation: (B, 3, T, H, W) in 0..1."""
    mean, std = (torch.tensor(x).view(1, 3, 1, 1, 1) for x in (CHANNEL_MEAN, CHANNEL_STD))
    return clip * std + mean


def sees_the_same(a: Views, b: Views) -> bool:
    return all(torch.equal(getattr(a, f.name), getattr(b, f.name)) for f in dataclasses.fields(a))


# What is drawn


def test_the_same_generator_state_gives_the_same_view():
    assert sees_the_same(draw_many(STUDENT, 20), draw_many(STUDENT, 20))
    assert not sees_the_same(draw_many(STUDENT, 20), draw_many(STUDENT, 20, seed=1))


def test_a_views_fields_have_their_shapes_and_types():
    views = draw_many(STUDENT, 40)
    shapes = {f.name: tuple(getattr(views, f.name).shape) for f in dataclasses.fields(views)}
    assert shapes == {
        "crop": (40, 2),
        "flip": (40,),
        "grayscale": (40,),
        "erased": (40, 4),
        "time_mask": (40, 2),
        "mel_mask": (40, 2),
        "color_jitter": (40, 2),
        "downscale": (40,),
        "zoom": (40,),
    }
    assert views.flip.dtype == views.grayscale.dtype == torch.bool
    assert views.erased.dtype == torch.float32
    assert not any(getattr(views, name).is_floating_point() for name in ("crop", "time_mask"))


def test_the_teachers_view_is_only_cropped_and_flipped():
    views = draw_many(TEACHER, 500)
    for name in ("grayscale", "erased"):
        assert not getattr(views, name).any(), name
    assert not views.time_mask[:, 1].any() and not views.mel_mask[:, 1].any()
    assert views.flip.any() and not views.flip.all() and len(views.crop.unique()) == 11


def test_every_crop_and_both_flips_are_equally_likely():
    views = draw_many(TEACHER, 5_000)
    for axis in (0, 1):
        counts = torch.bincount(views.crop[:, axis])
        assert len(counts) == 11 and (counts / 5_000 - 1 / 11).abs().max() < 0.017
    assert views.flip.float().mean().item() == pytest.approx(0.5, abs=0.03)


def test_changes_come_as_often_as_they_should():
    views = draw_many(STUDENT, 4_000)
    assert views.grayscale.float().mean().item() == pytest.approx(0.5, abs=0.03)
    erased = views.erased[:, 2] > views.erased[:, 0]
    assert erased.float().mean().item() == pytest.approx(0.5, abs=0.03)
    lengths = torch.bincount(views.time_mask[:, 1])
    assert len(lengths) == 12 and (lengths / 4_000 - 1 / 12).abs().max() < 0.018
    assert views.mel_mask[:, 1].max() == 26 and views.mel_mask[:, 1].min() == 0
    half = draw_many(dataclasses.replace(STUDENT, time_mask=0.5), 4_000)
    assert (half.time_mask[:, 1] > 0).float().mean().item() == pytest.approx(11 / 24, abs=0.03)


def test_the_last_frame_and_the_last_mel_bin_are_masked_sometimes():
    views = draw_many(STUDENT, 1_000)
    assert (views.time_mask.sum(dim=1) == CLIP_FRAMES).any()
    assert (views.mel_mask.sum(dim=1) == 80).any()


def test_an_erased_rectangle_is_inside_and_of_the_published_sizes():
    rectangles = draw_many(dataclasses.replace(STUDENT, erasing=1.0), 2_000).erased
    height, width = rectangles[:, 2] - rectangles[:, 0], rectangles[:, 3] - rectangles[:, 1]
    assert rectangles.min() >= 0 and rectangles.max() <= 1
    area, aspect = height * width, height / width
    assert 0.02 - 1e-6 <= area.min() < 0.03 and 0.31 < area.max() <= 0.33 + 1e-6
    assert 0.3 - 1e-5 <= aspect.min() < 0.35 and 2.9 < aspect.max() <= 3.3 + 1e-5
    assert aspect.log().mean().item() == pytest.approx(math.log(0.3 * 3.3) / 2, abs=0.06)


def test_student_and_teacher_are_cropped_and_flipped_independently():
    """The loader gives each its own stream; the same crop would let pixels be compared."""
    student = draw_many(STUDENT, 3_000, seed=1)
    teacher = draw_many(TEACHER, 3_000, seed=2)
    for axis in (0, 1):
        pair = torch.stack([student.crop[:, axis], teacher.crop[:, axis]]).float()
        assert abs(torch.corrcoef(pair)[0, 1]) < 0.06
    assert (student.flip == teacher.flip).float().mean().item() == pytest.approx(0.5, abs=0.03)


def test_views_can_be_joined_and_picked():
    views = draw_many(STUDENT, 6)
    keep = torch.tensor([True, False, False, True, False, True])
    picked = views.where(keep)
    joined = Views.cat([draw_view(np.random.default_rng([0, i]), STUDENT) for i in (0, 3, 5)])
    assert sees_the_same(picked, joined)


# Applied to pictures


def test_the_centre_view_is_the_middle_140_pixels_normalised():
    frames = clips(2, num_frames=2)
    seen = apply_video(frames, center_views(2), VIEW_PIXELS)
    assert seen.shape == (2, 3, 2, 140, 140) and seen.dtype == torch.float32
    expected = frames[:, :, 5:145, 5:145].permute(0, 4, 1, 2, 3) / 255
    torch.testing.assert_close(in_pixels(seen), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize(("top", "left"), [(0, 0), (10, 10), (3, 8)])
def test_a_crop_starts_at_its_top_and_left(top, left):
    frames = clips(1, num_frames=2)
    seen = apply_video(frames, changed(center_views(1), crop=[[top, left]]), VIEW_PIXELS)
    expected = frames[:, :, top : top + 140, left : left + 140].permute(0, 4, 1, 2, 3) / 255
    torch.testing.assert_close(in_pixels(seen), expected, atol=1e-6, rtol=0)


def test_a_flip_is_a_mirror_image_of_the_same_window():
    frames = clips(1, num_frames=2)
    plain = changed(center_views(1), crop=[[2, 9]])
    mirrored = apply_video(frames, changed(plain, flip=[True]), 112)
    expected = apply_video(frames, plain, 112).flip(-1)
    torch.testing.assert_close(mirrored, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("image_size", [64, 112, 224])
def test_a_view_is_resized_to_the_size_asked_for(image_size):
    frames = clips(1, num_frames=1)
    seen = in_pixels(apply_video(frames, center_views(1), image_size))
    assert seen.shape == (1, 3, 1, image_size, image_size)
    window = frames[0, 0, 5:145, 5:145].permute(2, 0, 1)[None] / 255
    expected = torch.nn.functional.interpolate(
        window, size=(image_size, image_size), mode="bilinear", antialias=True
    )
    # On a CPU whole grey levels are resized: within one level, and not darker on the average.
    torch.testing.assert_close(seen[:, :, 0], expected, atol=1.01 / 255, rtol=0)
    assert abs((seen[:, :, 0] - expected).mean()) < 0.1 / 255


def test_a_fine_pattern_does_not_alias_when_made_smaller():
    """Stripes of one pixel become grey; plain sampling would turn them into broad bands."""
    stripes = torch.zeros(1, 1, CROP_PIXELS, CROP_PIXELS, 3, dtype=torch.uint8)
    stripes[:, :, :, ::2] = 255
    seen = in_pixels(apply_video(stripes, center_views(1), 64))
    assert (seen[..., 8:-8] - 0.5).abs().max() < 0.12


def test_a_grayscale_clip_has_three_equal_channels_before_normalisation():
    frames = clips(2, num_frames=2)
    views = changed(center_views(2), grayscale=[True, False])
    seen = in_pixels(apply_video(frames, views, VIEW_PIXELS))
    torch.testing.assert_close(seen[0, 0], seen[0, 1], atol=1e-6, rtol=0)
    torch.testing.assert_close(seen[0, 0], seen[0, 2], atol=1e-6, rtol=0)
    window = frames[0, :, 5:145, 5:145].float() / 255
    luma = 0.299 * window[..., 0] + 0.587 * window[..., 1] + 0.114 * window[..., 2]
    torch.testing.assert_close(seen[0, 0], luma, atol=1e-5, rtol=0)
    assert (seen[1, 0] - seen[1, 1]).abs().max() > 0.1  # its neighbour keeps its colour


def test_erased_pixels_are_exactly_zero_in_all_frames_and_no_other_pixel_changes():
    frames = clips(2, num_frames=3)
    views = changed(
        center_views(2), erased=[[0.25, 0.5, 0.5, 0.75], [0.0, 0.0, 0.0, 0.0]], flip=[True, False]
    )
    seen = apply_video(frames, views, 64)
    assert torch.equal(seen[0, :, :, 16:32, 32:48], torch.zeros(3, 3, 16, 16))
    unerased = apply_video(frames, changed(views, erased=[[0.0] * 4] * 2), 64)
    outside = torch.ones(64, 64, dtype=torch.bool)
    outside[16:32, 32:48] = False
    assert torch.equal(seen[0][..., outside], unerased[0][..., outside])
    assert torch.equal(seen[1], unerased[1])


def test_masked_frames_are_exactly_zero_and_no_other_frame_changes():
    frames = clips(3, num_frames=CLIP_FRAMES)
    views = changed(center_views(3), time_mask=[[3, 4], [14, 11], [7, 0]])
    seen, whole = apply_video(frames, views, 32), apply_video(frames, center_views(3), 32)
    for clip, masked in enumerate((range(3, 7), range(14, 25), ())):
        for t in range(CLIP_FRAMES):
            expected = torch.zeros(3, 32, 32) if t in masked else whole[clip, :, t]
            assert torch.equal(seen[clip, :, t], expected), (clip, t)


def test_clips_of_a_batch_do_not_touch_each_other():
    frames, views = clips(4, num_frames=3), draw_many(STUDENT, 4)
    together = apply_video(frames, views, 32)
    for index in range(4):
        only = torch.arange(4) == index
        alone = apply_video(frames[only], views.where(only), 32)
        torch.testing.assert_close(together[only], alone, atol=1e-6, rtol=0)


def test_stored_crops_are_not_changed_by_looking_at_them():
    frames = clips(1, num_frames=2)
    before = frames.clone()
    apply_video(frames, changed(draw_many(STUDENT, 1), flip=[True], grayscale=[True]), 32)
    assert torch.equal(frames, before)


def test_only_bytes_are_accepted():
    with pytest.raises(AssertionError):
        apply_video(clips(1, num_frames=1).float(), center_views(1), 32)


# Applied to sound


def test_a_video_frame_is_masked_exactly_if_its_four_mel_frames_are():
    """Otherwise one student could hear what the other must infer (method 11.3)."""
    views = draw_many(dataclasses.replace(STUDENT, frequency_mask_max=0), 100)
    frames = torch.full((100, CLIP_FRAMES, CROP_PIXELS, CROP_PIXELS, 3), 7, dtype=torch.uint8)
    lost_frames = (apply_video(frames, views, 16) == 0).all(dim=-1).all(dim=-1).all(dim=1)
    lost_mel = (apply_audio(torch.ones(100, 1, 100, 80), views) == 0)[:, 0]
    assert torch.equal(lost_mel.all(dim=-1), lost_mel.any(dim=-1))
    assert torch.equal(lost_mel[..., 0], lost_frames.repeat_interleave(4, dim=1))
    assert lost_frames.any(dim=0).all()


def test_one_band_is_masked_at_every_instant_and_no_other_cell_changes():
    mel = torch.rand(2, 1, 100, 80) + 0.1
    views = changed(center_views(2), mel_mask=[[54, 26], [10, 0]])
    seen = apply_audio(mel, views)
    assert torch.equal(seen[0, 0, :, 54:], torch.zeros(100, 26))
    assert torch.equal(seen[0, 0, :, :54], mel[0, 0, :, :54])
    assert torch.equal(seen[1], mel[1])


def test_the_teachers_sound_is_untouched():
    mel = torch.rand(50, 1, 100, 80)
    assert torch.equal(apply_audio(mel, draw_many(TEACHER, 50)), mel)


def test_a_run_becomes_a_mask():
    mask = run_mask(torch.tensor([[0, 0], [0, 2], [3, 2], [1, 3]]), 5)
    assert mask.int().tolist() == [[0] * 5, [1, 1, 0, 0, 0], [0, 0, 0, 1, 1], [0, 1, 1, 1, 0]]


def test_colours_are_normalised_by_the_numbers_of_imagenet():
    """Written out: red, green and blue of black, white and a grey of 128."""
    levels = torch.tensor([0, 255, 128], dtype=torch.uint8).reshape(1, 3, 1, 1, 1)
    frames = levels.expand(1, 3, CROP_PIXELS, CROP_PIXELS, 3)
    seen = apply_video(frames, center_views(1), 32)[0, :, :, 16, 16]
    expected = [[-2.1179, 2.2489, 0.0741], [-2.0357, 2.4286, 0.2052], [-1.8044, 2.6400, 0.4265]]
    torch.testing.assert_close(seen, torch.tensor(expected), atol=1e-4, rtol=0)


# Pictures: other crops, other windows


def test_a_window_is_a_share_of_whatever_was_stored():
    """256-pixel pictures are seen through 224 pixels, 150-pixel crops through 131."""
    for stored, window in ((256, 224), (150, 131), (64, 56)):
        assert slack_pixels(stored, 0.875) == stored - window
        ramp = torch.arange(stored, dtype=torch.uint8).expand(1, 1, 1, stored, stored)
        frames = ramp.movedim(2, -1).expand(1, 1, stored, stored, 3)
        slack = slack_pixels(stored, 0.875)
        seen = in_pixels(apply_video(frames, center_views(1, slack), window, 0.875))
        expected = torch.arange(slack // 2, slack // 2 + window) / 255
        torch.testing.assert_close(seen[0, 0, 0, 0], expected, atol=2e-3, rtol=0)


def test_a_fixed_view_is_the_centre_whatever_is_drawn():
    fixed = Augmentation(crop=False, flip=0.0)
    expected = apply_video(clips(1), center_views(1), 32)
    for seed in range(20):
        view = draw_view(np.random.default_rng(seed), fixed)
        assert torch.equal(apply_video(clips(1), view, 32), expected)


def test_tone_and_resolution_change_only_where_drawn_and_stay_in_range():
    views = draw_many(Augmentation(color_jitter=0.3, downscale=0.5), 400)
    contrast, brightness = views.color_jitter.unbind(1)
    assert 0.7 <= contrast.min() < 0.75 and 1.25 < contrast.max() <= 1.3
    assert -0.3 <= brightness.min() < -0.25 and 0.25 < brightness.max() <= 0.3
    assert 0.4 < (views.downscale < 1).float().mean() < 0.6 and views.downscale.min() >= 0.25
    plain = draw_many(STUDENT, 40)
    assert torch.equal(plain.color_jitter, torch.tensor([[1.0, 0.0]]).repeat(40, 1))
    assert torch.equal(plain.downscale, torch.ones(40))


def test_tone_is_applied_about_mid_grey_and_clamped():
    frames = torch.tensor([0, 64, 128, 255], dtype=torch.uint8).reshape(1, 4, 1, 1, 1)
    frames = frames.expand(1, 4, CROP_PIXELS, CROP_PIXELS, 3)
    view = changed(center_views(1), color_jitter=[[1.2, 0.1]])
    seen = in_pixels(apply_video(frames, view, 32))[0, 0, :, 16, 16]
    grey = torch.tensor([0, 64, 128, 255]) / 255
    torch.testing.assert_close(seen, ((grey - 0.5) * 1.2 + 0.6).clamp(0, 1), atol=1e-5, rtol=0)


def test_a_shrunk_view_loses_detail_and_keeps_its_mean():
    fine = torch.randint(0, 256, (2, 1, 150, 150, 3), generator=torch.Generator().manual_seed(0))
    views = changed(center_views(2), downscale=[1.0, 0.25])
    sharp, soft = in_pixels(apply_video(fine.to(torch.uint8), views, 112))
    torch.testing.assert_close(soft.mean(), sharp.mean(), atol=0.02, rtol=0)
    assert soft.std() < 0.5 * sharp.std()


def test_points_move_with_the_pixels_they_mark():
    """A bright dot is where its landmark says, after window, flip and resize."""
    frames = torch.zeros(3, 1, 256, 256, 3, dtype=torch.uint8)
    frames[:, 0, 100:108, 60:68] = 255
    points = torch.full((3, 1, 5, 2), float("nan"))
    points[:, 0, 0] = torch.tensor([64.0, 104.0])
    crops = [[16, 16], [0, 32], [5, 7]]
    views = changed(center_views(3), crop=crops, flip=[False, True, True])
    seen = in_pixels(apply_video(frames, views, 112, 0.875))
    shares = apply_to_points(points, views, 256, 0.875)
    assert torch.isnan(shares[:, :, 1:]).all()
    for clip, (x, y) in zip(seen, shares[:, 0, 0].tolist(), strict=True):
        rows, columns = (clip[0, 0] > 0.5).nonzero().float().mean(0).tolist()
        assert (columns + 0.5) / 112 == pytest.approx(x, abs=0.01)
        assert (rows + 0.5) / 112 == pytest.approx(y, abs=0.01)


# The region: from the whole window to the mouth


def test_the_mouth_is_half_the_side_around_the_template_s_mouth() -> None:
    """Too small a mouth, and nothing is learnt; a window beside it, and it is a chin."""
    views = changed(center_views(1, zoom=1.0), crop=[[5, 5]])
    top, left, side = window_pixels(views, VIEW_PIXELS)[0].tolist()
    assert side == VIEW_PIXELS // 2
    corners = TEMPLATE[3:]
    mouth = (corners - (left, top)) / side
    np.testing.assert_allclose(mouth[:, 0], 1 - mouth[::-1, 0], atol=0.01)  # in the middle
    assert (mouth[:, 1] > 0.5).all() and (mouth[:, 1] < 0.62).all()
    assert mouth[1, 0] - mouth[0, 0] > 0.6  # lips fill most of the width
    assert top + side <= 145  # and it ends inside the view


@pytest.mark.parametrize("crop_pixels", [150, 256, 300])
@pytest.mark.parametrize("zoom", [0.0, 0.3, 1.0])
def test_every_zoom_stays_inside_the_whole_window(crop_pixels: int, zoom: float) -> None:
    view = crop_pixels - slack_pixels(crop_pixels, VIEW_PIXELS / CROP_PIXELS)
    views = changed(center_views(1, zoom=zoom), crop=[[3, 7]])
    top, left, side = window_pixels(views, view)[0].tolist()
    assert top >= 3 and top + side <= 3 + view
    assert left >= 7 and left + side <= 7 + view
    assert side == round(view * (1 - zoom / 2))
    if zoom == 0.0:
        assert (top, left, side) == (3, 7, view)


@pytest.mark.parametrize("flip", [False, True])
def test_the_mouth_is_cut_from_the_stored_pixels_not_from_a_shrunken_face(flip: bool) -> None:
    frames = clips(1, 2)
    views = changed(center_views(1, zoom=1.0), flip=[flip])
    top, left, side = window_pixels(views, VIEW_PIXELS)[0].tolist()
    window = frames[0, :, top : top + side, left : left + side].permute(0, 3, 1, 2).float() / 255
    expected = torch.nn.functional.interpolate(
        window.flip(3) if flip else window, size=(112, 112), mode="bilinear", antialias=True
    )
    seen = in_pixels(apply_video(frames, views, 112))[0].transpose(0, 1)
    torch.testing.assert_close(seen, expected, atol=1.5 / 255, rtol=0)


def test_clips_of_one_batch_may_be_seen_at_different_scales() -> None:
    frames = clips(3, 2)
    views = changed(center_views(3), zoom=[0.0, 0.5, 1.0])
    together = apply_video(frames, views, 64)
    for index in range(3):
        keep = torch.arange(3) == index
        alone = apply_video(frames[keep], views.where(keep), 64)
        assert torch.equal(together[index], alone[0])


def test_points_follow_the_zoom() -> None:
    """Of a dot in the picture and the place where it is said to be."""
    frames = torch.zeros(2, 1, CROP_PIXELS, CROP_PIXELS, 3, dtype=torch.uint8)
    frames[:, :, 110:114, 68:72] = 255
    points = torch.tensor([70.0, 112.0]).expand(2, 1, 1, 2)
    views = changed(center_views(2, zoom=1.0), flip=[False, True])
    seen = in_pixels(apply_video(frames, views, 112))
    shares = apply_to_points(points, views, CROP_PIXELS)
    for clip, (x, y) in zip(seen, shares[:, 0, 0].tolist(), strict=True):
        rows, columns = (clip[0, 0] > 0.5).nonzero().float().mean(0).tolist()
        assert (columns + 0.5) / 112 == pytest.approx(x, abs=0.01)
        assert (rows + 0.5) / 112 == pytest.approx(y, abs=0.01)


def test_a_mixed_scale_is_drawn_anew_for_each_view_and_changes_no_other_draw() -> None:
    mixed = dataclasses.replace(STUDENT, zoom=(0.0, 1.0))
    plain, drawn = draw_many(STUDENT, 300), draw_many(mixed, 300)
    assert (plain.zoom == 0).all()
    assert 0.4 < drawn.zoom.mean() < 0.6 and drawn.zoom.min() < 0.05 and drawn.zoom.max() > 0.95
    same = dataclasses.replace(drawn, zoom=plain.zoom)
    assert sees_the_same(plain, same)


def test_without_the_mean_picture_a_face_that_stands_still_is_gone() -> None:
    """The control of what the still face gives away: only what moves is left."""
    still = clips(1, 1).expand(-1, 4, -1, -1, -1).clone()
    seen = apply_video(still, center_views(1), 64, motion_only=True)
    assert seen.abs().max() < 1e-5
    moving = still.clone()
    moving[:, 2, 40:110, 40:110] = 255 - moving[:, 2, 40:110, 40:110]
    seen = apply_video(moving, center_views(1), 64, motion_only=True)
    assert seen[:, :, 2].abs().max() > 0.5
    torch.testing.assert_close(seen.mean(dim=2), torch.zeros(1, 3, 64, 64), atol=1e-5, rtol=0)
    masked = changed(center_views(1), time_mask=[[2, 1]])
    assert (apply_video(moving, masked, 64, motion_only=True)[:, :, 2] == 0).all()
