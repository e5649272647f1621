"""`avkd probe`: what a stage-one file has learned, on any held-out split.

The meters of the training itself, in single precision, and the linear baseline on the same places.
The validation split selected the weights; the test split did not.
"""

from avkd import durable, runtime
from avkd.config.evaluation_config import ProbeConfig
from avkd.data import build
from avkd.data.datasets import Corpus
from avkd.evaluation.av_agreement import load_stage_one
from avkd.evaluation.cross_modal_meters import look, meters_of, random_places
from avkd.evaluation.linear_baseline import linear_baseline
from avkd.outcome import Outcome
from avkd.reporting.tables import Table

_ROWS = {
    "retrieval_at_1": "retrieval@1, mean of both directions",
    "retrieval_sound_by_picture": "the sound of a picture",
    "retrieval_picture_by_sound": "the picture of a sound",
    "retrieval_same_identity": "among clips of the same speaker",
}


def probe(config: ProbeConfig) -> Outcome:
    """Measure a stage-one file; leaves ``probe.json`` and ``probe.md``.

    Raises:
        ModelFileError: no stage-one file, or trained on another sound than it would be given here.
        ValueError: too few real clips with sound in a split.
    """
    machine = runtime.start(device=config.device, threads=config.threads)
    loaded, model_input = load_stage_one(config.model)
    corpora = [Corpus.open(folder) for folder in config.data]
    for corpus in corpora:
        corpus.require_faces(model_input, config.model)
    training, held_out = build.talking_clips(corpora, config.split, most=config.clips)
    places = random_places(held_out, config.starts)
    seen = look(
        loaded.model.to(machine.device),
        held_out,
        places,
        model_input=model_input,
        machine=machine,
        batch_size=config.batch_size,
    )
    found = meters_of(seen, held_out)
    baseline = linear_baseline(training, held_out, places)
    config.out.mkdir(parents=True, exist_ok=True)
    durable.write_json(
        config.out / "probe.json",
        {
            "model": {"file": str(config.model), "sha256": loaded.header.sha256},
            "data": [str(folder) for folder in config.data],
            "split": config.split,
            "starts": config.starts,
            "meters": found,
            "linear_baseline": baseline,
        },
    )
    text = _table(config, found, baseline)
    durable.write_text(config.out / "probe.md", text)
    return Outcome(f"{text}wrote {config.out / 'probe.md'} and probe.json")


def _table(config: ProbeConfig, found: dict[str, float], baseline: dict[str, float]) -> str:
    """The meters as Markdown."""
    rows = [
        (label, _with_interval(found, name), _with_interval(baseline, name), _chance(found, name))
        for name, label in _ROWS.items()
        if name in found
    ]
    rows += [
        ("alignment error, frames", f"{found['alignment_error_frames']:.1f}", "", "8.3"),
        ("position-only share of the targets", f"{found['position_only_share']:.2f}", "", ""),
    ]
    table = Table(
        columns=("in brackets 95 % over speakers", "stage one", "linear baseline", "chance"),
        rows=tuple(rows),
        caption=f"{found['num_clips']:.0f} clips of the {config.split} split, {config.starts} "
        f"places in each; {config.model}",
    )
    return f"{table.to_markdown()}\n"


def _with_interval(values: dict[str, float], name: str) -> str:
    text = f"{values[name]:.3f}"
    if name == "retrieval_at_1" and "retrieval_low" in values:
        text += f" [{values['retrieval_low']:.3f}, {values['retrieval_high']:.3f}]"
    return text


def _chance(found: dict[str, float], name: str) -> str:
    key = f"{name}_chance" if name == "retrieval_same_identity" else "retrieval_chance"
    return f"{found[key]:.3f}"
