"""Command line (flags and YAML files) -> one frozen config, or one line saying why not; and back.

``--data a b`` may list several values, ``--resume`` alone means true, and a misspelt key is
answered with the likely one.
"""

import argparse
import dataclasses
import difflib
import functools
import inspect
import re
import shlex
import typing
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import jsonargparse
import yaml

Config = TypeVar("Config")

_UNKNOWN = (
    r"unrecognized arguments: --(?P<key>[\w.]+)",
    r"(?:[Gg]roup '(?P<group>[\w.]+)' )?does not accept option '(?P<key>[\w.]+)'",
    r"[Kk]ey '(?P<key>[\w.]+)' is not expected",
    r"[Oo]ption '(?P<key>[\w.]+)'",
)
"""How the parser says that it does not know a setting; the first that fits counts."""
_OF_MAPPINGS = re.compile(r'Parser key "([\w.]+)".*Expected a dot import path')
"""How it says that a word is no mapping."""

_WRONG_VALUE = re.compile(
    r'Parser key "(?P<key>[\w.]+)": (?P<expected>.*?)(?:Got value|Given value): (?P<value>.*)'
)
"""How it says that a value is of the wrong type, or no choice."""
_TYPES = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "NoneType": "null",
    "str": "a text",
}

_WITHDRAWN = {
    "flat_memory": "it is withdrawn, for a million files fit into 2 GB without it; leave it out",
    "tone": "it is called color_jitter now",
    "shrink": "it is called downscale now",
    "most_waiting": "it is called max_waiting now",
    "arms": "it is called runs now",
}
"""Settings of earlier versions, and what to do instead."""


class ConfigError(ValueError):
    """A setting that is unknown, of the wrong type, out of range or without effect."""


# Bytes that are no UTF-8 come as lone surrogates, which YAML refuses: meanwhile they are letters of
# a private plane.
_SHIELDS = {0xDC00 + byte: 0xF0000 + byte for byte in range(128, 256)}
_BYTES = {shield: surrogate for surrogate, shield in _SHIELDS.items()}


def parse(
    verb: str, config_class: type[Config], arguments: Sequence[str], positional: str | None = None
) -> Config:
    """Build ``config_class``, a frozen dataclass, from the command-line tokens after the verb.

    Nested ones become dotted flags; ``--config FILE`` reads YAML, later flags win over it. The
    field ``positional`` collects the values without a flag.

    Raises:
        ConfigError: names the key, what was wrong, and the likely key where one was misspelt.
        SystemExit: after ``--help`` or ``--print_config``.
    """
    if "" in arguments:  # as of an unset variable in quotes; as a path it would be this folder
        raise ConfigError(f"avkd {verb}: an argument is empty; say which file or value is meant")
    fields = dict(_leaf_types(config_class))
    for name, hint in fields.items():
        for entry in filter(dataclasses.is_dataclass, typing.get_args(hint)):
            if f"--{name}.help" in arguments:
                _print_entry_help(verb, name, entry)
    parser = make_parser(verb, config_class, positional)
    try:
        tokens = [argument.translate(_SHIELDS) for argument in arguments]
        namespace = parser.parse_args(_joined_lists(tokens, fields, positional))
        namespace.pop("config", None)
        values = {n: _unshielded(v) for n, v in vars(parser.instantiate(namespace)).items()}
        return config_class(**values)
    except (jsonargparse.ArgumentError, ValueError, TypeError) as error:
        raise ConfigError(f"avkd {verb}: {_with_suggestion(_innermost(error), fields)}") from error


def _unshielded(value: Any) -> Any:
    """A setting with the bytes of file names that YAML cannot hold put back."""
    if isinstance(value, (str, Path)) and any(ord(letter) in _BYTES for letter in str(value)):
        return type(value)(str(value).translate(_BYTES))
    if isinstance(value, (list, tuple)):
        return type(value)(map(_unshielded, value))
    return value


def make_parser(
    verb: str, config_class: type, positional: str | None = None
) -> jsonargparse.ArgumentParser:
    """The parser of one verb; every field of ``config_class`` is a flag with its docstring."""
    parser = _parser_of(config_class, positional)
    parser.prog = f"avkd {verb}"
    return parser


