"""`zoo plugins check`: whether a plugin keeps its contracts, property by property."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.errors import PluginError, UserError, name_list
from zoo.kinds import KINDS
from zoo.plugins import LoadedPlugin, Plugins, load_plugins
from zoo.registry import Entry
from zoo.verbs.tables import table_lines

if TYPE_CHECKING:
    from zoo.testing.results import Finding

USAGE = """\
usage: python -m zoo plugins check NAME|PATH [--quick] [--json]

Looks at every property that its kind asks of a component, and says of each that does not hold what is wrong, why it
matters and how to fix it.

  NAME      an installed plugin (acme.optimizers), a distribution with all of its plugins (zoo-acme), or a component by
            its bare or full name (acme/lion)
  PATH      a folder with a pyproject.toml: its plugins are loaded from the source tree, without installing it
  --quick   leaves out what starts two processes
  --json    everything as JSON

Exit code 0: all hold; 3: something does not.
"""

FLAGS = ("--quick", "--json")
FAILED = 3
SAMPLES = 3
"""Of a library with a thousand names so many are looked at."""


def main(argv: Sequence[str]) -> int:
    """Looks at what one name or folder means."""
    if {"-h", "--help"} & set(argv):
        sys.stdout.write(USAGE)
        return 0
    words = [word for word in argv if not word.startswith("-")]
    unknown = [word for word in argv if word.startswith("-") and word not in FLAGS]
    if unknown:
        raise UserError(f"unknown flag {unknown[0]!r}", where="zoo plugins check", allowed=name_list(unknown[0], FLAGS))
    if len(words) != 1:
        raise UserError(
            f"check got {len(words)} names",
            where="zoo plugins check",
            allowed="one: a plugin's, a component's, a folder",
        )
    if is_path(words[0]):
        from zoo.testing.source_tree import check_tree

        return check_tree(Path(words[0]).expanduser(), flags=[word for word in argv if word in FLAGS])
    plugins = load_plugins()
    entries, notes = meant(plugins, words[0])
    return _check(plugins, entries, notes=notes, flags=argv)


def is_path(word: str) -> bool:
    """Whether a word means a folder: it begins as a path does, or is a folder that no name could be."""
    return word.startswith((".", "/", "~")) or (Path(word) / "pyproject.toml").is_file()


def meant(plugins: Plugins, name: str) -> tuple[list[Entry], list[str]]:
    """The components that a name means, and remarks on what was left out.

    Raises:
        UserError: Nothing is called so, or what is called so is not loaded because the user switched it off.
        PluginError: The plugin failed to load.
    """
    wanted = _folded(name)
    found = [p for p in plugins.plugins if p.origin.plugin == name]
    found = found or [p for p in plugins.plugins if _folded(p.origin.distribution) == wanted]
    if not found:
        registered = [entry for kind in KINDS for entry in plugins.registry.entries(kind.name)]
        entries = [entry for entry in registered if name in (entry.name, entry.full_name)]
        if not entries:  # libraries of many names are imported to be asked, so they come last
            entries = [entry for kind in KINDS for entry in plugins.registry.owners(kind.name, name)]
        if not entries:
            raise _unknown(plugins, name)
        return entries, []
    for plugin in found:
        _refuse_unloaded(plugin)
    entries, notes = list[Entry](), list[str]()
    for plugin in found:
        own, remarks = _of_plugin(plugins, plugin)
        entries, notes = entries + own, notes + remarks
    if not entries:
        raise UserError(
            f"{name} offers no components",
            where=f"zoo plugins check {name}",
            do="what it offers: zoo plugins show NAME",
        )
    return entries, notes


def _folded(name: str) -> str:
    """A distribution's name as pip compares it."""
    return name.lower().replace("_", "-").replace(".", "-")


def _refuse_unloaded(plugin: LoadedPlugin) -> None:
    if plugin.status == "failed":
        raise PluginError(
            f"plugin {plugin.origin} failed to load: {plugin.reason}\n"
            f"  why:     a plugin that fails is left out whole, and none of its components can be used\n"
            f"  do:      ZOO_STRICT=1 python -m zoo plugins shows where"
        )
    if plugin.status == "ignored":
        raise UserError(f"plugin {plugin.origin} is not loaded: {plugin.reason}", where="zoo plugins check")


def _of_plugin(plugins: Plugins, plugin: LoadedPlugin) -> tuple[list[Entry], list[str]]:
    """Its components; of a library with many names the first, the middle and the last."""
    entries, notes = [], []
    for kind in KINDS:
        entries += [e for e in plugins.registry.entries(kind.name) if e.origin.plugin == plugin.origin.plugin]
        for provider in plugins.registry.providers(kind.name):
            if provider.origin.plugin != plugin.origin.plugin:
                continue
            names = provider.names()
            chosen = list(dict.fromkeys(names[i] for i in (0, len(names) // 2, -1))) if names else []
            entries += [entry for entry in (provider.entry(name) for name in chosen) if entry is not None]
            notes.append(f"note: of {len(names)} names of {provider.target} these were looked at: {', '.join(chosen)}")
    return entries, notes


def _unknown(plugins: Plugins, name: str) -> UserError:
    known = [plugin.origin.plugin for plugin in plugins.plugins]
    known += [plugin.origin.distribution for plugin in plugins.plugins]
    known += [entry.name for kind in KINDS for entry in plugins.registry.entries(kind.name)]
    return UserError(
        f"no plugin, distribution or component {name!r}",
        where=f"zoo plugins check {name}",
        allowed=name_list(name, known),
        do="for a folder with a pyproject.toml write a path, ./NAME",
    )


def _check(plugins: Plugins, entries: Sequence[Entry], *, notes: Sequence[str], flags: Sequence[str]) -> int:
    """Looks, and shows what was found."""
    from zoo.testing.checking import look_at_all
    from zoo.testing.properties import chosen
    from zoo.testing.results import Status

    as_json = "--json" in flags
    found: list[Finding] = []
    for entry in entries:
        if sys.stderr.isatty():
            sys.stderr.write(f"looking at {entry.kind} {entry.full_name}\n")
        found += look_at_all(entry, plugins.registry, properties=chosen(entry.kind, quick="--quick" in flags))
    failed = [finding for finding in found if finding.status is Status.FAILED]
    if as_json:
        answer: dict[str, Any] = {"findings": [finding.plain() for finding in found], "notes": list(notes)}
        sys.stdout.write(json.dumps(answer, indent=2) + "\n")
        return FAILED if failed else 0
    cells = [
        [f.component, f.title, f"{f.status}: {f.what}" if f.status is Status.NOT_APPLICABLE else f.status]
        for f in found
    ]
    lines = table_lines(
        ["component", "property", "status"], [[" ".join(cell.split()) for cell in row] for row in cells]
    )
    counts = {status: sum(finding.status is status for finding in found) for status in Status}
    lines += [*notes, ", ".join(f"{count} {status}" for status, count in counts.items())]
    for finding in failed:
        lines += ["", finding.text()]
    sys.stdout.write("\n".join(lines) + "\n")
    return FAILED if failed else 0
