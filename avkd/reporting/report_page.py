"""The pages of `avkd report`: of one model, and of several with what sets them apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from avkd import __version__
from avkd.reporting import model_page, shortcut_table
from avkd.reporting.figures.canvas import picture
from avkd.reporting.figures.results import heat_map
from avkd.reporting.model_page import ScoredModel
from avkd.reporting.model_scores import ModelScores
from avkd.reporting.page import Headline, Section, write_page
from avkd.reporting.report_csv import Provenance
from avkd.reporting.report_words import dataset_title
from avkd.reporting.shortcut_audit import RowAudit
from avkd.reporting.summary import SummaryRow

PAGE = "report.html"
_SAME_BYTES = "from score files alone; the same scores give the same bytes"


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
        rows: of its table.
        name: of the model for the reader; empty = that of its model file's folder.
        audits: as of `report_folder.write_report_folder`.
    """
    model = ScoredModel(name=name or title_of(scores.provenance), rows=tuple(rows), scores=scores)
    extra: list[Section] = []
    if audits is not None:
        names = ((row.dataset, row.split, row.method) for row in rows)
        extra = [shortcut_table.section(shortcut_table.in_order(audits, names))]
    warnings = [warning for section in extra for warning in section.warnings]
    return ModelPart(
        headline=model_page.headline(model, warnings=warnings),
        sections=model_page.sections(model, extra=extra, marks=shortcut_table.marks(audits or ())),
        rows=model.rows,
        provenance=scores.provenance,
    )


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
        sections += model_page.in_part(name, part.sections)
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
        name: {dataset_title(row): row for row in part.rows if row.is_pooled}
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
