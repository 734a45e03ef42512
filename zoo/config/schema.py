"""A component's signature read as the schema of its options."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from annotated_types import Ge, Gt, Le, Lt

from zoo.config.words import MISSING
from zoo.contracts import network_options
from zoo.errors import PluginError
from zoo.kinds import BY_NAME
from zoo.registry import Entry

REQUIRED = inspect.Parameter.empty
"""Default of an option that has none."""

Auto = typing.Literal["auto"]
Share = typing.Annotated[float, Ge(0), Lt(1)]
Count = typing.Annotated[int, Ge(1)]

_COMMON_TYPES: Mapping[tuple[str, str], Any] = {
    ("optimizer", "lr"): typing.Annotated[float, Gt(0)] | typing.Literal["auto", "measure"],
    ("schedule", "warmup_share"): Share | Auto,
    ("model", "image_size"): Count | typing.Literal["auto", "native"],
    ("model", "init"): network_options.Initialisation | Auto,
    ("model", "activation"): network_options.Activation | Auto,
    ("model", "norm"): network_options.Norm | typing.Literal["auto", "fresh"],
    ("model", "norm_epsilon"): typing.Annotated[float, Gt(0)] | Auto,
    ("model", "pixels"): network_options.Pixels | Auto,
    ("dataset", "cache"): typing.Literal["packed", "none"],
    ("dataset", "cache_dir"): str | None,
    ("dataset", "channels"): typing.Literal["auto", 1, 3, 4],
    ("dataset", "val_fraction"): typing.Annotated[float, Gt(0), Lt(1)] | Auto,
    ("dataset", "test_fraction"): Share | Auto,
    ("dataset", "split_seed"): int,
    ("dataset", "max_bad_fraction"): typing.Annotated[float, Ge(0), Le(1)],
    ("dataset", "threads"): Count | Auto,
    ("tracker", "every_steps"): Count,
}
"""Types of the options in `Kind.common`."""


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
    """All options of a component: those of its own signature, then those of its kind.

    Of one name the kind's is meant, unless it yields (`Kind.yielding`).

    Raises:
        PluginError: The component cannot be imported.
    """
    own = {p.name: Option(p.name, p.default, p.annotation) for p in entry.parameters()}
    yielding = BY_NAME[entry.kind].yielding
    common = {o.name: o for o in common_options(entry.kind) if o.name not in own or o.name not in yielding}
    return tuple((own | common).values())


def common_options(kind: str) -> tuple[Option, ...]:
    """The options of every component of a kind, on which the framework acts itself."""
    common = BY_NAME[kind].common
    return tuple(Option(name, value, _COMMON_TYPES.get((kind, name), Any)) for name, value in common.items())


def defaults(entry: Entry) -> dict[str, Any]:
    """The option's values for a config: plain containers, `???` where the user must give one.

    Raises:
        PluginError: A default is nothing that a configuration can hold.
    """
    values: dict[str, Any] = {"name": entry.full_name}
    for option in options(entry):
        values[option.name] = MISSING if option.required else plain(option.default)
        if not _is_plain(values[option.name]):
            raise PluginError(
                f"{entry.kind} {entry.full_name!r}: the default of {option.name!r} is {option.default!r}; "
                f"allowed are numbers, text, true, false, null, and lists and maps of them\n  plugin:  {entry.origin}"
            )
    return values


def plain(value: Any) -> Any:
    """Tuples as lists: YAML has no others."""
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return value


def _is_plain(value: Any) -> bool:
    if isinstance(value, list):
        return all(_is_plain(item) for item in value)
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(item) for key, item in value.items())
    return value is None or type(value) in (bool, int, float, str)


def describe(annotation: Any) -> str:
    """`float above 0 | 'auto'` for `Annotated[float, Gt(0)] | Literal['auto']`, and the like."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation is Any or annotation is REQUIRED:
        return "any value"
    if origin is typing.Annotated:
        bounds = [_BOUNDS[type(m)](m) for m in arguments[1:] if type(m) in _BOUNDS]
        return " ".join([describe(arguments[0]), " and ".join(bounds)]).strip()
    if origin is typing.Literal:
        return " | ".join(repr(item) for item in arguments)
    if origin in (types.UnionType, typing.Union):
        return " | ".join(describe(item) for item in arguments)
    if origin in (tuple, list, Sequence):
        inner = [describe(item) for item in arguments if item is not Ellipsis]
        more = ", ..." if origin is not tuple or Ellipsis in arguments else ""
        return f"[{', '.join(inner)}{more}]"
    if origin is not None:
        return str(annotation)
    if annotation is type(None) or annotation is None:
        return "null"
    return getattr(annotation, "__name__", str(annotation))


_BOUNDS: Mapping[type, Callable[[Any], str]] = {
    Gt: lambda bound: f"above {bound.gt}",
    Ge: lambda bound: f"of at least {bound.ge}",
    Lt: lambda bound: f"below {bound.lt}",
    Le: lambda bound: f"up to {bound.le}",
}


def convert(value: Any, annotation: Any) -> Any:
    """The value as the annotation wants it: a list as a tuple, a whole number as a float.

    Raises:
        ValueError: It does not fit. Booleans are no numbers here, though Python counts with them, and neither NaN
            nor infinity is a value of an option.
    """
    if annotation is Any or annotation is REQUIRED:
        return value
    if isinstance(value, bool) and not _takes_bool(annotation):
        raise ValueError(value)
    from pydantic import ConfigDict, TypeAdapter, ValidationError

    rules = ConfigDict(arbitrary_types_allowed=True, allow_inf_nan=False)
    try:
        return TypeAdapter(annotation, config=rules).validate_python(value)
    except ValidationError as error:
        raise ValueError(value) from error


def _takes_bool(annotation: Any) -> bool:
    origin = typing.get_origin(annotation)
    if origin in (types.UnionType, typing.Union):
        return any(_takes_bool(item) for item in typing.get_args(annotation))
    if origin is typing.Annotated:
        return _takes_bool(typing.get_args(annotation)[0])
    if origin is typing.Literal:
        return any(isinstance(item, bool) for item in typing.get_args(annotation))
    return annotation in (bool, Any, object)
