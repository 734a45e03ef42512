"""Writes docs/hooks: a page for each hook, from zoo/hookspecs.py, the contracts, the kinds and the examples.

    python docs/write_hook_pages.py            # writes the pages
    python docs/write_hook_pages.py --check    # exit code 1 where a page is not what would be written

Whatever is missing on a page belongs into the docstring of the hook, or of the contract. Imports no torch.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import json
import pkgutil
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo import contracts, hookspecs, registering
from zoo.config import schema
from zoo.kinds import KINDS, Kind
from zoo.registry import Offer, Provider
from zoo.scaffold.parts import PARTS

FOLDER = Path(__file__).parent / "hooks"
EXAMPLES = FOLDER / "examples"
SECTIONS = ("Built", "Called", "Shapes", "Supplied", "Facts", "Forbidden")
"""What a hook's docstring is divided into."""

HEADINGS = {
    "Called": "When and how often",
    "Built": "What is built",
    "Shapes": "Shapes, dtypes, devices and ranges",
    "Supplied": "What the framework supplies",
    "Facts": "Facts",
    "Forbidden": "What is forbidden here",
}
_SECTION = re.compile(rf"({'|'.join(SECTIONS)}):\s?(.*)")
_ITEM = re.compile(r"    (\*{0,2}\w[\w, ]*): (.*)")
_CONTRACT = re.compile(r"`(zoo\.contracts\.\w+\.\w+)`")


@dataclass(frozen=True)
class Hook:
    """One hook: its function in zoo/hookspecs.py, and the kind that it registers, or None."""

    name: str
    function: Callable[..., None]
    kind: Kind | None

    @property
    def intro(self) -> str:
        """What stands before the first section, one paragraph a line."""
        return "\n\n".join(_paragraphs(_split(self.function)[0]))

    @property
    def sections(self) -> dict[str, list[str]]:
        """Section to its lines; the first is what stands behind the colon."""
        return _split(self.function)[1]


def hooks() -> list[Hook]:
    """All hooks, in the order in which they stand in zoo/hookspecs.py."""
    kinds = {f"register_{kind.hook}": kind for kind in KINDS}
    found = [item for item in vars(hookspecs).items() if hasattr(item[1], "zoo_spec")]
    return [Hook(name, function, kinds.get(name)) for name, function in found]


def _split(function: Callable[..., None]) -> tuple[list[str], dict[str, list[str]]]:
    """The lines of a docstring: those before the first section, and those of each section."""
    before: list[str] = []
    sections: dict[str, list[str]] = {}
    current = before
    for line in (inspect.getdoc(function) or "").splitlines():
        begins = _SECTION.fullmatch(line)
        if begins is not None:
            current = sections.setdefault(begins[1], [])
            line = begins[2]
        current.append(line)
    return before, sections


def _paragraphs(lines: Iterable[str]) -> list[str]:
    """Lines that belong together, joined."""
    return [" ".join(part.split()) for part in "\n".join(lines).split("\n\n") if part.strip()]


def _items(lines: Sequence[str]) -> dict[str, str]:
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


def page(hook: Hook) -> str:
    """The whole text of a hook's page."""
    parts = [_head(hook), _example(hook), _call(hook)]
    parts += [f"## {HEADINGS[name]}\n\n{_prose(hook, name)}" for name in ("Called", "Built")]
    if "Shapes" in hook.sections:
        parts.append(f"### {HEADINGS['Shapes']}\n\n{_prose(hook, 'Shapes')}")
    parts += _contract_parts(" ".join(line for lines in hook.sections.values() for line in lines))
    if "Supplied" in hook.sections:
        parts.append(f"## {HEADINGS['Supplied']}\n\n" + _table(("argument", "meaning"), _coded(hook, "Supplied")))
    if hook.kind is not None:
        parts.append(_options(hook.kind))
    if "Facts" in hook.sections:
        text = "Keyword arguments of `register`, beside `summary` and `source`. `zoo plugins show NAME` lists them.\n\n"
        parts.append(f"## {HEADINGS['Facts']}\n\n" + text + _table(("fact", "meaning"), _coded(hook, "Facts")))
    parts.append(f"## {HEADINGS['Forbidden']}\n\n" + _forbidden(hook))
    return "\n\n".join(parts) + "\n"


def _head(hook: Hook) -> str:
    note = (
        "<!-- Written by docs/write_hook_pages.py from zoo/hookspecs.py: change the docstring there, not this page. -->"
    )
    return f"{note}\n\n# {hook.name}\n\n{hook.intro}"


