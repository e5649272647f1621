"""What the loader yields is looked at where no face is: sources told apart there are named."""

import logging

import numpy as np
import torch

from avkd.data.sampling import ClipBatch
from avkd.data.transforms import center_views
from avkd.evaluation.loader_audit import audit

SIDE = 40


def _batches(brighter_fakes: float, clips: int = 120):
    """Batches of 20; fakes of an item have the same corners, but for a gain."""

    def rest_of_epoch(epoch: int, first: int):
        rng = np.random.default_rng(0)
        for start in range(first, clips // 20):
            frames, labels, items = [], [], []
            for number in range(10):
                real = rng.integers(40, 180, (1, SIDE, SIDE, 3))
                fake = np.clip(real * (1 + brighter_fakes), 0, 255)
                fake[:, 15:25, 15:25] = 0  # the face itself, which tells nothing here
                frames += [real, fake]
                labels += [0.0, 1.0]
                items += [10 * start + number] * 2
            yield ClipBatch(
                frames=torch.from_numpy(np.stack(frames).astype(np.uint8)),
                waveform=None,
                landmarks=None,
                labels=torch.tensor(labels),
                student=center_views(20),
                teacher=center_views(20),
                sample_ids=tuple(map(str, items)),
                draws=torch.tensor([[0, item, 0] for item in items]),
            )

    return rest_of_epoch


def test_fakes_made_of_the_same_reals_are_not_told_by_their_corners(caplog):
    with caplog.at_level(logging.INFO):
        found = audit(_batches(0.0))
    assert found is not None and found < 0.6
    assert "120 clips drawn" in caplog.text and "ms each" in caplog.text
    assert "corners of the crops" not in caplog.text


def test_another_source_of_fakes_is_named_with_the_cure(caplog):
    found = audit(_batches(0.4))
    assert found is not None and found > 0.9
    assert "--fakes online" in caplog.text


def test_no_clips_tell_nothing_and_few_are_said(caplog):
    assert audit(_batches(0.4, clips=0)) is None
    with caplog.at_level(logging.INFO):
        assert audit(_batches(0.4, clips=20)) is not None
    assert "20 clips drawn" in caplog.text
