"""What a step of stage one costs, and of what: for a GPU, and for a try-out on a CPU.

Usage: python scripts/step_cost.py [--peak_tflops 989] [--loop.batch_size 128] [--data CORPUS] ...
  peak_tflops  dense bf16 of the card, by its maker's sheet, to print the share that is used
  and every setting of `avkd pretrain`; --data adds an arm with the real loader
Prints for each arm clips/s (median, quartiles), its ratio to the first in the same rounds, the
share of the time that waited for batches; memory; and the operators of the first arm.
Arms: the step as it is; 3D weights channels-last; --loop.compile default; on a GPU cuda_graphs.
"""

import argparse
import itertools
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from avkd import runtime
from avkd.config.load import parse
from avkd.config.training_config import Compilation, PretrainConfig
from avkd.data import build
from avkd.data.clock import SAMPLES_PER_FRAME
from avkd.data.datasets import training_loader
from avkd.data.model_input import ModelInput
from avkd.data.sampling import ClipBatch, ShuffledBatches
from avkd.data.transforms import Augmentation, Views, draw_view
from avkd.models.build import build_cross_modal_network
from avkd.reporting.tables import Table
from avkd.stages.pretrain import PretrainStep, network_arguments
from avkd.training import transfers
from avkd.training.loop import Training
from avkd.training.run import plan_of
from avkd.training.run_log import NoLog

ROUNDS, STEPS, WARM_UP, OPERATORS = 5, 20, 5, 15
NO_DATA = Path("none")


class Arm:
    """One way to make the same steps."""

    def __init__(self, config: PretrainConfig, machine: runtime.Runtime, batches: Any) -> None:
        self.machine, self.batch_size = machine, config.loop.batch_size
        seen = ModelInput(image_size=config.video.image_size, region=config.region)
        network = build_cross_modal_network(**network_arguments(config))
        self.step = PretrainStep(network, config, model_input=seen, num_steps=1000)
        self.step.to(machine.device).train()
        plan = plan_of(config.optim, config.loop, 1000, select="none")
        checkpoints: Any = None
        self.training = Training(self.step, plan, machine, NoLog(), checkpoints, None)
        self.batches = transfers.ahead(batches, machine.device)
        self.rates: list[float] = []
        self.waited = self.total = 0.0

    def run(self, steps: int) -> None:
        """Make ``steps``, and wait until they are done."""
        for _ in range(steps):
            begin = time.monotonic()
            batch = next(self.batches)
            self.waited += time.monotonic() - begin
            self.training.update([batch])
        self.training.readings.read()

    def measure(self, steps: int) -> None:
        """Note the clips a second of ``steps``."""
        begin = time.monotonic()
        self.run(steps)
        seconds = time.monotonic() - begin
        self.total += seconds
        self.rates.append(steps * self.batch_size / seconds)


