"""Where in a picture a detector's score comes from: Grad-CAM and integrated gradients, by captum.

A map says which pixels the score of this network depends on. It is no evidence that these pixels
were forged: how far the two agree is measured (`scripts/localisation.py`), and that maps change
with the weights is tested (Adebayo et al., "Sanity Checks for Saliency Maps", NeurIPS 2018).
"""

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

HeatMethod = Literal["grad_cam", "integrated_gradients"]
Logit = Callable[[Tensor], Tensor]

_LEAST_CELLS = 4
_STEPS = 16


def heat_maps(model: nn.Module, views: tuple[Tensor, ...], method: HeatMethod) -> Tensor:
    """How much each pixel speaks for a forgery.

    grad_cam: Selvaraju et al., ICCV 2017, on the last convolution with at least 4 by 4 cells.
    integrated_gradients: Sundararajan et al., ICML 2017, from the mean colour on, in 16 steps,
    its absolute values added over the channels.

    Args:
        model: A detector in eval mode.
        views: What it is called with; the first is the (B, 3, L, s, s) clip.
        method: Which.

    Returns:
        (B, L, s, s) float32 in [0, 1], the largest value of each clip 1; all 0 where nothing
        speaks for a forgery.

    Raises:
        ModuleNotFoundError: captum is not installed; the message says how to get it.
        ValueError: the network has no convolution whose cells could be shown.
    """
    clip, *others = views
    clip = clip.detach().requires_grad_(True)

    def logit(changed: Tensor) -> Tensor:
        # Integrated gradients come with several copies of the batch at once.
        repeats = len(changed) // len(clip)
        rest = (other.repeat(repeats, *[1] * (other.ndim - 1)) for other in others)
        score: Tensor = model(changed, *rest).logit
        return score

    # cuDNN's recurrent networks have no backward pass in eval mode.
    with torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
        raw = (
            _grad_cam(model, logit, clip)
            if method == "grad_cam"
            else _integrated_gradients(logit, clip)
        )
    largest = raw.amax(dim=(1, 2, 3), keepdim=True)
    return torch.where(largest > 0, raw / largest.clamp_min(torch.finfo(raw.dtype).tiny), 0.0)


def _grad_cam(model: nn.Module, logit: Logit, clip: Tensor) -> Tensor:
    captum = _captum()
    layer = last_spatial_layer(model, lambda: logit(clip))
    cells = captum.LayerGradCam(logit, layer).attribute(clip, relu_attributions=True).detach()
    size = clip.shape[2:]
    if cells.ndim == 4:  # of single frames, (B * L, 1, h, w)
        frames = functional.interpolate(cells, size[1:], mode="bilinear", align_corners=False)
        return frames.reshape(len(clip), *size).float()
    maps = functional.interpolate(cells, tuple(size), mode="trilinear", align_corners=False)
    return maps[:, 0].float()


def _integrated_gradients(logit: Logit, clip: Tensor) -> Tensor:
    found = (
        _captum()
        .IntegratedGradients(logit)
        .attribute(clip, baselines=0.0, n_steps=_STEPS, internal_batch_size=max(1, len(clip)))
    )
    return found.detach().abs().sum(dim=1).float()


def last_spatial_layer(model: nn.Module, run: Callable[[], object]) -> nn.Module:
    """The last convolution in the order of a forward pass whose output has 4 by 4 cells or more.

    Raises:
        ValueError: there is none.
    """
    found: list[nn.Module] = []

    def note(module: nn.Module, _: object, output: Tensor) -> None:
        if min(output.shape[-2:]) >= _LEAST_CELLS:
            found.append(module)

    layers = [m for m in model.modules() if isinstance(m, (nn.Conv2d, nn.Conv3d))]
    hooks = [layer.register_forward_hook(note) for layer in layers]
    try:
        with torch.no_grad():
            run()
    finally:
        for hook in hooks:
            hook.remove()
    if not found:
        raise ValueError("this network has no convolutional feature map; use another method")
    return found[-1]


def _captum() -> Any:
    try:
        from captum import attr
    except ModuleNotFoundError:
        raise ModuleNotFoundError("heat maps need captum: pip install 'avkd[explain]'") from None
    return attr
