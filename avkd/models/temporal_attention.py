"""Self-attention over the time steps of a clip, with or without a sense of distance in time.

Used by the video encoder (with learnt relative positions) and by the predictor (without).
Legend: see ``encoders.py``; ``N`` heads, ``Q K`` steps asking
and answering.
"""

import torch
from einops import rearrange, reduce
from torch import Tensor, nn

_INITIAL_STD = 0.02


class TemporalAttention(nn.Module):
    """Pre-norm multi-head self-attention with a residual connection (method 8.1 row 8).

    The residual has no zero-initialised gate: such a gate leaves the attention dead (method 8.2).

    Args:
        dim: features per step, in and out; a multiple of ``heads``.
        heads: number of heads of width ``dim / heads``.
        relative_reach_frames: a learnt bias per head for every distance from minus to plus this
            many frames, longer distances sharing the last one; None: no positions at all.

    Raises:
        ValueError: ``dim`` is not a multiple of ``heads``.
    """

    def __init__(self, *, dim: int, heads: int, relative_reach_frames: int | None = None) -> None:
        super().__init__()
        if dim % heads:
            raise ValueError(f"{heads} attention heads do not divide {dim} features")
        self.heads = heads
        self.relative_reach_frames = relative_reach_frames
        self.norm = nn.LayerNorm(dim)
        self.query_key_value = nn.Linear(dim, 3 * dim, bias=False)
        self.output = nn.Linear(dim, dim)
        if relative_reach_frames is not None:
            # Zero: at the start every distance is equal and no step can be told by its place.
            self.relative_bias = nn.Parameter(torch.zeros(heads, 2 * relative_reach_frames + 1))
        # Small, not zero: at the start a step is mostly itself and its near past and future.
        nn.init.normal_(self.query_key_value.weight, std=_INITIAL_STD)
        nn.init.normal_(self.output.weight, std=_INITIAL_STD)
        nn.init.zeros_(self.output.bias)

    def forward(self, steps: Tensor) -> tuple[Tensor, Tensor]:
        """Mix the steps (B, T, D) of each clip.

        Returns:
            The new steps (B, T, D), and the attention each step received, averaged over heads
            and asking steps: (B, T), sum 1, float32, detached.
        """
        query, key, value = rearrange(
            self.query_key_value(self.norm(steps)),
            "b t (three n d) -> three b n t d",
            three=3,
            n=self.heads,
        )
        scores = torch.einsum("bnqd,bnkd->bnqk", query * query.shape[-1] ** -0.5, key)
        if self.relative_reach_frames is not None:
            scores = scores + self._distance_bias(steps.shape[1])
        attention = scores.float().softmax(dim=-1)
        mixed = torch.einsum("bnqk,bnkd->bnqd", attention.to(value.dtype), value)
        importance = reduce(attention.detach(), "b n q k -> b k", "mean")
        return steps + self.output(rearrange(mixed, "b n t d -> b t (n d)")), importance

    def _distance_bias(self, num_steps: int) -> Tensor:
        """The bias (N, Q, K) that depends on the distance key minus query only."""
        reach = self.relative_reach_frames
        assert reach is not None
        step = torch.arange(num_steps, device=self.relative_bias.device)
        distance = rearrange(step, "k -> 1 k") - rearrange(step, "q -> q 1")
        return self.relative_bias[:, distance.clamp(-reach, reach) + reach]