def main(arguments: list[str]) -> None:
    """Print the table and the operators."""
    own = argparse.ArgumentParser(add_help=False)
    own.add_argument("--peak_tflops", type=float)
    given, rest = own.parse_known_args(arguments)
    if "--data" not in rest:
        rest += ["--data", str(NO_DATA)]
    config = parse("pretrain", PretrainConfig, [*rest, "--run", "unused"])
    machine = runtime.start(
        device=config.loop.device, precision=config.loop.precision, threads=config.loop.threads
    )
    made_up = made_up_batch(config)
    pinned = made_up.pin_memory() if machine.device.type == "cuda" else made_up
    arms = {"as it is": Arm(config, machine, itertools.repeat(pinned))}
    arms["channels-last weights"] = Arm(config, machine, itertools.repeat(pinned))
    for weight in arms["channels-last weights"].step.parameters():
        if weight.ndim == 5:
            weight.data = weight.data.contiguous(memory_format=torch.channels_last_3d)
    ways: tuple[Compilation, ...] = ("default", "cuda_graphs")
    for how in ways if machine.device.type == "cuda" else ways[:1]:
        arms[f"compiled: {how}"] = Arm(config, machine, itertools.repeat(pinned))
        network = arms[f"compiled: {how}"].step.network
        runtime.compile_networks([network], how, machine.device)
    if config.data != (NO_DATA,):
        arms["with the loader"] = Arm(config, machine, loaded(config, machine))
    for arm in arms.values():
        arm.run(WARM_UP)
        arm.waited = 0.0
    for _, arm in itertools.product(range(ROUNDS), arms.values()):
        arm.measure(STEPS)
    first = np.array(arms["as it is"].rates)
    flops = flops_of(arms["as it is"])
    lines = []
    for name, arm in arms.items():
        low, middle, high = np.percentile(arm.rates, [25, 50, 75])
        used = flops * middle / arm.batch_size / 1e12
        share = f"{used / given.peak_tflops:.1%}" if given.peak_tflops else f"{used:.3g} TFLOP/s"
        line = {
            "arm": name,
            "clips/s": f"{middle:.4g} ({low:.4g} to {high:.4g})",
            "times the first": f"{np.median(np.array(arm.rates) / first):.2f}",
            "of the peak": share,
            "stall": f"{arm.waited / arm.total:.0%}",
        }
        lines.append(line)
    print(Table.of(lines, caption=str(machine.describe())).to_text())
    if machine.device.type == "cuda":
        print(f"memory: {torch.cuda.max_memory_allocated() / 1e9:.1f} GB for all arms together")
    print(operators(arms["as it is"]))


def made_up_batch(config: PretrainConfig) -> ClipBatch:
    """Clips of noise, seen as the configuration says."""
    count, random = config.loop.batch_size, np.random.default_rng(0)
    seen = ModelInput(image_size=config.video.image_size, region=config.region)
    frames, side = seen.clip_frames, seen.crop_pixels
    zoom = (seen.zoom, seen.zoom)
    drawn = Augmentation(**vars(config.views), zoom=zoom)

    def views(augmentation: Augmentation) -> Views:
        one = (draw_view(random, augmentation, seen.slack(side)) for _ in range(count))
        return Views.cat(list(one))

    return ClipBatch(
        frames=torch.randint(256, (count, frames, side, side, 3), dtype=torch.uint8),
        waveform=torch.randint(-9000, 9000, (count, SAMPLES_PER_FRAME * frames)).short(),
        landmarks=None,
        labels=torch.zeros(count),
        student=views(drawn),
        teacher=views(Augmentation(zoom=zoom)),
        sample_ids=("noise",) * count,
        draws=torch.zeros(count, 3, dtype=torch.long),
    )


def loaded(config: PretrainConfig, machine: runtime.Runtime) -> Iterator[ClipBatch]:
    """Batches of the corpora without end."""
    clips = build.pretrain_data(config).training
    keys = ShuffledBatches(len(clips), config.loop.batch_size, config.loop.seed)
    pinned = machine.device.type == "cuda"
    load = training_loader(clips, keys, workers=config.loop.workers, pin_memory=pinned)
    return itertools.chain.from_iterable(load(epoch, 0) for epoch in itertools.count())


def flops_of(arm: Arm) -> float:
    """Floating-point operations of one step, forward and backward, by torch's own count."""
    with FlopCounterMode(display=False) as counter:
        arm.run(1)
    return float(counter.get_total_flops())


def operators(arm: Arm) -> str:
    """Where the time of a few steps goes."""
    on_gpu = arm.machine.device.type == "cuda"
    kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    with profile(activities=kinds) as profiler:
        arm.run(3)
    key = "self_cuda_time_total" if on_gpu else "self_cpu_time_total"
    return str(profiler.key_averages().table(sort_by=key, row_limit=OPERATORS))


if __name__ == "__main__":
    if {"-h", "--help"} & {*sys.argv}:
        raise SystemExit(__doc__)
    main(sys.argv[1:])
