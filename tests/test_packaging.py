"""What an installation gets: what is imported and no more, and the files that are no Python."""

import ast
import importlib.metadata
import re
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest
import setuptools
import yaml

REPOSITORY = Path(__file__).resolve().parents[1]
# Not imported: torch.utils.tensorboard and timm ask for one each, tests compare our mels with one.
BEHIND_OTHERS = {"tensorboard", "librosa", "torchvision"}


@pytest.fixture(scope="module")
def setup() -> dict[str, Any]:
    """The arguments of setup.py's call."""
    given: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(setuptools, "setup", given.update)
        patch.setattr(setuptools, "find_packages", lambda **_: [])
        runpy.run_path(str(REPOSITORY / "setup.py"))
    return given


def names(requirements: list[str]) -> set[str]:
    found = (re.match(r"[A-Za-z0-9_-]+", requirement) for requirement in requirements)
    return {match[0].lower().replace("_", "-") for match in found if match}


def imported() -> set[str]:
    """Distributions that the package imports anywhere."""
    modules = set()
    for path in (REPOSITORY / "avkd").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                modules |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                modules.add(node.module.partition(".")[0])
    ours = modules - set(sys.stdlib_module_names) - {"avkd"}
    by_module = importlib.metadata.packages_distributions()
    return {
        by_module[module][0].lower().replace("_", "-") for module in ours if module in by_module
    }


def test_a_plain_installation_has_what_is_imported_and_nothing_else(setup) -> None:
    plain, extras = names(setup["install_requires"]), names(setup["extras_require"]["all"])
    brought_along = {"huggingface-hub", "markupsafe", "pydantic"}  # by timm, jinja2 and fastapi
    assert imported() - plain - extras - brought_along == set()
    assert plain - imported() - BEHIND_OTHERS == set()
    asked_for = {"torch", "torchaudio", "torchvision", "av", "librosa", "adamp", "einops"}
    assert asked_for | {"tensorboard"} <= plain


def test_the_extras_are_those_the_readme_names(setup) -> None:
    extras, onnx = setup["extras_require"], ("export", "openvino")
    assert set(extras) == {
        "face",
        "teacher",
        "heic",
        "ray",
        "explain",
        "serve",
        "yunet",
        *onnx,
        "dev",
        "all",
    }
    assert names(extras["all"]) == names([r for part in extras.values() for r in part])


def test_files_that_are_no_python_are_packed(setup) -> None:
    """A wheel without them imports and then fails at the first report or prediction."""
    packed = {
        path
        for package, patterns in setup["package_data"].items()
        for pattern in patterns
        for path in REPOSITORY.joinpath(*package.split(".")).glob(pattern)
    }
    there = {
        path
        for path in (REPOSITORY / "avkd").rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc")
    }
    assert packed == there


def test_the_files_about_the_project_agree(setup) -> None:
    citation = yaml.safe_load((REPOSITORY / ".github/CITATION.cff").read_text())
    assert citation["version"] == setup["version"]
    assert f"## {setup['version']}" in (REPOSITORY / ".github/CHANGELOG.md").read_text()
    workflow = yaml.safe_load((REPOSITORY / ".github/workflows/test.yml").read_text())
    commands = [step.get("run") for step in workflow["jobs"]["test"]["steps"]]
    assert "bash scripts/test.sh" in commands
    assert "bash scripts/test.sh" in (REPOSITORY / "README.md").read_text()
    hooks = yaml.safe_load((REPOSITORY / ".pre-commit-config.yaml").read_text())
    assert all(repository["repo"] == "local" for repository in hooks["repos"])
