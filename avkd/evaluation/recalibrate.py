"""Fits the probabilities and the threshold of a finished model to other validation files.

The weights stay as they are, bit for bit; only what its scores mean is fitted anew, e.g. for the
footage one has. Files of a test or training split are refused: they must choose nothing.
"""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from avkd import runtime
from avkd.config.evaluation_config import CalibrateConfig
from avkd.data.clip_items import ClipItem
from avkd.data.datasets import Corpus
from avkd.data.model_input import ModelInput
from avkd.evaluation.calibration import require_enough_files
from avkd.evaluation.validation import Validation
from avkd.models.decision import DecisionRule
from avkd.models.model_file import ModelHeader, load_detector, save_model
from avkd.outcome import ExitCode, Outcome


def recalibrate(config: CalibrateConfig) -> Outcome:
    """`avkd calibrate`: the same model in a new file, with a rule for the files given.

    Raises:
        ModelFileError: the model file is not a detector, or is damaged.
        ValueError: two corpora bear the same name, their validation splits hold one class only, too
            few files for isotonic, or other crops than the model knows.
        FloatingPointError: a window got no finite logit.
    """
    machine = runtime.start(device=config.device, threads=config.threads)
    model, header = load_detector(config.model)
    model_input = header.input_of(ModelInput.read, config.model)
    items, missing, left_out = validation_items(config.model, config.data, header, model_input)
    require_enough_files(config.calibration, [item.sample.label for item in items])
    validation = Validation.of(
        model.to(machine.device),
        items,
        model_input,
        machine,
        batch_size=config.batch_size,
        show_progress=True,
    )
    validation = replace(validation, pooling=config.pooling)
    datasets = ", ".join(dict.fromkeys(item.sample.dataset for item in items))
    rule, _ = validation.decision(
        config.calibration,
        whose=datasets,
        coverage=config.coverage,
        replaced_source=header.decision.source if header.decision else "",
    )
    save_model(
        config.out,
        model,
        kind=header.kind,
        arguments=header.arguments,
        preprocessing=header.preprocessing,
        provenance={**header.provenance, "recalibrated_from": header.sha256},
        decision=rule,
    )
    text = f"{_in_words(rule)}\nwrote {config.out}"
    if left_out:
        text += f"\nleft out, as in training, to be tested as unseen: {', '.join(left_out)}"
    if missing:
        text += f"\n{missing} further validation files were not prepared and took no part"
    if validation.damaged:
        text += f"\n{validation.damaged}"
    is_whole = not (missing or validation.damaged)
    return Outcome(text, ExitCode.DONE if is_whole else ExitCode.SOME_SKIPPED)


def validation_items(
    model: Path, data: Iterable[Path], header: ModelHeader, model_input: ModelInput
) -> tuple[list[ClipItem], int, tuple[str, ...]]:
    """What is prepared of the val splits, how many files are not, and the methods left out.

    Raises:
        ValueError: nothing in a val split, two corpora of one name, or other crops than it knows.
    """
    # What training left out, to be tested as unseen, chooses nothing here.
    excluded = header.provenance.get("excluded_methods")
    unseen = excluded if isinstance(excluded, list) else []
    items: list[ClipItem] = []
    missing, left_out = 0, set()
    for folder in data:
        corpus = Corpus.open(folder)
        corpus.require_faces(model_input, model)
        expected = [s for s in corpus.expected if s.split == "val"]
        left_out |= {s.method for s in expected if s.method in unseen}
        of_corpus = corpus.items(
            s for s in corpus.manifest.samples if s.split == "val" and s.method not in unseen
        )
        if not of_corpus:
            raise ValueError(
                f"{folder}: nothing in its val split; prepare it with a split (see avkd prepare), "
                "or give another corpus: test files must choose nothing"
            )
        if any(of_corpus[0].sample.dataset == item.sample.dataset for item in items):
            raise ValueError(
                f"{folder}: a second corpus named {of_corpus[0].sample.dataset!r}; prepare it with "
                "another --dataset so that the model file can tell them apart"
            )
        items += of_corpus
        missing += sum(s.method not in unseen for s in expected) - len(of_corpus)
    return items, missing, tuple(sorted(left_out))


def _in_words(rule: DecisionRule) -> str:
    fit = rule.fit
    assert fit is not None, "a rule fitted on validation files says so"
    told = (
        f"{rule.calibration.kind} on {fit.num_real} real and {fit.num_fake} fake validation files: "
        f"log-loss {fit.same_files_log_loss_before:.3f} before, "
        f"{fit.same_files_log_loss_after:.3f} after; calibration error "
        f"{fit.same_files_calibration_error_before:.3f} before, "
        f"{fit.same_files_calibration_error_after:.3f} after (of these very files, so better than "
        "on others; real and fake files weigh alike)\n"
        f"called fake from P(fake) {rule.threshold:.3f}, a logit of {rule.threshold_logit:.3f}\n"
    )
    if rule.sets is None:
        return f"{told}uncertain within {rule.uncertain_half_width:.3f} of it ({rule.source})"
    return (
        f"{told}prediction sets of {rule.sets.coverage:.1%} coverage: real up to a logit of "
        f"{rule.sets.largest_real:.3f}, fake from {rule.sets.least_fake:.3f} on "
        f"({rule.sets.origin})"
    )
