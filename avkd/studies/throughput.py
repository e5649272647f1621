"""Frames per second of image models, measured in turn within one run; what is compared is ratios.

A speed alone says more about what else the machine does than about the model. Each round gives
every model its turn, so a slow moment hurts all, and a ratio is taken within a round.
"""

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from avkd import durable, runtime
from avkd.config.image_config import ImageModelConfig
from avkd.config.study_config import BenchConfig
from avkd.data.datasets import Corpus, WindowClips
from avkd.data.model_input import FRAMES_PER_FILE, IMAGE_VIEW_SHARE, ModelInput
from avkd.models import onnx_file
from avkd.models.build import build_image_detector
from avkd.models.cost import multiply_accumulates, num_parameters
from avkd.models.model_file import load_detector, read_header
from avkd.outcome import Outcome
from avkd.reporting import page
from avkd.reporting.page import Section
from avkd.reporting.tables import Table
from avkd.runtime import Runtime

_SHORTEST_TURN_SECONDS = 0.5


@dataclass(frozen=True)
class BenchmarkModel:
    """A model in eval mode on the device, and what it looks at."""

    name: str
    model: nn.Module
    input: ModelInput


@dataclass(frozen=True)
class Speed:
    """What one model did in all rounds."""

    name: str
    parameters: int
    multiply_accumulates: int
    """Of one picture."""
    model_rates: tuple[float, ...]
    """Pictures a second of the network alone, one for each round."""
    whole_rates: tuple[float, ...]
    """The same with reading, decoding and preparing the pictures; empty if not measured."""


def bench(config: BenchConfig) -> Outcome:
    """`avkd bench`.

    Raises:
        ValueError: a model is neither a file nor a network.
        ModelFileError: a file is no image detector, or damaged.
    """
    machine = runtime.start(device=config.device, threads=config.threads)
    models = [_benchmark_model(name, config, machine) for name in config.models]
    corpus = None if config.data is None else Corpus.open(config.data)
    speeds = measure(
        models,
        corpus,
        batch_size=config.batch_size,
        rounds=config.rounds,
        machine=machine,
        show_progress=True,
    )
    found = section(speeds, machine, batch_size=config.batch_size)
    text = page.to_markdown([found], level=2)
    if config.out is not None:
        durable.write_text(config.out, text)
    return Outcome(text)


def measure(
    models: Sequence[BenchmarkModel],
    corpus: Corpus | None,
    *,
    batch_size: int,
    rounds: int,
    machine: Runtime,
    show_progress: bool = False,
) -> list[Speed]:
    """Let the models take turns, so many ``rounds`` each; always in fp32.

    ``corpus`` has pictures to read for the end-to-end rates; None = network alone.
    """
    turns: dict[tuple[int, bool], Callable[[], int]] = {}
    for index, one in enumerate(models):
        turns[index, False] = _model_turn(one, batch_size, machine)
        if corpus is not None:
            turns[index, True] = _whole_turn(one, corpus, batch_size, machine)
    for turn in turns.values():
        turn()  # warm-up: memory, kernels, file cache
    rates: dict[tuple[int, bool], list[float]] = {key: [] for key in turns}
    bar = tqdm(total=rounds * len(turns), desc="bench", unit="turn", disable=not show_progress)
    for number in range(rounds):
        # Back and forth, so that a machine that slows down steadily favours nobody.
        for key in list(turns) if number % 2 else reversed(list(turns)):
            rates[key].append(_rate(turns[key], machine))
            bar.update()
    bar.close()
    return [
        Speed(
            name=one.name,
            parameters=num_parameters(one.model),
            multiply_accumulates=multiply_accumulates(one.model, *_inputs(one, 1, machine)),
            model_rates=tuple(rates[index, False]),
            whole_rates=tuple(rates.get((index, True), ())),
        )
        for index, one in enumerate(models)
    ]


