"""A component's signature read as the schema of its options."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from zoo.errors import UserError
from zoo.kinds import BY_NAME
from zoo.registry import Entry

REQUIRED = inspect.Parameter.empty
"""Default of an option that has none."""

_COMMON_TYPES: Mapping[tuple[str, str], Any] = {
    ("optimizer", "lr"): float | typing.Literal["auto"],
    ("schedule", "warmup_share"): float | typing.Literal["auto"],
    ("model", "image_size"): int | typing.Literal["auto", "native"],
    ("dataset", "cache"): typing.Literal["packed", "none"],
    ("dataset", "cache_dir"): str | None,
    ("dataset", "channels"): typing.Literal["auto", 1, 3, 4],
    ("dataset", "val_fraction"): float | typing.Literal["auto"],
    ("dataset", "test_fraction"): float | typing.Literal["auto"],
    ("dataset", "split_seed"): int,
    ("dataset", "max_bad_fraction"): float,
    ("dataset", "threads"): int | typing.Literal["auto"],
}


@dataclass(frozen=True)
class Option:
    """One option of a component: its default, and the type against which values are checked."""

    name: str
    default: Any
    annotation: Any

    @property
    def required(self) -> bool:
        """Whether the user must give it."""
        return self.default is REQUIRED

    @property
    def type_name(self) -> str:
        """The annotation as a reader would write it."""
        return describe(self.annotation)


def options(entry: Entry) -> tuple[Option, ...]:
    """All options of a component: those of its kind, then those of its own signature.

    Raises:
        PluginError: The component cannot be imported.
    """
    kind = BY_NAME[entry.kind]
    own = {p.name: Option(p.name, p.default, p.annotation) for p in entry.parameters()}
    common = {
        name: Option(name, default, _COMMON_TYPES.get((entry.kind, name), Any)) for name, default in kind.common.items()
    }
    return tuple((own | common).values())


def defaults(entry: Entry) -> dict[str, Any]:
    """The option's values for a config: plain containers, `???` where the user must give one."""
    values = {o.name: "???" if o.required else plain(o.default) for o in options(entry)}
    return {"name": entry.full_name, **values}


def plain(value: Any) -> Any:
    """Tuples as lists: YAML has no others."""
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return value


def describe(annotation: Any) -> str:
    """`float | 'auto'` for `float | Literal['auto']`, and the like."""
    origin = typing.get_origin(annotation)
    if annotation is Any or annotation is REQUIRED:
        return "any value"
    if origin is typing.Literal:
        return " | ".join(repr(item) for item in typing.get_args(annotation))
    if origin in (types.UnionType, typing.Union):
        return " | ".join(describe(item) for item in typing.get_args(annotation))
    if origin is tuple:
        inner = [describe(item) for item in typing.get_args(annotation) if item is not Ellipsis]
        return f"[{', '.join(inner)}]"
    if origin is not None:
        return str(annotation)
    if annotation is type(None) or annotation is None:
        return "null"
    return getattr(annotation, "__name__", str(annotation))


def check(entry: Entry, values: Mapping[str, Any], *, where: str) -> tuple[dict[str, Any], list[UserError]]:
    """Checks values against the option's types, converting what YAML cannot hold (lists to tuples).

    Args:
        entry: The component.
        values: Option name to value, without `name`.
        where: Config key of the component, for messages: `optimizer`, `augmentations.rotate`.

    Returns:
        The converted values, and one error for each value that does not fit.
    """
    checked: dict[str, Any] = {}
    errors: list[UserError] = []
    for option in options(entry):
        if option.name not in values or values[option.name] == "???":
            if option.required:
                errors.append(
                    UserError(
                        f"{entry.kind} {entry.full_name!r} needs a value for {option.name!r}",
                        where=where,
                        allowed=option.type_name,
                        do=f"add {where}.{option.name}=VALUE",
                    )
                )
            continue
        key = f"{where}.{option.name}"
        try:
            checked[option.name] = convert(values[option.name], option.annotation)
        except ValueError:
            errors.append(
                UserError(
                    f"{key}={values[option.name]!r} does not fit",
                    where=f"{entry.kind} {entry.full_name} ({entry.origin})",
                    allowed=option.type_name,
                )
            )
    return checked, errors


def convert(value: Any, annotation: Any) -> Any:
    """The value as the annotation wants it.

    Raises:
        ValueError: It does not fit. (Booleans are no numbers here, though Python counts with them.)
    """
    if annotation in (Any, REQUIRED) or isinstance(annotation, str):
        return value
    if isinstance(value, bool) and not _takes_bool(annotation):
        raise ValueError(value)
    from pydantic import ConfigDict, TypeAdapter, ValidationError

    try:
        return TypeAdapter(annotation, config=ConfigDict(arbitrary_types_allowed=True)).validate_python(value)
    except ValidationError as error:
        raise ValueError(value) from error


def _takes_bool(annotation: Any) -> bool:
    if typing.get_origin(annotation) in (types.UnionType, typing.Union):
        return any(_takes_bool(item) for item in typing.get_args(annotation))
    if typing.get_origin(annotation) is typing.Literal:
        return any(isinstance(item, bool) for item in typing.get_args(annotation))
    return annotation in (bool, Any, object)
