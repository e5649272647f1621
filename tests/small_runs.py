"""Corpora and runs of the real command line, as small as they can be."""

import json
import shutil
from pathlib import Path
from typing import NamedTuple

from avkd import cli

EXCLUDED = "FaceSwap"
LOOP = [
    *("--loop.epochs", "2", "--loop.batch_size", "4", "--loop.device", "cpu"),
    *("--loop.precision", "fp32", "--loop.threads", "1", "--optim.warmup_epochs", "0.5"),
]
VIDEO = ["--video.image_size", "32", "--video.width", "4", "--video.hidden", "16"]
VIDEO += ["--video.reduced", "8"]
ONE_EPOCH = ["--loop.epochs", "1"]
STARTS = "3"  # places of each clip that stage one is measured at
SMALL = [*VIDEO, "--audio_width", "8", "--projection_dim", "16", "--predictor_dim", "32"]


def avkd(*arguments: object) -> int:
    return cli.main([str(argument) for argument in arguments])


def done(*arguments: object) -> None:
    code = avkd(*arguments)
    assert code == 0, f"avkd {arguments[0]} ended with {code}"


class Corpora(NamedTuple):
    source: Path
    talking: Path
    seen: Path
    unseen: Path
    broken_id: str


def make_corpora(synthetic: Path, root: Path) -> Corpora:
    """Eight people in each tree; one test file of the Celeb-DF tree is broken on purpose."""
    source = shutil.copytree(synthetic, root / "corpus")
    # Retrieval needs eight held-out clips: two people of the training side join the four there.
    for path in (source / "lrw_like/lipread_mp4").glob("*/train/*_0000[78].*"):
        path.rename(path.parents[1] / "val" / path.name)
    listed = (source / "celebdf_like/List_of_testing_videos.txt").read_text().split("\n")
    broken = next(line for line in listed if line.startswith("0 ")).partition(" ")[2]
    (source / "celebdf_like" / broken).write_text("not a video any more")
    prepared = root / "prepared"
    trees = {
        "lrw": (source / "lrw_like/lipread_mp4", prepared / "talking", []),
        "faceforensics": (source / "faceforensics_like", prepared / "seen", []),
        "celebdf": (source / "celebdf_like", prepared / "unseen", ["--split", "test"]),
    }
    codes = {
        layout: avkd(
            *("prepare", "--layout", layout, "--source", tree, "--out", out),
            *("--detector", "boxes", "--workers", 1, *more),
        )
        for layout, (tree, out, more) in trees.items()
    }
    assert codes == {"lrw": 0, "faceforensics": 0, "celebdf": 3}, "one Celeb-DF file is broken"
    return Corpora(
        source=source,
        talking=prepared / "talking",
        seen=prepared / "seen",
        unseen=prepared / "unseen",
        broken_id=Path(broken).stem,
    )


def pretrain_arguments(corpora: Corpora, run: Path) -> list[str]:
    given = ["--data", str(corpora.talking), "--run", str(run), *SMALL, *LOOP, "--force"]
    return [*given, "--validation_starts", STARTS]


def finetune_arguments(
    corpora: Corpora, stage_one: Path, run: Path, ssl_weight: float
) -> list[str]:
    return [
        *("--data", str(corpora.seen), "--real_data", str(corpora.talking), "--run", str(run)),
        *("--pretrained", str(stage_one / "model.safetensors"), "--exclude_methods", EXCLUDED),
        *("--ssl_weight", str(ssl_weight), *LOOP),
        # No clipping, so that only the gradient of the agreement can tell two weights apart.
        *("--optim.clip_norm", "1e9"),
    ]


def log_rows(run: Path) -> list[dict[str, float]]:
    rows = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    machine = ("seconds", "stall")
    return [{name: value for name, value in row.items() if name not in machine} for row in rows]
