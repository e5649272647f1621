"""What the store costs: size and decoding by format, a clip from it against one from its source.

Usage: python scripts/store_formats.py CORPUS [CLIPS]
  CORPUS  prepared real clips with sound, whose sources are still there
  CLIPS   how many clips of 25 frames, evenly over the corpus (default 24)
CPU seconds of one thread, in turn; ratios are medians over the clips [10th, 90th percentile].
"""

import io
import sys
import time
from collections.abc import Callable
from itertools import chain, count, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from avkd.config.training_config import PretrainConfig, VideoModelConfig
from avkd.data.build import pretrain_data
from avkd.data.crops.crop_store import CropStore, decode_jpeg, encode_jpeg
from avkd.data.crops.prepared_corpus import read_description
from avkd.data.datasets import training_loader
from avkd.data.faces.face_crop import needed_window, warp
from avkd.data.media.video import iter_frames
from avkd.data.sampling import ShuffledBatches
from avkd.reporting.tables import Table

FRAMES = 25
BATCH = 8


def main(corpus: Path, num_clips: int = 24) -> None:
    """Print the table and two ratios."""
    torch.set_num_threads(1)
    store, random = CropStore(corpus), np.random.default_rng(0)
    paths = [path for path in store.paths() if store.row(path).num_frames >= FRAMES]
    paths = [paths[i] for i in np.linspace(0, len(paths) - 1, num_clips).astype(int)]
    places = [(p, int(random.integers(store.row(p).num_frames - FRAMES + 1))) for p in paths]
    formats: dict[str, tuple[Callable[[Any], bytes], Callable[[bytes], Any]]] = {
        "JPEG q95 4:4:4, the store's": (encode_jpeg, decode_jpeg),
        "JPEG q90 4:2:0": (lambda crop: _saved(crop, "JPEG", quality=90), decode_jpeg),
        "WebP lossless": (lambda crop: _saved(crop, "WEBP", lossless=True), _opened),
        "raw": (lambda crop: crop.tobytes(), lambda content: np.frombuffer(content, np.uint8)),
    }
    sizes: dict[str, list[int]] = {name: [] for name in formats}
    seconds: dict[str, list[float]] = {name: [] for name in formats}
    from_source, from_store = [], []
    for path, start in places:
        crops = store.frames(path, start, FRAMES)
        for name, (encode, decode) in formats.items():
            stored = [encode(crop) for crop in crops]
            sizes[name].append(sum(map(len, stored)))
            seconds[name].append(_seconds(lambda d=decode, s=stored: [d(one) for one in s]))
        from_store.append(_seconds(lambda p=path, s=start: store.frames(p, s, FRAMES)))
        from_source.append(_seconds(lambda p=path, s=start: _cut_out(store, corpus, p, s)))
    first = np.array(seconds[next(iter(formats))])
    rows = []
    for name in formats:
        size, speed = np.mean(sizes[name]) / 1000, 1 / np.median(seconds[name])
        share = _spread(first / np.array(seconds[name]))
        rows.append((name, f"{size:.0f}", f"{speed:.0f}", share))
    columns = ("format", "kB a clip", "clips a CPU second", "times the store's speed")
    side = store.crop_pixels(paths[0])
    print(Table(columns=columns, rows=tuple(rows), caption=f"{side} pixels").to_text())
    ratio = np.array(from_source) / np.array(from_store)
    print(f"from the store {_spread(ratio)} times as fast as cut out of the source")
    print(f"loader, of the speed of reading and decoding alone: {_spread(_loader(corpus))}")


def _saved(crop: np.ndarray, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(crop).save(buffer, kind, **options)
    return buffer.getvalue()


def _opened(content: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(content)) as picture:
        return np.array(picture)


def _seconds(work: Callable[[], Any]) -> float:
    begin = time.process_time()
    work()
    return time.process_time() - begin


def _cut_out(store: CropStore, corpus: Path, path: str, start: int) -> list[np.ndarray]:
    """The same crops from the source video, read from its beginning."""
    row, matrices = store.row(path), store.geometry(path, "transforms")
    first = row.source_start_frame + start
    sources = Path(read_description(corpus)["source_root"])
    frames = islice(iter_frames(sources / row.source_path), first, first + FRAMES)
    crops = []
    for matrix, frame in zip(matrices[start:], frames, strict=False):
        window = needed_window(matrix, frame.width, frame.height, size=row.crop_size)
        assert window is not None, path
        cut = frame.region(*window)
        crops.append(warp(cut, matrix, origin=window[:2], size=row.crop_size))
    assert len(crops) == FRAMES, path
    return crops


def _loader(corpus: Path, num_batches: int = 24) -> np.ndarray:
    """For batches of stage one: reading and decoding their clips alone, over the loader's time."""
    video = VideoModelConfig()
    data = pretrain_data(PretrainConfig(data=(corpus,), run=Path("unused"), video=video)).training
    loader = training_loader(
        data, ShuffledBatches(len(data), BATCH, 0), workers=0, pin_memory=False
    )
    twice = [chain.from_iterable(loader(epoch, 0) for epoch in count()) for _ in range(2)]
    ratios = []
    for number, batch in enumerate(islice(twice[0], num_batches + 1)):
        places = [(data.items[item], start) for _, item, start in batch.draws.tolist()]
        work: list[Callable[[], Any]] = [
            lambda p=places: [item.frames(start, FRAMES) for item, start in p],
            lambda: next(twice[1]),
        ]
        # Each comes first in turn, and both after the clips were read once.
        order = (0, 1) if number % 2 else (1, 0)
        seconds = {which: _seconds(work[which]) for which in order}
        ratios.append(seconds[0] / seconds[1])
    return np.array(ratios[1:])


def _spread(ratios: np.ndarray) -> str:
    low, middle, high = np.percentile(ratios, [10, 50, 90])
    return f"{middle:.2g} [{low:.2g}, {high:.2g}]"


if __name__ == "__main__":
    if not 2 <= len(sys.argv) <= 3:
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
