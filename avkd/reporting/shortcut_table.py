"""The shortcut audit as CSV, text for a terminal, and a section of a report.

A reader who looks at a detector's AUC must not miss that facts beside the face give the same; so
rows are marked and warnings stand with the table.
"""

from collections.abc import Sequence

from avkd.metrics.bootstrap import Metric
from avkd.reporting import tables
from avkd.reporting.page import Section
from avkd.reporting.shortcut_audit import (
    FALSE_ALARM_LEVEL,
    LEAST_FILES,
    MOST_FILES,
    WORTH_A_WARNING,
    Matched,
    Probe,
    RowAudit,
)
from avkd.reporting.shortcut_probe import CALIPER
from avkd.reporting.tables import Cell, Table, percent, with_ends, with_interval

TITLE = "Shortcut audit"
MARK = "(shortcut!)"
"""Stands beside the AUC of a row in which a shortcut was found."""
NO_FACTS = (
    "The shortcut audit was not possible: nothing is known of the files but their scores. Prepare "
    "the corpora again (avkd prepare) and evaluate again."
)
_SHORTCUTS_NAMED = 3  # in a sentence; the table has them all
_PERCENT = round(100 * WORTH_A_WARNING)


def marks(audits: Sequence[RowAudit]) -> dict[tuple[str, str, str], str]:
    """What stands beside the AUC of each row with a shortcut, by dataset, split and method."""
    return {audit.key: MARK for audit in audits if audit.found}


def warnings(audits: Sequence[RowAudit]) -> tuple[str, ...]:
    """A plain sentence for each row with a shortcut, and one for rows that could not be audited."""
    if not audits:
        return (NO_FACTS,)
    said = [_warning(audit) for audit in audits if audit.found]
    reasons = tables.by_reason((audit.reason, _name(audit)) for audit in audits)
    said += [f"No shortcut audit of {'; '.join(of)}: {why}." for why, of in reasons.items()]
    return tuple(said)


def to_text(audits: Sequence[RowAudit]) -> str:
    """What must not be overlooked, for a terminal: plain lines, or that nothing was found."""
    if lines := warnings(audits):
        return "\n".join(f"shortcut audit: {line}" for line in lines)
    return "shortcut audit: no fact beside the face tells fake files from real ones"


def section(audits: Sequence[RowAudit]) -> Section:
    """The audit as a part of the page; plain text, escaped by whoever prints it."""
    audited = [audit for audit in audits if not audit.reason]
    found = [(audit, probe) for audit in audited for probe in audit.found]
    shown = [Table.of(map(_row, audited), num_texts=2)] if audited else []
    if found:
        lines = [_found_row(audit, probe) for audit, probe in found]
        shown.append(Table.of(lines, num_texts=5, caption="Every shortcut found"))
    clean = "In no row do facts beside the face tell fake files from real ones."
    return Section(
        title=TITLE,
        warnings=warnings(audits),
        paragraphs=(clean,) if audited and not found else (),
        tables=tuple(shown),
        notes=_NOTES if audited else (),
    )


def to_csv(audits: Sequence[RowAudit]) -> str:
    """One line per probe, with what holds for its whole row; what is not defined is empty."""
    lines = [_csv_line(audit, p) for audit in audits for p in audit.probes or (None,)]
    return Table.of(lines).to_csv()


_NOTES = (
    "A probe is a small logistic regression that sees only facts which say nothing of a forgery: "
    "leading and trailing silence, sound level and its presence, length, frame rate, picture size, "
    "codecs, bit rate, file size, size and place of the face, brightness of the first frame. Each "
    "file is judged by a probe that saw neither it nor a file of its group or source. A single "
    "fact is tried on the files where it is known.",
    f"A probe is called a shortcut when its AUC is above {_PERCENT} %, its interval lies above "
    f"50 % and p, corrected for all probes of the row (Holm), is below {FALSE_ALARM_LEVEL:g}. "
    "Intervals are made as those of the detector, and only above "
    f"{_PERCENT} %. A shortcut that is not listed here may still be there.",
    "Matched pairs: a real and a fake file that agree on the shortcuts found (exactly on words, "
    f"within {CALIPER:g} standard deviations of the probe's log-odds on numbers), so that their "
    "AUC cannot come from those. A probe made anew of the pairs should be near or below 50 %. At "
    f"least {LEAST_FILES} pairs are needed.",
    "Detector's correlation with the facts: Spearman's, of its score with the log-odds of the "
    "probe, within a class; near 0 for a detector that does not look at them.",
    f"At most {MOST_FILES} files of a class are audited, drawn by the seed. Facts are those of "
    "the source files, also where a perturbation was applied.",
)
_OF_ROW = ("num_real", "num_fake", "num_without_facts", "num_left_out", "reason")
_WORDS = {
    "duration_seconds": "length in seconds",
    "frames_per_second": "frame rate",
    "has_sound": "presence of sound",
    "leading_silence_seconds": "leading silence in seconds",
    "trailing_silence_seconds": "trailing silence in seconds",
    "sound_level_db": "sound level in dB",
    "face_side_pixels": "face size in pixels",
    "face_area_share": "face area relative to the frame",
    "face_center_x": "place of the face, left to right",
    "face_center_y": "place of the face, top to bottom",
    "first_frame_brightness": "brightness of the first frame",
}


