"""The bar of linear algebra, on made-up corpora whose answer is known."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from avkd.data.windows import WINDOW_FRAMES, Window
from avkd.evaluation import linear_baseline as module
from avkd.evaluation.cross_modal_meters import retrieval
from avkd.evaluation.linear_baseline import predict_linearly

FRAMES, PIXELS, MELS, SOURCES = 60, 40, 12, 3
RNG = np.random.default_rng(0)
TO_PIXELS, TO_MELS = RNG.normal(size=(SOURCES, PIXELS)), RNG.normal(size=(SOURCES, MELS))


def clip(seed: int, *, delay: int = 0, linked: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Mouth and sound that both come linearly from a few sources, the sound ``delay`` later."""
    rng = np.random.default_rng([1, seed])
    sources = rng.normal(size=(FRAMES + 20, SOURCES))
    heard = sources if linked else rng.normal(size=sources.shape)
    mouth = sources[10 : 10 + FRAMES] @ TO_PIXELS
    mel = heard[10 - delay : 10 - delay + FRAMES] @ TO_MELS
    return mouth.astype(np.float32), mel.astype(np.float32)


def retrieved(delay: int, linked: bool) -> float:
    """Retrieval@1 over twelve unseen clips."""
    seen = [clip(n, delay=delay, linked=linked) for n in range(20)]
    unseen = [clip(100 + n, delay=delay, linked=linked) for n in range(12)]
    predicted = predict_linearly([m for m, _ in seen], [s for _, s in seen], [m for m, _ in unseen])
    places = tuple((Window(0, 5, WINDOW_FRAMES), Window(1, 30, WINDOW_FRAMES)) for _ in unseen)
    video, sound = module._cut(predicted, places), module._cut([s for _, s in unseen], places)
    return retrieval(video, sound, sound, video, [None] * 12)["retrieval_at_1"]


def test_what_is_linear_is_found_everywhere():
    assert retrieved(delay=0, linked=True) == 1.0


@pytest.mark.parametrize("delay", [-3, 3])
def test_the_context_reaches_three_frames_to_both_sides(delay):
    """Lips move before they sound."""
    assert retrieved(delay=delay, linked=True) == 1.0


def test_what_lies_beyond_the_context_or_is_not_there_is_not_found():
    for found in (retrieved(delay=8, linked=True), retrieved(delay=0, linked=False)):
        assert found <= 3 / 12  # chance is 1 / 12


def test_linear_sound_is_predicted_almost_to_the_number():
    seen = [clip(n) for n in range(20)]
    (predicted,) = predict_linearly([m for m, _ in seen], [s for _, s in seen], [clip(100)[0]])
    missed = predicted - clip(100)[1]
    assert missed.var() < 0.01 * clip(100)[1].var()


def test_windows_are_cut_round_by_round():
    clips = [np.arange(60.0, dtype=np.float32)[:, None] + 100 * n for n in range(3)]
    places = tuple(
        (Window(0, n, WINDOW_FRAMES), Window(1, 10 + n, WINDOW_FRAMES)) for n in range(3)
    )
    cut = module._cut(clips, places)
    assert cut.shape == (2, 3, WINDOW_FRAMES, 1)
    assert torch.equal(cut[:, :, 0, 0], torch.tensor([[0.0, 101, 202], [10, 111, 212]]))


class Store:
    """Knows of each clip whether it can be read."""

    root = "corpus"

    def __init__(self, damaged: tuple[str, ...] = ()) -> None:
        self._damaged = damaged

    def verify(self, path: str) -> bool:
        return path not in self._damaged


def test_damaged_training_clips_take_no_part(monkeypatch, caplog):
    made = {f"train-{n}": clip(n) for n in range(20)} | {
        f"held-{n}": clip(100 + n) for n in range(8)
    }
    store = Store(("train-3", "train-4"))
    monkeypatch.setattr(module, "_mouth", lambda item: made[item.sample.path][0])
    monkeypatch.setattr(module, "_mel", lambda item: made[item.sample.path][1])
    items = [
        SimpleNamespace(sample=SimpleNamespace(path=name, identities=()), store=store)
        for name in made
    ]
    del made["train-3"], made["train-4"]  # reading them fails
    places = tuple((Window(0, 5, WINDOW_FRAMES),) for _ in range(8))
    assert module.linear_baseline(items[:20], items[20:], places)["retrieval_at_1"] == 1.0
    (told,) = caplog.messages
    assert "2 of 20 clips are damaged and left out; `avkd verify corpus`" in told
    with pytest.raises(ValueError, match="no training clip"):
        module.linear_baseline(items[3:5], items[20:], places)


def test_the_baseline_is_fitted_on_the_training_clips_alone(monkeypatch):
    """Fitted on the held-out clips as well, it would find what they have in common."""
    made = {f"train-{n}": clip(n, linked=False) for n in range(20)}
    made |= {f"held-{n}": clip(100 + n) for n in range(12)}
    monkeypatch.setattr(module, "_mouth", lambda item: made[item.name][0])
    monkeypatch.setattr(module, "_mel", lambda item: made[item.name][1])

    def items(kind: str) -> list[SimpleNamespace]:
        return [
            SimpleNamespace(
                name=name, sample=SimpleNamespace(path=name, identities=()), store=Store()
            )
            for name in made
            if name.startswith(kind)
        ]

    places = tuple((Window(0, 5, WINDOW_FRAMES),) for _ in range(12))
    found = module.linear_baseline(items("train"), items("held"), places)
    assert found["retrieval_at_1"] <= 3 / 12
    made |= {f"train-{n}": clip(n) for n in range(20)}
    assert module.linear_baseline(items("train"), items("held"), places)["retrieval_at_1"] == 1.0
    seen: list[str] = []
    monkeypatch.setattr(module, "_MOST_CLIPS", 5)
    monkeypatch.setattr(module, "_mouth", lambda i: seen.append(i.name) or made[i.name][0])
    assert module.linear_baseline(items("train"), items("held"), places)["retrieval_at_1"] == 1.0
    assert sum(name.startswith("train") for name in seen) == 5