def _call(hook: Hook) -> str:
    """The hook's signature, and that of what it is handed."""
    argument = inspect.signature(hook.function).parameters["register"].annotation
    handed = getattr(registering, argument)
    signature = f"def {hook.name}(register: {argument}) -> None: ..."
    call = _methods(handed)["__call__"]
    arguments = _signature(call).partition("(")[2].removeprefix("self, ").rpartition(")")[0]
    text = inspect.cleandoc(ast.get_docstring(call) or "")
    rows = [(f"`{name}`", meaning) for name, meaning in _items(_below(text, "Args:")).items()]
    lines = [
        "## The hook",
        "",
        f"```python\n@hookimpl\n{signature}\n```",
        "",
        "It is called once, when plugins are loaded, by every command; [all hooks](README.md) says what that means.",
        "In it, each call",
        "",
        f"```python\nregister({arguments})\n```",
        "",
        text[:1].lower() + text[1:].partition("\n")[0],
    ]
    if rows:
        lines += ["", _table(("argument", "meaning"), rows)]
    if hasattr(handed, "provider"):
        lines += ["", "A library of many names is offered by [`register.provider`](README.md#libraries-of-many-names)."]
    return "\n".join(lines)


def _prose(hook: Hook, section: str) -> str:
    """A section as sentences."""
    text = "\n\n".join(_paragraphs(hook.sections[section]))
    return text[:1].upper() + text[1:]


def _coded(hook: Hook, section: str) -> list[tuple[str, str]]:
    return [(f"`{name}`", text) for name, text in _items(hook.sections[section]).items()]


def _forbidden(hook: Hook) -> str:
    """A list: clauses are parted by semicolons and full stops."""
    (text,) = _paragraphs(hook.sections["Forbidden"])
    clauses = [clause.strip().rstrip(".") for clause in re.split(r";\s|\.\s(?=[A-Z])", text)]
    return "\n".join(f"- {clause[:1].upper()}{clause[1:]}." for clause in clauses)


def _options(kind: Kind) -> str:
    """How a component is chosen, and the options that all of its kind have."""
    lines = ["## Options", ""]
    own = "The keyword arguments of what is registered, less those that the framework supplies, are its options."
    if kind.group is None:
        return "\n".join([*lines, f"{own} A configuration does not choose such a component by name."])
    chosen = f"'{kind.group}=[NAME]'" if kind.many else f"{kind.group}=NAME"
    option = f"{kind.group}.NAME.OPTION=VALUE" if kind.many else f"{kind.group}.OPTION=VALUE"
    lines += [f"{own} It is chosen by `{chosen}`, and an option is set by `{option}`."]
    common = schema.common_options(kind.name)
    if common:
        rows = []
        for one in common:
            note = "; left to a component that has an option of this name" if one.name in kind.yielding else ""
            default = json.dumps(schema.plain(one.default)).strip('"')
            rows.append((f"`{one.name}`", f"`{default}`", f"{one.type_name}{note}".replace("|", "or")))
        lines += ["", "Every component of this kind has these too; the framework acts on them:", ""]
        lines += [_table(("option", "default", "values"), rows)]
    return "\n".join(lines)


def _contract_parts(text: str) -> list[str]:
    """A section for each contract that is named, and for all that it hands over."""
    named = [
        pkgutil.resolve_name(name.rpartition(".")[0] + ":" + name.rpartition(".")[2])
        for name in _CONTRACT.findall(text)
    ]
    protocols = [one for one in dict.fromkeys(named) if getattr(one, "_is_protocol", False)]
    classes = [one for one in dict.fromkeys(named) if dataclasses.is_dataclass(one)]
    parts = [_protocol(one) for one in protocols]
    handed = list(dict.fromkeys([*classes, *(other for one in [*protocols, *classes] for other in _mentioned(one))]))
    if handed:
        parts.append("### What is handed over\n\n" + "\n\n".join(_dataclass(one) for one in handed))
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


def _methods(described: type[Any]) -> dict[str, ast.FunctionDef]:
    """Public methods and calls by name, those of base classes first."""
    found: dict[str, ast.FunctionDef] = {}
    for owner in reversed(described.__mro__):
        if owner.__module__.startswith("zoo."):
            nodes = [node for node in _tree(owner).body if isinstance(node, ast.FunctionDef)]
            found |= {node.name: node for node in nodes if not node.name.startswith("_") or node.name == "__call__"}
    return found


def _signature(node: ast.FunctionDef) -> str:
    returns = f" -> {ast.unparse(node.returns)}" if node.returns is not None else ""
    return f"{node.name}({ast.unparse(node.args)}){returns}"


def _protocol(contract: type[Any]) -> str:
    """A protocol with its methods as they stand in the code."""
    lines = [f"### `{contract.__module__}.{contract.__name__}`", "", *_description(inspect.getdoc(contract) or "")]
    for node in _methods(contract).values():
        is_property = any(ast.unparse(decorator) == "property" for decorator in node.decorator_list)
        lines += ["", "```python", *(["@property"] if is_property else []), f"def {_signature(node)}: ...", "```"]
        text = ast.get_docstring(node)
        lines += ["", *_description(text)] if text else []
    return "\n".join(lines)


