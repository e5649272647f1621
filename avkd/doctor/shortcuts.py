"""Properties of files that tell real from fake without a look at the face.

A network finds such a shortcut before it finds a forgery: where all fake videos are 256 pixels wide
and all real ones 1080, it learns to measure. How well one property alone separates the classes is a
number like the area under the ROC curve.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from avkd.doctor.file_facts import MediaFacts
from avkd.metrics import ranking

Value = TypeVar("Value")

WORTH_A_WARNING = 0.6
_STANDARD_ERRORS = 2.0  # a few files are always separated by something
_VALUES_LISTED = 20


@dataclass(frozen=True)
class Property:
    """One property of a file; either way to read it may be absent."""

    name: str
    category: Callable[[MediaFacts], str | None] | None
    """As one of some values, for what is not ordered or not monotone."""
    number: Callable[[MediaFacts], float | None] | None
    """As more or less of something."""
    cure: str
    """What to do where it tells the class."""

    def categories(self, files: Sequence[MediaFacts]) -> list[str]:
        """The values that are known of some files; none if it is no category."""
        return _known(self.category, files)

    def numbers(self, files: Sequence[MediaFacts]) -> list[float]:
        """The numbers that are known of some files; none if it is no number."""
        return _known(self.number, files)


def _known(
    read: Callable[[MediaFacts], Value | None] | None, files: Sequence[MediaFacts]
) -> list[Value]:
    return [value for value in map(read, files) if value is not None] if read else []


def _rate(facts: MediaFacts) -> str | None:
    return None if facts.frames_per_second is None else f"{facts.frames_per_second:.4g}"


def _sound(facts: MediaFacts) -> str | None:
    return None if facts.has_audio is None else ("yes" if facts.has_audio else "no")


_ENCODE_ALIKE = "encode both classes alike (avkd forge does), and report how this one rule scores"

PROPERTIES = (
    Property(
        "picture size",
        lambda facts: f"{facts.width}x{facts.height}",
        lambda facts: float(min(facts.width, facts.height)),
        "bring both classes to one size and codec; crops keep traces of scaling",
    ),
    Property(
        "frame rate",
        _rate,
        lambda facts: facts.frames_per_second,
        "encode both classes at one rate; repeated frames stay visible",
    ),
    Property("codec", lambda facts: facts.codec, None, _ENCODE_ALIKE),
    Property("sound", _sound, None, "keep or remove the sound of both classes alike"),
    Property(
        "seconds",
        None,
        lambda facts: facts.seconds,
        "score windows of one length; do not let their number affect the score",
    ),
    Property("bits per pixel", None, lambda facts: facts.bits_per_pixel, _ENCODE_ALIKE),
)


@dataclass(frozen=True)
class Separation:
    """How well one property alone tells fake from real."""

    auc: float
    """0.5 = not at all, 1 = always right."""
    is_shortcut: bool
    """Above `WORTH_A_WARNING`, and more than chance makes of so few files."""


def separation(
    kind: Property, real: Sequence[MediaFacts], fake: Sequence[MediaFacts]
) -> Separation | None:
    """Separate the classes by one property; None where it is not known of a file of each class.

    The better of two readings counts: more or less of a number, whichever way around, and
    categories ranked by how much more often they are fake. The ranks come from one half of the
    files and are tried on the other; else categories seen once would separate anything.
    """
    areas: list[tuple[float, int, int]] = []
    numbers = kind.numbers(real), kind.numbers(fake)
    if all(numbers):
        area = _area(*numbers)
        areas.append((max(area, 1 - area), len(numbers[0]), len(numbers[1])))
    values = kind.categories(real), kind.categories(fake)
    if all(values):
        areas.append((_area_by_category(*values), len(values[0]), len(values[1])))
    if not areas:
        return None
    area, num_real, num_fake = max(areas)
    # Of the rank sum when nothing separates (Mann and Whitney, 1947).
    chance = math.sqrt((num_real + num_fake + 1) / (12 * num_real * num_fake))
    return Separation(area, area > WORTH_A_WARNING and area >= 0.5 + _STANDARD_ERRORS * chance)


def summary(kind: Property, files: Sequence[MediaFacts]) -> str:
    """The usual value for a table: the commonest one with its share, or the median."""
    if values := Counter(kind.categories(files)):
        value, count = values.most_common(1)[0]
        return value if len(values) == 1 else f"{value} {math.floor(100 * count / values.total())}%"
    numbers = kind.numbers(files)
    return f"{np.median(numbers):.3g}" if numbers else "-"


def distribution(kind: Property, files: Sequence[MediaFacts]) -> dict[str, Any]:
    """The commonest values with their counts, and the 5th, 50th and 95th percentile."""
    told: dict[str, Any] = {}
    if kind.category is not None:
        values = Counter(kind.categories(files))
        told |= {"values": dict(values.most_common(_VALUES_LISTED)), "num_values": len(values)}
    if kind.number is not None:
        numbers = kind.numbers(files)
        told["percentiles_5_50_95"] = (
            [round(float(v), 4) for v in np.percentile(numbers, (5, 50, 95))] if numbers else None
        )
    return told


def _area_by_category(real: Sequence[str], fake: Sequence[str]) -> float:
    halves = [(real[start::2], fake[start::2]) for start in range(2)]
    areas = []
    for tried, seen in zip(halves, halves[::-1], strict=True):
        if not (tried[0] and tried[1]):
            continue
        fakeness = _log_ratios(*seen)
        areas.append(_area(*([fakeness.get(value, 0.0) for value in half] for half in tried)))
    return max(0.5, sum(areas) / len(areas)) if areas else 0.5


def _log_ratios(real: Sequence[str], fake: Sequence[str]) -> dict[str, float]:
    """How much more often each category is fake."""
    among_real, among_fake = Counter(real), Counter(fake)
    return {
        value: math.log((among_fake[value] + 0.5) / (len(fake) + 1))
        - math.log((among_real[value] + 0.5) / (len(real) + 1))
        for value in among_real | among_fake
    }


def _area(real: Sequence[float], fake: Sequence[float]) -> float:
    """Share of (fake, real) pairs in which the fake has more; ties count one half."""
    area = ranking.auc([0] * len(real) + [1] * len(fake), [*real, *fake]).value
    assert area is not None, "both classes are there"
    return area
