"""Whether training on a corpus is sound: one check, one row with what is wrong and the cure.

Pure: works on samples and on what was found out about their files; opens none.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from typing import get_args

from avkd.data.clock import FRAMES_PER_SECOND
from avkd.data.manifest import FAKE, REAL, Sample, Split, label_of_folder
from avkd.data.windows import WINDOW_FRAMES
from avkd.doctor.examination import CLASS_NAMES, SIDES, Examined, Finding, Level
from avkd.doctor.shortcuts import PROPERTIES, WORTH_A_WARNING, separation

# What stage one learns from; everybody in them is real.
_REAL_ONLY_LAYOUTS = ("lrw", "talking_faces")
_DIFFERENCE = re.compile(r"difference ([+-]\d+)")  # as `inventory.compare` writes it
_WORDS_OF_PROBLEMS = {
    "not_found": ("missing", "announced, but not there", "copy them, or read the tree anew"),
    "empty_file": ("empty", "empty files", "copy or download them again"),
}


def check(corpus: Examined) -> list[Finding]:
    """Every check in turn; each gives a row at least, the gravest come first."""
    checks: tuple[Callable[[Examined], Iterable[Finding]], ...] = (
        _inventory,
        _labels,
        _classes,
        _files,
        _damage,
        _lengths,
        _duplicates,
        _identities,
        _pairs,
        _shortcuts,
    )
    findings = [finding for one in checks for finding in one(corpus)]
    return sorted(findings, key=lambda finding: get_args(Level).index(finding.level))


def _inventory(corpus: Examined) -> Iterable[Finding]:
    """The layout's remarks; those that hold a count against the official one are judged."""
    notes = corpus.manifest.notes
    compared = [note for note in notes if _DIFFERENCE.search(note)]
    differing = [n for n in compared if any(int(d) for d in _DIFFERENCE.findall(n))]
    if differing:
        message = f"counts that differ from the official inventory, of {len(compared)} compared"
        cure = "complete the download, or say with every result what was missing"
        yield Finding("warning", "inventory", message, tuple(differing), cure, len(differing))
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
    if contrary:
        yield Finding(
            "error",
            "label_against_name",
            "in a folder of the other class's name",
            tuple(contrary),
            "correct the manifest or the label_pattern: 1 = fake, 0 = real",
            len(contrary),
        )
        return
    methods = Counter(s.method for s in corpus.manifest.samples if s.label == FAKE)
    reals = len(corpus.manifest) - methods.total()
    told_fakes = ", ".join(f"{count} {method}" for method, count in sorted(methods.items()))
    message = f"{reals} real; {methods.total()} fake" + (f": {told_fakes}" if methods else "")
    yield Finding("ok", "labels", message)


def _classes(corpus: Examined) -> Iterable[Finding]:
    """Both classes in every split that is there, and the splits that training needs."""
    counts = Counter((sample.split, sample.label) for sample in corpus.usable)
    if not counts:
        yield Finding("error", "class_missing", "no usable file at all", cure="see the rows below")
        return
    if corpus.layout in _REAL_ONLY_LAYOUTS:
        yield Finding(
            "note", "reals_only", "only real videos: for avkd pretrain, not for a detector"
        )
        return
    there = [side for side in SIDES if counts[side, REAL] or counts[side, FAKE]]
    missing = [
        f"no {CLASS_NAMES[label]} in the {side} split"
        for side in there
        for label in (REAL, FAKE)
        if not counts[side, label]
    ]
    if missing:
        cure = "add files of that class to that split, or split the files again"
        message = "a split holds one class only"
        yield Finding("error", "class_missing", message, tuple(missing), cure, len(missing))
    else:
        sides = ", ".join(f"{side} {counts[side, REAL]} + {counts[side, FAKE]}" for side in there)
        yield Finding("ok", "classes", f"real + fake: {sides or 'in no split'}")
    if "train" not in there:
        yield Finding("note", "no_train_side", "nothing to train on: a corpus to evaluate on")
    elif "val" not in there:
        cure = "hold people out, e.g. --options.val_fraction, where the layout has it"
        yield Finding(
            "warning", "no_val_side", "no validation split to select on", cure=cure, count=1
        )
    if no_side := [repr(s.path) for s in corpus.usable if s.split is None]:
        message = "in no split, so not used"
        yield Finding("note", "no_side", message, tuple(no_side), count=len(no_side))