def section(speeds: Sequence[Speed], machine: Runtime, *, batch_size: int) -> Section:
    """A table: medians, and the ratio to the first model as median [least, most] of the rounds."""
    facts, first = machine.describe(), speeds[0]
    table = Table.of(
        {
            "model": one.name,
            "parameters": f"{one.parameters:,}" if one.parameters else "ONNX",
            "GMAC": f"{macs / 1e9:.3f}" if (macs := one.multiply_accumulates) else "ONNX",
            "frames/s, network": _median(one.model_rates),
            "ratio": _ratio(one.model_rates, first.model_rates),
            "frames/s, end to end": _median(one.whole_rates),
            "ratio, end to end": _ratio(one.whole_rates, first.whole_rates),
        }
        for one in speeds
    )
    told = (
        f"Measured on {facts['device_name']} ({facts['threads']} threads), fp32, batches of "
        f"{batch_size}, {len(first.model_rates)} rounds in turn; frames/s are medians of this run, "
        "ratios are medians [least, most] over rounds, each model relative to the first."
    )
    return Section(title="Speed", paragraphs=(told,), tables=(table,))


def load_model(path: Path, name: str, machine: Runtime) -> BenchmarkModel:
    """The image detector in ``path``, on the device; raises as `model_file.load_detector`."""
    read_header(path, kind="image_detector")
    model, header = load_detector(path)
    return BenchmarkModel(name, model.to(machine.device), header.input_of(ModelInput.read, path))


def _benchmark_model(name: str, config: BenchConfig, machine: Runtime) -> BenchmarkModel:
    path = Path(name)
    if path.suffix in (".safetensors", onnx_file.SUFFIX) or path.is_file():
        label = path.parent.name if path.name == "model.safetensors" else path.stem
        return load_model(path, label, machine)
    arguments = ImageModelConfig(name=name, image_size=config.image_size).arguments()
    detector = build_image_detector(**arguments).to(machine.device).eval()
    seen = ModelInput(
        clip_frames=detector.frames,
        crop_pixels=256,
        view_share=IMAGE_VIEW_SHARE,
        image_size=config.image_size,
        windows_per_file=FRAMES_PER_FILE,
        landmarks=detector.uses_landmarks,
    )
    return BenchmarkModel(name, detector, seen)


def _inputs(one: BenchmarkModel, count: int, machine: Runtime) -> tuple[Tensor, ...]:
    views = onnx_file.made_up_views(one.input.describe(), 1)
    clip, *landmarks = (view.repeat_interleave(count, dim=0) for view in views)
    # The colours come last in memory, as in every view of a stored crop.
    clip = clip.contiguous(memory_format=torch.channels_last_3d)
    return tuple(view.to(machine.device) for view in (clip, *landmarks))


def _model_turn(one: BenchmarkModel, batch_size: int, machine: Runtime) -> Callable[[], int]:
    inputs = _inputs(one, batch_size, machine)

    def turn() -> int:
        with torch.no_grad():
            one.model(*inputs)
        return batch_size * one.input.clip_frames

    return turn


def _whole_turn(
    one: BenchmarkModel, corpus: Corpus, batch_size: int, machine: Runtime
) -> Callable[[], int]:
    """Read and score the next batch of the corpus, over and over."""
    clips = WindowClips(corpus.items(corpus.manifest.samples), one.input)
    stream = (batch for _ in itertools.count() for batch, _ in clips.batches(batch_size))

    def turn() -> int:
        batch = next(stream).to(machine.device)
        with torch.no_grad():
            one.model(*one.input.see(batch, batch.student))
        return len(batch) * one.input.clip_frames

    return turn


def _rate(turn: Callable[[], int], machine: Runtime) -> float:
    """Pictures a second over calls that together take long enough to be timed."""
    frames, begin = 0, time.perf_counter()
    for _ in itertools.count():
        frames += turn()
        if machine.device.type == "cuda":
            torch.cuda.synchronize(machine.device)
        seconds = time.perf_counter() - begin
        if seconds >= _SHORTEST_TURN_SECONDS:
            return frames / seconds
    raise AssertionError("unreachable")


def _median(rates: Sequence[float]) -> str:
    return f"{np.median(rates):.3g}" if rates else "not measured"


def _ratio(rates: Sequence[float], first: Sequence[float]) -> str:
    if not rates:
        return "not measured"
    ratios = np.array(rates) / np.array(first)
    return f"{np.median(ratios):.3g} [{ratios.min():.3g}, {ratios.max():.3g}]"
