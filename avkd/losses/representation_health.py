"""Meters of stage one that a low loss cannot fake: is there content, or only a clock?

Pure functions of held-out predictions and targets. Without negatives a code of the frame index
alone satisfies the loss perfectly; these numbers show it. Shapes: B clips, T frames, D dimensions.
"""

import math
from collections.abc import Sequence

import torch
from einops import einsum, rearrange
from scipy.stats import binom
from torch import Tensor
from torch.nn import functional

from avkd.losses.agreement import center_double


def retrieval_hits(prediction: Tensor, target: Tensor) -> Tensor:
    """(B,) bool: for which clips its own target is the most similar of all B.

    Similarity of two clips is the mean over frames of the cosine, on double-centred vectors:
    neither the frame index nor what a clip is like as a whole can help.
    """
    similarity = einsum(_unit(prediction), _unit(target), "a t d, b t d -> a b")
    own = torch.arange(len(similarity), device=similarity.device)
    return similarity.argmax(dim=1) == own


def retrieval_at_1(prediction: Tensor, target: Tensor) -> float:
    """Share of clips whose own target is the most similar of all B (chance 1 / B)."""
    return retrieval_hits(prediction, target).float().mean().item()


def retrieval_within_groups(
    prediction: Tensor, target: Tensor, groups: Sequence[str | None]
) -> tuple[float, float] | None:
    """Retrieval@1 among clips of the same group only, and its chance level.

    With speakers as groups, who speaks cannot help, only what is said. Predictions and targets are
    (B, T, D); what is in no group (None) or alone in one is left out.

    Returns:
        (share found, chance), both averaged over clips; None where no group has two clips.
    """
    found, chance = [], []
    for group in sorted({name for name in groups if name is not None}):
        members = [index for index, name in enumerate(groups) if name == group]
        if len(members) > 1:
            found += [retrieval_at_1(prediction[members], target[members])] * len(members)
            chance += [1.0 / len(members)] * len(members)
    return (sum(found) / len(found), sum(chance) / len(chance)) if found else None


def retrieval_chance_bound(num_clips: int, num_looks: int = 1) -> float:
    """Retrieval@1 that pure guessing exceeds in 1 of 40 cases, however often one has looked.

    Of B clips chance is 1 / B; the level is divided by the number of looks (Bonferroni).
    """
    return float(binom.ppf(1.0 - 0.025 / num_looks, num_clips, 1.0 / num_clips)) / num_clips


def alignment_error_frames(prediction: Tensor, target: Tensor) -> float:
    """Mean distance in frames between a frame and its most similar target of the same clip.

    Chance for T = 25 is 8.3 frames; on centred vectors, which a positional code cannot lower.
    """
    similarity = einsum(_unit(prediction), _unit(target), "b t d, b s d -> b t s")
    best = similarity.argmax(dim=-1)
    here = rearrange(torch.arange(best.shape[1], device=best.device), "t -> 1 t")
    return (best - here).abs().float().mean().item()


def position_only_share(target: Tensor) -> float:
    """Share of the targets' variance that the frame index alone explains, 0..1 (floor 1/B)."""
    target = target.float()
    centred = target - target.mean(dim=(0, 1), keepdim=True)
    by_position = centred.mean(dim=0)
    return (by_position.square().mean() / centred.square().mean().clamp_min(1e-12)).item()


def target_spread(target: Tensor) -> Tensor:
    """Mean deviation, (), of unit-length targets, scaled: 1 is full spread and 0 is collapse."""
    unit = functional.normalize(rearrange(target.float(), "b t d -> (b t) d"), dim=-1)
    return unit.std(dim=0).mean() * math.sqrt(unit.shape[-1])


def _unit(vectors: Tensor) -> Tensor:
    return functional.normalize(center_double(vectors.float()), dim=-1)
