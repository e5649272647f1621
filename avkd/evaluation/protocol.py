"""A protocol at work: which files it wants, which windows of them, and what a reader must be told.

Without a protocol file the settings of the command line stand for one.
"""

import dataclasses
from collections.abc import Iterator, Sequence

from avkd import durable
from avkd.config.evaluation_config import EvaluateConfig
from avkd.config.load import ConfigError, parse
from avkd.config.protocol_config import ProtocolConfig
from avkd.data.datasets import Corpus
from avkd.data.manifest import REAL, REAL_METHOD, Sample
from avkd.data.model_input import ModelInput
from avkd.data.windows import WindowRule
from avkd.metrics.pooling import RULES, Pooling
from avkd.reporting.summary import SummaryRow


def protocol_of(config: EvaluateConfig) -> ProtocolConfig:
    """The protocol that an evaluation follows.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no protocol; names it.
    """
    if config.protocol is None:
        return ProtocolConfig(
            name="command line",
            source="The settings of the command.",
            split=config.split,
            methods=config.methods,
        )
    if not config.protocol.is_file():
        raise FileNotFoundError(f"{config.protocol}: no such protocol file")
    try:
        return parse("evaluate", ProtocolConfig, ["--config", str(config.protocol)])
    except ConfigError as error:
        raise ValueError(f"{config.protocol}: {error}") from error


def fingerprint_of(protocol: ProtocolConfig) -> str:
    """Digest of all that a protocol says."""
    return durable.fingerprint(dataclasses.asdict(protocol))


def window_rule(
    protocol: ProtocolConfig, model_input: ModelInput, config: EvaluateConfig
) -> WindowRule:
    """Which windows of a file the model is shown.

    Raises:
        ValueError: the model looks at clips of another length than the protocol's, or the scorer
            chooses its windows itself.
    """
    own = model_input.window_rule
    if config.scorer != "detector" and (
        (protocol.windows, protocol.first_frames, protocol.pooling) != ("model", None, "mean_logit")
    ):
        raise ValueError(
            f"--scorer {config.scorer} chooses its windows itself and states no probabilities to "
            "pool; take a protocol with windows: model, pooling: mean_logit and no first_frames"
        )
    if protocol.clip_frames not in (None, own.size_frames):
        raise ValueError(
            f"{config.model} looks at {own.size_frames} frame(s) at once, protocol "
            f"{protocol.name!r} at {protocol.clip_frames}; take a protocol of that length, or one "
            "that leaves clip_frames out"
        )
    if protocol.windows == "model":
        return dataclasses.replace(own, first_frames=protocol.first_frames)
    return WindowRule(
        size_frames=own.size_frames,
        placing=protocol.windows,
        most=protocol.most_windows,
        first_frames=protocol.first_frames,
    )


def wants(protocol: ProtocolConfig, sample: Sample) -> bool:
    """Whether a file is part of the test."""
    if sample.split != protocol.split:
        return False
    if sample.label == REAL:
        return protocol.reals_from in (None, sample.dataset)
    return protocol.methods is None or sample.method in protocol.methods


def wanted_files(protocol: ProtocolConfig, corpora: Sequence[Corpus]) -> list[tuple[Sample, ...]]:
    """The files of each corpus that are part of the test, at least one.

    Raises:
        ValueError: a corpus has none, two bear one name, or the real files are missing.
    """
    found = [tuple(s for s in corpus.expected if wants(protocol, s)) for corpus in corpora]
    datasets: list[str] = []
    for corpus, samples in zip(corpora, found, strict=True):
        if not samples:
            raise ValueError(f"{corpus.folder}: nothing to score in its {protocol.split} split")
        if samples[0].dataset in datasets:
            raise ValueError(
                f"{corpus.folder}: a second corpus named {samples[0].dataset!r}; prepare it with "
                "another --dataset so that the table can tell them apart"
            )
        datasets.append(samples[0].dataset)
    if protocol.reals_from not in (None, *datasets):
        raise ValueError(
            f"protocol {protocol.name!r} sets forgeries against the real files of "
            f"{protocol.reals_from!r}; give that corpus too with --data (here are: "
            f"{', '.join(sorted(datasets))})"
        )
    return found


def protocol_notes(
    protocol: ProtocolConfig, rows: Sequence[SummaryRow], *, threshold_pooling: Pooling | None
) -> Iterator[str]:
    """What a reader of the table must know of the protocol, one sentence or two each.

    ``threshold_pooling`` is that under which the threshold was chosen; None = no verdicts.
    """
    yield f"Protocol {protocol.name} ({fingerprint_of(protocol)}): {protocol.source}"
    for method in protocol.methods or ():
        if all(row.method != method for row in rows):
            yield f"The protocol's forgeries {method} are in none of these corpora."
    found: dict[tuple[str, str], int] = {}  # expected files, scored or not
    for row in rows:
        found[row.dataset, row.method] = row.expected_fake
        found[row.reals_from or row.dataset, REAL_METHOD] = row.expected_real
    datasets = {dataset for dataset, _ in found}
    for count in protocol.official_counts:
        number = found.get((count.dataset, count.method), 0)
        if count.dataset in datasets and number != count.files:
            yield (
                f"Not the official test set: {number} files of {count.dataset} ({count.method}) "
                f"where the protocol has {count.files}."
            )
    if protocol.official_counts:
        known = {count.dataset for count in protocol.official_counts}
        for dataset in sorted(datasets - known):
            yield f"The protocol does not say how many files {dataset} should have."
    if threshold_pooling not in (None, protocol.pooling):
        yield (
            "The threshold was chosen on validation files under another rule: "
            f"{RULES[threshold_pooling]}."
        )
