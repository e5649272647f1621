"""The pages of `avkd report`: of one model, and of several with what sets them apart."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from avkd import __version__
from avkd.reporting import report, score_frame, shortcut_table
from avkd.reporting.figures.canvas import picture
from avkd.reporting.figures.curves import curve_pictures, histogram_pictures
from avkd.reporting.figures.results import (
    auc_figure,
    confusion_figures,
    heat_map,
    reliability_figures,
)
from avkd.reporting.model_scores import ModelScores
from avkd.reporting.page import Answer, Headline, Picture, Section, write_page
from avkd.reporting.report import Columns
from avkd.reporting.report_csv import Provenance
from avkd.reporting.score_frame import ScoreBlock
from avkd.reporting.scores_head import ScoresHead
from avkd.reporting.shortcut_audit import RowAudit
from avkd.reporting.summary import SummaryRow
from avkd.reporting.tables import Table, percent, percent_down, with_interval

PAGE = "report.html"
_SAME_BYTES = "from score files alone; the same scores give the same bytes"
_QUANTITY = "AUC % over files, all forgeries, with 95 % interval and coverage; 50 is chance"
_NO_THRESHOLD = (
    "There is no validation threshold: these scores rank files, but no verdict, accuracy, "
    "precision or recall can be read from them."
)
_RELIABILITY_CAPTION = (
    "Points on the diagonal: of the files called 0.8 fake, four in five are. Below: how many files "
    "stand behind each point."
)
_CONFUSION_CAPTION = "Verdicts on {dataset}: right ones blue, wrong ones orange."
_AUC_CAPTION = (
    "AUC with its 95 % interval for each method against the same reals, and for all of them "
    "(diamonds). The dashed line is chance."
)


@dataclass(frozen=True, kw_only=True)
class ModelPart:
    """What a page says of one model."""

    headline: Headline
    """The answer."""
    sections: tuple[Section, ...]
    """All the rest."""
    rows: tuple[SummaryRow, ...]
    """Rows of its table."""
    provenance: Provenance
    """What made them."""


def describe(
    scores: ModelScores,
    rows: Sequence[SummaryRow],
    *,
    name: str = "",
    audits: Sequence[RowAudit] | None = None,
) -> ModelPart:
    """Draw and word everything about one model.

    Args:
        scores: of the model.
        rows: of its table, as `summary.summarise` gives them.
        name: of the model for the reader; empty = that of its model file's folder.
        audits: as of `report_folder.write_report_folder`.
    """
    provenance = scores.provenance
    if audits is not None:
        audits = shortcut_table.in_order(audits, ((r.dataset, r.split, r.method) for r in rows))
    pictures = _pictures(rows, blocks(scores), provenance)
    pooled = [row for row in rows if row.is_pooled]
    warnings = [*_warnings(pooled), *([] if provenance.threshold else [_NO_THRESHOLD])]
    return ModelPart(
        headline=Headline(
            title=name or title_of(provenance),
            quantity=_QUANTITY,
            answers=tuple(map(_answer, pooled)),
            notes=provenance.notes,
            warnings=(*warnings, *(shortcut_table.warnings(audits) if audits is not None else ())),
        ),
        sections=(
            *report.sections(rows, provenance=provenance, audits=audits, pictures=pictures),
            _coverage(pooled),
            _provenance(scores.heads),
            *report.listed(rows, provenance),
        ),
        rows=tuple(rows),
        provenance=provenance,
    )


def blocks(scores: ModelScores) -> list[ScoreBlock]:
    """The scores behind the pooled rows of a model, in their order."""
    rows = score_frame.row_files(scores.files, scores.head.reals_from)
    return [ScoreBlock.of(score_frame.scored(row.files)) for row in rows if row.is_pooled]


def _answer(row: SummaryRow) -> Answer:
    low, high = row.auc_interval.low, row.auc_interval.high
    interval = row.auc_interval.reason or row.auc.reason
    if low is not None and high is not None:
        interval = f"[{100 * low:.1f}, {100 * high:.1f}]"
    counts = f"{row.num_scored} of {row.num_expected} files scored ({percent_down(row.coverage)})"
    detail = f"{interval}, {counts}"
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
    rows: Sequence[SummaryRow], of_rows: Sequence[ScoreBlock], provenance: Provenance
) -> dict[str, list[Picture]]:
    """By title of their section."""
    drawn: dict[str, list[Picture]] = {report.RANKING: [picture(auc_figure(rows), _AUC_CAPTION)]}
    for row, block in zip([row for row in rows if row.is_pooled], of_rows, strict=True):
        about = row.dataset_title
        curves = curve_pictures(row, block)
        histograms = histogram_pictures(row, block, provenance.threshold)
        verdicts = []
        if provenance.threshold is not None:
            caption = _CONFUSION_CAPTION.format(dataset=about)
            verdicts = [picture(confusion_figures([row])[0], caption)]
        stated = [
            picture(figure, f"Stated probabilities on {about}. {_RELIABILITY_CAPTION}")
            for figure in reliability_figures([row])
        ]
        for title, found in (
            (report.CURVES, curves),
            (report.SCORES, histograms),
            (report.AT_THRESHOLD, verdicts),
            (report.RANGE, stated),
        ):
            drawn.setdefault(title, []).extend(found)
    return drawn


_COVERAGE: Columns = {
    "Dataset": lambda row: row.dataset_title,
    "Scored / expected": lambda row: f"{row.num_scored} / {row.num_expected}",
    "Share": lambda row: percent_down(row.coverage),
    "Reals": lambda row: f"{row.num_real} / {row.expected_real}",
    "Fakes": lambda row: f"{row.num_fake} / {row.expected_fake}",
    "AUC % of the scored": lambda row: with_interval(row.auc, row.auc_interval),
    "AUC %, unscored pairs as ties": lambda row: percent(row.values["video_auc_missing_neutral"]),
}


def _coverage(pooled: Sequence[SummaryRow]) -> Section:
    tables = [Table.of(pooled, _COVERAGE)]
    reasons = [
        (row.dataset_title, code, str(number)) for row in pooled for code, number in row.unscored
    ]
    if reasons:
        names = ("Dataset", "Reason", "Files")
        caption = "Why files have no score"
        tables.append(Table(columns=names, rows=tuple(reasons), num_texts=2, caption=caption))
    return Section(title="Coverage", tables=tuple(tables))


def _provenance(heads: Mapping[str, ScoresHead]) -> Section:
    """What all score files share, then what they do not."""
    facts = {path: dataclasses.asdict(head) for path, head in heads.items()}
    shared: list[tuple[str, str]] = []
    differing: list[tuple[str, str, str]] = []
    for field in dataclasses.fields(ScoresHead):
        name = field.name.replace("_", " ")
        values = {path: str(head[field.name]) for path, head in facts.items()}
        if len({*values.values()}) == 1:
            value = next(iter(values.values()))
            shared += [(name, value)] if value else []
        else:
            differing += [(name, path, value or "none") for path, value in values.items()]
    tables = []
    if shared:
        tables.append(Table(columns=("", "All score files"), rows=tuple(shared), num_texts=2))
    if differing:
        columns = ("", "Score file", "")
        tables.append(Table(columns=columns, rows=tuple(differing), num_texts=3))
    return Section(title="What made these scores", tables=tuple(tables))


def title_of(provenance: Provenance) -> str:
    """Name of the model: that of its file's folder, for the files all have the same name."""
    return Path(provenance.model).parent.name or provenance.model


