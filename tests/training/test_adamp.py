"""AdamP over many weights at once against the published package, which takes one after another."""

import adamp
import torch
from torch import nn

from avkd.training.adamp import AdamP, _tangential

SHAPES = [
    (4, 6),
    (4, 6),
    (6, 4),
    (7,),
    (7,),
    (3, 2, 3, 3),
    (3, 18),
    (5, 2, 1, 3, 3),
    (1, 9),
    (2, 1),
]
SETTINGS = {"lr": 3e-2, "betas": (0.9, 0.999), "eps": 1e-8, "delta": 0.1, "wd_ratio": 0.1}


def gradient_of(weight: torch.Tensor, kind: int, generator: torch.Generator) -> torch.Tensor:
    """Any, or orthogonal to every row of the weight, or to the weight as a whole alone."""
    gradient = torch.randn(weight.shape, generator=generator)
    rows, given = (
        weight.flatten(1) if weight.ndim > 1 else weight[None],
        gradient.view(len(weight), -1),
    )
    if kind == 1 and weight.ndim > 1:
        share = (rows * given).sum(1, keepdim=True) / rows.square().sum(1, keepdim=True)
        gradient = (given - share * rows).view(weight.shape)
    if kind == 2 and weight.ndim > 1 and len(rows) > 1:
        scale = torch.ones(len(rows), 1)
        scale[0] = -rows[1:].square().sum() / rows[0].square().sum()
        gradient = (scale * rows).view(weight.shape)
    return gradient


def test_it_equals_the_published_package_over_a_hundred_steps():
    """Other rounding in one step would be another training after a thousand."""
    generator = torch.Generator().manual_seed(0)
    starts = [torch.randn(shape, generator=generator) for shape in SHAPES]
    ours, theirs = ([nn.Parameter(start.clone()) for start in starts] for _ in range(2))
    optimizers = [
        kind(
            [
                {"params": parameters[::2], "weight_decay": 0.1},
                {"params": parameters[1::2], "weight_decay": 0.0},
            ],
            **SETTINGS,
        )
        for kind, parameters in ((AdamP, ours), (adamp.AdamP, theirs))
    ]
    for step in range(100):
        for index, (mine, yours) in enumerate(zip(ours, theirs, strict=True)):
            mine.grad = gradient_of(mine.detach(), (step // 10 + index) % 3, generator)
            if index == 1 and step % 3 == 0:
                mine.grad = None  # an auxiliary head without a clip
            yours.grad = None if mine.grad is None else mine.grad.clone()
        for optimizer in optimizers:
            optimizer.step()
        for mine, yours in zip(ours, theirs, strict=True):
            torch.testing.assert_close(mine, yours, rtol=1e-6, atol=1e-6)
    mine, yours = (optimizer.state_dict() for optimizer in optimizers)
    assert mine["param_groups"] == yours["param_groups"]  # so each resumes the other's run
    assert mine["state"].keys() == yours["state"].keys()
    for number, state in mine["state"].items():
        assert state.keys() == yours["state"][number].keys()
        assert state["step"] == yours["state"][number]["step"]
        torch.testing.assert_close(state["exp_avg_sq"], yours["state"][number]["exp_avg_sq"])


def test_each_kind_of_matrix_is_told_apart_among_others():
    """Or the test above could pass without a projection."""
    generator = torch.Generator().manual_seed(1)
    weight, move = torch.randn(2, 3, 4, 6, generator=generator)
    gradient = torch.stack([gradient_of(w, kind, generator) for kind, w in enumerate(weight)])
    gradient[0] += weight[0]
    projected, invariant = _tangential(weight, gradient, move, delta=0.1, eps=1e-8)
    assert invariant.tolist() == [False, True, True]
    assert torch.equal(projected[0], move[0])
    by_row, as_whole = (projected * weight).sum(2), (projected * weight).sum((1, 2))
    assert by_row[1].abs().max() < 1e-5 < by_row[2].abs().max()
    assert as_whole[2].abs() < 1e-5


def test_nothing_is_read_back_from_the_device(monkeypatch):
    """A GPU would wait for every weight."""

    def read(tensor: torch.Tensor, *_: object) -> None:
        raise AssertionError("read back")

    weights = [nn.Parameter(torch.randn(shape)) for shape in SHAPES]
    optimizer = AdamP(weights, weight_decay=0.1, **SETTINGS)
    for weight in weights:
        weight.grad = torch.randn_like(weight)
    for name in ("item", "tolist", "__bool__", "__float__", "__int__", "cpu"):
        monkeypatch.setattr(torch.Tensor, name, read)
    optimizer.step()
