"""What a network costs: parameters, and multiply-accumulates of one forward pass."""

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

_OPERATIONS_PER_MULTIPLY_ACCUMULATE = 2


def num_parameters(module: nn.Module) -> int:
    """Parameters of ``module``, trained or frozen; works on the meta device."""
    return sum(parameter.numel() for parameter in module.parameters())


def multiply_accumulates(module: nn.Module, *inputs: Tensor) -> int:
    """Multiply-accumulates of ``module(*inputs)`` in eval mode, the field's "MACs".

    Counts convolutions, matrix products and attention; norms, activations, pooling and recurrent
    layers are not counted. On the meta device nothing is computed; an ``ImageDetector`` switches
    autocast, which that device does not know: give its ``network``.
    """
    was_training = module.training
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module.eval()(*inputs)
    module.train(was_training)
    return counter.get_total_flops() // _OPERATIONS_PER_MULTIPLY_ACCUMULATE