@functools.cache  # it reads the source of every config, and a study reads hundreds of settings
def _parser_of(config_class: type, positional: str | None = None) -> jsonargparse.ArgumentParser:
    jsonargparse.set_parsing_settings(docstring_parse_attribute_docstrings=True)
    fields, unset = dataclasses.fields(config_class), dataclasses.MISSING
    required = [f.name for f in fields if f.default is f.default_factory is unset]
    flags = [f"--{name} {name.upper()}" for name in required if name != positional]
    if positional:
        several = " ..." if _is_tuple(dict(_leaf_types(config_class))[positional]) else ""
        flags = [positional.upper() + several, *flags]
    parser = jsonargparse.ArgumentParser(
        usage=" ".join(["%(prog)s", *flags, "[--config FILE.yaml] [--setting VALUE ...]"]),
        description=inspect.getdoc(config_class),
        exit_on_error=False,
        allow_abbrev=False,  # an abbreviation is a misspelling that happens to be accepted
        formatter_class=_HelpFormatter,
    )
    parser.add_argument("--config", action="config", help="YAML file with any of these settings.")
    parser.add_class_arguments(config_class)
    _group(parser, config_class, required)
    return parser


def _print_entry_help(verb: str, name: str, entry: Any) -> NoReturn:
    """The page of one entry of the list ``name``, which only a YAML file can hold."""
    parser = _parser_of.__wrapped__(entry)  # its own, for it is changed
    vars(parser)["formatter_class"] = _EntryHelpFormatter
    parser.usage = f"avkd {verb} --config FILE.yaml, with a list of such entries below `{name}:`"
    shown = [group for group in parser._action_groups if group.title != "options"]
    vars(parser)["_action_groups"][:] = shown  # --help and --config are the verb's
    for action in parser._actions:
        if action.dest.endswith(".help"):
            action.help = f"`avkd {verb} --{name}.{action.dest}` shows the settings of one entry."
    parser.print_help()
    parser.exit()


class _HelpFormatter(jsonargparse.DefaultHelpFormatter):
    """Paragraphs of the description as they are, and types as a user would write the value."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        fill = super()._fill_text
        return "\n\n".join(fill(part, width, indent) for part in text.split("\n\n"))

    def _format_args(self, action: argparse.Action, default_metavar: str) -> str:
        found = super()._format_args(action, default_metavar)
        if found.startswith("[ITEM"):
            return f"{default_metavar} ..."
        return default_metavar if len(found) > _LONGEST_CHOICE else found

    def _expand_help(self, action: argparse.Action) -> str:
        text, bracket, facts = re.split(_FACTS, super()._expand_help(action) + " ", maxsplit=1)
        if "{" in self._format_args(action, ""):
            facts = re.sub("type: .*?, (?=default: )|, type: .*(?=\\))", "", facts)
        for pattern, plain in _PLAIN_FACTS:
            facts = re.sub(pattern, plain, facts)
        return f"{text}{bracket}{facts}".strip()


class _EntryHelpFormatter(_HelpFormatter):
    """Settings as keys of YAML and not as flags."""

    def _format_action_invocation(self, action: argparse.Action) -> str:
        return super()._format_action_invocation(action).replace("--", "")


_LONGEST_CHOICE = 60  # characters
_FACTS = r"(\((?=required|type: |default: )|$)"
_PLAIN_FACTS = (
    (r"<class '(\w+)'>", r"\1"),
    (r"Literal\[(.*?)\]", lambda found: found[1].replace("'", "").replace(", ", " | ")),
    (r"tuple\[(.*?), \.\.\.\]", r"list of \1"),
    (r"Optional\[(.*?)\]", r"\1"),
    (r"list of \w+(Config|Training|Test)\b", "list of entries"),
    (r" \| null", ""),
    ("default: (null|\\(\\))", "default: unset"),
    (r"default: \((.+?),?\)(?=\)|$)", lambda found: "default: " + re.sub("[',]", "", found[1])),
)


def _group(
    parser: jsonargparse.ArgumentParser, config_class: type, required: Sequence[str]
) -> None:
    """Sections of the help: what must be given and the verb's own, each group, then the rest."""
    options, main, *nested = (group for group in parser._action_groups if group._group_actions)
    main.title = "settings"
    own = {*inspect.get_annotations(config_class), *required}
    sections = []
    for base in config_class.__mro__[1:-1]:
        names = {*inspect.get_annotations(base)} - own
        section = parser.add_argument_group((inspect.getdoc(base) or "").rstrip(".").lower())
        section._group_actions += [a for a in main._group_actions if a.dest in names]
        main._group_actions[:] = [a for a in main._group_actions if a.dest not in names]
        sections.append(section)
    order = [*required, *(name for name, _ in _leaf_types(config_class))]
    for group in (main, *sections, *nested):
        group.title = re.split("[;:.]", group.title or "")[0]
        group._group_actions.sort(key=lambda a: order.index(a.dest) if a.dest in order else -1)
        for action in group._group_actions:
            if action.help == "Path to a configuration file.":
                action.help = argparse.SUPPRESS
            if action.dest.endswith(".help"):
                action.help = "Show the settings of one entry, and exit."
    for action in options._group_actions:
        if action.dest == "print_config":
            action.help = "Print every setting as YAML, for a --config file, and exit."
    shown = [group for group in (main, *sections, *nested, options) if group._group_actions]
    vars(parser)["_action_groups"][:] = shown


