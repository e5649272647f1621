"""The report of one model, and the page of several: Markdown, terminal text, HTML, figures.

All texts are plain, with untrusted names in them: whoever prints them escapes them.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from avkd import __version__, durable
from avkd.metrics.bootstrap import Metric
from avkd.metrics.pooling import RULES
from avkd.metrics.table import METRICS
from avkd.reporting import page, score_frame, shortcut_table, summary, tables
from avkd.reporting.figures import curves, results
from avkd.reporting.figures.canvas import picture, save
from avkd.reporting.model_scores import ModelScores
from avkd.reporting.page import Answer, Headline, Picture, Section
from avkd.reporting.scores import ScoresHead
from avkd.reporting.shortcut_audit import RowAudit
from avkd.reporting.summary import Provenance, SummaryRow, Threshold
from avkd.reporting.tables import Cell, Line, Table, percent, percent_down

PAGE = "report.html"
# Not every report has these; of an earlier one they would say something else than the tables.
_NOT_ALWAYS = ("report.png", "confusion*.png", "reliability*.png", "shortcuts.csv", PAGE)
RANKING, CURVES, SCORES = "AUC and other ranking numbers", "ROC and DET curves", "Scores by method"
AT_THRESHOLD = "At the threshold chosen on validation data"
SETS = "Prediction sets, and what is left uncertain"
RANGE = "Low false-alarm range and probabilities"
_MADE_BY = f"avkd {__version__} from score files alone; the same scores give the same bytes"
_QUANTITY = "AUC % over files, all forgeries, with 95 % interval and coverage; 50 is chance"
_NO_THRESHOLD = (
    "There is no validation threshold: these scores rank files, but no verdict, accuracy, "
    "precision or recall can be read from them."
)
_WINDOWS = (
    "Clip AUC: over windows. Frame AUC: a window's score stands for its frames; a frame in two "
    "windows has their mean. Where every file is a single image both equal the AUC."
)
_RELIABILITY_CAPTION = (
    "Points on the diagonal: of the files called 0.8 fake, four in five are. Below: how many files "
    "stand behind each point."
)
_AUC_CAPTION = (
    "AUC with its 95 % interval for each method against the same real files, and for all of them "
    "(diamonds). The dashed line is chance."
)
_HEAT_MAP_CAPTION = (
    "AUC % of each model on each dataset, all its forgeries, with the 95 % interval. White is "
    "chance, blue is better, orange worse."
)


def _classes(row: SummaryRow) -> dict[str, Cell]:
    return {
        "Real": f"{row.num_real} / {row.expected_real}",
        "Fake": f"{row.num_fake} / {row.expected_fake}",
    }


def metrics(table: str, row: SummaryRow, *, of_windows: bool = True) -> dict[str, Cell]:
    """Cells of a table of `METRICS`; without those over windows and frames if there are none."""
    return {
        m.label: (tables.with_interval if m.in_percent else tables.plain)(row.values[m.name])
        for m in METRICS
        if m.table == table and (of_windows or m.over not in ("windows", "frames"))
    }


def _verdicts(row: SummaryRow) -> dict[str, Cell]:
    assert row.confusion is not None, "there is a threshold"
    counts = zip(("TN", "FP", "FN", "TP"), dataclasses.astuple(row.confusion), strict=True)
    return metrics("verdicts", row) | dict(counts)


def _tables(
    rows: Sequence[SummaryRow],
    threshold: Threshold | None,
    audits: Sequence[RowAudit] | None,
    pictures: Mapping[str, Sequence[Picture]],
    of_windows: bool,
) -> list[Section]:
    """The tables, each with its ``pictures``, which are given by title of the section.

    The findings of ``audits`` stand beside the AUC.
    """
    drawn = {title: tuple(found) for title, found in pictures.items() if found}
    marks = shortcut_table.marks(audits or ())

    def ranking(row: SummaryRow) -> Line:
        numbers = metrics("ranking", row, of_windows=of_windows)
        (auc, value), *others = numbers.items()
        marked = " ".join(filter(None, (str(value), marks.get(row.key))))
        scored = f"{row.num_scored} / {row.num_expected} ({percent_down(row.coverage)})"
        return {auc: marked, "Scored / expected": scored, **_classes(row), **dict(others)}

    def section(title: str, cells: Callable[[SummaryRow], Line]) -> Section:
        table = Table.of(
            [{"Dataset": r.dataset_title, "Forgery": r.method, **cells(r)} for r in rows],
            num_texts=2,
            strong_rows=[place for place, row in enumerate(rows) if row.is_pooled],
        )
        return Section(title=title, tables=(table,), pictures=drawn.get(title, ()))

    made = [section(RANKING, ranking)]
    made += [Section(title=t, pictures=drawn[t]) for t in (CURVES, SCORES) if t in drawn]
    made += [shortcut_table.section(audits)] if audits is not None else []
    made += [section(AT_THRESHOLD, _verdicts)] if threshold else []
    made.append(section(RANGE, partial(metrics, "range")))
    if threshold and threshold.sets:
        made.append(section(SETS, partial(metrics, "sets")))
    return made


def to_text(rows: Sequence[SummaryRow]) -> str:
    """The main columns, aligned for a terminal; one line per row under a heading."""
    return Table.of(
        {
            "dataset": row.dataset,
            "forgery": row.method,
            "AUC % [95 % interval]": tables.with_interval(row.auc),
            **({"accuracy %": percent(row.values["accuracy"])} if row.confusion else {}),
            "EER %": percent(row.values["equal_error_rate"]),
            "scored/expected": f"{row.num_scored}/{row.num_expected}",
        }
        for row in rows
    ).to_text()


def _legend(rows: Sequence[SummaryRow], provenance: Provenance, of_windows: bool) -> list[str]:
    lower = [m.short_label for m in METRICS if not m.higher_is_better]
    of_one_set = [m.short_label for m in METRICS if m.depends_on_share]
    return [
        "Label 1 = fake. Each row sets the forgeries of one method against all real files of the "
        "dataset; bold rows hold all its forgeries.",
        f"{_over_files(rows, of_windows)}; AUC counts ties one half.",
        *dict.fromkeys(
            f"The real files of {row.dataset} are those of {row.reals_from}."
            for row in rows
            if row.reals_from
        ),
        *tables.interval_notes(row.auc for row in rows),
        "An interval of no width means that no resample differed (for AUC: that every pair was in "
        "order), not that the value is known exactly. A resample in which nothing is called fake "
        "has no precision: it counts as 0 for the lower end and as 1 for the upper.",
        "All numbers are over the scored files, except 'unscored pairs as ties', where each pair "
        "of a fake and a real file with an unscored member counts one half.",
        *([_WINDOWS] if of_windows else []),
        *_threshold_legend(provenance.threshold),
        "Low false-alarm range: FPR is the share of real files called fake, TPR of fake files "
        "called fake. TPR at an FPR: the best threshold of this test set that keeps it. Partial "
        "AUC: standardised after McClish, 50 = chance, 100 = perfect.",
        f"Lower is better: {', '.join(lower)} (log-loss in nats; always 0.5: 0.693, Brier score "
        "0.250). Of all others higher is better.",
        f"{', '.join(of_one_set)} depend on the share of fake files: compare them within one test "
        "set only.",
        *([f"{origin[0].upper()}{origin[1:]}."] if (origin := provenance.origin) else []),
        *provenance.notes,
    ]


def _over_files(rows: Sequence[SummaryRow], of_windows: bool) -> str:
    if not of_windows:
        return "All columns are over files, each with the score that the table of scores gives it"
    rules = "; ".join(dict.fromkeys(RULES[row.pooling] for row in rows))
    return f"Unless a column says clip or frame it is over files (videos or images): {rules}"


def _threshold_legend(threshold: Threshold | None) -> list[str]:
    if threshold is None:
        return ["Accuracy, precision, recall, F1: not given, for there is no validation threshold."]
    told = [
        f"At the threshold: fake when the file's logit is at least {threshold.logit:.4g} "
        f"({threshold.origin}). Fake is the positive class: TN = real files called real, "
        "FP = real files called fake, FN = fake files called real, TP = fake files called fake.",
        "Precision = TP / (TP + FP), recall = TP / (TP + FN), F1 = their harmonic mean, balanced "
        "accuracy = the mean of recall and TN / (TN + FP).",
    ]
    if (sets := threshold.sets) is None:
        return told
    return [
        *told,
        f"Prediction sets hold real up to a logit of {sets.largest_real:.4g} and fake from "
        f"{sets.least_fake:.4g} on: chosen so that the sets of at least {sets.coverage:.1%} of the "
        "real files, and of the fake ones, hold the right answer, for files like those of the "
        "validation. A file whose set holds both or none, or not what the threshold says, is "
        "called uncertain.",
    ]


@dataclass(frozen=True, kw_only=True)
class ModelPart:
    """What a page says of one model."""

    headline: Headline
    sections: tuple[Section, ...]
    rows: tuple[SummaryRow, ...]
    """Of its table."""
    provenance: Provenance


def describe(
    scores: ModelScores,
    rows: Sequence[SummaryRow],
    *,
    name: str = "",
    audits: Sequence[RowAudit] | None = None,
    tables_only: bool = False,
) -> ModelPart:
    """Word and draw everything about one model, of its ``scores`` and the ``rows`` of its table.

    ``name`` is for the reader; empty = that of its model file's folder. ``audits`` are empty where
    no audit was possible, for nothing is known of the files; None = not asked for. ``tables_only``
    leaves out the pictures.
    """
    provenance, threshold = scores.provenance, scores.provenance.threshold
    pooled = [row for row in rows if row.is_pooled]
    warnings = [*_warnings(pooled), *([] if threshold else [_NO_THRESHOLD])]
    warnings += shortcut_table.warnings(audits) if audits is not None else ()
    pictures = {} if tables_only else _pictures(rows, pooled, pooled_files(scores), threshold)
    numbers = [(f"{row.dataset} ({row.method})", n) for row in rows for n in row.values.values()]
    of_windows = all(head.scorer != "table" for head in scores.heads.values())
    return ModelPart(
        headline=Headline(
            title=name or title_of(provenance),
            quantity=_QUANTITY,
            answers=tuple(map(_answer, pooled)),
            notes=provenance.notes,
            warnings=tuple(warnings),
        ),
        sections=(
            *_tables(rows, threshold, audits, pictures, of_windows),
            _coverage(pooled),
            _provenance(scores.heads),
            Section(title="How to read it", notes=tuple(_legend(rows, provenance, of_windows))),
            *page.undefined(numbers),
        ),
        rows=tuple(rows),
        provenance=provenance,
    )


def to_markdown(part: ModelPart) -> str:
    """The sections of one model."""
    title = Section(title=f"Evaluation of {part.provenance.model}")
    return f"{page.to_markdown([title])}\n{page.to_markdown(part.sections, level=2)}"


def pooled_files(scores: ModelScores) -> list[pd.DataFrame]:
    """The scored files behind the pooled rows of a model, in their order."""
    rows = score_frame.row_files(scores.files, scores.head.reals_from)
    return [score_frame.scored(files) for row, files in rows if row.is_pooled]


def _answer(row: SummaryRow) -> Answer:
    interval = row.auc.interval
    said = tables.ends_in_percent(interval.ends) if interval.ends else interval.reason
    counts = f"{row.num_scored} of {row.num_expected} files scored ({percent_down(row.coverage)})"
    detail = f"{said or row.auc.reason}, {counts}"
    return Answer(subject=row.dataset_title, value=percent(row.auc), detail=detail)


def _warnings(pooled: Sequence[SummaryRow]) -> list[str]:
    found: list[str] = []
    for row in pooled:
        if missing := row.num_expected - row.num_scored:
            with_ties = percent(row.values["video_auc_missing_neutral"])
            found.append(
                f"{row.dataset_title}: {missing} expected files could not be scored; with "
                f"their pairs as ties the AUC is {with_ties}."
            )
        if row.auc.reason:
            found.append(f"{row.dataset_title}: no AUC, for there is {row.auc.reason}.")
    return found


def _pictures(
    rows: Sequence[SummaryRow],
    pooled: Sequence[SummaryRow],
    files: Sequence[pd.DataFrame],
    threshold: Threshold | None,
) -> dict[str, list[Picture]]:
    """By title of their section."""
    drawn = {title: list[Picture]() for title in (RANKING, CURVES, SCORES, AT_THRESHOLD, RANGE)}
    drawn[RANKING].append(picture(results.auc_figure(rows), _AUC_CAPTION))
    for row, of_row in zip(pooled, files, strict=True):
        drawn[CURVES] += curves.curve_pictures(row, of_row)
        drawn[SCORES] += curves.histogram_pictures(row, of_row, threshold)
        if threshold is not None:
            caption = f"Verdicts on {row.dataset_title}: right ones blue, wrong ones orange."
            drawn[AT_THRESHOLD].append(picture(results.confusion_figures([row])[0], caption))
        caption = f"Stated probabilities on {row.dataset_title}. {_RELIABILITY_CAPTION}"
        drawn[RANGE] += [picture(f, caption) for f in results.reliability_figures([row])]
    return drawn


def _coverage(pooled: Sequence[SummaryRow]) -> Section:
    shown = [
        Table.of(
            {
                "Dataset": row.dataset_title,
                "Scored / expected": f"{row.num_scored} / {row.num_expected}",
                "Share": percent_down(row.coverage),
                **_classes(row),
                "AUC % of the scored": tables.with_interval(row.auc),
                "AUC %, unscored pairs as ties": percent(row.values["video_auc_missing_neutral"]),
            }
            for row in pooled
        )
    ]
    reasons: list[Line] = [
        {"Dataset": row.dataset_title, "Reason": code, "Files": count}
        for row in pooled
        for code, count in row.unscored
    ]
    if reasons:
        shown.append(Table.of(reasons, num_texts=2, caption="Why files have no score"))
    return Section(title="Coverage", tables=tuple(shown))


def _provenance(heads: Mapping[str, ScoresHead]) -> Section:
    """What all score files share, then what they do not."""
    shared: list[Line] = []
    differing: list[Line] = []
    for field in dataclasses.fields(ScoresHead):
        name = field.name.replace("_text", " in words").replace("_", " ")
        values = {dataset: head.in_words[field.name] for dataset, head in heads.items()}
        if len({*values.values()}) > 1:
            differing += [
                {"": name, "Score file": dataset, "Value": value or "none"}
                for dataset, value in values.items()
            ]
        else:
            shared += [{"": name, "All score files": v} for v in {*values.values()} if v]
    shown = [Table.of(ls, num_texts=len(ls[0])) for ls in (shared, differing) if ls]
    return Section(title="What made these scores", tables=tuple(shown))


def title_of(provenance: Provenance) -> str:
    """Name of the model: that of its file's folder, for the files all have the same name."""
    return Path(provenance.model).parent.name or provenance.model


