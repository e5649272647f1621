"""The verbs that make corpora: a config becomes generated clips or forgeries of real ones."""

from collections import Counter
from pathlib import Path

from avkd.config.data_config import ForgeConfig, SynthConfig
from avkd.data.crops.prepared_corpus import read_description
from avkd.outcome import ExitCode, Outcome
from avkd.synthesis import forgery, synthetic
from avkd.synthesis.forgery_methods import FORGERIES


def run_synth(config: SynthConfig) -> Outcome:
    """`avkd synth`."""
    num_videos = synthetic.synth(
        config.out,
        seed=config.seed,
        num_identities=config.identities,
        clips_per_identity=config.clips_per_identity,
        num_words=config.words,
        seconds=config.seconds,
        workers=config.workers,
    )
    return Outcome(f"{num_videos} videos in {config.out}")


def run_forge(config: ForgeConfig) -> Outcome:
    """`avkd forge`."""
    made = forgery.forge(
        config.data,
        config.sources or Path(read_description(config.data)["source_root"]),
        config.out,
        methods=tuple(FORGERIES) if config.methods is None else config.methods,
        split=config.split,
        clips_per_identity=config.clips_per_identity,
        strength=(config.min_strength, config.max_strength),
        crf=config.crf,
        seed=config.seed,
        workers=config.workers,
    )
    counts = Counter(sample.method for sample in made.manifest.samples)
    lines = [f"{len(made.manifest)} files in {config.out}"]
    lines += [f"  {count} {method}" for method, count in sorted(counts.items())]
    if not made.failures:
        return Outcome("\n".join(lines))
    lines.append(f"  {len(made.failures)} not made, see {config.out / 'report.jsonl'}")
    return Outcome("\n".join(lines), ExitCode.SOME_SKIPPED)
