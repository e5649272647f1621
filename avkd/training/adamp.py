"""AdamP (Heo et al. 2021) over all weights at once; the only file that imports adamp.

Adam with decoupled decay, whose update loses its radial part for weights that look scale-invariant:
whose gradient is nearly orthogonal to them. The published package asks that of one weight after
another and waits for each answer; here matrices of one size are asked together and nothing is read
back from the device. Same operations in the same order, so that the numbers are the package's.
"""

import math
from collections import defaultdict
from typing import Any

import adamp
import torch
from einops import rearrange
from torch import Tensor
from torch.nn.functional import cosine_similarity


class AdamP(adamp.AdamP):
    """The published optimiser with its arguments and state; for weights of any memory layout."""

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """Move every parameter that has a gradient."""
        assert closure is None
        for group in self.param_groups:
            by_age: dict[int, list[Tensor]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    by_age[self._older(parameter)].append(parameter)
            for age, parameters in by_age.items():
                self._move(parameters, age, **group)

    def _older(self, parameter: Tensor) -> int:
        """How many steps the parameter has seen, this one included."""
        state = self.state[parameter]
        if not state:
            state["step"] = 0
            state["exp_avg"] = torch.zeros_like(parameter)
            state["exp_avg_sq"] = torch.zeros_like(parameter)
        state["step"] += 1
        return int(state["step"])

    def _move(
        self,
        parameters: list[Tensor],
        age: int,
        *,
        lr: float,
        betas: tuple[float, float],
        eps: float,
        weight_decay: float,
        delta: float,
        wd_ratio: float,
        **_: Any,
    ) -> None:
        gradients: list[Any] = [parameter.grad for parameter in parameters]
        mean = [self.state[parameter]["exp_avg"] for parameter in parameters]
        square = [self.state[parameter]["exp_avg_sq"] for parameter in parameters]
        torch._foreach_mul_(mean, betas[0])
        torch._foreach_add_(mean, gradients, alpha=1 - betas[0])
        torch._foreach_mul_(square, betas[1])
        torch._foreach_addcmul_(square, gradients, gradients, 1 - betas[1])
        scale = torch._foreach_sqrt(square)
        torch._foreach_div_(scale, math.sqrt(1 - betas[1] ** age))
        torch._foreach_add_(scale, eps)
        moves = torch._foreach_div(mean, scale)
        by_size: dict[tuple[int, int], list[tuple[Tensor, Any, Tensor]]] = defaultdict(list)
        for weight, gradient, move in zip(parameters, gradients, moves, strict=True):
            rows = len(weight) if weight.ndim > 1 else 0  # vectors are not projected
            by_size[rows, weight.numel()].append((weight, gradient, move))
        for (rows, _size), members in by_size.items():
            weights, of_gradients, of_moves = zip(*members, strict=True)
            size, kept = -lr / (1 - betas[0] ** age), 1 - lr * weight_decay
            if not rows:
                torch._foreach_mul_(weights, kept)
                torch._foreach_add_(weights, of_moves, alpha=size)
                continue
            weight, gradient, move = (
                torch.stack([tensor.reshape(rows, -1) for tensor in tensors])
                for tensors in (weights, of_gradients, of_moves)
            )
            move, invariant = _tangential(weight, gradient, move, delta=delta, eps=eps)
            slower = 1 - lr * weight_decay * wd_ratio
            factor = torch.where(invariant, weight.new_full((), slower), weight.new_full((), kept))
            weight.mul_(rearrange(factor, "k -> k 1 1")).add_(move, alpha=size)
            changed = [new.view(old.shape) for new, old in zip(weight, weights, strict=True)]
            torch._foreach_copy_(weights, changed)


def _tangential(
    weight: Tensor, gradient: Tensor, move: Tensor, *, delta: float, eps: float
) -> tuple[Tensor, Tensor]:
    """Project the moves of K matrices (K, R, C) that look scale-invariant.

    Returns:
        The moves: of those whose every row is nearly orthogonal to its gradient without the part
        along the row, of those that are so as a whole without the part along the whole; and which
        of them were projected, (K,) bool.
    """
    flat = "k r c -> k (r c)"
    whole_weight, whole_gradient = rearrange(weight, flat), rearrange(gradient, flat)
    of_rows = cosine_similarity(gradient, weight, dim=2, eps=eps).abs().amax(dim=1)
    of_whole = cosine_similarity(whole_gradient, whole_weight, dim=1, eps=eps).abs()
    by_row = of_rows < delta / math.sqrt(weight.shape[2])
    invariant = by_row | (of_whole < delta / math.sqrt(whole_weight.shape[1]))
    by_row = rearrange(by_row, "k -> k 1 1")
    norm_of_whole = rearrange(whole_weight.norm(dim=1), "k -> k 1 1")
    norm = torch.where(by_row, weight.norm(dim=2, keepdim=True), norm_of_whole)
    unit = weight / (norm + eps)
    along = unit * move
    along_whole = rearrange(rearrange(along, flat).sum(dim=1), "k -> k 1 1")
    radial = torch.where(by_row, along.sum(dim=2, keepdim=True), along_whole)
    return move - unit * radial * rearrange(invariant, "k -> k 1 1"), invariant