def _files(corpus: Examined) -> Iterable[Finding]:
    """Files that cannot be used."""
    kinds: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    other = ("unreadable", "cannot be read or decoded", "copy them again, or remove them")
    for sample in corpus.manifest.samples:
        facts = corpus.facts.get(sample.sample_id)
        if facts is not None and facts.problem:
            kind = _WORDS_OF_PROBLEMS.get(facts.problem, other)
            tail = f": {facts.problem}" if kind is other else ""
            kinds[kind].append(f"{sample.path!r}{tail}")
    for (code, message, cure), files in kinds.items():
        yield Finding("warning", code, message, tuple(files), cure, len(files))
    if closed := len(corpus.manifest) - len(corpus.facts):
        yield Finding("note", "not_opened", "files not opened, so not checked", count=closed)
    if corpus.facts and not kinds:
        yield Finding("ok", "files", "every file opened is usable", count=len(corpus.facts))


def _damage(corpus: Examined) -> Iterable[Finding]:
    damaged = [
        f"{sample.path!r}: {', '.join(corpus.facts[sample.sample_id].damage)}"
        for sample in corpus.usable
        if sample.sample_id in corpus.facts and corpus.facts[sample.sample_id].damage
    ]
    if damaged:
        message = "damaged: usable, with frames missing or wrong"
        cure = "copy them again; what stays damaged is used as far as it goes"
        yield Finding("warning", "damaged", message, tuple(damaged), cure, len(damaged))


def _lengths(corpus: Examined) -> Iterable[Finding]:
    """Files shorter than the one second a clip detector looks at."""
    known: dict[str, int] = {}
    for sample in corpus.usable:
        facts = corpus.facts.get(sample.sample_id)
        if facts is not None and facts.seconds is not None:
            known[sample.path] = round(facts.seconds * FRAMES_PER_SECOND)
        elif sample.num_frames is not None:
            known[sample.path] = sample.num_frames
    short = [f"{path!r}: {n} frames" for path, n in known.items() if n < WINDOW_FRAMES]
    if short:
        message = f"shorter than one clip of {WINDOW_FRAMES} frames; left out of training on clips"
        cure = "nothing to do if they are few; image models use them"
        yield Finding("warning", "short", message, tuple(short), cure, len(short))
    elif known:
        message = f"every clip has {WINDOW_FRAMES} frames or more"
        yield Finding("ok", "lengths", message, count=len(known))


def _duplicates(corpus: Examined) -> Iterable[Finding]:
    """The same bytes twice, by SHA-256."""
    groups: dict[str, list[Sample]] = defaultdict(list)
    for sample in corpus.usable:
        if sample.sample_id in corpus.digests:
            groups[corpus.digests[sample.sample_id]].append(sample)
    rows: dict[str, list[str]] = defaultdict(list)
    for group in groups.values():
        if len(group) < 2:
            continue
        named = " = ".join(repr(sample.path) for sample in group)
        two_labels = len({sample.label for sample in group}) > 1
        two_sides = len({sample.split for sample in group} - {None}) > 1
        if two_labels:
            rows["same_bytes_two_labels"].append(named)
        if two_sides:
            rows["same_bytes_two_sides"].append(named)
        if not (two_labels or two_sides):
            rows["same_bytes"].append(named)
    what: tuple[tuple[Level, str, str, str], ...] = (
        (
            "error",
            "same_bytes_two_labels",
            "the same content is real and fake",
            "find out which it is, and remove the other",
        ),
        (
            "error",
            "same_bytes_two_sides",
            "the same content in two splits",
            "keep it in one of them, test before val before train",
        ),
        ("warning", "same_bytes", "the same content more than once", "remove the copies"),
    )
    for level, code, message, cure in what:
        if rows[code]:
            yield Finding(level, code, message, tuple(rows[code]), cure, len(rows[code]))
    if corpus.facts and not any(rows.values()):
        yield Finding("ok", "content", "no two files opened have the same content")