def to_yaml(config: Any) -> str:
    """Complete YAML of a config; `parse` with ``--config`` gives back an equal object."""
    return yaml.safe_dump(_plain(config), sort_keys=False, allow_unicode=True)


def stored_settings(path: Path, config_class: type) -> dict[str, Any]:
    """What a ``config.yaml`` of this or an earlier version says, as `settings_of` names it.

    A setting that it does not hold is missing and not at its default: there was none then.

    Raises:
        ConfigError: it is damaged, or holds a setting that there is no longer.
    """
    read = settings_of(parse(str(path), config_class, ["--config", str(path)]))
    written = dict(_dotted(yaml.safe_load(path.read_text(encoding="utf-8"))))
    return {name: value for name, value in read.items() if name in written}


def settings_of(config: Any) -> dict[str, Any]:
    """Plain values by dotted name."""
    return dict(_dotted(_plain(config)))


def _dotted(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _dotted(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def command_of(verb: str, config: Any) -> str:
    """The shell-quoted command of a flat config; settings at their default are left out.

    Made from the config and not from what was typed, so it is whole where a file of settings was
    given, and true where no command was typed at all.
    """
    words = ["avkd", verb]
    for field in _ordered_fields(type(config)):
        value = getattr(config, field.name)
        if value != field.default:
            words += _flag(field.name, value)
    return shlex.join(words)


def _flag(name: str, value: Any) -> list[str]:
    if isinstance(value, tuple):
        texts = [str(item) for item in value]
        # What begins like a flag or a list is said in a form of which that is no beginning.
        if any(text.startswith(("-", "[")) for text in texts):
            return [f"--{name}={_yaml_list(texts)}"]
        return [f"--{name}", *texts]
    if value is None or isinstance(value, bool):
        return [f"--{name}", {None: "null", True: "true", False: "false"}[value]]
    return [f"--{name}={value}"] if str(value).startswith("-") else [f"--{name}", str(value)]


def _ordered_fields(config_class: type) -> list[dataclasses.Field[Any]]:
    """The class's own first, then those of the groups it inherits."""
    fields = {field.name: field for field in dataclasses.fields(config_class)}
    names = (name for base in config_class.__mro__[:-1] for name in inspect.get_annotations(base))
    return [fields[name] for name in dict.fromkeys(names) if name in fields]


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name)) for f in _ordered_fields(type(value))}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def _leaf_types(config_class: type, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every setting as (dotted name, type); sections are descended into and listed as well."""
    hints = typing.get_type_hints(config_class)
    for field in _ordered_fields(config_class):
        hint = hints[field.name]
        yield prefix + field.name, hint
        for option in (hint, *typing.get_args(hint)):
            if dataclasses.is_dataclass(option) and isinstance(option, type):
                yield from _leaf_types(option, f"{prefix}{field.name}.")


def _is_tuple(hint: Any) -> bool:
    return any(typing.get_origin(option) is tuple for option in (hint, *typing.get_args(hint)))


def _joined_lists(
    arguments: Sequence[str], fields: dict[str, Any], positional: str | None
) -> list[str]:
    """Rewrite ``--data a b`` as one YAML list, bare booleans as true, and collect positionals."""
    joined: list[str] = []
    loose: list[str] = []
    for name, values in _flags(arguments, fields):
        is_yaml = values[:1] and values[0].startswith("[")
        if name is None or (name == positional and not is_yaml):
            loose += values
        elif fields.get(name) is bool and not values:
            joined.append(f"--{name}=true")
        elif _is_tuple(fields.get(name)) and values and not is_yaml:
            joined.append(f"--{name}={_yaml_list(values)}")
        else:
            joined.append("=".join([f"--{name}", *values]))
    if positional and loose:
        if _is_tuple(fields.get(positional)):
            return [*joined, f"--{positional}={_yaml_list(loose)}"]
        return [*joined, f"--{positional}={loose[0]}", *loose[1:]]  # the parser refuses the rest
    return joined + loose


def _flags(
    arguments: Sequence[str], fields: dict[str, Any]
) -> Iterator[tuple[str | None, list[str]]]:
    """Every flag by name with its values; None with what belongs to no flag."""
    waiting = deque(arguments)
    while waiting:
        token = waiting.popleft()
        if token == "--":
            yield None, list(waiting)
            return
        if token == "-h" or not token.startswith("--"):
            yield ("help", []) if token == "-h" else (None, [token])
            continue
        name, equals, value = token[2:].partition("=")
        values = [value] if equals else []
        most = len(arguments) if _is_tuple(fields.get(name)) else 1
        while not equals and waiting and len(values) < most and not waiting[0].startswith("--"):
            if fields.get(name) is bool and waiting[0] not in ("true", "false"):
                break
            values.append(waiting.popleft())
        yield name, values


def _yaml_list(values: Sequence[str]) -> str:
    # Quoted throughout: PyYAML leaves `1e3` bare, which the parser then reads as a number.
    return yaml.safe_dump(
        list(values), default_flow_style=True, default_style='"', width=10**9
    ).strip()


def _innermost(error: BaseException) -> str:
    """The message of our own check where one raised it, else the parser's, on one line."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ValueError) and raised_in("avkd.config.", cause):
            return str(cause)
        cause = cause.__cause__ or cause.__context__
    return " ".join(str(error).split())


def raised_in(package: str, error: BaseException) -> bool:
    """Whether the very line that raised ``error`` lies in modules that begin with ``package``."""
    module = ""
    trace = error.__traceback__
    while trace is not None:
        module = trace.tb_frame.f_globals.get("__name__", "")
        trace = trace.tb_next
    return module.startswith(package)


def _wanted(expected: str) -> str:
    """The types and choices that a message of the parser names, as a user would write them."""
    types = re.findall(r"Expected an? (?:typing\.Literal\[(.*?)\]|<class '(\w+)'>)", expected)
    words = [choices.replace("'", "") or _TYPES.get(kind, kind) for choices, kind in types]
    return " or ".join(dict.fromkeys(words))


def _with_suggestion(message: str, fields: dict[str, Any]) -> str:
    """Append the closest existing key where the message is about an unknown one."""
    if (listed := _OF_MAPPINGS.search(message)) and listed[1] in fields:
        return f"{listed[1]} is a list of mappings; write them in a YAML file for --config"
    if (wrong := _WRONG_VALUE.search(message)) and (wanted := _wanted(wrong["expected"])):
        return f"{wrong['key']}: {wrong['value']!r}, but it takes {wanted}"
    found = next(filter(None, (re.search(pattern, message) for pattern in _UNKNOWN)), None)
    if found is None:
        return message
    unknown = ".".join(filter(None, found.groups()))
    if cure := next(filter(None, map(_WITHDRAWN.get, unknown.split("."))), None):
        return f"setting {unknown!r}: {cure}"
    # Compare the whole dotted name, then by its last word: `lr` alone should find `optim.lr`.
    close = difflib.get_close_matches(unknown, fields, n=1, cutoff=0.6)
    if not close:
        by_last_word = {name.rpartition(".")[2]: name for name in fields}
        words = difflib.get_close_matches(unknown.rpartition(".")[2], by_last_word, n=1, cutoff=0.6)
        close = [by_last_word[word] for word in words]
    hint = f"did you mean {close[0]!r}?" if close else "see --help for all settings"
    return f"unknown setting {unknown!r}: {hint}"
