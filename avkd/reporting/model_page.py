"""What a page says of one model: its answer first, then tables, curves and what made the scores."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from avkd.reporting import score_frame
from avkd.reporting.figures.canvas import picture
from avkd.reporting.figures.curves import curve_pictures, histogram_pictures
from avkd.reporting.figures.results import auc_figure, confusion_figures, reliability_figures
from avkd.reporting.model_scores import ModelScores
from avkd.reporting.page import Answer, Headline, Picture, Section
from avkd.reporting.report_csv import Provenance
from avkd.reporting.report_words import (
    RANGE_COLUMNS,
    RANKING_COLUMNS,
    THRESHOLD_COLUMNS,
    Columns,
    dataset_title,
    legend,
    table,
    undefined,
)
from avkd.reporting.score_frame import ScoreBlock
from avkd.reporting.scores_head import ScoresHead
from avkd.reporting.summary import SummaryRow
from avkd.reporting.tables import Table, percent, percent_down, with_interval

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
class ScoredModel:
    """All that the page says of one model is made of."""

    name: str
    """For the reader."""
    rows: tuple[SummaryRow, ...]
    """Rows of its table, at least one."""
    scores: ModelScores
    """The scores behind them."""

    @property
    def provenance(self) -> Provenance:
        """What made the numbers."""
        return self.scores.provenance

    @property
    def pooled(self) -> tuple[SummaryRow, ...]:
        """One row for each dataset."""
        return tuple(row for row in self.rows if row.is_pooled)

    def blocks(self) -> list[ScoreBlock]:
        """The scores behind the pooled rows."""
        rows = score_frame.row_files(self.scores.files, self.scores.head.reals_from)
        return [ScoreBlock.of(score_frame.scored(row.files)) for row in rows if row.is_pooled]


def headline(model: ScoredModel, *, warnings: Sequence[str] = ()) -> Headline:
    """The AUC of each dataset with interval and coverage, and what changes its meaning.

    Args:
        model: whose.
        warnings: further sentences, e.g. of the shortcut audit.
    """
    answers = []
    for row in model.pooled:
        low, high = row.auc_interval.low, row.auc_interval.high
        interval = row.auc_interval.reason or row.auc.reason
        if low is not None and high is not None:
            interval = f"[{100 * low:.1f}, {100 * high:.1f}]"
        counts = f"{row.num_scored} of {row.num_expected} files scored"
        detail = f"{interval}, {counts} ({percent_down(row.coverage)})"
        value = percent(row.auc)
        answers.append(Answer(subject=dataset_title(row), value=value, detail=detail))
    return Headline(
        title=model.name,
        quantity=_QUANTITY,
        answers=tuple(answers),
        notes=model.provenance.notes,
        warnings=(*_warnings(model), *warnings),
    )


def sections(
    model: ScoredModel,
    *,
    extra: Sequence[Section] = (),
    marks: Mapping[tuple[str, str, str], str] | None = None,
) -> tuple[Section, ...]:
    """Everything below the headline, in order.

    Args:
        model: whose.
        extra: sections of other audits of the same scores, e.g. of shortcuts; they stand before
            coverage and provenance.
        marks: what stands beside the AUC of a row, by dataset, split and method.
    """
    return (
        _ranking(model, marks or {}),
        *_curves(model),
        *_at_threshold(model),
        _probabilities(model),
        *extra,
        _coverage(model),
        _provenance(model),
        *_listed("How to read it", legend(model.rows, model.provenance)),
        *_listed("Numbers that are not defined", undefined(model.rows)),
    )


def in_part(name: str, of_model: Sequence[Section]) -> tuple[Section, ...]:
    """The same sections under the heading of their model."""
    return tuple(dataclasses.replace(section, part=name) for section in of_model)


def _warnings(model: ScoredModel) -> list[str]:
    found: list[str] = []
    for row in model.pooled:
        missing = row.num_expected - row.num_scored
        if missing:
            with_ties = percent(row.values["video_auc_missing_neutral"])
            found.append(
                f"{dataset_title(row)}: {missing} expected files could not be scored; with "
                f"their pairs as ties the AUC is {with_ties}."
            )
        if row.auc.reason:
            found.append(f"{dataset_title(row)}: no AUC, for there is {row.auc.reason}.")
    return [*found, *([_NO_THRESHOLD] if model.provenance.threshold is None else [])]


def _ranking(model: ScoredModel, marks: Mapping[tuple[str, str, str], str]) -> Section:
    return Section(
        title="AUC and other ranking numbers",
        tables=(table(model.rows, RANKING_COLUMNS, marks),),
        pictures=(picture(auc_figure(model.rows), _AUC_CAPTION),),
    )


def _curves(model: ScoredModel) -> list[Section]:
    curves: list[Picture] = []
    histograms: list[Picture] = []
    for row, block in zip(model.pooled, model.blocks(), strict=True):
        curves += curve_pictures(row, block)
        histograms += histogram_pictures(row, block, model.provenance.threshold)
    drawn = {"ROC and DET curves": curves, "Scores by method": histograms}
    return [Section(title=t, pictures=tuple(found)) for t, found in drawn.items() if found]


def _at_threshold(model: ScoredModel) -> list[Section]:
    if model.provenance.threshold is None:
        return []
    pictures = [
        picture(confusion_figures([row])[0], _CONFUSION_CAPTION.format(dataset=dataset_title(row)))
        for row in model.pooled
    ]
    title = "At the threshold chosen on validation data"
    tables = (table(model.rows, THRESHOLD_COLUMNS),)
    return [Section(title=title, tables=tables, pictures=tuple(pictures))]


def _probabilities(model: ScoredModel) -> Section:
    pictures = [
        picture(figure, f"Stated probabilities on {dataset_title(row)}. {_RELIABILITY_CAPTION}")
        for row in model.pooled
        for figure in reliability_figures([row])
    ]
    return Section(
        title="Low false-alarm range and probabilities",
        tables=(table(model.rows, RANGE_COLUMNS),),
        pictures=tuple(pictures),
    )


_COVERAGE: Columns = {
    "Dataset": dataset_title,
    "Scored / expected": lambda row: f"{row.num_scored} / {row.num_expected}",
    "Share": lambda row: percent_down(row.coverage),
    "Reals": lambda row: f"{row.num_real} / {row.expected_real}",
    "Fakes": lambda row: f"{row.num_fake} / {row.expected_fake}",
    "AUC % of the scored": lambda row: with_interval(row.auc, row.auc_interval),
    "AUC %, unscored pairs as ties": lambda row: percent(row.values["video_auc_missing_neutral"]),
}


def _coverage(model: ScoredModel) -> Section:
    tables = [Table.of(model.pooled, _COVERAGE)]
    reasons = [
        (dataset_title(row), code, str(number))
        for row in model.pooled
        for code, number in row.unscored
    ]
    if reasons:
        names = ("Dataset", "Reason", "Files")
        caption = "Why files have no score"
        tables.append(Table(columns=names, rows=tuple(reasons), num_texts=2, caption=caption))
    return Section(title="Coverage", tables=tuple(tables))


def _provenance(model: ScoredModel) -> Section:
    """What all score files share, then what they do not."""
    facts = {path: dataclasses.asdict(head) for path, head in model.scores.heads.items()}
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


def _listed(title: str, sentences: Sequence[str]) -> list[Section]:
    return [Section(title=title, notes=tuple(sentences))] if sentences else []
