"""Does a teacher help its student? Labels alone against KL and MSE, on the very same views.

Usage: python scripts/taught_students.py PREPARED TEACHER OUT [EPOCHS] [STEPS] [NETWORK]
  PREPARED  the folder of prepared corpora that make_starter.sh leaves
  TEACHER   model file of the starter's network, an EfficientNet-Lite0
  OUT       folder for what is rendered, and for taught_students.md
  EPOCHS    of views (fakes made on the spot, see configs/starter/distill_student.yaml), default 33
  STEPS     of 32 of them for each student, default 800
  NETWORK   a small network that is drawn anew, e.g. resnet8; unset = what ships as starter-fast

What ships as starter-fast is the teacher's first nine blocks; to make 3 arms x 3 seeds cheap, its
first seven stay as the teacher has them and their maps are computed once. Two blocks and the head
are trained. AUC % over files, mean [least, most] of the seeds.
"""

import copy
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from avkd import durable, runtime
from avkd.config.image_config import DistillConfig
from avkd.config.load import parse
from avkd.data import build
from avkd.data.clip_items import ClipItem
from avkd.data.datasets import Corpus, WindowClips, training_loader
from avkd.data.model_input import ModelInput
from avkd.data.sampling import ClipBatch, MixedBatches
from avkd.losses.distillation import logit_mean_squares, softened_divergence
from avkd.metrics import ranking
from avkd.models.build import build_image_detector
from avkd.models.image_detector import ImageDetector
from avkd.models.image_teacher import load_pretrained
from avkd.reporting.tables import Table
from avkd.runtime import Runtime
from avkd.teachers.teacher import TeacherModel
from avkd.training.optim import WarmupSchedule

CONFIG = Path(__file__).parents[1] / "configs/starter/distill_student.yaml"
FROZEN, SEEDS, BATCH, RATE, ALPHA = 7, 3, 32, 1e-3, 0.4
ARMS = {"labels": "", "KL, T = 4": "kl", "MSE of logits": "mse"}
# Fakes of each corpus of the test split, and the corpus whose reals they are told from.
TESTS = {
    "pictures": "pictures",
    "tool_pictures": "pictures",
    "forged": "forged",
    "tools": "clips",
}


class Lower(nn.Module):
    """The first blocks of a detector, frozen: views (B, 3, 1, S, S) to maps (B, C, h, w)."""

    def __init__(self, detector: ImageDetector, machine: Runtime) -> None:
        super().__init__()
        self.machine = machine
        trunk = detector.network.trunk  # type: ignore[attr-defined]
        blocks = [block for stage in trunk.blocks for block in stage]
        self.detector = detector.eval().requires_grad_(False)
        self.blocks = nn.Sequential(trunk.conv_stem, trunk.bn1, *blocks[:FROZEN])
        self.rest = nn.Sequential(*blocks[FROZEN:])

    @torch.no_grad()
    def forward(self, views: Tensor) -> Tensor:
        """Maps in half precision, as they are kept."""
        scale, shift = self.detector.scale, self.detector.shift
        pictures = rearrange(views, "b c 1 h w -> b c h w")
        if scale is not None and shift is not None:
            pictures = pictures * scale[:, None, None] + shift[:, None, None]
        with self.machine.autocast():
            return self.blocks(pictures.to(memory_format=torch.channels_last)).bfloat16()


class Pictures(nn.Module):
    """Views (B, 3, 1, S, S) in half precision, for a student that has no frozen part."""

    def forward(self, views: Tensor) -> Tensor:
        """The same views."""
        return views.bfloat16()


class DrawnStudent(nn.Module):
    """A whole network, drawn anew: views (B, 3, 1, S, S) to logits (B,)."""

    def __init__(self, name: str, image_size: int) -> None:
        super().__init__()
        self.detector = build_image_detector(name=name, image_size=image_size)

    def forward(self, views: Tensor) -> Tensor:
        """Logits in single precision."""
        return self.detector(views.float()).logit.float()


