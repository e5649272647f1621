"""A prepared corpus as a PyTorch dataset: by integer index, a seeded window of every track."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from avkd.data.clip_items import ClipItem
from avkd.data.clock import SAMPLES_PER_FRAME
from avkd.data.datasets import Corpus
from avkd.data.manifest import Split
from avkd.data.windows import WINDOW_FRAMES, Window


class CorpusClip(NamedTuple):
    """One clip of a corpus; PyTorch's own collation makes batches of these."""

    frames: Tensor
    """(L, S, S, 3) uint8 RGB, crops of one face as stored."""
    landmarks: Tensor
    """(L, 5, 2) eyes, nose, corners of the mouth in pixels of the crop; NaN where not known."""
    waveform: Tensor
    """(640 L,) int16 at 16 kHz; all zero where there is no sound."""
    label: Tensor
    """() float32: 1 = fake, 0 = real."""
    sample_id: str
    """Name of the track's sample."""


class CorpusDataset(Dataset[Any]):
    """Clips of a corpus written by `avkd prepare`, one of every face track.

    Which window of a track is taken depends on seed, epoch and index only: any number of loader
    workers gives the same clips. A track shorter than a clip repeats its last frame.

    >>> import avkd
    >>> from torch.utils.data import DataLoader
    >>> corpus = avkd.Corpus("prepared", split="train")
    >>> batch = next(iter(DataLoader(corpus, batch_size=2)))
    >>> batch.frames.shape, batch.label
    (torch.Size([2, 25, 192, 192, 3]), tensor([0., 1.]))

    Args:
        folder: A prepared corpus.
        split: ``train``, ``val`` or ``test``; None = all.
        clip_frames: Frames L of a clip, 25 per second.
        seed: Draws the windows.
        random_windows: False = the middle of each track.
        transform: Called with every `CorpusClip`; what it returns is the item.

    Raises:
        FileNotFoundError: ``folder`` is not a prepared corpus; says how to make one.
        ValueError: nothing in it is of this split.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        split: Split | None = None,
        clip_frames: int = WINDOW_FRAMES,
        seed: int = 0,
        random_windows: bool = True,
        transform: Callable[[CorpusClip], Any] | None = None,
    ) -> None:
        corpus = Corpus.open(Path(folder))
        samples = [sample for sample in corpus.manifest.samples if split in (None, sample.split)]
        if not samples:
            raise ValueError(f"{folder}: nothing in it is of split {split}")
        self.items: list[ClipItem] = corpus.items(samples)
        self.clip_frames = clip_frames
        self.seed = seed
        self.epoch = 0
        self.random_windows = random_windows
        self.transform = transform

    def set_epoch(self, epoch: int) -> None:
        """Draw other windows; before a loader's workers start (they hold a copy)."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Any:
        """Clip ``index`` as a `CorpusClip`, or what ``transform`` makes of it."""
        item, window = self.items[index], self.window(index)
        start, shown = window.start_frame, window.frame_indices - window.start_frame
        num_samples = self.clip_frames * SAMPLES_PER_FRAME
        waveform = item.waveform(start, num_samples)
        if waveform is None:
            waveform = np.zeros(num_samples, np.int16)
        clip = CorpusClip(
            frames=torch.from_numpy(item.frames(start, window.num_frames)[shown]),
            landmarks=torch.from_numpy(item.landmarks(start, window.num_frames)[shown]),
            waveform=torch.from_numpy(waveform),
            label=torch.tensor(float(item.sample.label)),
            sample_id=item.sample.sample_id,
        )
        return clip if self.transform is None else self.transform(clip)

    def window(self, index: int) -> Window:
        """Which frames of its track clip ``index`` shows in this epoch."""
        num_frames = self.items[index].num_frames
        slack = max(0, num_frames - self.clip_frames)
        start = slack // 2
        if self.random_windows:
            rng = np.random.default_rng([self.seed, self.epoch, index % len(self)])
            start = int(rng.integers(0, slack + 1))
        return Window(0, start, min(num_frames, self.clip_frames), self.clip_frames)