class Written(NamedTuple):
    """The report of one model, as it was written."""

    text: str
    """The same for a terminal."""
    paths: tuple[Path, ...]
    part: ModelPart
    """What its page says."""


def write_report(
    folder: Path,
    scores: ModelScores,
    rows: Sequence[SummaryRow],
    *,
    audits: Sequence[RowAudit] | None = None,
    name: str = "",
    tables_only: bool = False,
) -> Written:
    """Write the tables, and unless ``tables_only`` the figures and the page.

    What an earlier report left beside them goes. Arguments as of `describe`.
    """
    provenance = scores.provenance
    part = describe(scores, rows, name=name, audits=audits, tables_only=tables_only)
    texts = {
        "report.md": to_markdown(part),
        "report.csv": summary.to_csv(rows, provenance=provenance),
    }
    if audits:
        texts["shortcuts.csv"] = shortcut_table.to_csv(audits)
    paths: list[Path] = []
    if not tables_only:
        title = title_of(provenance)
        figures = {"report.png": [results.auc_figure(rows, f"{title}: AUC, 95 % interval")]}
        if provenance.threshold is not None:
            figures["confusion.png"] = results.confusion_figures(rows, f"{title}: verdicts")
        stated = results.reliability_figures(rows, f"{title}: stated probabilities")
        for file, of_file in {**figures, "reliability.png": stated}.items():
            paths += save(of_file, folder / file)
        texts[PAGE] = _model_page(part)
    for file, text in texts.items():
        durable.write_text(folder / file, text)
    paths = [*(folder / file for file in texts), *paths]
    for left in (path for pattern in _NOT_ALWAYS for path in folder.glob(pattern)):
        if left not in paths:
            left.unlink()
    said = [to_text(rows), *([] if audits is None else [shortcut_table.to_text(audits)])]
    return Written("\n".join(said), tuple(paths), part)


