"""What a network costs, against figures computed by hand."""

import torch
from torch import nn

from avkd.models.cost import multiply_accumulates, num_parameters


def test_a_convolution_costs_its_kernel_at_every_pixel():
    convolution = nn.Conv2d(3, 4, 3, padding=1)
    assert multiply_accumulates(convolution, torch.zeros(2, 3, 5, 5)) == 2 * 5 * 5 * 4 * 3 * 9
    strided = nn.Conv2d(3, 4, 3, stride=2, padding=1)
    assert multiply_accumulates(strided, torch.zeros(1, 3, 5, 5)) == 3 * 3 * 4 * 3 * 9


def test_a_convolution_per_channel_costs_one_kernel_per_channel():
    depthwise = nn.Conv2d(6, 6, 3, padding=1, groups=6)
    assert multiply_accumulates(depthwise, torch.zeros(1, 6, 4, 4)) == 4 * 4 * 6 * 9


def test_a_linear_layer_costs_its_weights():
    assert multiply_accumulates(nn.Linear(7, 5), torch.zeros(3, 7)) == 3 * 7 * 5


def test_every_parameter_counts_frozen_or_not():
    layers = nn.Sequential(nn.Linear(7, 5), nn.BatchNorm1d(5).requires_grad_(False))
    assert num_parameters(layers) == 7 * 5 + 5 + 5 + 5


def test_counting_computes_nothing_and_leaves_the_module_as_it_was():
    with torch.device("meta"):
        huge = nn.Linear(100_000, 100_000)
        assert multiply_accumulates(huge, torch.zeros(1, 100_000)) == 10**10
    norm = nn.BatchNorm1d(3)
    multiply_accumulates(norm, torch.randn(4, 3) + 5)
    assert norm.training and torch.equal(norm.running_mean, torch.zeros(3))
