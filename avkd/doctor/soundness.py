"""Whether training on a corpus is sound: one check, one row with what is wrong and the cure.

Pure: works on samples and on what was found out about their files; opens none.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from avkd.data.clock import FRAMES_PER_SECOND
from avkd.data.manifest import FAKE, REAL, Manifest, Sample, Split, label_of_folder
from avkd.data.windows import WINDOW_FRAMES
from avkd.doctor.file_facts import MediaFacts
from avkd.doctor.shortcuts import PROPERTIES, WORTH_A_WARNING, separation

Level = Literal["error", "warning", "note", "ok"]

SPLITS: tuple[Split, ...] = get_args(Split)
CLASS_NAMES = {REAL: "real", FAKE: "fake"}

_REAL_ONLY_LAYOUTS = ("lrw", "talking_faces")  # for stage one
_DIFFERENCE = re.compile(r"difference ([+-]\d+)")  # as `inventory.compare` writes it
_WORDS_OF_PROBLEMS = {
    "not_found": ("missing", "announced, but not there", "copy them, or read the tree anew"),
    "empty_file": ("empty", "empty files", "copy or download them again"),
}
_OTHER_PROBLEM = ("unreadable", "cannot be read or decoded", "copy them again, or remove them")


@dataclass(frozen=True)
class Finding:
    """One row: what a check found."""

    level: Level
    code: str
    message: str
    files: tuple[str, ...] = ()
    """All that are concerned, with what is wrong where they differ."""
    cure: str = ""
    count: int = 0


@dataclass(frozen=True)
class Examined:
    """A corpus and what is known of its files."""

    layout: str
    manifest: Manifest
    facts: Mapping[str, MediaFacts]
    """By sample id; files that were not opened are absent."""
    digests: Mapping[str, str]
    """Of files that may have an equal, by sample id."""

    def facts_of(self, sample: Sample) -> MediaFacts:
        """What is known of a file; nothing of one that was not opened."""
        return self.facts.get(sample.sample_id, MediaFacts())

    @property
    def usable(self) -> list[Sample]:
        """Samples but for those whose file turned out to be of no use."""
        return [s for s in self.manifest.samples if not self.facts_of(s).problem]

    def facts_by_class(self) -> dict[tuple[Split | None, int], list[MediaFacts]]:
        """Of the usable files that were opened, by split and label."""
        groups: dict[tuple[Split | None, int], list[MediaFacts]] = defaultdict(list)
        for sample in self.usable:
            if sample.sample_id in self.facts:
                groups[sample.split, sample.label].append(self.facts[sample.sample_id])
        return groups


def check(corpus: Examined) -> list[Finding]:
    """Every check in turn; each gives a row at least, the gravest come first."""
    checks: tuple[Callable[[Examined], Iterable[Finding]], ...] = (
        *(_inventory, _labels, _classes, _files, _damage, _lengths, _duplicates, _identities),
        *(_pairs, _shortcuts),
    )
    findings = [finding for one in checks for finding in one(corpus)]
    return sorted(findings, key=lambda finding: get_args(Level).index(finding.level))


def _of_files(
    level: Level, code: str, message: str, files: Iterable[str], cure: str = ""
) -> Iterable[Finding]:
    """A row that names and counts files; none without them."""
    if files := tuple(files):
        yield Finding(level, code, message, files, cure, len(files))


def _inventory(corpus: Examined) -> Iterable[Finding]:
    """The layout's remarks; those that hold a count against the official one are judged."""
    notes = corpus.manifest.notes
    compared = [note for note in notes if _DIFFERENCE.search(note)]
    differing = [n for n in compared if any(int(d) for d in _DIFFERENCE.findall(n))]
    message = f"counts that differ from the official inventory, of {len(compared)} compared"
    cure = "complete the download, or say with every result what was missing"
    yield from _of_files("warning", "inventory", message, differing, cure)
    for note, count in Counter(note for note in notes if note not in compared).items():
        yield Finding("note", "layout", note + (f" ({count} times)" if count > 1 else ""))
    if compared and not differing:
        message = "every count compared is that of the official inventory"
        yield Finding("ok", "inventory", message, count=len(compared))


