"""Settings of fakes made while training; part of `avkd finetune` and `avkd distill`."""

from dataclasses import dataclass
from typing import Literal

from avkd.config.shared import shares

Fakes = Literal["stored", "online", "both"]
BlenderName = Literal[
    "feathered", "hard_colour_transfer", "multi_band", "poisson", "mixed_gradients", "dissolve"
]


@dataclass(frozen=True, kw_only=True)
class OnlineConfig:
    """Fakes made while training."""

    exclude_blenders: tuple[BlenderName, ...] = ()
    """Blending methods that are never used, to be tested as unseen."""
    stored_share: float = 0.5
    """fakes=both: share of the pairs whose fake is a stored one, next to any real. Whole generated
    faces teach what such portraits look like, and then real ones are taken for them; at 0 stored
    fakes only serve as donors."""
    parts: float = 0.3
    """Share of fakes that change one to three parts of the face, as hand-made edits do."""
    donors: float = 0.3
    """Share whose source is another face of the same dataset, stored fakes' included."""
    moments: float = 0.25
    """Share whose source is the same face at another moment of its clip, as reenactment has it."""
    match_looks: float = 0.5
    """fakes=both: probability that of a stored fake and an unrelated real one takes the other's
    colours and sharpness, so that these are no label."""
    resynthesis: float = 0.2
    """Share whose source went through up-sampling, as a generator's last layers do it."""
    drift: float = 0.3
    """Probability that colour and place drift and flicker over a clip."""

    def __post_init__(self) -> None:
        names = ("stored_share", "parts", "donors", "moments", "match_looks", "resynthesis")
        shares(self, *names, "drift", group="online.")
        if self.donors + self.moments > 1:
            raise ValueError("online: donors and moments together are shares, at most 1")


def check_online(fakes: Fakes, online: OnlineConfig, degradation: float) -> None:
    """Refuse settings without effect.

    Raises:
        ValueError: names the setting.
    """
    if fakes == "stored" and online != OnlineConfig():
        raise ValueError("online has no effect with fakes=stored; give --fakes online or both")
    for name in ("stored_share", "match_looks"):
        if fakes == "online" and getattr(online, name) != getattr(OnlineConfig, name):
            raise ValueError(f"online.{name} has no effect with fakes=online; give --fakes both")
    if not online.stored_share and online.match_looks != OnlineConfig().match_looks:
        raise ValueError("online.match_looks has no effect without stored fakes: stored_share is 0")
    if not 0.0 <= degradation <= 1.0:
        raise ValueError("degradation: want 0..1, the probability that a clip is degraded")
