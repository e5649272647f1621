"""The list of samples every part of avkd agrees on: what a file is, whose face, which label, split.

One label convention everywhere: **1 = fake, 0 = real**, translated once, by name, at the border.
"""

import dataclasses
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from avkd import durable

REAL = 0
FAKE = 1
REAL_METHOD = "real"

Kind = Literal["video", "frames", "image", "crops"]
Split = Literal["train", "val", "test"]

_FORMAT = "avkd-manifest-1"
LABEL_NAMES = {
    **dict.fromkeys(("real", "original", "pristine", "genuine"), REAL),
    **dict.fromkeys(("fake", "forged", "manipulated", "synthetic"), FAKE),
}
"""What datasets call the classes, in lower case."""


# Of folders, which are called after what lies in them: besides those above, and as whole names.
_FOLDER_LABELS = {
    **dict.fromkeys(("authentic", "bonafide", "nature", "natural", "진짜", "원본"), REAL),
    **dict.fromkeys(("ai", "generated", "tampered", "altered", "spoof", "가짜", "합성"), FAKE),
    **dict.fromkeys(("deepfake", "faceswap", "lipsync", "reenactment", "synthesis"), FAKE),
}
_FOLDER_METHODS = ("deepfake", "faceswap", "lipsync", "reenactment")
_FORGERY_WORDS = re.compile(
    r"(?<![a-z])(ai[-_ ]?generated|fakes?|forge(d|ry|ries)|manipulat\w*|synthe\w*|deep[-_ ]?fakes?"
    r"|face[-_ ]?(swap|shifter|2face)\w*|lip[-_ ]?sync\w*|reenact\w*|wav2lip|neural[-_ ]?textures"
    r"|dfdc\w*|lav[-_ ]?df|fakeavceleb|celeb[-_ ]?df)(?![a-z])|fakevideo|fakeaudio"
    r"|가짜|합성|딥페이크",
    re.IGNORECASE,
)


def label_or_none(name: str) -> int | None:
    """The label that a class *name* tells, in upper or lower case; None = no known class name.

    Never a number or an order: alphabetical image folders give fake=0 and Celeb-DF's own list says
    1=real, so numbers from outside are never taken over.
    """
    return LABEL_NAMES.get(name.strip().lower())


def label_of_folder(name: str) -> int | None:
    """What a folder of this name holds, e.g. ``reals``, ``1_fake``, ``faceswap``; None = no class.

    The number before it, if there is one, is no label: ``0_real`` is real.
    """
    plain = _plain_folder(name)
    return {**LABEL_NAMES, **_FOLDER_LABELS}.get(plain)


def method_of_folder(name: str) -> str:
    """The name of a folder that is called after a way of forging; empty for any other."""
    return name if _plain_folder(name) in _FOLDER_METHODS else ""


def is_named_like_forgeries(name: str) -> bool:
    """Whether a folder is called after forgeries, so that what lies in it is hardly real."""
    return bool(_FORGERY_WORDS.search(name))


def _plain_folder(name: str) -> str:
    word = re.sub(r"^\d+[-_. ]+", "", name.strip().lower())
    word = re.sub(r"(?<=[a-z])[-_ ](?=[a-z])", "", word)
    return word[:-1] if word.endswith("s") and word != "synthesis" else word


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One file to train on or to judge."""

    sample_id: str
    """Unique within a manifest: ``<dataset>/<method>/<name>``."""
    path: str
    """POSIX path relative to the manifest's root."""
    kind: Kind
    """What the path is: a video file, a folder of frames, an image, or crops in a crop store."""
    label: int
    """1 = fake, 0 = real."""
    dataset: str
    """Dataset name, e.g. ``faceforensics``."""
    method: str
    """Forgery method; ``real`` exactly when the label is 0."""
    identities: tuple[str, ...] = ()
    """Everyone whose face or voice is in it (a swap has two); empty = not known."""
    split: Split | None = None
    """None = in none, so not used in any protocol."""
    source_id: str | None = None
    """Real clip a forgery was made from (its pair), where known."""
    num_frames: int | None = None
    """Frames at 25 per second, counted by decoding; None = not yet known."""
    has_audio: bool | None = None
    """Whether sound comes with it; None = not yet known."""

    def __post_init__(self) -> None:
        if self.label not in (REAL, FAKE):
            raise ValueError(f"{self.sample_id}: label {self.label!r} is neither 0 (real) nor 1")
        if (self.method == REAL_METHOD) != (self.label == REAL):
            raise ValueError(
                f"{self.sample_id}: method {self.method!r} contradicts label {self.label}; "
                f"method {REAL_METHOD!r} goes with label 0 and with nothing else"
            )
        if self.kind not in get_args(Kind):
            raise ValueError(f"{self.sample_id}: unknown kind {self.kind!r}")
        if self.split is not None and self.split not in get_args(Split):
            raise ValueError(f"{self.sample_id}: unknown split {self.split!r}")
        if self.path.startswith("/") or ".." in Path(self.path).parts:
            raise ValueError(f"{self.sample_id}: path {self.path!r} leaves the manifest's folder")


