"""The folder of a run: its config, its environment, and whether it may be started or resumed."""

import dataclasses
import json
import platform
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from avkd import __version__, durable
from avkd.config.load import ConfigError, settings_of, stored_settings, to_yaml
from avkd.training.resume import Checkpoints

_ENVIRONMENT = "environment.json"
_EPOCHS = "loop.epochs"
_SPANS = (
    ". Only a schedule that does not know its end can go on for longer: optim.decay constant with "
    "optim.lr and optim.warmup_epochs given, in pretrain also equal momentum_start and "
    "momentum_end; in distill optim.decay plateau"
)
# What a resumed run may change: how it is called and where it computes, never what it computes.
_MAY_CHANGE = {
    *("resume", "resume_changed", "force", "run"),
    *("workers", "cache_gigabytes", "device", "threads"),
}


def write_config(folder: Path, config: Any, *, resume: bool) -> None:
    """Write the config of a run into a folder that was `check`ed; one that goes on has it."""
    path = folder / "config.yaml"
    if not resume or _is_longer(stored_settings(path, type(config)), config):
        begun_anew = dataclasses.replace(config, resume=False, resume_changed=False)
        durable.write_text(path, to_yaml(begun_anew))


def check(folder: Path, config: Any, *, resume: bool) -> None:
    """Refuse a folder that cannot take the run, before anything long is done for it.

    Raises:
        FileExistsError: the folder holds a run and ``resume`` was not asked for.
        FileNotFoundError: ``resume`` was asked for and no run was ever begun there.
        ValueError: the run there has another config; names the first setting that differs.
    """
    path = folder / "config.yaml"
    if not resume:
        # A run that ended before its first checkpoint left nothing worth keeping.
        if Checkpoints(folder / "checkpoints").exist:
            raise FileExistsError(
                f"{folder}: holds a run already; --resume continues it, or choose another --run"
            )
        return
    if not path.exists():
        raise FileNotFoundError(f"{folder}: no run there to resume (no {path.name})")
    try:
        before, now = stored_settings(path, type(config)), settings_of(config)
    except ConfigError as error:
        of_old = "it is damaged or of an earlier avkd; start a new --run"
        raise ConfigError(f"{error}; {of_old}") from error
    for name in now:
        if name.rpartition(".")[2] in _MAY_CHANGE:
            continue
        if name not in before and not config.resume_changed:
            raise ValueError(
                f"{folder}: the run there was started by an earlier avkd without {name}; start a "
                "new --run, or go on all the same with --resume_changed true"
            )
        old, new = (f"{name}: {_as_yaml(found.get(name))}" for found in (before, now))
        if old == new or name not in before:
            continue
        longer = name == _EPOCHS and _is_longer(before, config)
        if not (longer and config.is_open_ended):
            raise ValueError(
                f"{folder}: the run there was started with {old!r}, not {new!r}; "
                f"resume it with the same settings or start a new --run{_SPANS * longer}"
            )


def _is_longer(before: Mapping[str, Any], config: Any) -> bool:
    """Whether a run of the same settings is to have more epochs than it was to have."""
    old, new = before.get(_EPOCHS), settings_of(config).get(_EPOCHS)
    return old is not None and new is not None and new > old


def code_fingerprint() -> str:
    """Digest of the source of avkd."""
    root = Path(durable.__file__).parent
    return durable.fingerprint([durable.sha256_of_file(p) for p in sorted(root.rglob("*.py"))])


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keep other trainings out of a run folder, and clear what killed ones left half-written.

    Raises:
        ValueError: another training is at work there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    busy = (
        f"{folder}: another training is at work there; choose another --run (several processes for "
        "one training are started by torchrun)"
    )
    with durable.locked(folder / ".lock", busy):
        for place in (folder, folder / "checkpoints"):
            durable.remove_leftovers(place)
        yield


def write_environment(folder: Path, description: Mapping[str, Any]) -> None:
    """Write ``environment.json``: machine, versions, commit, command."""
    durable.write_json(
        folder / _ENVIRONMENT,
        {
            "avkd": __version__,
            "commit": _git_commit(),
            "command": sys.argv,
            "python": platform.python_version(),
            "platform": platform.platform(),
            "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            **description,
        },
    )


def precision_of(folder: Path) -> Literal["fp32", "bf16"] | None:
    """What the run in ``folder`` computes in; None = it does not say."""
    try:
        said = json.loads((folder / _ENVIRONMENT).read_text(encoding="utf-8"))["precision"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return said if said in ("fp32", "bf16") else None


def _git_commit() -> str | None:
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None  # installed as a package, or no git


def _as_yaml(value: Any) -> Any:
    """As the setting is written in a config file."""
    return json.dumps(value) if value is None or isinstance(value, bool) else value
