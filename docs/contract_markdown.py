"""Contracts as Markdown: docstrings taken apart, protocols with their methods, dataclasses as tables of fields."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import pkgutil
import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from zoo import contracts

_ITEM = re.compile(r"    (\*{0,2}\w[\w, ]*): (.*)")
_CONTRACT = re.compile(r"`(zoo\.contracts\.\w+\.\w+)`")


def contract_parts(text: str) -> list[str]:
    """A section for each contract that is named, and for all that it hands over."""
    named = [
        pkgutil.resolve_name(name.rpartition(".")[0] + ":" + name.rpartition(".")[2])
        for name in _CONTRACT.findall(text)
    ]
    protocols = [one for one in dict.fromkeys(named) if getattr(one, "_is_protocol", False)]
    classes = [one for one in dict.fromkeys(named) if dataclasses.is_dataclass(one)]
    parts = [protocol(one) for one in protocols]
    handed = list(dict.fromkeys([*classes, *(other for one in [*protocols, *classes] for other in _mentioned(one))]))
    if handed:
        parts.append("### What is handed over\n\n" + "\n\n".join(dataclass_table(one) for one in handed))
    return parts


def _mentioned(contract: type[Any], seen: set[type[Any]] | None = None) -> Iterator[type[Any]]:
    """Dataclasses of zoo.contracts in the annotations of a contract, and in those of these."""
    seen = {contract} if seen is None else seen
    tree = _tree(contract)
    words = [word for node in ast.walk(tree) for a in _annotations(node) for word in re.findall(r"\w+", ast.unparse(a))]
    known = _known()
    for word in words:
        one = known.get(word)
        if one is not None and one not in seen:
            seen.add(one)
            yield one
            yield from _mentioned(one, seen)


def _annotations(node: ast.AST) -> Iterator[ast.expr]:
    if isinstance(node, ast.FunctionDef):
        arguments = [*node.args.args, *node.args.kwonlyargs]
        yield from (argument.annotation for argument in arguments if argument.annotation is not None)
        if node.returns is not None:
            yield node.returns
    elif isinstance(node, ast.AnnAssign):
        yield node.annotation


def _known() -> dict[str, type[Any]]:
    """Every dataclass that is defined in zoo.contracts, by its name."""
    found: dict[str, type[Any]] = {}
    for module in pkgutil.iter_modules(contracts.__path__, "zoo.contracts."):
        for name, value in vars(pkgutil.resolve_name(module.name)).items():
            if isinstance(value, type) and dataclasses.is_dataclass(value) and value.__module__ == module.name:
                found[name] = value
    return found


def _tree(described: type[Any]) -> ast.ClassDef:
    (node,) = ast.parse(textwrap.dedent(inspect.getsource(described))).body
    if not isinstance(node, ast.ClassDef):
        raise TypeError(f"{described} is no class")
    return node


def methods(described: type[Any]) -> dict[str, ast.FunctionDef]:
    """Public methods and calls by name, those of base classes first."""
    found: dict[str, ast.FunctionDef] = {}
    for owner in reversed(described.__mro__):
        if owner.__module__.startswith("zoo."):
            nodes = [node for node in _tree(owner).body if isinstance(node, ast.FunctionDef)]
            found |= {node.name: node for node in nodes if not node.name.startswith("_") or node.name == "__call__"}
    return found


def signature(node: ast.FunctionDef) -> str:
    """Name, arguments and what is returned, as they stand in the code."""
    returns = f" -> {ast.unparse(node.returns)}" if node.returns is not None else ""
    return f"{node.name}({ast.unparse(node.args)}){returns}"


def protocol(contract: type[Any]) -> str:
    """A protocol with its methods as they stand in the code."""
    lines = [f"### `{contract.__module__}.{contract.__name__}`", "", *_description(inspect.getdoc(contract) or "")]
    for node in methods(contract).values():
        is_property = any(ast.unparse(decorator) == "property" for decorator in node.decorator_list)
        lines += ["", "```python", *(["@property"] if is_property else []), f"def {signature(node)}: ...", "```"]
        text = ast.get_docstring(node)
        lines += ["", *_description(text)] if text else []
    return "\n".join(lines)


def _description(text: str) -> list[str]:
    """A docstring as Markdown: `Args:`, `Raises:` and the like become lists."""
    lines: list[str] = []
    for block in text.split("\n\n"):
        first, _, rest = block.partition("\n")
        if re.fullmatch(r"[A-Z]\w+:", first):
            listed = items(rest.splitlines())
            lines += [f"{first.rstrip(':')}:", "", *(f"- `{name}`: {meaning}" for name, meaning in listed.items()), ""]
        else:
            lines += [*paragraphs([block]), ""]
    return lines[:-1]


def dataclass_table(described: type[Any]) -> str:
    """A dataclass as a table of its fields."""
    text = inspect.getdoc(described) or ""
    about = items(lines_below(text, "Attributes:"))
    meanings = {name.strip(): meaning for names, meaning in about.items() for name in names.split(",")}
    rows = []
    for node in _tree(described).body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            default = f" = {ast.unparse(node.value)}" if node.value is not None else ""
            written = f"`{ast.unparse(node.annotation)}{default}`".replace("|", "\\|")
            rows.append((f"`{node.target.id}`", written, meanings.get(node.target.id, "")))
    intro = "\n\n".join(paragraphs([text.partition("\nAttributes:")[0]]))
    return f"**`{described.__module__}.{described.__name__}`**: {intro}\n\n" + table(("field", "type", "meaning"), rows)


def paragraphs(lines: Iterable[str]) -> list[str]:
    """Lines that belong together, joined."""
    return [" ".join(part.split()) for part in "\n".join(lines).split("\n\n") if part.strip()]


def items(lines: Sequence[str]) -> dict[str, str]:
    """`name: text` lines, with the lines that go on below them."""
    found: dict[str, str] = {}
    name = ""
    for line in lines:
        begins = _ITEM.fullmatch(line)
        if begins is not None:
            name = begins[1]
            found[name] = begins[2]
        elif line.strip() and name:
            found[name] += " " + line.strip()
    return found


def lines_below(text: str, title: str) -> list[str]:
    """The lines of a docstring's section."""
    lines = text.splitlines()
    if title not in lines:
        return []
    below = lines[lines.index(title) + 1 :]
    end = next((i for i, line in enumerate(below) if line and not line.startswith(" ")), len(below))
    return below[:end]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells).replace("  |", " |") + " |" for cells in lines)
