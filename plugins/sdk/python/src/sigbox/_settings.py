"""Settings: annotated attributes of a class, their types, and what an operator may write."""

from __future__ import annotations

import json
import types
from collections.abc import Container
from typing import Any, ClassVar, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

REQUIRED: Any = object()
"""The default of a setting that has none."""

_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
_SCHEMA = {int: "integer", float: "number", bool: "boolean", str: "string"}
_ALLOWED = "int, float, bool, str, list[...] of these, Literal[...], or one of these | None"


class Setting(NamedTuple):
    """One thing that an operator can set."""

    attribute: str
    """The attribute of the strategy: `fast_period`."""
    kind: Any
    """Its type, as it was annotated."""
    default: Any
    """Its value when the operator says nothing; `REQUIRED` if there is none."""


def declared(cls: type, taken: Container[str] = ()) -> dict[str, Setting]:
    """The settings that a class declares itself, by the name in the operator's file. `fast_period` is `fast-period`
    there. Names that begin with an underscore and class variables are no settings.

    Raises `TypeError` for a type that no operator could write, for a default of another type, and for a name that is
    `taken`.
    """
    found = {}
    hints = get_type_hints(cls)
    for attribute in getattr(cls, "__annotations__", {}):
        kind = hints[attribute]
        if attribute.startswith("_") or kind is ClassVar or get_origin(kind) is ClassVar:
            continue
        where = f"{cls.__name__}.{attribute}"
        if attribute in taken:
            raise TypeError(f"{where}: a setting cannot have this name, because a strategy has something of that name")
        if (problem := _unusable(kind)) is not None:
            raise TypeError(
                f"{where}: {problem} is no type of a setting; there are: {_ALLOWED}. For what is not a setting, use a "
                f"name that begins with an underscore, or leave out the annotation"
            )
        default = cls.__dict__.get(attribute, REQUIRED)
        if default is not REQUIRED:
            try:
                default = parsed(kind, default)
            except ValueError as error:
                raise TypeError(f"{where}: the default must be {error}") from None
        found[attribute.replace("_", "-")] = Setting(attribute, kind, default)
    return found


def given(settings: dict[str, Setting], values: dict[str, Any]) -> dict[str, Any]:
    """The value of each attribute, from what an operator wrote.

    Raises `ValueError` with the name of a setting that does not exist, has another type, or is missing.
    """
    for name in values:
        if name not in settings:
            known = f"there are: {', '.join(settings)}" if settings else "there are none"
            raise ValueError(f"there is no setting {name}; {known}")
    found = {}
    for name, setting in settings.items():
        if name in values:
            try:
                found[setting.attribute] = parsed(setting.kind, values[name])
            except ValueError as error:
                raise ValueError(f"{name} must be {error}") from None
        elif setting.default is REQUIRED:
            raise ValueError(f"the setting {name} is missing, and it has no default")
        else:
            default = setting.default
            found[setting.attribute] = list(default) if type(default) is list else default
    return found


def schema(settings: dict[str, Setting]) -> str:
    """JSON Schema of the settings."""
    properties = {}
    for name, setting in settings.items():
        properties[name] = _schema(setting.kind)
        if setting.default is not REQUIRED:
            properties[name]["default"] = setting.default
    whole: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    if required := [name for name, setting in settings.items() if setting.default is REQUIRED]:
        whole["required"] = required
    return json.dumps(whole)


def parsed(kind: Any, value: Any) -> Any:
    """`value` as `kind`. Raises `ValueError` with words that follow "must be"."""
    if kind is float and type(value) is int:
        return float(value)
    if kind in _WORDS:
        if type(value) is kind:
            return value
    elif get_origin(kind) is Literal:
        if any(type(value) is type(word) and value == word for word in get_args(kind)):
            return value
    elif get_origin(kind) is list:
        if isinstance(value, (list, tuple)):
            (inner,) = get_args(kind)
            return [parsed(inner, one) for one in value]
    elif value is None:
        return None
    else:
        return parsed(_without_none(kind), value)
    raise ValueError(f"{_words(kind)}; found {_shown(value)}")


def _shown(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        return repr(value)


def _words(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(_shown(word) for word in get_args(kind))
    if get_origin(kind) is list:
        return "a list"
    return _WORDS[kind]


def _schema(kind: Any) -> dict[str, Any]:
    if get_origin(kind) is Literal:
        return {"enum": list(get_args(kind))}
    if get_origin(kind) is list:
        return {"type": "array", "items": _schema(get_args(kind)[0])}
    if kind in _SCHEMA:
        return {"type": _SCHEMA[kind]}
    return {"anyOf": [_schema(_without_none(kind)), {"type": "null"}]}


def _without_none(kind: Any) -> Any:
    (inner,) = (one for one in get_args(kind) if one is not type(None))
    return inner


def _unusable(kind: Any) -> str | None:
    """The part of a type that cannot be a setting, as it was written."""
    if kind in _WORDS:
        return None
    arguments = get_args(kind)
    if get_origin(kind) is Literal and all(type(word) in (int, str, bool) for word in arguments):
        return None
    if get_origin(kind) is list and len(arguments) == 1:
        return _unusable(arguments[0])
    if get_origin(kind) in (Union, types.UnionType) and len(arguments) == 2 and type(None) in arguments:
        return _unusable(_without_none(kind))
    return getattr(kind, "__name__", None) if isinstance(kind, type) and not arguments else str(kind)