def write_model_page(path: Path, part: ModelPart) -> None:
    """Write the page of one model."""
    facts = {
        "Model": part.provenance.model,
        "Model file": part.provenance.model_fingerprint,
        "Evaluated": part.provenance.date,
    }
    write_page(
        path,
        title=f"Evaluation of {part.headline.title}",
        headlines=[part.headline],
        sections=part.sections,
        facts={name: value for name, value in facts.items() if value} | _made_by(),
    )


def write_models_page(
    path: Path,
    parts: Mapping[str, ModelPart],
    *,
    comparison: Sequence[Section] = (),
    studies: Sequence[Section] = (),
) -> None:
    """Write the page of any number of models.

    Args:
        path: of the page.
        parts: of each model, by its name.
        comparison: what sets them apart; stands before them.
        studies: sections of robustness and the like; stand after them.
    """
    sections = [*_across_datasets(parts), *comparison]
    for name, part in parts.items():
        sections += [replace(section, part=name) for section in part.sections]
    title = " and ".join(filter(None, [_count(len(parts)), "studies" if studies else ""]))
    write_page(
        path,
        title=f"Report of {title}",
        headlines=[part.headline for part in parts.values()],
        sections=[*sections, *studies],
        facts=_made_by(),
    )


def _count(number: int) -> str:
    return f"{number} model{'s' if number > 1 else ''}" if number else ""


def _made_by() -> dict[str, str]:
    return {"Made by": f"avkd {__version__} {_SAME_BYTES}"}


def _across_datasets(parts: Mapping[str, ModelPart]) -> list[Section]:
    """The heat map, where there is more than one cell in both directions."""
    cells = {
        name: {row.dataset_title: row for row in part.rows if row.is_pooled}
        for name, part in parts.items()
    }
    datasets = list(dict.fromkeys(title for rows in cells.values() for title in rows))
    if len(cells) < 2 or len(datasets) < 2:
        return []
    figure = heat_map(
        [*cells],
        datasets,
        [[_auc(rows.get(t)) for t in datasets] for rows in cells.values()],
        [[_ends(rows.get(t)) for t in datasets] for rows in cells.values()],
        titles=("model", "tested on"),
    )
    caption = (
        "AUC % of each model on each dataset, all its forgeries, with the 95 % interval. White is "
        "chance, blue is better, orange worse."
    )
    return [Section(title="Models x datasets", pictures=(picture(figure, caption),))]


def _auc(row: SummaryRow | None) -> float | None:
    return None if row is None else row.auc.value


def _ends(row: SummaryRow | None) -> tuple[float, float] | None:
    if row is None or row.auc_interval.low is None or row.auc_interval.high is None:
        return None
    return row.auc_interval.low, row.auc_interval.high
