"""Trains every stage for a few steps on made-up clips, alone or as a process of torchrun.

Networks are in double precision, so that what two processes do otherwise than one is no rounding.
Called as ``python processes.py FOLDER`` (two processes), or through `train_all` (this one).
"""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from avkd.config.training_config import PretrainConfig, VideoModelConfig
from avkd.data.model_input import ModelInput
from avkd.data.sampling import ClipBatch, MixedBatches, ShuffledBatches
from avkd.data.transforms import Augmentation, draw_view
from avkd.models.build import build_cross_modal_network, build_detector, build_image_detector
from avkd.runtime import Runtime
from avkd.stages.distill import DistillStep
from avkd.stages.finetune import FinetuneStep
from avkd.stages.pretrain import PretrainStep
from avkd.teachers.output_cache import TeacherOutputs
from avkd.training import distributed, optim
from avkd.training.loop import Plan, fit
from avkd.training.resume import Checkpoints
from avkd.training.run_log import NoLog, RunLog

STEPS, EPOCHS = 3, 1
SIZE, FRAMES = 32, 25
VIDEO = {
    **{"name": "cnn3d_gru", "image_size": SIZE, "width": 4, "hidden": 8, "reduced": 4},
    **{"heads": 2, "dropout": 0.0},
}
CPU = Runtime(device=torch.device("cpu"), precision="fp32")


def double(module: nn.Module) -> nn.Module:
    """``module`` in double precision, whatever it is given."""
    module.double()
    for part in module.modules():
        part.register_forward_pre_hook(lambda _, given: tuple(x.double() for x in given))
    return module


def clip(item: int, frames: int, *, sound: bool, label: int) -> ClipBatch:
    rng = np.random.default_rng(item)
    view = Augmentation(grayscale=0.5, erasing=0.5, time_mask=0.5 if frames > 1 else 0.0)
    wave = torch.from_numpy(rng.integers(-9000, 9000, (1, 640 * frames)).astype(np.int16))
    return ClipBatch(
        frames=torch.from_numpy(rng.integers(0, 256, (1, frames, 40, 40, 3)).astype(np.uint8)),
        waveform=wave if sound else None,
        landmarks=None,
        labels=torch.tensor([float(label)]),
        student=draw_view(rng, view, slack=3),
        teacher=draw_view(rng, Augmentation(), slack=3),
        sample_ids=(str(item),),
        draws=torch.tensor([[0, item, 0]]),
    )


def pretrain_stage() -> tuple[nn.Module, Any, Callable[[int], ClipBatch]]:
    network = build_cross_modal_network(
        video=VIDEO,
        audio={"name": "resnet18", "width": 4},
        projection_dim=8,
        predictor_dim=16,
        target_center="whitened",
    )
    step = PretrainStep(
        double(network),
        PretrainConfig(data=("d",), run="r", video=VideoModelConfig(image_size=SIZE)),
        model_input=ModelInput(image_size=SIZE),
        num_steps=STEPS * EPOCHS,
    )
    return step, ShuffledBatches(18, 6, 0), lambda n: clip(n, FRAMES, sound=True, label=0)


def finetune_stage() -> tuple[nn.Module, Any, Callable[[int], ClipBatch]]:
    """As the files come, so that the second process has a batch without a real clip."""
    labels = [int(n % 4 > 1) for n in range(18)]
    batches = MixedBatches(
        labels,
        [None] * len(labels),
        num_real_items=0,
        batch_size=6,
        real_ratio=1,
        balance="natural",
        seed=1,
    )
    teacher = build_cross_modal_network(
        video=VIDEO, audio={"name": "resnet18", "width": 4}, projection_dim=8, predictor_dim=16
    ).video_teacher
    teacher.freeze()
    detector = build_detector(
        video=VIDEO, auxiliary=True, projection_dim=8, predictor_dim=16, pool="mean"
    )
    step = FinetuneStep(
        double(detector),
        double(teacher),
        ssl_weight=0.3,
        fake_fraction=0.5,
        model_input=ModelInput(image_size=SIZE),
        teacher_input=ModelInput(image_size=SIZE, region="mouth"),
    )
    return step, batches, lambda n: clip(n, FRAMES, sound=False, label=labels[n])


def distill_stage() -> tuple[nn.Module, Any, Callable[[int], ClipBatch]]:
    student = build_image_detector(name="small_cnn", widths=(4, 8), dropout=0.0, image_size=28)
    seen = ModelInput(
        clip_frames=1, crop_pixels=40, view_share=0.9, image_size=28, windows_per_file=1
    )
    step = DistillStep(
        double(student),
        lambda batch: TeacherOutputs(batch.draws[:, 1] - 9.0, torch.ones(len(batch))),
        soft_weight=0.4,
        temperature=4.0,
        fake_fraction=0.5,
        model_input=seen,
    )
    return step, ShuffledBatches(24, 8, 0), lambda n: clip(n, 1, sound=False, label=n % 2)


STAGES = {"pretrain": pretrain_stage, "finetune": finetune_stage, "distill": distill_stage}


def train(stage: str, folder: Path, accumulate: int = 1) -> None:
    """Leaves the checkpoints and the log of a stage in ``folder``."""
    torch.manual_seed(0)
    step, batches, clip_of = STAGES[stage]()
    total = STEPS * EPOCHS
    plan = Plan(
        epochs=EPOCHS,
        steps_per_epoch=STEPS,
        schedule=optim.WarmupSchedule(
            base_rate=0.01, warmup_steps=2, total_steps=total, decay="cosine"
        ),
        weight_decay=0.01,
        clip_norm=1.0,
        validate_every_epochs=1,
        select="count",
        accumulate=accumulate,
        some_unused=stage == "finetune",
    )
    shared = distributed.SharedBatches(batches, accumulate)

    def loaded(epoch: int, first: int) -> Iterator[ClipBatch]:
        for keys in shared.epoch(epoch, first):
            yield ClipBatch.collate([clip_of(key.item) for key in keys])

    folder.mkdir(parents=True, exist_ok=True)
    first = distributed.is_first()
    with RunLog(folder, first_step=0, total_steps=total, label=stage) if first else NoLog() as log:
        fit(
            step,
            plan,
            batches=loaded,
            validate=lambda log, steps: {"count": 1.0},
            runtime=CPU,
            log=log,
            checkpoints=Checkpoints(folder / "checkpoints"),
            resumed=None,
        )


def train_all(folder: Path) -> None:
    torch.set_num_threads(1)
    for stage in STAGES:
        train(stage, folder / stage)
    train("distill", folder / "accumulated", accumulate=2)


def train_as_one_of_several(folder: Path) -> None:
    distributed.start("cpu")
    train_all(folder)


def launch(folder: Path) -> None:
    """What `torchrun --standalone --nproc_per_node 2` does, by the same agent.

    Its processes are forked from this one, so that torch is imported once and not three times.
    """
    import torch._dynamo  # noqa: F401  # any optimizer imports it

    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=2,
        run_id="test",
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        start_method="fork",
    )
    elastic_launch(config, train_as_one_of_several)(folder)


if __name__ == "__main__":
    launch(Path(sys.argv[1]))
