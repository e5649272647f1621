"""Training a part of an image network: what is frozen, and that it stays as it was."""

from __future__ import annotations

from torch import nn

from avkd.models.image_network import ImageNetwork


def set_trainable(network: ImageNetwork, part: str) -> None:
    """Freeze all parameters of ``network`` but those of ``part``.

    Args:
        network: any image network.
        part: ``all``; ``head``; ``norms``: the head, scale and shift of every norm; or
            ``blocks:K``: the head and the last K of its blocks, as ``depth_groups`` counts them.

    Raises:
        ValueError: there is no such part, or fewer than K blocks.
    """
    kind, _, count = part.partition(":")
    trained: list[list[nn.Parameter]] = []
    if kind == "blocks" and count.isdigit():
        groups = network.depth_groups()
        if not 1 <= int(count) <= len(groups):
            raise ValueError(f"trainable {part!r}: the network has 1 to {len(groups)} blocks")
        trained = groups[-int(count) :]
    elif part == "norms":
        trained = _norm_parameters(network)
    elif part not in ("all", "head"):
        raise ValueError(f"trainable {part!r}: give all, head, norms or blocks:K, e.g. blocks:2")
    network.requires_grad_(part == "all")
    for parameter in (*network.head.parameters(), *(p for group in trained for p in group)):
        parameter.requires_grad_(True)


def _norm_parameters(network: ImageNetwork) -> list[list[nn.Parameter]]:
    """Scale and shift of every norm.

    Raises:
        ValueError: the network has no norm.
    """
    assert isinstance(network, nn.Module)
    norms = [m for m in network.modules() if "Norm" in type(m).__name__]
    found = [list(m.parameters(recurse=False)) for m in norms]
    if not any(found):
        raise ValueError("trainable 'norms': the network has no norm; give all, head or blocks:K")
    return found


def hold_frozen_parts(module: nn.Module) -> None:
    """Put every part of ``module`` that has only frozen parameters in eval mode.

    Otherwise BatchNorm would go on following the new data with weights that cannot.
    """
    for part in module.modules():
        parameters = list(part.parameters())
        if parameters and not any(parameter.requires_grad for parameter in parameters):
            part.eval()