def _labels(corpus: Examined) -> Iterable[Finding]:
    """Folders called real or fake have to agree with the label."""
    contrary = []
    for sample in corpus.manifest.samples:
        told = {label_of_folder(folder) for folder in sample.path.split("/")[:-1]} - {None}
        if told and sample.label not in told:
            contrary.append(f"{sample.path!r} is labelled {CLASS_NAMES[sample.label]}")
    message = "in a folder of the other class's name"
    cure = "correct the manifest or the label_pattern: 1 = fake, 0 = real"
    yield from _of_files("error", "label_against_name", message, contrary, cure)
    if not contrary:
        methods = Counter(s.method for s in corpus.manifest.samples if s.label == FAKE)
        num_real = len(corpus.manifest) - methods.total()
        told_methods = ", ".join(f"{count} {method}" for method, count in sorted(methods.items()))
        message = f"{num_real} real; {methods.total()} fake"
        yield Finding("ok", "labels", message + (f": {told_methods}" if methods else ""))


def _classes(corpus: Examined) -> Iterable[Finding]:
    """Both classes in every split that is there, and the splits that training needs."""
    counts = Counter((sample.split, sample.label) for sample in corpus.usable)
    if not counts:
        yield Finding("error", "class_missing", "no usable file at all", cure="see the rows below")
        return
    if corpus.layout in _REAL_ONLY_LAYOUTS:
        message = "only real videos: for avkd pretrain, not for a detector"
        yield Finding("note", "real_only", message)
        return
    there = [split for split in SPLITS if counts[split, REAL] or counts[split, FAKE]]
    missing = [
        f"no {CLASS_NAMES[label]} in the {split} split"
        for split in there
        for label in (REAL, FAKE)
        if not counts[split, label]
    ]
    cure = "add files of that class to that split, or split the files again"
    yield from _of_files("error", "class_missing", "a split holds one class only", missing, cure)
    if not missing:
        told = ", ".join(
            f"{split} {counts[split, REAL]} + {counts[split, FAKE]}" for split in there
        )
        yield Finding("ok", "classes", f"real + fake: {told or 'in no split'}")
    if "train" not in there:
        yield Finding("note", "no_train_split", "nothing to train on: a corpus to evaluate on")
    elif "val" not in there:
        message = "no validation split to select on"
        cure = "hold people out, e.g. --options.val_fraction, where the layout has it"
        yield Finding("warning", "no_val_split", message, cure=cure, count=1)
    unused = (repr(s.path) for s in corpus.usable if s.split is None)
    yield from _of_files("note", "no_split", "in no split, so not used", unused)


def _files(corpus: Examined) -> Iterable[Finding]:
    """Files that cannot be used."""
    kinds: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for sample in corpus.manifest.samples:
        if problem := corpus.facts_of(sample).problem:
            kind = _WORDS_OF_PROBLEMS.get(problem, _OTHER_PROBLEM)
            tail = f": {problem}" if kind is _OTHER_PROBLEM else ""
            kinds[kind].append(f"{sample.path!r}{tail}")
    for (code, message, cure), files in kinds.items():
        yield from _of_files("warning", code, message, files, cure)
    if closed := len(corpus.manifest) - len(corpus.facts):
        yield Finding("note", "not_opened", "files not opened, so not checked", count=closed)
    if corpus.facts and not kinds:
        yield Finding("ok", "files", "every file opened is usable", count=len(corpus.facts))


def _damage(corpus: Examined) -> Iterable[Finding]:
    met = ((sample.path, corpus.facts_of(sample).damage) for sample in corpus.usable)
    damaged = (f"{path!r}: {', '.join(damage)}" for path, damage in met if damage)
    message = "damaged: usable, with frames missing or wrong"
    cure = "copy them again; what stays damaged is used as far as it goes"
    return _of_files("warning", "damaged", message, damaged, cure)


def _lengths(corpus: Examined) -> Iterable[Finding]:
    """Files shorter than the one second a clip detector looks at."""
    known: dict[str, int] = {}
    for sample in corpus.usable:
        seconds = corpus.facts_of(sample).seconds
        if seconds is not None:
            known[sample.path] = round(seconds * FRAMES_PER_SECOND)
        elif sample.num_frames is not None:
            known[sample.path] = sample.num_frames
    short = [f"{path!r}: {n} frames" for path, n in known.items() if n < WINDOW_FRAMES]
    message = f"shorter than one clip of {WINDOW_FRAMES} frames; left out of training on clips"
    cure = "nothing to do if they are few; image models use them"
    yield from _of_files("warning", "short", message, short, cure)
    if known and not short:
        message = f"every clip has {WINDOW_FRAMES} frames or more"
        yield Finding("ok", "lengths", message, count=len(known))


