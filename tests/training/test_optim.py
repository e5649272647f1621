"""AdamP, its parameter groups and its schedule, against the formulas they come from."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from avkd.config.training_config import LoopConfig, OptimConfig
from avkd.training.optim import (
    ParameterGroup,
    PlateauSchedule,
    WarmupSchedule,
    groups_of,
    make_optimizer,
    scaled_rate,
    set_rate,
)
from avkd.training.run import plan_of

RATE, DECAY = 0.01, 0.05


def schedule(**changes) -> WarmupSchedule:
    settings = {"base_rate": 1.0, "warmup_steps": 10, "total_steps": 100, "decay": "cosine"}
    return WarmupSchedule(**{**settings, **changes})


def optimizer_of(*parameters: torch.Tensor, decayed: bool = True, rate: float = RATE):
    return make_optimizer(
        [ParameterGroup("all", tuple(parameters), decayed=decayed)], rate=rate, weight_decay=DECAY
    )


# Schedule


def test_the_first_step_is_already_warm_up():
    """RealForensics' first step runs at the full base rate (method 6.1, 16)."""
    assert schedule().rate(0) == pytest.approx(1.0 / 10)
    assert [schedule().rate(step) for step in range(10)] == pytest.approx(
        [(step + 1) / 10 for step in range(10)]
    )


def test_the_cosine_starts_at_the_base_and_ends_at_one_percent_on_the_very_last_step():
    assert schedule().rate(10) == pytest.approx(1.0)
    assert schedule().rate(99) == pytest.approx(0.01)
    middle = 10 + (99 - 10) / 2
    between = (schedule().rate(math.floor(middle)) + schedule().rate(math.ceil(middle))) / 2
    assert between == pytest.approx(0.505, abs=1e-3)
    rates = [schedule().rate(step) for step in range(10, 100)]
    assert rates == sorted(rates, reverse=True)


def test_a_constant_schedule_stays_at_the_base_after_the_warm_up():
    rates = [schedule(decay="constant").rate(step) for step in range(100)]
    assert rates[0] == pytest.approx(0.1) and set(rates[10:]) == {1.0}


@pytest.mark.parametrize(("warmup", "total"), [(0, 1), (0, 5), (5, 5), (9, 5), (4, 5), (1, 2)])
def test_short_runs_have_positive_rates_up_to_the_base(warmup, total):
    rates = [schedule(warmup_steps=warmup, total_steps=total).rate(step) for step in range(total)]
    assert all(0 < rate <= 1.0 for rate in rates)


def test_the_rate_scales_with_the_root_of_the_batch():
    assert scaled_rate(7e-4, 256) == pytest.approx(7e-4)
    assert scaled_rate(7e-4, 32) == pytest.approx(2.475e-4, rel=1e-3)  # method 4.5


def test_setting_the_rate_leaves_the_unscheduled_group_at_the_base():
    """The predictors of stage one keep the base rate throughout (method 3.6)."""
    followed, constant = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    optimizer = make_optimizer(
        [
            ParameterGroup("followed", (followed,), decayed=False),
            ParameterGroup("constant", (constant,), decayed=False, scheduled=False),
        ],
        rate=1.0,
        weight_decay=DECAY,
    )
    for step in (0, 5, 10, 50, 99):
        assert set_rate(optimizer, schedule(), step) == schedule().rate(step)
        rates = {group["name"]: group["lr"] for group in optimizer.param_groups}
        assert rates == {"followed": schedule().rate(step), "constant": 1.0}


# Groups


class Part(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 4)
        self.norm = nn.BatchNorm1d(4)
        self.recurrent = nn.GRU(4, 5, bidirectional=True)
        self.position_bias = nn.Parameter(torch.zeros(2, 9))
        self.classifier = nn.Linear(5, 1, bias=False)
        self.frozen = nn.Linear(2, 2).requires_grad_(False)


def names_in(groups: list[ParameterGroup], module: nn.Module) -> dict[str, set[str]]:
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    return {group.name: {names[id(p)] for p in group.parameters} for group in groups}


def test_vectors_biases_and_named_weights_are_not_decayed():
    part = Part()
    named = names_in(groups_of(part, "part", undecayed=("classifier.",)), part)
    assert named == {
        "part_decayed": {
            "linear.weight",
            *(f"recurrent.weight_{a}h_l0{b}" for a in "ih" for b in ("", "_reverse")),
        },
        "part_plain": {
            "linear.bias",
            "norm.weight",
            "norm.bias",
            *(f"recurrent.bias_{a}h_l0{b}" for a in "ih" for b in ("", "_reverse")),
            "position_bias",
            "classifier.weight",
        },
    }


