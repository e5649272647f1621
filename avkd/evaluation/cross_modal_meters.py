"""What stage one has learned, on held-out clips: meters that can neither flatter nor hide.

Every clip is looked at in several seeded random places, the same for every run: a fixed place in
the middle of short utterances would miss where speech begins and ends. The picture of a clip is
compared with the sound of all clips, one place of each at a time, so chance is 1 / clips. Intervals
are over speakers. What each number means stands in
`representation_health`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor

from avkd.data import audio_features
from avkd.data.clip_items import ClipItem
from avkd.data.datasets import WindowClips
from avkd.data.model_input import ModelInput
from avkd.data.windows import WINDOW_FRAMES, Window
from avkd.losses import representation_health as health
from avkd.losses.agreement import negative_cosine
from avkd.models.cross_modal_network import CrossModalNetwork
from avkd.runtime import Runtime

_SEED = 0  # of places and intervals: all runs are measured alike
_RESAMPLES = 2000
LOOKED_AT_FRAMES = 500

Places = tuple[tuple[Window, ...], ...]
"""R windows of each of B clips."""


def random_places(items: Sequence[ClipItem], count: int) -> Places:
    """``count`` windows of each item, uniform over where they fit; the same at every call.

    Of longer clips only the first `LOOKED_AT_FRAMES` are looked at, so that memory and time do not
    depend on their length.
    """
    rng = np.random.default_rng(_SEED)
    fits = [min(item.num_frames, LOOKED_AT_FRAMES) - WINDOW_FRAMES + 1 for item in items]
    return tuple(
        tuple(Window(n, int(rng.integers(0, most)), WINDOW_FRAMES) for n in range(count))
        for most in fits
    )


def meters_of(seen: Sequence[Mapping[str, Tensor]], items: Sequence[ClipItem]) -> dict[str, float]:
    """Meters of what was `look`ed at, of B clips.

    Returns:
        Losses; ``retrieval_at_1`` (the mean of both directions) with the ends of its 95 % interval
        over speakers, where there are two or more; each direction; the same among clips of the same
        speaker, where only what is said can tell them apart; chance levels; alignment error;
        ``position_only_share`` and ``target_spread`` of the teachers' projections (the worse).
    """
    joined = {
        name: rearrange([of_clip[name] for of_clip in seen], "b r t d -> r b t d")
        for name in seen[0]
    }
    video, audio = joined["video_prediction"], joined["audio_prediction"]
    video_target, audio_target = joined["video_target"], joined["audio_target"]
    projections = [
        rearrange(joined[name], "r b t d -> (r b) t d")
        for name in ("video_projection", "audio_projection")
    ]
    speakers = speakers_of(items)
    return {
        "loss_video": negative_cosine(video, audio_target).item(),
        "loss_audio": negative_cosine(audio, video_target).item(),
        **retrieval(video, audio_target, audio, video_target, speakers),
        "alignment_error_frames": _mean(
            health.alignment_error_frames(p, z) for p, z in zip(video, audio_target, strict=True)
        ),
        "position_only_share": max(map(health.position_only_share, projections)),
        "target_spread": min(health.target_spread(each).item() for each in projections),
        "num_clips": float(len(items)),
    }


def retrieval(
    video: Tensor,
    audio_target: Tensor,
    audio: Tensor,
    video_target: Tensor,
    speakers: Sequence[str | None],
) -> dict[str, float]:
    """Retrieval in both directions, averaged over R rounds of one window of each of B clips.

    ``video`` (R, B, T, D) is what the picture predicts of ``audio_target``, ``audio`` (R, B, T, E)
    what the sound predicts of ``video_target``; ``speakers`` are B names, None = not known.
    """
    directions = {
        "retrieval_sound_by_picture": list(zip(video, audio_target, strict=True)),
        "retrieval_picture_by_sound": list(zip(audio, video_target, strict=True)),
    }
    hits = {
        name: torch.stack([health.retrieval_hits(p, z) for p, z in pairs]).double().mean(dim=0)
        for name, pairs in directions.items()
    }
    of_clip = torch.stack(list(hits.values())).mean(dim=0).numpy()
    values = {"retrieval_at_1": float(of_clip.mean()), "retrieval_chance": 1.0 / len(speakers)}
    interval = interval_over_groups(of_clip, speakers)
    if interval is not None:
        values["retrieval_low"], values["retrieval_high"] = interval
    values |= {name: float(share.mean()) for name, share in hits.items()}
    within = [
        health.retrieval_within_groups(p, z, speakers)
        for pairs in directions.values()
        for p, z in pairs
    ]
    if within[0] is not None:
        values["retrieval_same_identity"] = _mean(found[0] for found in within if found)
        values["retrieval_same_identity_chance"] = within[0][1]
    return values


def interval_over_groups(
    values: NDArray[np.float64], groups: Sequence[str | None]
) -> tuple[float, float] | None:
    """95 % percentile bootstrap interval of the mean of (B,) values, whole groups drawn together.

    Who has no name among the B groups is one alone. None for fewer than two groups.
    """
    names = [f"={index}" if name is None else name for index, name in enumerate(groups)]
    group = np.unique(names, return_inverse=True)[1].reshape(-1)
    num_groups = int(group.max()) + 1
    if num_groups < 2:
        return None
    drawn = np.random.default_rng(_SEED).multinomial(
        num_groups, np.full(num_groups, 1.0 / num_groups), size=_RESAMPLES
    )
    means = (drawn @ np.bincount(group, weights=values)) / (drawn @ np.bincount(group))
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def speakers_of(items: Sequence[ClipItem]) -> list[str | None]:
    """Who speaks in each clip; None = not known."""
    return [next(iter(item.sample.identities), None) for item in items]


@torch.no_grad()
def look(
    network: CrossModalNetwork,
    items: Sequence[ClipItem],
    places: Sequence[Sequence[Window]],
    *,
    model_input: ModelInput,
    machine: Runtime,
    batch_size: int,
) -> list[dict[str, Tensor]]:
    """Of each clip predictions, targets and projections, (R, T, P) float32 on the CPU.

    They are of clean views of real clips with sound, at ``places`` as of `random_places`; the
    network is in eval mode, on the device; ``batch_size`` is in windows.
    """
    found: dict[str, list[Tensor]] = {}
    clips = WindowClips(items, model_input, with_sound=True, windows=places)
    for batch, _ in clips.batches(batch_size):
        batch = batch.to(machine.device)
        (view,) = model_input.see(batch, batch.student)
        assert batch.waveform is not None
        mel = audio_features.log_mel(batch.waveform.float() / 32768.0)
        with machine.autocast():
            output = network(view, view, mel, mel)._asdict()
        del output["video_student"]
        for name, value in output.items():
            found.setdefault(name, []).append(value.float().cpu())
    by_clip = {
        name: rearrange(torch.cat(parts), "(b r) t d -> b r t d", b=len(items))
        for name, parts in found.items()
    }
    return [{name: of[n] for name, of in by_clip.items()} for n in range(len(items))]


def _mean(values: Any) -> float:
    return float(np.mean(list(values)))