def _duplicates(corpus: Examined) -> Iterable[Finding]:
    """The same bytes twice, by SHA-256."""
    groups: dict[str, list[Sample]] = defaultdict(list)
    for sample in corpus.usable:
        if sample.sample_id in corpus.digests:
            groups[corpus.digests[sample.sample_id]].append(sample)
    labels, splits, copies = list[str](), list[str](), list[str]()
    for group in groups.values():
        if len(group) > 1:
            named = " = ".join(repr(sample.path) for sample in group)
            two_labels = len({sample.label for sample in group}) > 1
            two_splits = len({sample.split for sample in group} - {None}) > 1
            labels += [named] if two_labels else []
            splits += [named] if two_splits else []
            copies += [] if two_labels or two_splits else [named]
    message = "the same content is real and fake"
    cure = "find out which it is, and remove the other"
    yield from _of_files("error", "same_bytes_two_labels", message, labels, cure)
    message = "the same content in two splits"
    cure = "keep it in one of them, test before val before train"
    yield from _of_files("error", "same_bytes_two_splits", message, splits, cure)
    message = "the same content more than once"
    yield from _of_files("warning", "same_bytes", message, copies, "remove the copies")
    if corpus.facts and not (labels or splits or copies):
        yield Finding("ok", "content", "no two files opened have the same content")


def _identities(corpus: Examined) -> Iterable[Finding]:
    """Nobody in two splits."""
    seen: dict[str, dict[Split, str]] = defaultdict(dict)
    for sample in corpus.manifest.samples:
        for identity in sample.identities:
            if sample.split is not None:
                seen[identity].setdefault(sample.split, sample.path)
    twice = [
        f"{identity!r}: {', '.join(f'{split} {path!r}' for split, path in first.items())}"
        for identity, first in seen.items()
        if len(first) > 1
    ]
    cure = "split by identity, or remove their files from one split, train before val before test"
    yield from _of_files("error", "identity_two_splits", "people in two splits", twice, cure)
    if seen and not twice:
        yield Finding("ok", "identities", "nobody in two splits", count=len(seen))
    unknown = (repr(sample.path) for sample in corpus.manifest.samples if not sample.identities)
    message = "identities unknown: whether splits share people is not checked"
    cure = "give --options.identity_pattern if the paths tell, where the layout has it"
    yield from _of_files("note", "no_identity", message, unknown, cure)


def _pairs(corpus: Examined) -> Iterable[Finding]:
    """A forgery in the split of the real video it was made from."""
    samples = corpus.manifest.samples
    by_id = {sample.sample_id: sample for sample in samples}
    paired = [(s, by_id[s.source_id]) for s in samples if s.source_id in by_id]
    parted = [
        f"{fake.split} {fake.path!r} of {real.split} {real.path!r}"
        for fake, real in paired
        if fake.split and real.split and fake.split != real.split
    ]
    message = "forgeries in another split than the real video they were made from"
    cure = "put each forgery into the split of its source"
    yield from _of_files("error", "source_other_split", message, parted, cure)
    if paired and not parted:
        message = "every forgery is in the split of its source"
        yield Finding("ok", "sources", message, count=len(paired))


def _shortcuts(corpus: Examined) -> Iterable[Finding]:
    """Properties that tell real from fake by themselves."""
    groups = corpus.facts_by_class()
    compared, clean = False, True
    for kind in PROPERTIES:
        areas = []
        for split in SPLITS:
            found = separation(kind, groups.get((split, REAL), []), groups.get((split, FAKE), []))
            compared |= found is not None
            if found is not None and found.is_shortcut:
                areas.append(f"{split} {found.auc:.2f}")
        if areas:
            clean = False
            message = f"{kind.name} alone separates real from fake, AUC {', '.join(areas)}"
            yield Finding("warning", "shortcut", message, cure=kind.cure, count=len(areas))
    if compared and clean:
        message = f"no property alone separates real from fake (AUC > {WORTH_A_WARNING})"
        yield Finding("ok", "shortcuts", message)