def _words(name: str) -> str:
    return _WORDS.get(name, name.replace("_", " "))


def _name(audit: RowAudit) -> str:
    return f"{audit.dataset_title}, {audit.method}"


def _warning(audit: RowAudit) -> str:
    # A single fact says more than a family: it comes first.
    found = sorted(audit.found, key=lambda probe: len(probe.facts) > 1)
    named = [_finding(probe) for probe in found[:_SHORTCUTS_NAMED]]
    more = len(audit.found) - len(named)
    named += [f"{more} more"] if more else []
    assert audit.matched is not None
    told = (
        f"{_name(audit)}: without a look at the face, {'; '.join(named)} tell fake from real files."
    )
    if (audit.detector_auc.value or 0.0) <= 0.5:
        return f"{told} The detector's AUC of {percent(audit.detector_auc)} % is not above chance."
    return (
        f"{told} The detector's AUC of {percent(audit.detector_auc)} % may come from that. "
        f"{_without(audit.matched)}"
    )


def _finding(probe: Probe) -> str:
    usual = ""
    if probe.usual_real or probe.usual_fake:
        usual = f", real files {probe.usual_real}, fake files {probe.usual_fake}"
    return f"{_words(probe.name)} (AUC {with_interval(probe.auc)} %{usual})"


def _without(matched: Matched) -> str:
    """What the detector is worth without the shortcut, or why that is not known."""
    if matched.detector_auc.value is None:
        return f"What it is without is not known: {matched.detector_auc.reason}."
    figure = with_interval(matched.detector_auc)
    on = ", ".join(map(_words, matched.on))
    if matched.still_differ:
        return (
            f"What it is without is not known: even the {matched.num_pairs} closest pairs differ "
            f"in {on} (there a probe has {percent(matched.probe_auc)} %, the detector {figure} %)."
        )
    return f"On {matched.num_pairs} pairs that agree on {on} it is {figure} %."


def _row(audit: RowAudit) -> dict[str, Cell]:
    single = [p for p in audit.probes if len(p.facts) == 1 and p.auc.value is not None]
    best = max(single, key=lambda probe: probe.auc.value or 0.0, default=None)
    whole = max(audit.probes, key=lambda probe: len(probe.facts), default=None)
    matched = audit.matched
    pairs: tuple[str, ...] = ("no shortcut found", "-", "-")
    if matched is not None:
        told = "still differ" if matched.still_differ else with_interval(matched.detector_auc)
        pairs = (str(matched.num_pairs), percent(matched.probe_auc), told)
    unknown = f" ({audit.num_without_facts} without facts)" if audit.num_without_facts else ""
    return {
        "Dataset": audit.dataset_title,
        "Forgery": f"{audit.method} {MARK}" if audit.found else audit.method,
        "Files audited": f"{audit.num_real} real, {audit.num_fake} fake{unknown}",
        "Best single fact": "-" if best is None else _words(best.name),
        "its AUC %": "-" if best is None else percent(best.auc),
        "AUC % of all facts": "-" if whole is None else percent(whole.auc),
        "Detector AUC %": percent(audit.detector_auc),
        "Matched pairs": pairs[0],
        "AUC % of a probe of the pairs": pairs[1],
        "Detector AUC % on the pairs [95 % interval]": pairs[2],
        "Detector's correlation with the facts: real files": tables.plain(audit.follows[0]),
        "fake files": tables.plain(audit.follows[1]),
    }


def _found_row(audit: RowAudit, probe: Probe) -> dict[str, Cell]:
    assert probe.holm_p_value is not None
    return {
        "Dataset": audit.dataset_title,
        "Forgery": audit.method,
        "Shortcut": _words(probe.name),
        "Typical real file": probe.usual_real or "-",
        "Typical fake file": probe.usual_fake or "-",
        "AUC % [95 % interval]": with_interval(probe.auc),
        "p (Holm)": f"{probe.holm_p_value:.2g}",
    }


def _csv_line(audit: RowAudit, probe: Probe | None) -> dict[str, Cell]:
    p, pairs = probe or Probe(name="", facts=()), audit.matched
    return {
        **audit.cells,
        **{name: getattr(audit, name) for name in _OF_ROW},
        "probe": p.name,
        "facts": " ".join(p.facts),
        **with_ends("auc", p.auc),
        "holm_p_value": p.holm_p_value,
        "is_shortcut": None if probe is None else probe.is_shortcut,
        "usual_real": p.usual_real,
        "usual_fake": p.usual_fake,
        "detector_auc": audit.detector_auc.value,
        "follows_real": audit.follows[0].value,
        "follows_fake": audit.follows[1].value,
        "matched_on": None if pairs is None else " ".join(pairs.on),
        "num_pairs": None if pairs is None else pairs.num_pairs,
        "pairs_probe_auc": None if pairs is None else pairs.probe_auc.value,
        **with_ends("pairs_detector_auc", Metric(None) if pairs is None else pairs.detector_auc),
    }
