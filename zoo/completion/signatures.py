"""A component's options read from its source file: names, defaults and closed lists of values. Nothing is imported."""

from __future__ import annotations

import ast
import contextlib
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from zoo.completion.source_files import found
from zoo.kinds import BY_NAME
from zoo.registry import Entry

UNKNOWN: Any = object()
"""A default that the source does not state as a plain value."""

REQUIRED: Any = object()
"""Default of an option that has none."""

_ARITHMETIC: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


@dataclass(frozen=True)
class StaticOption:
    """One option as its source file states it.

    Attributes:
        default: Its plain value, `REQUIRED`, or `UNKNOWN`.
        values: What it may be, as users write it, where that is a closed list; some of it where other values are
            taken as well (`auto` beside numbers).
    """

    name: str
    default: Any = UNKNOWN
    values: tuple[str, ...] = ()


def static_options(entry: Entry) -> tuple[StaticOption, ...]:
    """The options of a component's own signature; none where the source cannot be read."""
    module, _, name = entry.offer.target.partition(":")
    hidden = BY_NAME[entry.kind].supplied | set(entry.offer.bound)
    return tuple(option for option in _of_target(name, module) if option.name not in hidden)


def _of_target(name: str, module: str) -> list[StaticOption]:
    hit = found(name, module)
    if hit is None:
        return []
    node, where = hit
    if isinstance(node, ast.ClassDef):
        return _of_class(node, where)
    if isinstance(node, ast.FunctionDef):
        return _of_function(node, where)
    if isinstance(node, ast.Call):
        return _of_factory(node, where)
    return _of_target(ast.unparse(node), where) if isinstance(node, ast.Name | ast.Attribute) else []


def _of_factory(call: ast.Call, module: str) -> list[StaticOption]:
    """The signature of the function that a local factory defines and returns; `partial` binds what it is given."""
    name = ast.unparse(call.func)
    if name.rpartition(".")[2] == "partial" and call.args:
        bound = {keyword.arg for keyword in call.keywords}
        options = _of_target(ast.unparse(call.args[0]), module)[len(call.args) - 1 :]
        return [option for option in options if option.name not in bound]
    hit = found(name, module)
    if hit is None or not isinstance(hit[0], ast.FunctionDef):
        return []
    factory, where = hit[0], hit[1]
    returned = {ast.unparse(node.value) for node in ast.walk(factory) if isinstance(node, ast.Return) and node.value}
    inner = [one for one in factory.body if isinstance(one, ast.FunctionDef) and one.name in returned]
    return _of_function(inner[0], where) if inner else []


def _of_function(node: ast.FunctionDef, module: str, *, method: bool = False) -> list[StaticOption]:
    arguments = node.args
    named = [*arguments.posonlyargs, *arguments.args]
    defaults: list[ast.expr | None] = [None] * (len(named) - len(arguments.defaults))
    defaults += arguments.defaults
    pairs = [*zip(named, defaults, strict=True), *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)]
    return [_option(a.arg, a.annotation, default, module=module) for a, default in pairs[1 if method else 0 :]]


def _of_class(node: ast.ClassDef, module: str) -> list[StaticOption]:
    """Parameters of the first `__init__` in the order in which Python looks, or the fields of a dataclass."""
    order = _lineage(node, module)
    for owner, where in order:
        if _is_dataclass(owner):
            return _of_fields([(o, w) for o, w in order[order.index((owner, where)) :] if _is_dataclass(o)])
        for inner in owner.body:
            if isinstance(inner, ast.FunctionDef) and inner.name == "__init__":
                return _of_function(inner, where, method=True)
    return []


def _lineage(node: ast.ClassDef, module: str) -> list[tuple[ast.ClassDef, str]]:
    """The class and its bases as far as their source is found, in Python's order (C3; a base stands behind all that
    derive from it)."""
    chains = []
    for base in node.bases:
        hit = found(ast.unparse(base.value if isinstance(base, ast.Subscript) else base), module)
        if hit is not None and isinstance(hit[0], ast.ClassDef):
            chains.append(_lineage(hit[0], hit[1]))
    merged = [(node, module)]
    while chains := [chain for chain in chains if chain]:
        head = next((c[0] for c in chains if not any(c[0] in other[1:] for other in chains)), chains[0][0])
        merged.append(head)
        chains = [[one for one in chain if one != head] for chain in chains]
    return merged


def _is_dataclass(node: ast.ClassDef) -> bool:
    return any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list)


def _of_fields(order: list[tuple[ast.ClassDef, str]]) -> list[StaticOption]:
    """Fields, those of the furthest base first; a class sets another default in the place of the first mention."""
    fields: dict[str, StaticOption] = {}
    for owner, where in reversed(order):
        for node in owner.body:
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                text = ast.unparse(node.annotation)
                if not text.startswith(("ClassVar", "typing.ClassVar")) and "init=False" not in ast.unparse(node):
                    name = node.target.id
                    fields[name] = _option(name, node.annotation, node.value, module=where)
    return list(fields.values())


def _option(name: str, annotation: ast.expr | None, default: ast.AST | None, *, module: str) -> StaticOption:
    values = () if annotation is None else tuple(dict.fromkeys(_values(annotation, module)))
    return StaticOption(name, REQUIRED if default is None else _plain(default, module), values)


def _plain(node: ast.AST, module: str) -> Any:
    """The plain value of a default: a literal, a sum or product, a module's constant, a dataclass field's default."""
    try:
        return ast.literal_eval(node)  # type: ignore[arg-type]
    except (ValueError, TypeError, SyntaxError):
        pass
    if isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
        left, right = _plain(node.left, module), _plain(node.right, module)
        numbers = type(left) in (int, float) and type(right) in (int, float)
        with contextlib.suppress(ArithmeticError):
            return _ARITHMETIC[type(node.op)](left, right) if numbers else UNKNOWN
    if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == "field":
        given: Mapping[str | None, ast.expr] = {keyword.arg: keyword.value for keyword in node.keywords}
        return _plain(given["default"], module) if "default" in given else UNKNOWN
    if isinstance(node, ast.Name | ast.Attribute):
        hit = found(ast.unparse(node), module)
        if hit is not None and not isinstance(hit[0], ast.FunctionDef | ast.ClassDef):
            return _plain(hit[0], hit[1])
    return UNKNOWN


def _values(node: ast.AST, module: str) -> list[str]:
    """What an annotation lists: the members of a Literal, true and false for a bool, in a union those of its parts."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):  # an annotation in quotes
        return _values(ast.parse(node.value, mode="eval").body, module)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _values(node.left, module) + _values(node.right, module)
    if isinstance(node, ast.Constant):
        return ["null"] if node.value is None else []
    if isinstance(node, ast.Subscript):
        return _of_subscript(node, module)
    if isinstance(node, ast.Name | ast.Attribute):
        name = ast.unparse(node)
        if name == "bool":
            return ["true", "false"]
        hit = found(name, module)
        return [] if hit is None or isinstance(hit[0], ast.FunctionDef | ast.ClassDef) else _values(hit[0], hit[1])
    return []


def _of_subscript(node: ast.Subscript, module: str) -> list[str]:
    name = ast.unparse(node.value).rpartition(".")[2]
    inside = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    if name == "Literal":
        return [as_word(one.value) for one in inside if isinstance(one, ast.Constant)]
    if name == "Annotated":
        return _values(inside[0], module)
    if name in ("Union", "Optional"):
        return [value for one in inside for value in _values(one, module)] + ["null"] * (name == "Optional")
    return []


def as_word(value: Any) -> str:
    """A plain value as the command line has it."""
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)
