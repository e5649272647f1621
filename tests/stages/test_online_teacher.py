"""A teacher's answers about stored pictures are never taken for answers about forged ones."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from avkd.config.image_config import DistillConfig
from avkd.stages.distill import _num_views

PICTURES = SimpleNamespace(
    model_input=SimpleNamespace(clip_frames=1), items=[SimpleNamespace(num_frames=1)] * 4
)


def _asked(is_video: bool = False, **settings):
    config = DistillConfig(data=(Path("d"),), run=Path("r"), teacher=Path("t"), **settings)
    return _num_views(config, SimpleNamespace(is_video=is_video), PICTURES)


def test_answers_are_kept_only_where_every_epoch_shows_the_same():
    assert _asked() == 1
    assert _asked(fakes="online") is None
    assert _asked(fakes="both") is None
    assert _asked(degradation=0.5) is None


def test_a_video_teacher_cannot_teach_fakes_made_while_training():
    assert _asked(is_video=True) is None
    with pytest.raises(ValueError, match="a video teacher is asked once"):
        _asked(is_video=True, fakes="online")