def _model_page(part: ModelPart) -> str:
    facts = {
        "Model": part.provenance.model,
        "Model file": part.provenance.model_fingerprint,
        "Evaluated": part.provenance.date,
        "Made by": _MADE_BY,
    }
    return page.to_html(
        title=f"Evaluation of {part.headline.title}",
        headlines=[part.headline],
        sections=part.sections,
        facts={name: value for name, value in facts.items() if value},
    )


def write_models_page(
    path: Path,
    parts: Mapping[str, ModelPart],
    *,
    comparison: Sequence[Section] = (),
    studies: Sequence[Section] = (),
) -> None:
    """Write the page of models by name, after their comparison and before studies of them."""
    sections = [*_across_datasets(parts), *comparison]
    for name, part in parts.items():
        sections += [replace(section, part=name) for section in part.sections]
    models = f"{len(parts)} model{'s' if len(parts) > 1 else ''}" if parts else ""
    text = page.to_html(
        title=f"Report of {' and '.join(filter(None, [models, 'studies' if studies else '']))}",
        headlines=[part.headline for part in parts.values()],
        sections=[*sections, *studies],
        facts={"Made by": _MADE_BY},
    )
    durable.write_text(path, text)


def _across_datasets(parts: Mapping[str, ModelPart]) -> list[Section]:
    """The heat map, where there is more than one cell in both directions."""
    cells = {
        name: {row.dataset_title: row for row in part.rows if row.is_pooled}
        for name, part in parts.items()
    }
    datasets = list(dict.fromkeys(title for rows in cells.values() for title in rows))
    if len(cells) < 2 or len(datasets) < 2:
        return []
    nothing = Metric(None)
    aucs = [[r[t].auc if t in r else nothing for t in datasets] for r in cells.values()]
    figure = results.heat_map([*cells], datasets, aucs, titles=("model", "tested on"))
    return [Section(title="Models x datasets", pictures=(picture(figure, _HEAT_MAP_CAPTION),))]