@dataclass(frozen=True)
class Manifest:
    """Samples under one root folder.

    Raises:
        ValueError: two samples share an id.
    """

    root: Path
    samples: tuple[Sample, ...]
    notes: tuple[str, ...] = ()
    """Human-readable remarks of the layout: counts against the official inventory, omissions."""

    def __post_init__(self) -> None:
        counts = Counter(sample.sample_id for sample in self.samples)
        doubled = [sample_id for sample_id, count in counts.items() if count > 1]
        if doubled:
            raise ValueError(f"{len(doubled)} sample ids occur twice, first {doubled[0]!r}")

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def fingerprint(self) -> str:
        """Digest of every field of every sample; independent of where the folder lies."""
        return durable.fingerprint([dataclasses.asdict(sample) for sample in self.samples])

    def absolute_path(self, sample: Sample) -> Path:
        """Where ``sample`` lies on this machine."""
        return self.root / sample.path

    def where(self, keep: Callable[[Sample], bool]) -> "Manifest":
        """The samples for which ``keep`` is true, in the same order."""
        return dataclasses.replace(self, samples=tuple(filter(keep, self.samples)))

    def of_split(self, split: Split) -> "Manifest":
        """The samples of one split."""
        return self.where(lambda sample: sample.split == split)

    def with_dataset(self, dataset: str) -> "Manifest":
        """The same samples under another dataset name, which also begins their ids."""

        def renamed(sample_id: str, old: str) -> str:
            return dataset + sample_id.removeprefix(old) if sample_id.startswith(old) else sample_id

        samples = (
            dataclasses.replace(
                sample,
                dataset=dataset,
                sample_id=renamed(sample.sample_id, sample.dataset),
                source_id=sample.source_id and renamed(sample.source_id, sample.dataset),
            )
            for sample in self.samples
        )
        return dataclasses.replace(self, samples=tuple(samples))

    def check_identities(self) -> int:
        """`check_identities` of its samples."""
        return check_identities(self.samples)

    def save(self, path: Path) -> None:
        """Write as JSON lines: a header, then one sample a line. Atomic."""
        header = {"format": _FORMAT, "notes": list(self.notes), "count": len(self.samples)}
        rows = [header, *(dataclasses.asdict(sample) for sample in self.samples)]
        durable.write_text(path, "".join(json.dumps(row, ensure_ascii=True) + "\n" for row in rows))

    @classmethod
    def load(cls, path: Path, root: Path | None = None) -> "Manifest":
        """Read a manifest; its root is the file's folder unless ``root`` is given.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: not a manifest, or a broken line; names the file and the line.
        """
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
            header = json.loads(lines[0]) if lines else None
        except ValueError:  # not UTF-8, or not JSON
            header = None
        if not isinstance(header, dict) or header.get("format") != _FORMAT:
            raise ValueError(f"{path}: not an avkd manifest (first line is not {_FORMAT!r})")
        samples = []
        for number, line in enumerate(lines[1:], 2):
            try:
                row = json.loads(line)
                samples.append(Sample(**row | {"identities": tuple(row.get("identities", ()))}))
            except (TypeError, ValueError, AttributeError) as error:
                raise ValueError(f"{path}, line {number}: {error}") from error
        if len(samples) != header.get("count"):
            raise ValueError(
                f"{path}: holds {len(samples)} samples but announces {header.get('count')}; "
                "the file is cut short: make it again"
            )
        notes = tuple(str(note) for note in header.get("notes", ()))
        return cls(root=root or path.parent, samples=tuple(samples), notes=notes)


def check_identities(samples: Iterable[Sample]) -> int:
    """Enforce that no identity is in two splits, also over several manifests.

    Returns:
        Number of samples in a split whose identity is not known and so could not be checked.

    Raises:
        ValueError: an identity is in two splits; names it, the splits and one file of each.
    """
    seen: dict[str, dict[str, str]] = defaultdict(dict)
    unknown = 0
    for sample in samples:
        if sample.split is None:
            continue
        unknown += not sample.identities
        for identity in sample.identities:
            seen[identity].setdefault(sample.split, sample.sample_id)
    for identity, splits in seen.items():
        if len(splits) > 1:
            where = "; ".join(f"{split}: {first}" for split, first in sorted(splits.items()))
            raise ValueError(
                f"identity {identity!r} is in {len(splits)} splits ({where}); "
                "an evaluation on it would be meaningless: split by identity"
            )
    return unknown
