"""One server forks the workers of all verbs in a test process, so it imports for all of them."""

from collections.abc import Iterator
from multiprocessing import forkserver

import pytest

_WORKERS = (
    *("avkd.data.prepare_file", "avkd.inference.file_worker"),
    *("avkd.synthesis.forgery", "avkd.synthesis.synthetic"),
)


@pytest.fixture(scope="session", autouse=True)
def preloading() -> Iterator[None]:
    """Whichever verb comes first starts the server; the others' workers would import torch each."""
    preload = forkserver.set_forkserver_preload
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            forkserver, "set_forkserver_preload", lambda names: preload([*names, *_WORKERS])
        )
        yield
