"""What made a scores file, and which files may stand in one table."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from avkd.metrics.pooling import RULES, Pooling

Scorer = Literal["detector", "av_agreement", "table"]


@dataclass(frozen=True, kw_only=True)
class ScoresHead:
    """What made the scores of one dataset; stands at the head of their file.

    Raises:
        ValueError: a field is no text, or there is no such scorer or pooling.
    """

    model: str
    """Model file, for the reader."""
    model_fingerprint: str
    """Digest of the model file."""
    scorer: Scorer
    """``detector``, ``av_agreement`` of a stage-one model, or ``table``: nothing is known of it."""
    preprocessing: str
    """Digest of what made the crops; their perturbation stands apart."""
    preprocessing_text: str
    """The same settings in words."""
    perturbation: str = ""
    """What was done to the frames before their faces were cut out; empty = nothing."""
    windows: str
    """Which stretches of a file were looked at."""
    pooling: Pooling
    """Rule that makes one score of a file's windows."""
    protocol: str = ""
    """Name of the protocol; empty = none."""
    protocol_fingerprint: str = ""
    """Digest of all that the protocol says; empty = none."""
    reals_from: str = ""
    """Dataset whose reals the forgeries are set against; empty = each dataset's own."""
    avkd_version: str
    """Version that wrote the file."""
    command: str
    """Command line that gives the same scores."""
    date: str
    """Day of the scoring, ISO 8601."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            if not isinstance(getattr(self, field.name), str):
                raise ValueError(f"{field.name} is {getattr(self, field.name)!r}, not a text")
        if self.scorer not in get_args(Scorer):
            raise ValueError(f"scorer {self.scorer!r} is none of {', '.join(get_args(Scorer))}")
        if self.pooling not in RULES:
            raise ValueError(f"pooling {self.pooling!r} is none of {', '.join(RULES)}")

    def to_json(self) -> str:
        """One line of ASCII that `from_json` reads back, odd characters of names included."""
        return json.dumps(dataclasses.asdict(self), ensure_ascii=True, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> ScoresHead:
        """The head that ``text`` holds.

        Raises:
            ValueError: it is no JSON, or a field is missing, unknown or no text.
        """
        values = json.loads(text)
        names = {field.name for field in dataclasses.fields(cls)}
        if not isinstance(values, dict) or values.keys() != names:
            differing = sorted(names ^ set(values)) if isinstance(values, dict) else "all of it"
            raise ValueError(f"the head is not what this avkd writes: {differing}")
        return cls(**values)


_SCORE_AGAIN = "score them again with one `avkd evaluate`, or keep them in folders of their own"
_CROPS_CURE = (
    "prepare both alike, keep them in folders of their own, or allow it: --mixed_preprocessing true"
)
# Rows of one table must agree in these, or their numbers are of different things.
_OF_ONE_TABLE = {
    "model_fingerprint": ("the model file", _SCORE_AGAIN),
    "scorer": ("the scorer", _SCORE_AGAIN),
    "windows": ("the windows", _SCORE_AGAIN),
    "pooling": ("the pooling", _SCORE_AGAIN),
    "protocol_fingerprint": ("the protocol", _SCORE_AGAIN),
    "preprocessing": ("the preprocessing of the crops", _CROPS_CURE),
    "perturbation": ("the perturbation of the frames", _CROPS_CURE),
}
_OF_CROPS = ("preprocessing", "perturbation")
_IN_WORDS = {"preprocessing": "preprocessing_text", "protocol_fingerprint": "protocol"}


def check_one_table(heads: Mapping[str, ScoresHead], *, mixed_preprocessing: bool) -> str:
    """Refuse to put scores into one table that were made differently.

    Args:
        heads: by what the reader knows them as, a score file or a corpus.
        mixed_preprocessing: allow other crops and perturbations; nothing else can be allowed.

    Returns:
        The sentence that the report must carry where mixing was allowed and happened; else empty.

    Raises:
        ValueError: names two of them, what differs, and the cure.
    """
    return _check(heads, tuple(_OF_ONE_TABLE), mixed_preprocessing)


def check_one_comparison(heads: Mapping[str, ScoresHead], *, mixed_preprocessing: bool) -> str:
    """Refuse to compare two models on one dataset whose crops were made differently.

    Models, scorers, windows and pooling may differ: each belongs to the detector as its makers use
    it. Arguments (heads by model), result and errors as of `check_one_table`.
    """
    return _check(heads, _OF_CROPS, mixed_preprocessing)


def _check(
    heads: Mapping[str, ScoresHead], names: tuple[str, ...], mixed_preprocessing: bool
) -> str:
    (first, expected), *others = heads.items()
    mixed: list[str] = []
    for other, found in others:
        for name in names:
            if getattr(found, name) == getattr(expected, name):
                continue
            words = _IN_WORDS.get(name, name)
            what, cure = _OF_ONE_TABLE[name]
            difference = (
                f"{what} differs: {getattr(expected, words) or 'none'!r} for {first}, "
                f"{getattr(found, words) or 'none'!r} for {other}"
            )
            if not mixed_preprocessing or name not in _OF_CROPS:
                raise ValueError(f"{difference}; {cure}")
            mixed.append(difference)
    if not mixed:
        return ""
    return f"Mixed on request (--mixed_preprocessing), so the rows do not compare: {mixed[0]}."
