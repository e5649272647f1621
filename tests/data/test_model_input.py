"""What a model file says of its input is what it is given, or it is refused."""

import json
from dataclasses import replace

import pytest

from avkd.data.model_input import FRAMES_PER_FILE, IMAGE_VIEW_SHARE, ModelInput

VIDEO = ModelInput(image_size=112)
IMAGE = ModelInput(
    clip_frames=1,
    crop_pixels=256,
    view_share=IMAGE_VIEW_SHARE,
    image_size=224,
    windows_per_file=FRAMES_PER_FILE,
    landmarks=True,
    faces="whole",
)


@pytest.mark.parametrize("model_input", [VIDEO, IMAGE])
def test_a_description_is_plain_json_and_reads_back_equal(model_input: ModelInput) -> None:
    stored = json.loads(json.dumps({**model_input.describe(), "mel_bins": 80}))
    assert ModelInput.read(stored) == model_input


@pytest.mark.parametrize(
    ("image_size", "crop_pixels", "view_share"), [(16, 32, 0.3), (1024, 1024, 1.0)]
)
def test_what_the_settings_of_a_training_allow_can_be_read_back(
    image_size: int, crop_pixels: int, view_share: float
) -> None:
    """A model that is refused after it was trained would be lost."""
    seen = ModelInput(image_size=image_size, crop_pixels=crop_pixels, view_share=view_share)
    assert ModelInput.read(seen.describe()) == seen


def test_the_published_preprocessing_is_resize_256_crop_224() -> None:
    assert IMAGE.slack(256) == 32 and VIDEO.slack(150) == 10


def test_a_video_detector_covers_every_frame_and_an_image_detector_spreads_its_own() -> None:
    assert [w.start_frame for w in VIDEO.windows(60)] == [0, 25, 35]
    spread = IMAGE.windows(640)
    assert len(spread) == 32 and {w.num_frames for w in spread} == {1}
    assert spread[0].start_frame == 10 and spread[-1].start_frame == 630


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("image_size", None, "image_size is None"),
        ("image_size", "112", "image_size is '112'"),
        ("clip_frames", 0, "clip_frames is 0"),
        ("clip_frames", True, "clip_frames is True"),
        ("windows_per_file", -1, "windows_per_file is -1"),
        ("view_share", 1, "view_share is 1"),
        ("view_share", 1.5, "view_share is 1.5"),
        ("view_share", float("nan"), "view_share is nan"),
        ("view_share", 1e-9, "view_share 1e-09 of crops of 150 pixels leaves nothing"),
        ("crop_pixels", 31, "crop_pixels is 31"),
        ("crop_pixels", 20_000, "crop_pixels is 20000"),
        ("image_size", 1_000_000, "image_size is 1000000"),
        ("clip_frames", 1_000_000, "clip_frames is 1000000"),
        ("landmarks", 1, "landmarks is 1"),
        ("faces", "half", "faces is 'half'"),
        ("channel_mean", [0.5, 0.5, 0.5], r"channel_mean = \[0.5"),
    ],
)
def test_a_description_that_cannot_be_followed_is_refused(name, value, message) -> None:
    with pytest.raises(ValueError, match=message):
        ModelInput.read({**VIDEO.describe(), name: value})


def test_a_file_of_before_there_were_regions_sees_the_whole_face():
    older = VIDEO.describe()
    del older["region"], older["motion_only"]
    assert ModelInput.read(older) == VIDEO


def test_the_region_is_kept_and_sets_the_views_of_evaluation():
    mouth = replace(VIDEO, region="mouth", motion_only=True)
    assert ModelInput.read(mouth.describe()) == mouth
    views = mouth.center_views(2, 150)
    assert views.zoom.tolist() == [1.0, 1.0] and views.crop.tolist() == [[5, 5], [5, 5]]
    assert VIDEO.center_views(1, 150).zoom.tolist() == [0.0]
    for field, wrong in (("region", "nose"), ("region", None), ("motion_only", 1)):
        with pytest.raises(ValueError, match=f"{field} is"):
            ModelInput.read(VIDEO.describe() | {field: wrong})
