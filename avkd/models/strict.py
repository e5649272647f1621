"""Values of untrusted files, compared with annotations before anything is made of them.

Serves the records of a model file (dataclasses) and the arguments of networks alike.
"""

import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Annotated, Any, Literal, TypeVar

MAX_SIZE = 8192  # of a width, an image side ...: no network of ours comes near
MAX_STAGES = 8
MAX_ITEMS = 10_000  # of a list in a record
# Far beyond any logit in single precision, and no difference or product of two overflows.
_LARGEST_NUMBER = 1e100

Count = Annotated[int, "of files, without an upper limit"]
Record = TypeVar("Record")


def check_value(value: Any, annotation: Any, what: str) -> None:
    """Refuse a value of another type than annotated, or beyond all reason.

    Raises:
        ValueError: names ``what`` it is of and what it may be.
    """
    if isinstance(annotation, types.UnionType):  # X | None
        if value is None:
            return
        annotation = next(part for part in annotation.__args__ if part is not types.NoneType)
    if typing.get_origin(annotation) is Literal:
        known = typing.get_args(annotation)
        if value not in known:
            raise ValueError(f"{what} {_short(value)} is not one of {', '.join(known)}")
    elif is_dataclass(annotation):
        assert isinstance(value, typing.cast(type, annotation)), what
    else:
        is_good, wanted = _RULES.get(annotation) or _RULES[typing.get_origin(annotation)]
        if not is_good(value):
            name = what.rpartition(": ")[2]
            raise ValueError(f"{what} is {_short(value)}; {name} must be {wanted}")


def check_arguments(
    build: Callable[..., Any],
    arguments: Mapping[str, Any],
    what: str,
    given: Mapping[str, Any] | None = None,
) -> None:
    """Refuse arguments that ``build`` does not take or lacks, or of another type than annotated.

    What takes ``**options`` checks those itself; ``given`` ones are not to be chosen; ``what`` is
    what it builds, for messages.

    Raises:
        ValueError: names the first wrong argument and the ones there are.
    """
    parameters = inspect.signature(build).parameters
    hints = typing.get_type_hints(build.__init__ if inspect.isclass(build) else build)
    named = {
        name: parameter
        for name, parameter in parameters.items()
        if parameter.kind is not parameter.VAR_KEYWORD and name not in (given or {})
    }
    passes_on = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    for name in arguments:
        if name not in named and not passes_on:
            raise ValueError(f"{what} has no option {name!r}; it takes {', '.join(named)}")
    for name, parameter in named.items():
        if name in arguments:
            check_value(arguments[name], hints[name], name)
        elif parameter.default is parameter.empty:
            raise ValueError(f"{what} needs {name!r}")


def check_fields(record: Any) -> None:
    """Compare every field of a dataclass with its annotation, as `check_value` does."""
    hints = _hints(type(record))
    for name, value in vars(record).items():
        check_value(value, hints[name], f"{_title(type(record))}: {name}")


def read_record(record: type[Record], values: object) -> Record:
    """The dataclass ``record`` with exactly the fields in ``values``, which may be anything.

    Lists become tuples, mappings the dataclasses that the annotations name.

    Raises:
        ValueError: not a mapping, or a field is missing, unknown or refused by the record.
    """
    title = _title(record)
    if not isinstance(values, Mapping):
        raise ValueError(f"{title} must be a mapping, got {_short(values)}")
    names = {field.name for field in fields(typing.cast(Any, record))}
    if differing := sorted(set(values) ^ names):
        raise ValueError(f"{title}: missing or unknown fields {_short(differing)}")
    hints = _hints(record)
    return record(**{name: _read(value, hints[name]) for name, value in values.items()})


def _read(value: Any, annotation: Any) -> Any:
    nested = next(filter(is_dataclass, (annotation, *typing.get_args(annotation))), None)
    if nested is not None:
        is_absent = value is None and nested is not annotation
        return None if is_absent else read_record(typing.cast(type, nested), value)
    if not isinstance(value, list | tuple):
        return value
    return tuple(tuple(item) if isinstance(item, list) else item for item in value)


def _hints(record: type) -> dict[str, Any]:
    return typing.get_type_hints(record, include_extras=True)


def _title(record: type) -> str:
    """``CalibrationFit`` in words, for messages."""
    letters = (f" {letter.lower()}" if letter.isupper() else letter for letter in record.__name__)
    return "".join(letters).strip()


def _short(value: object) -> str:
    """``value`` for a message, whatever a file holds in its place."""
    if type(value) is int and abs(value) > _LARGEST_NUMBER:
        return "a whole number of many digits"  # Python itself refuses to print some
    text = repr(value)
    return text if len(text) <= 200 else text[:200] + " ..."


def _is_number(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    # Comparisons, for a whole number of a thousand digits does not become a float.
    return is_number and -_LARGEST_NUMBER <= value <= _LARGEST_NUMBER


def _is_size(value: Any) -> bool:
    return type(value) is int and 1 <= value <= MAX_SIZE


def _are_sizes(value: Any) -> bool:
    is_list = isinstance(value, list | tuple) and 1 <= len(value) <= MAX_STAGES
    return is_list and all(_is_size(size) for size in value)


def _is_tuple(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) <= MAX_ITEMS


# By annotation: whether a value will do, and what it must be. Whole numbers are sizes, or counts.
_RULES: dict[Any, tuple[Callable[[Any], bool], str]] = {
    bool: (lambda value: isinstance(value, bool), "true or false"),
    int: (_is_size, f"a whole number from 1 to {MAX_SIZE}"),
    Count: (lambda value: type(value) is int and value >= 1, "a whole number from 1"),
    float: (_is_number, "a finite number"),
    str: (lambda value: isinstance(value, str), "a word"),
    Sequence: (_are_sizes, f"1 to {MAX_STAGES} whole numbers from 1 to {MAX_SIZE}"),
    Mapping: (
        lambda value: isinstance(value, Mapping) and isinstance(value.get("name"), str),
        "a mapping with at least a 'name'",
    ),
    tuple[str, ...]: (
        lambda value: _is_tuple(value) and all(isinstance(item, str) for item in value),
        f"a list of at most {MAX_ITEMS} names",
    ),
    tuple: (_is_tuple, f"a list of at most {MAX_ITEMS}"),
}
