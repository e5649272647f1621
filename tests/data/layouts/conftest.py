"""Made-up trees for the layouts: empty files, since a layout opens none."""

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

Plant = Callable[..., Path]


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    """Create empty files below a folder of ``tmp_path``; returns that folder."""

    def plant_files(paths: Iterable[str], folder: str = "root") -> Path:
        root = tmp_path / folder
        root.mkdir(parents=True, exist_ok=True)
        for path in paths:
            file = root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
        return root

    return plant_files