def test_every_trainable_parameter_is_in_exactly_one_group_and_no_frozen_one():
    part = Part()
    groups = groups_of(part, "part", scheduled=False)
    parameters = [p for group in groups for p in group.parameters]
    assert len({id(p) for p in parameters}) == len(parameters)
    assert {id(p) for p in parameters} == {id(p) for p in part.parameters() if p.requires_grad}
    assert not any(group.scheduled for group in groups)


def test_empty_groups_are_left_out():
    optimizer = make_optimizer(groups_of(nn.BatchNorm1d(3), "n"), rate=RATE, weight_decay=DECAY)
    assert [group["name"] for group in optimizer.param_groups] == ["n_plain"]


def test_only_the_decayed_group_decays():
    weight, plain = nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(2))
    optimizer = make_optimizer(
        [
            ParameterGroup("a", (weight,), decayed=True),
            ParameterGroup("b", (plain,), decayed=False),
        ],
        rate=RATE,
        weight_decay=DECAY,
    )
    weight.grad, plain.grad = torch.zeros(2, 2), torch.zeros(2)
    optimizer.step()
    assert torch.equal(plain.detach(), torch.ones(2))
    # A zero gradient is orthogonal to the weight, so AdamP takes a tenth of the decay.
    torch.testing.assert_close(weight.detach(), torch.full((2, 2), 1 - RATE * DECAY * 0.1))


# AdamP


def slow_adamp(weight: np.ndarray, gradients: list[np.ndarray], decay: float) -> np.ndarray:
    """The update of method 3.6, for a matrix, written row by row."""
    w, m, v = weight.copy(), np.zeros_like(weight), np.zeros_like(weight)
    for k, g in enumerate(gradients, start=1):
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        d = m / (np.sqrt(v) / math.sqrt(1 - 0.999**k) + 1e-8)
        factor = 1.0
        for rows_w, rows_g, shape in ((w, g, w.shape), (w.reshape(1, -1), g.reshape(1, -1), None)):
            cosines = [
                abs(a @ b) / (np.linalg.norm(a) * np.linalg.norm(b))
                for a, b in zip(rows_g, rows_w, strict=True)
            ]
            if max(cosines) < 0.1 / math.sqrt(rows_w.shape[1]):
                rows_d = d.reshape(shape or (1, -1))
                unit = rows_w / (np.linalg.norm(rows_w, axis=1, keepdims=True) + 1e-8)
                rows_d = rows_d - unit * (unit * rows_d).sum(axis=1, keepdims=True)
                d, factor = rows_d.reshape(w.shape), 0.1
                break
        w = w * (1 - RATE * decay * factor) - RATE / (1 - 0.9**k) * d
    return w


@pytest.mark.parametrize("orthogonal", [False, True])
def test_the_update_of_a_matrix_equals_the_formula(orthogonal):
    random = np.random.default_rng(0)
    weight = random.normal(size=(4, 6))
    parameter = nn.Parameter(torch.from_numpy(weight.copy()))
    optimizer = optimizer_of(parameter)
    gradients = []
    for _ in range(5):
        gradient = random.normal(size=weight.shape)
        if orthogonal:  # as behind a normalisation layer: no gradient along the weight
            now = parameter.detach().numpy()
            gradient -= now * (gradient * now).sum(1, keepdims=True) / (now**2).sum(1)[:, None]
        gradients.append(gradient)
        parameter.grad = torch.from_numpy(gradient)
        optimizer.step()
    np.testing.assert_allclose(parameter.detach(), slow_adamp(weight, gradients, DECAY), rtol=1e-9)


def test_the_first_projected_step_is_orthogonal_to_the_weight():
    random = np.random.default_rng(1)
    weight = random.normal(size=(4, 6))
    gradient = random.normal(size=weight.shape)
    gradient -= weight * (gradient * weight).sum(1, keepdims=True) / (weight**2).sum(1)[:, None]
    parameter = nn.Parameter(torch.from_numpy(weight.copy()))
    optimizer = optimizer_of(parameter, decayed=False)
    parameter.grad = torch.from_numpy(gradient)
    optimizer.step()
    moved = parameter.detach().numpy() - weight
    assert np.abs((moved * weight).sum(axis=1)).max() < 1e-9
    assert np.abs(moved).max() > RATE / 10