def _description(text: str) -> list[str]:
    """A docstring as Markdown: `Args:`, `Raises:` and the like become lists."""
    lines: list[str] = []
    for block in text.split("\n\n"):
        first, _, rest = block.partition("\n")
        if re.fullmatch(r"[A-Z]\w+:", first):
            items = _items(rest.splitlines())
            lines += [f"{first.rstrip(':')}:", "", *(f"- `{name}`: {meaning}" for name, meaning in items.items()), ""]
        else:
            lines += [*_paragraphs([block]), ""]
    return lines[:-1]


def _dataclass(described: type[Any]) -> str:
    """A dataclass as a table of its fields."""
    text = inspect.getdoc(described) or ""
    about = _items(_below(text, "Attributes:"))
    meanings = {name.strip(): meaning for names, meaning in about.items() for name in names.split(",")}
    rows = []
    for node in _tree(described).body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            default = f" = {ast.unparse(node.value)}" if node.value is not None else ""
            written = f"`{ast.unparse(node.annotation)}{default}`".replace("|", "\\|")
            rows.append((f"`{node.target.id}`", written, meanings.get(node.target.id, "")))
    intro = "\n\n".join(_paragraphs([text.partition("\nAttributes:")[0]]))
    return f"**`{described.__module__}.{described.__name__}`**: {intro}\n\n" + _table(
        ("field", "type", "meaning"), rows
    )


def _below(text: str, title: str) -> list[str]:
    """The lines of a docstring's section."""
    lines = text.splitlines()
    if title not in lines:
        return []
    below = lines[lines.index(title) + 1 :]
    end = next((i for i, line in enumerate(below) if line and not line.startswith(" ")), len(below))
    return below[:end]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells).replace("  |", " |") + " |" for cells in lines)


def _example(hook: Hook) -> str:
    """The example that a test runs, with its YAML where it has some, and how to begin one's own."""
    text = (EXAMPLES / f"{hook.name}.py").read_text(encoding="utf-8")
    lines = ["## Example", "", f"```python\n{text}```"]
    extra = EXAMPLES / f"{hook.name}.yaml"
    if extra.exists():
        lines += ["", f"```yaml\n{extra.read_text(encoding='utf-8')}```"]
    part = PARTS.get(hook.kind.name if hook.kind is not None else hook.name.removeprefix("register_"))
    if part is not None:
        command = f"python -m zoo plugins new zoo-NAME --kind {part.kind}"
        lines += ["", f"`{command}` writes a whole distribution that holds {part.what}."]
    return "\n".join(lines)


def index() -> str:
    """The page that lists all hooks."""
    general = (inspect.getdoc(hookspecs) or "").partition("\n\nThe docstrings here")[0]
    rows = []
    for hook in hooks():
        chosen = "" if hook.kind is None or hook.kind.group is None else f"`{hook.kind.group}=`"
        first = hook.intro.partition("\n")[0]
        rows.append((f"[`{hook.name}`]({hook.name}.md)", chosen, first))
    note = "<!-- Written by docs/write_hook_pages.py from zoo/hookspecs.py. -->"
    table = _table(("hook", "config group", "what it does"), rows)
    tutorial = "[docs/plugins.md](../plugins.md) is the tutorial."
    return "\n\n".join([note, "# Hooks", general, table, tutorial, _providers()]) + "\n"


def _providers() -> str:
    """How a library of many names is offered, with the contract of what offers it."""
    node = _methods(registering.Register)["provider"]
    rows = [(f"`{name}`", text) for name, text in _items(_below(ast.get_docstring(node) or "", "Args:")).items()]
    lines = [
        "## Libraries of many names",
        "",
        "A hook that offers components can offer a library of them, whose names are known only when somebody asks:",
        "",
        f"```python\nregister.{_signature(node).replace('self, ', '').rpartition(' -> ')[0]}\n```",
        "",
        _table(("argument", "meaning"), rows),
        "",
        _protocol(Provider),
        "",
        "`offer` raises `zoo.errors.UserError` for a name that the library has and that cannot be used here.",
        "",
        _dataclass(Offer),
    ]
    return "\n".join(lines)


def pages() -> dict[str, str]:
    """File name to text, of all pages."""
    return {"README.md": index()} | {f"{hook.name}.md": page(hook) for hook in hooks()}


def main(argv: Sequence[str]) -> int:
    """Writes the pages, or says which are not current."""
    wanted = pages()
    present = {file.name: file.read_text(encoding="utf-8") for file in FOLDER.glob("*.md")}
    stale = sorted(name for name in wanted.keys() | present.keys() if wanted.get(name) != present.get(name))
    if "--check" in argv:
        for name in stale:
            sys.stdout.write(f"docs/hooks/{name} is not current\n")
        if stale:
            sys.stdout.write("run: python docs/write_hook_pages.py\n")
        return 1 if stale else 0
    for name in stale:
        if name in wanted:
            (FOLDER / name).write_text(wanted[name], encoding="utf-8")
        else:
            (FOLDER / name).unlink()
        sys.stdout.write(f"docs/hooks/{name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
