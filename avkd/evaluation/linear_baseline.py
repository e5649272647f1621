"""What linear algebra gets out of a mouth: the bar that stage one has to clear.

Principal components of the mouth's pixels, seven frames of them at a time, and a ridge regression
to the log-mel spectrogram of the middle one; fitted on training clips alone, then held against the
very windows on which stage one is measured (shared/method.md, section 12).
"""

from collections.abc import Sequence

import numpy as np
import torch
from einops import rearrange
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

from avkd.data import audio_features, transforms
from avkd.data.clip_items import ClipItem, undamaged
from avkd.data.clock import SAMPLES_PER_FRAME
from avkd.data.selection import evenly_spread
from avkd.evaluation.cross_modal_meters import LOOKED_AT_FRAMES, Places, retrieval, speakers_of

FloatArray = NDArray[np.float32]

MOUTH_PIXELS = 32
_MOST_CLIPS = 256  # to fit on
_COMPONENTS = 64
_CONTEXT_FRAMES = 7
# Of the ridge, chosen by leaving out single frames of the training clips. Neighbours make that too
# bold in theory; on GRID no other strength was better on unseen speakers by more than 0.03.
_STRENGTHS = np.logspace(1, 6, 6)


def linear_baseline(
    training: Sequence[ClipItem], held_out: Sequence[ClipItem], places: Places
) -> dict[str, float]:
    """Retrieval as `cross_modal_meters.retrieval` gives it, of the linear map.

    Fitted on ``training``, clips with sound (at most `_MOST_CLIPS`, evenly spread over the list,
    damaged ones left out), tried at ``places`` of clips of other people.

    Raises:
        ValueError: all clips to fit on are damaged.
    """
    fitted_on = undamaged(evenly_spread(training, _MOST_CLIPS), "linear baseline, training")
    if not fitted_on:
        raise ValueError("no training clip for the linear baseline can be read")
    bar = tqdm([*fitted_on, *held_out], desc="linear baseline", unit="clip")
    read = [(_mouth(item), _mel(item)) for item in bar]
    mouths, mels = ([pair[n] for pair in read] for n in (0, 1))
    count = len(fitted_on)
    predicted = predict_linearly(mouths[:count], mels[:count], mouths[count:])
    video = _cut(predicted, places)
    sound = _cut(mels[count:], places)
    # One similarity serves both directions: the sound to a picture, the picture to a sound.
    return retrieval(video, sound, sound, video, speakers_of(held_out))


def predict_linearly(
    mouths: Sequence[FloatArray], mels: Sequence[FloatArray], unseen: Sequence[FloatArray]
) -> list[FloatArray]:
    """Fit the spectrogram (T, M) of each training clip to its pixels (T, P); T may differ.

    Returns:
        (T, M) for each of the clips ``unseen``, by their pixels (T, P).
    """
    pixels = np.concatenate(mouths)
    components = PCA(min(_COMPONENTS, *pixels.shape), svd_solver="randomized", random_state=0)
    components.fit(pixels)
    ridge = make_pipeline(StandardScaler(), RidgeCV(alphas=_STRENGTHS))
    ridge.fit(
        np.concatenate([_in_context(components.transform(mouth)) for mouth in mouths]),
        np.concatenate(mels),
    )
    return [
        np.asarray(ridge.predict(_in_context(components.transform(mouth))), np.float32)
        for mouth in unseen
    ]


def _in_context(frames: FloatArray) -> FloatArray:
    """(T, D) -> (T, 7 D): each frame with its neighbours, the ends repeated."""
    padded = np.pad(frames, ((_CONTEXT_FRAMES // 2, _CONTEXT_FRAMES // 2), (0, 0)), mode="edge")
    windows = sliding_window_view(padded, _CONTEXT_FRAMES, axis=0)
    return rearrange(windows, "t d n -> t (n d)")


def _mouth(item: ClipItem) -> FloatArray:
    """(T, 1024) grey levels of the mouth in the central view of every frame."""
    frames = torch.from_numpy(item.frames(0, _looked_at(item)))
    slack = transforms.slack_pixels(item.crop_pixels, transforms.VIDEO_VIEW_SHARE)
    view = transforms.center_views(1, slack, zoom=1.0)
    clip = transforms.apply_video(frames[None], view, MOUTH_PIXELS)
    return rearrange(clip.mean(dim=1), "1 t h w -> t (h w)").numpy()


def _mel(item: ClipItem) -> FloatArray:
    """(T, 80) log-mel spectrogram, the mean of the four mel frames of each video frame."""
    num_samples = _looked_at(item) * SAMPLES_PER_FRAME
    waveform = item.waveform(0, num_samples)
    assert waveform is not None, "stage one's clips have sound"
    mel = audio_features.log_mel(torch.from_numpy(waveform)[None].float() / 32768.0)
    return rearrange(mel, "1 1 (t n) m -> t n m", t=_looked_at(item)).mean(dim=1).numpy()


def _looked_at(item: ClipItem) -> int:
    return min(item.num_frames, LOOKED_AT_FRAMES)


def _cut(clips: Sequence[FloatArray], places: Places) -> torch.Tensor:
    """The windows of every clip, (R, B, T, D)."""
    rounds = [
        [clip[w.start_frame :][: w.num_frames] for clip, w in zip(clips, of_round, strict=True)]
        for of_round in zip(*places, strict=True)
    ]
    return torch.from_numpy(np.array(rounds))
