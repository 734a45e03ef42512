"""Writes docs/hooks: a page for each hook, from zoo/hookspecs.py, the contracts, the kinds and the examples.

    python docs/write_hook_pages.py            # writes the pages
    python docs/write_hook_pages.py --check    # exit code 1 where a page is not what would be written

Whatever is missing on a page belongs into the docstring of the hook, or of the contract. Imports no torch.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from contract_markdown import (
    contract_parts,
    dataclass_table,
    items,
    lines_below,
    methods,
    paragraphs,
    protocol,
    signature,
    table,
)

from zoo import hookspecs, registering
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


@dataclass(frozen=True)
class Hook:
    """One hook: its function in zoo/hookspecs.py, and the kind that it registers, or None."""

    name: str
    function: Callable[..., None]
    kind: Kind | None

    @property
    def intro(self) -> str:
        """What stands before the first section, one paragraph a line."""
        return "\n\n".join(paragraphs(_split(self.function)[0]))

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


def page(hook: Hook) -> str:
    """The whole text of a hook's page."""
    parts = [_head(hook), _example(hook), _call(hook)]
    parts += [f"## {HEADINGS[name]}\n\n{_prose(hook, name)}" for name in ("Called", "Built")]
    if "Shapes" in hook.sections:
        parts.append(f"### {HEADINGS['Shapes']}\n\n{_prose(hook, 'Shapes')}")
    parts += contract_parts(" ".join(line for lines in hook.sections.values() for line in lines))
    if "Supplied" in hook.sections:
        parts.append(f"## {HEADINGS['Supplied']}\n\n" + table(("argument", "meaning"), _coded(hook, "Supplied")))
    if hook.kind is not None:
        parts.append(_options(hook.kind))
    if "Facts" in hook.sections:
        text = "Keyword arguments of `register`, beside `summary` and `source`. `zoo plugins show NAME` lists them.\n\n"
        parts.append(f"## {HEADINGS['Facts']}\n\n" + text + table(("fact", "meaning"), _coded(hook, "Facts")))
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
    spec = f"def {hook.name}(register: {argument}) -> None: ..."
    call = methods(handed)["__call__"]
    arguments = signature(call).partition("(")[2].removeprefix("self, ").rpartition(")")[0]
    text = inspect.cleandoc(ast.get_docstring(call) or "")
    rows = [(f"`{name}`", meaning) for name, meaning in items(lines_below(text, "Args:")).items()]
    lines = [
        "## The hook",
        "",
        f"```python\n@hookimpl\n{spec}\n```",
        "",
        "It is called once, when plugins are loaded, by every command; [all hooks](README.md) says what that means.",
        "In it, each call",
        "",
        f"```python\nregister({arguments})\n```",
        "",
        text[:1].lower() + text[1:].partition("\n")[0],
    ]
    if rows:
        lines += ["", table(("argument", "meaning"), rows)]
    if hasattr(handed, "provider"):
        lines += ["", "A library of many names is offered by [`register.provider`](README.md#libraries-of-many-names)."]
    return "\n".join(lines)


def _prose(hook: Hook, section: str) -> str:
    """A section as sentences."""
    text = "\n\n".join(paragraphs(hook.sections[section]))
    return text[:1].upper() + text[1:]


def _coded(hook: Hook, section: str) -> list[tuple[str, str]]:
    return [(f"`{name}`", text) for name, text in items(hook.sections[section]).items()]


def _forbidden(hook: Hook) -> str:
    """A list: clauses are parted by semicolons and full stops."""
    (text,) = paragraphs(hook.sections["Forbidden"])
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
        lines += [table(("option", "default", "values"), rows)]
    return "\n".join(lines)


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
    listing = table(("hook", "config group", "what it does"), rows)
    tutorial = "[docs/plugins.md](../plugins.md) is the tutorial."
    return "\n\n".join([note, "# Hooks", general, listing, tutorial, _providers()]) + "\n"


def _providers() -> str:
    """How a library of many names is offered, with the contract of what offers it."""
    node = methods(registering.Register)["provider"]
    rows = [(f"`{name}`", text) for name, text in items(lines_below(ast.get_docstring(node) or "", "Args:")).items()]
    lines = [
        "## Libraries of many names",
        "",
        "A hook that offers components can offer a library of them, whose names are known only when somebody asks:",
        "",
        f"```python\nregister.{signature(node).replace('self, ', '').rpartition(' -> ')[0]}\n```",
        "",
        table(("argument", "meaning"), rows),
        "",
        protocol(Provider),
        "",
        "`offer` raises `zoo.errors.UserError` for a name that the library has and that cannot be used here.",
        "",
        dataclass_table(Offer),
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