@pytest.mark.parametrize("decayed", [False, True])
def test_adamp_equals_adam_for_vectors(decayed):
    """Projection is for weights with a scale; a vector has rows of nothing."""
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(7, generator=generator)
    ours, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    optimizer = optimizer_of(ours, decayed=decayed)
    reference = torch.optim.AdamW([theirs], lr=RATE, weight_decay=DECAY if decayed else 0.0)
    for _ in range(20):
        ours.grad = torch.randn(7, generator=generator)
        theirs.grad = ours.grad.clone()
        optimizer.step()
        reference.step()
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-7)


def test_the_norm_of_a_scale_invariant_weight_grows_less_than_with_adam():
    """What AdamP is for (Heo et al. 2021): a growing norm silently lowers the effective rate."""

    def growth(kind: str, seed: int) -> float:
        generator = torch.Generator().manual_seed(seed)
        weight = nn.Parameter(torch.randn(4, 16, generator=generator))
        goal = torch.randn(4, 16, generator=generator)
        optimizer = (
            optimizer_of(weight, decayed=False, rate=0.03)
            if kind == "adamp"
            else torch.optim.Adam([weight], lr=0.03)
        )
        before = weight.norm().item()
        for _ in range(60):
            loss = -nn.functional.cosine_similarity(weight, goal, dim=1).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return weight.norm().item() - before

    mean = {kind: np.mean([growth(kind, seed) for seed in range(8)]) for kind in ("adamp", "adam")}
    assert mean["adamp"] < 0.5 * mean["adam"]


def test_convolutions_laid_out_channels_last_can_be_optimised():
    """AdamP looks at rows with view(), which refuses channels-last weights of such a shape."""
    convolution = nn.Conv3d(3, 4, 3).to(memory_format=torch.channels_last_3d)
    optimizer = make_optimizer(groups_of(convolution, "c"), rate=RATE, weight_decay=DECAY)
    before = convolution.weight.detach().clone()
    convolution(torch.randn(1, 3, 4, 8, 8)).sum().backward()
    optimizer.step()
    assert not torch.equal(convolution.weight.detach(), before)


# The plateau


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("patience", "factor"), [(0, 0.5), (1, 0.1), (3, 0.1)])
def test_the_plateau_is_torchs_own_rule(seed: int, patience: int, factor: float) -> None:
    """Computed from the history alone, so that a resumed run needs no state of it."""
    values = np.random.default_rng(seed).integers(0, 6, size=30).astype(float).tolist()
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.3)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, mode="max", factor=factor, patience=patience, threshold=0.0, eps=0.0
    )
    ours = PlateauSchedule(base_rate=0.3, factor=factor, patience=patience)
    assert ours.rate(0, []) == 0.3
    for count in range(1, len(values) + 1):
        theirs.step(values[count - 1])
        expected = optimizer.param_groups[0]["lr"]
        assert ours.rate(17 * count, values[:count]) == pytest.approx(expected, rel=1e-12)


def test_adam_is_torchs_adam_with_the_groups_of_the_step() -> None:
    module = nn.Linear(3, 2)
    groups = groups_of(module, "net")
    optimizer = make_optimizer(groups, rate=1e-2, weight_decay=0.1, algorithm="adam")
    assert type(optimizer) is torch.optim.Adam
    decays = {g["name"]: g["weight_decay"] for g in optimizer.param_groups}
    assert decays == {"net_decayed": 0.1, "net_plain": 0.0}
    assert set_rate(optimizer, PlateauSchedule(base_rate=0.5, factor=0.1, patience=0), 3, [1, 0])
    assert {g["lr"] for g in optimizer.param_groups} == {0.05}


def test_a_plan_follows_the_length_of_the_run():
    """Short runs step farther and remember less, without a hand on them."""
    plans = [
        plan_of(OptimConfig(), LoopConfig(epochs=epochs, batch_size=64), 10, select="x")
        for epochs in (4, 400)
    ]
    short, long = (plan.schedule for plan in plans)
    assert (short.total_steps, long.total_steps) == (40, 4000)
    assert (short.warmup_steps, long.warmup_steps) == (4, 400)
    assert short.base_rate == pytest.approx(long.base_rate * 100**0.25)
    assert long.base_rate == pytest.approx(7e-4 * (286_000 / 4000) ** 0.25 / 2)


def test_a_warm_up_that_takes_the_whole_run_is_refused_in_epochs_and_in_steps():
    loops = [
        LoopConfig(epochs=4),
        LoopConfig(epochs=None, steps=40, validate_every_epochs=None, validate_every_steps=40),
    ]
    for loop in loops:
        with pytest.raises(ValueError, match="leaves nothing of the 4 epochs"):
            plan_of(OptimConfig(warmup_epochs=4.0), loop, 10, select="x")
        plan_of(OptimConfig(warmup_epochs=3.0), loop, 10, select="x")
