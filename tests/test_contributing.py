"""The how-to of .github/CONTRIBUTING.md: its steps are done in a copy of the package, and work.

A step is a sentence and the code block below it: ``New file `PATH`:``, or ``In `PATH`, below (or
above) `LINE`:``. Any other Python block is run as it stands.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
GUIDE = REPOSITORY / ".github" / "CONTRIBUTING.md"
SECTION = re.compile(r"^## (.+)$", re.MULTILINE)
BLOCK = re.compile(r"(?P<text>[^`]*(?:`[^`\n]+`[^`]*)*)```python\n(?P<code>.*?)```", re.DOTALL)
NEW = re.compile(r"New file `([^`]+)`:\s*$")
INSERT = re.compile(r"In `([^`]+)`, (below|above) `([^`]+)`:\s*$")


def sections() -> dict[str, list[tuple[str, str]]]:
    """Title of each how-to and its (text, code) steps."""
    _, *parts = SECTION.split(GUIDE.read_text(encoding="utf-8"))
    return {
        title: [(m["text"], m["code"]) for m in BLOCK.finditer(body)]
        for title, body in zip(parts[::2], parts[1::2], strict=True)
    }


def do(root: Path, text: str, code: str) -> str:
    """Do one step in ``root``; returns the code if it is only to be run."""
    if new := NEW.search(text):
        path = root / new[1]
        assert not path.exists() and path.parent.is_dir(), new[1]
        path.write_text(code, encoding="utf-8")
        return ""
    if insert := INSERT.search(text):
        path = root / insert[1]
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        (place,) = [n for n, line in enumerate(lines) if line.strip() == insert[3]]
        lines.insert(place + (insert[2] == "below"), code)
        path.write_text("".join(lines), encoding="utf-8")
        return ""
    return code


def test_the_guide_tells_how_to_add_what_people_add() -> None:
    titles = {
        "A video backbone",
        "A dataset layout",
        "A loss",
        "A forgery",
        "A metric",
    }
    found = sections()
    assert set(found) == titles
    for title, steps in found.items():
        assert len(steps) >= 2, f"{title}: a step, and code that shows that it worked"


@pytest.mark.parametrize("title", sections())
def test_the_steps_of_the_guide_work(title: str, tmp_path: Path) -> None:
    """Each alone, in a copy; a guide that no longer works costs every newcomer an hour."""
    shutil.copytree(REPOSITORY / "avkd", tmp_path / "avkd", ignore=left_out)
    checks = [do(tmp_path, text, code) for text, code in sections()[title]]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(checks)],
        env={**os.environ, "PYTHONPATH": str(tmp_path), "OMP_NUM_THREADS": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]


def left_out(_: str, names: list[str]) -> list[str]:
    return [name for name in names if name == "__pycache__" or name.endswith(".safetensors")]