def _identities(corpus: Examined) -> Iterable[Finding]:
    """Nobody in two splits."""
    seen: dict[str, dict[Split, str]] = defaultdict(dict)
    unknown = []
    for sample in corpus.manifest.samples:
        if not sample.identities:
            unknown.append(repr(sample.path))
        for identity in sample.identities:
            if sample.split is not None:
                seen[identity].setdefault(sample.split, sample.path)
    twice = [
        f"{identity!r}: {', '.join(f'{side} {path!r}' for side, path in sides.items())}"
        for identity, sides in seen.items()
        if len(sides) > 1
    ]
    if twice:
        message = "people in two splits"
        cure = (
            "split by identity, or remove their files from one split, train before val before test"
        )
        yield Finding("error", "identity_two_sides", message, tuple(twice), cure, len(twice))
    elif seen:
        yield Finding("ok", "identities", "nobody in two splits", count=len(seen))
    if unknown:
        message = "identities unknown: whether splits share people is not checked"
        cure = "give --options.identity_pattern if the paths tell, where the layout has it"
        yield Finding("note", "no_identity", message, tuple(unknown), cure, len(unknown))


def _pairs(corpus: Examined) -> Iterable[Finding]:
    """A forgery in the split of the real video it was made from."""
    by_id = {sample.sample_id: sample for sample in corpus.manifest.samples}
    paired = [
        (sample, by_id[sample.source_id])
        for sample in corpus.manifest.samples
        if sample.source_id in by_id
    ]
    parted = [
        f"{fake.split} {fake.path!r} of {real.split} {real.path!r}"
        for fake, real in paired
        if fake.split and real.split and fake.split != real.split
    ]
    if parted:
        message = "forgeries in another split than the real video they were made from"
        cure = "put each forgery into the split of its source"
        yield Finding("error", "source_other_side", message, tuple(parted), cure, len(parted))
    elif paired:
        message = "every forgery is in the split of its source"
        yield Finding("ok", "sources", message, count=len(paired))


def _shortcuts(corpus: Examined) -> Iterable[Finding]:
    """Properties that tell real from fake by themselves."""
    groups = corpus.facts_by_class()
    compared = False
    clean = True
    for kind in PROPERTIES:
        areas = []
        for side in SIDES:
            found = separation(kind, groups.get((side, REAL), []), groups.get((side, FAKE), []))
            compared |= found is not None
            if found is not None and found.is_shortcut:
                areas.append(f"{side} {found.auc:.2f}")
        if areas:
            clean = False
            message = f"{kind.name} alone separates real from fake, AUC {', '.join(areas)}"
            cure = _CURES_OF_SHORTCUTS[kind.name]
            yield Finding("warning", "shortcut", message, cure=cure, count=len(areas))
    if compared and clean:
        message = f"no property alone separates real from fake (AUC > {WORTH_A_WARNING})"
        yield Finding("ok", "shortcuts", message)


_ENCODE_ALIKE = "encode both classes alike (avkd forge does), and report how this one rule scores"
_CURES_OF_SHORTCUTS = {
    "picture size": "bring both classes to one size and codec; crops keep traces of scaling",
    "frame rate": "encode both classes at one rate; repeated frames stay visible",
    "codec": _ENCODE_ALIKE,
    "sound": "keep or remove the sound of both classes alike",
    "seconds": "score windows of one length; do not let their number affect the score",
    "bits per pixel": _ENCODE_ALIKE,
}
