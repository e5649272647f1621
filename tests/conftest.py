"""What tests of several folders share: a made-up corpus, the server that forks workers, figures."""

import gc
import os
from collections.abc import Iterator
from multiprocessing import forkserver
from pathlib import Path

import pytest
from small_runs import Corpora, make_corpora

from avkd import cli

_WORKERS = (
    *("avkd.data.prepare_file", "avkd.inference.file_worker"),
    *("avkd.synthesis.forgery", "avkd.synthesis.synthetic"),
)


def pytest_collection_finish() -> None:
    """What was imported stays, and need not be looked through for garbage again and again."""
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def preloading() -> Iterator[None]:
    """Whichever verb comes first starts the server; the others' workers would import torch each."""
    preload = forkserver.set_forkserver_preload
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            forkserver, "set_forkserver_preload", lambda names: preload([*names, *_WORKERS])
        )
        yield


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are made, but not rendered: that takes seconds, and these tests look at none."""
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", lambda *_, **__: None)


SYNTH = {"identities": 8, "clips_per_identity": 2, "words": 2, "seconds": 1.08, "workers": 1}
"""How `synthetic_corpus` is made. One worker: a real and its forgeries share what was filmed."""


@pytest.fixture(scope="session")
def synthetic_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `avkd synth` writes, made once for all processes of a run; to change it, copy it."""
    import fcntl

    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent
    flags = [word for name, value in SYNTH.items() for word in (f"--{name}", str(value))]
    with (root / "synthetic.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # A second process finds it complete, and makes nothing anew.
        assert cli.main(["synth", "--out", str(root / "synthetic"), *flags]) == 0
    return root / "synthetic"


@pytest.fixture(scope="session")
def corpora(synthetic_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Corpora:
    """Three prepared corpora of it, one with a broken file."""
    return make_corpora(synthetic_corpus, tmp_path_factory.mktemp("corpora"))
