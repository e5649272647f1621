"""A test protocol as data: which files, which real videos, which windows, which pooling."""

from dataclasses import dataclass
from typing import Literal

from avkd.config.shared import at_least


@dataclass(frozen=True, kw_only=True)
class OfficialCount:
    """How many files of one kind the official test set has."""

    dataset: str
    """Dataset name."""
    method: str
    """Forgery method; real = the real videos."""
    files: int
    """Files of it."""

    def __post_init__(self) -> None:
        if not self.dataset or not self.method or self.files < 1:
            raise ValueError("official_counts: each needs dataset, method and a number of files")


@dataclass(frozen=True, kw_only=True)
class ProtocolConfig:
    """What an evaluation is made of besides the model and the corpora."""

    name: str
    """Short name, for the head of reports."""
    source: str
    """Where it is defined, and where avkd's reading of it departs, in sentences."""
    split: Literal["train", "val", "test"] = "test"
    """Split to score."""
    methods: tuple[str, ...] | None = None
    """Forgery methods to score (and the real videos); unset = all."""
    reals_from: str | None = None
    """Dataset, one of --data, whose real videos serve all forgeries; unset = each its own."""
    windows: Literal["model", "covering", "whole", "spread"] = "model"
    """model = as the model was trained; covering = end to end and one at the very end; whole = end
    to end, what is left over is not looked at; spread = most_windows over the whole file."""
    clip_frames: int | None = None
    """Frames in a window; a model that looks at another number is refused. Unset = any."""
    most_windows: int | None = None
    """spread: windows of a file at most."""
    first_frames: int | None = None
    """Look at so many first frames of a file only, at 25 frames per second; unset = all."""
    pooling: Literal["mean_logit", "mean_probability", "confident"] = "mean_logit"
    """How a file's score is made of its windows'; reports say it in words."""
    official_counts: tuple[OfficialCount, ...] = ()
    """Files of the official test set; a report on other numbers says so."""

    def __post_init__(self) -> None:
        for name in ("name", "source"):
            if not getattr(self, name).strip():
                raise ValueError(
                    f"{name} is empty: a protocol says what it is and where it is from"
                )
        if self.methods is not None and (
            not self.methods or "real" in self.methods or len({*self.methods}) < len(self.methods)
        ):
            raise ValueError(
                "methods: name each forgery once, without real, or leave methods out for all"
            )
        if self.reals_from == "":
            raise ValueError("reals_from is empty: name a dataset, or leave it out")
        if (self.windows == "spread") != (self.most_windows is not None):
            raise ValueError("most_windows goes with windows: spread, and with no other")
        at_least(self, 1, "clip_frames", "most_windows", "first_frames")
        counted = [(count.dataset, count.method) for count in self.official_counts]
        if len({*counted}) < len(counted):
            raise ValueError("official_counts: one kind of files is counted twice")