class Student(nn.Module):
    """What is trained: maps (B, C, h, w) to logits (B,)."""

    def __init__(self, rest: nn.Sequential, width: int) -> None:
        super().__init__()
        self.blocks = copy.deepcopy(rest).requires_grad_(True)
        self.head = nn.Linear(width, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """Logits in single precision."""
        pooled = self.blocks(maps.float()).float().mean((2, 3))
        with torch.autocast(maps.device.type, enabled=False):
            return self.head(pooled)[:, 0]


def main(
    prepared: Path,
    teacher_file: Path,
    out: Path,
    epochs: int = 33,
    steps: int = 800,
    network: str | None = None,
) -> None:
    """Render, train, write the table."""
    given = ["--config", str(CONFIG), "--run", str(out), "--teacher", str(teacher_file)]
    names = ("pictures", "clips", "clips_val_reencoded")
    config = parse(
        "distill", DistillConfig, [*given, "--data", *(str(prepared / n) for n in names)]
    )
    machine = runtime.start(device="cpu", precision="auto", threads=1)
    data = build.distill_data(config, clip_frames=1, landmarks=False)
    teacher = TeacherModel(teacher_file, machine)
    lower: nn.Module
    if network is None:
        detector = build_image_detector(**config.model.arguments())
        load_pretrained(detector.network, str(teacher_file))
        lower = frozen = Lower(detector, machine)
        drawn = partial(Student, frozen.rest, detector.network.num_features)
    else:
        lower = Pictures()
        drawn = partial(DrawnStudent, network, config.model.image_size)
    out.mkdir(parents=True, exist_ok=True)
    training = [_epoch(config, data, lower, teacher, e, out) for e in tqdm(range(epochs))]
    few = replace(data.training.model_input, windows_per_file=config.validation_frames)
    tests = {
        name: _maps(_test_items(prepared / name), few, lower, teacher)
        for name in TESTS | {"clips": ""}
    }
    tests["validation"] = _maps(data.validation, few, lower, teacher)
    found: dict[str, list[dict[str, float]]] = {"the teacher": [_areas(tests, None, machine)]}
    for seed in range(SEEDS):
        for arm, soft in ARMS.items():
            torch.manual_seed(seed)
            student = drawn()
            _train(student, training, soft, seed, steps, machine)
            found.setdefault(arm, []).append(_areas(tests, student.eval(), machine))
            print(seed, arm, found[arm][-1], flush=True)
    rows = [
        (arm, *(_spread([run[kind] for run in runs]) for kind in runs[0]))
        for arm, runs in found.items()
    ]
    columns = ("trained on", *found["labels"][0])
    table = Table(columns=columns, rows=tuple(rows), num_texts=len(columns))
    durable.write_text(out / "taught_students.md", table.to_markdown())


def _epoch(
    config: DistillConfig,
    data: build.StageData,
    lower: nn.Module,
    teacher: TeacherModel,
    epoch: int,
    out: Path,
) -> dict[str, Tensor]:
    """Maps, labels and the teacher's logits of one epoch's views, kept in ``out``."""
    path = out / f"epoch-{epoch:03d}.safetensors"
    if not path.exists():
        clips = data.training
        batches = MixedBatches(
            [item.sample.label for item in clips.items],
            data.sources,
            num_real_items=0,
            batch_size=BATCH,
            real_ratio=1,
            balance="paired",
            seed=config.loop.seed,
            fakes=config.fakes,
            stored_share=config.online.stored_share,
        )
        loader = training_loader(clips, batches, workers=0, pin_memory=False)(epoch, 0)
        save_file(_answers(loader, clips.model_input, lower, teacher), path)
    return load_file(path)


def _answers(
    batches: Iterator[ClipBatch], seen: ModelInput, lower: nn.Module, teacher: TeacherModel
) -> dict[str, Tensor]:
    parts = [(lower(*seen.see(b, b.student)), b.labels, teacher(b).logit) for b in batches]
    maps, labels, logits = (torch.cat(part) for part in zip(*parts, strict=True))
    return {"maps": maps.contiguous(), "labels": labels, "teacher": logits}


def _test_items(folder: Path) -> list[ClipItem]:
    corpus = Corpus.open(folder)
    return corpus.items(s for s in corpus.manifest.samples if s.split == "test")


def _maps(
    items: Sequence[ClipItem], seen: ModelInput, lower: nn.Module, teacher: TeacherModel
) -> tuple[Sequence[ClipItem], np.ndarray, dict[str, Tensor]]:
    """Of the windows of some files, with the index of each window's file."""
    batches, places = zip(*WindowClips(items, seen).batches(BATCH), strict=True)
    files = np.array([index for of_batch in places for index, _ in of_batch])
    return items, files, _answers(iter(batches), seen, lower, teacher)


def _train(
    student: nn.Module,
    training: Sequence[dict[str, Tensor]],
    soft: str,
    seed: int,
    steps: int,
    machine: Runtime,
) -> None:
    """Pairs of a real and its fake in an order drawn by ``seed``."""
    maps, labels, taught = (
        torch.cat([epoch[name] for epoch in training]) for name in ("maps", "labels", "teacher")
    )
    rng = np.random.default_rng(seed)
    pairs = np.concatenate([rng.permutation(len(labels) // 2) for _ in range(99)])
    schedule = WarmupSchedule(
        base_rate=RATE, warmup_steps=steps // 20, total_steps=steps, decay="cosine"
    )
    student.train()
    optimiser = torch.optim.Adam(student.parameters())
    for step in range(steps):
        chosen = pairs[step * BATCH // 2 :][: BATCH // 2]
        views = torch.from_numpy(np.concatenate([2 * chosen, 2 * chosen + 1]))
        optimiser.param_groups[0]["lr"] = schedule.rate(step)
        with machine.autocast():
            logit = student(maps[views])
        loss = functional.binary_cross_entropy_with_logits(logit, labels[views])
        if soft == "kl":
            agreement = softened_divergence(logit, taught[views], temperature=4.0)
        elif soft == "mse":
            agreement = logit_mean_squares(logit, taught[views])
        if soft:
            loss = ALPHA * agreement + (1 - ALPHA) * loss
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(student.parameters(), 5.0)
        optimiser.step()


@torch.no_grad()
def _areas(tests: dict, student: nn.Module | None, machine: Runtime) -> dict[str, float]:
    """AUC % of validation, and of each test corpus' fakes against the reals beside it."""
    logits, labels = {}, {}
    for name, (items, files, answers) in tests.items():
        with machine.autocast():
            values = answers["teacher"] if student is None else student(answers["maps"])
        sums = np.bincount(files, values.float().numpy(), len(items))
        logits[name] = sums / np.bincount(files, minlength=len(items))
        labels[name] = np.array([item.sample.label for item in items])
    pairs = {"validation": "validation", **TESTS}
    areas = {}
    for fakes, reals in pairs.items():
        of_fakes, of_reals = logits[fakes][labels[fakes] == 1], logits[reals][labels[reals] == 0]
        both = np.concatenate([of_reals, of_fakes])
        truth = np.repeat([0, 1], [len(of_reals), len(of_fakes)])
        areas[fakes] = 100 * (ranking.auc(truth, both).value or 0.0)
    return areas


def _spread(values: Sequence[float]) -> str:
    if len(values) == 1:
        return f"{values[0]:.1f}"
    return f"{np.mean(values):.1f} [{min(values):.1f}, {max(values):.1f}]"


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]), *map(int, sys.argv[4:6]), *sys.argv[6:7])
