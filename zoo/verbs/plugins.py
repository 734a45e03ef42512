"""`zoo plugins`: what is installed, what it offers, and what failed. The list imports no torch."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from typing import Any, cast

from zoo.completion.names import light_names
from zoo.errors import UserError, name_list
from zoo.kinds import KINDS, PLURALS
from zoo.plugins import DISTRIBUTION, LoadedPlugin, Plugins, load_plugins
from zoo.registering import ConfigDefault
from zoo.verbs.tables import table_lines

USAGE = """\
usage: python -m zoo plugins [--files] [--json]
       python -m zoo plugins show NAME [--json]
       python -m zoo plugins disable NAME ...
       python -m zoo plugins enable NAME ...
       python -m zoo plugins new NAME --kind KIND[,KIND ...] [DIR] [--author "YOUR NAME"]
       python -m zoo plugins check NAME|PATH [--quick] [--json]

Lists plugins: where each is from, whether it works, and what it offers; --files adds the file of its hooks.
show takes a plugin (zoo.losses), or a component by its bare or full name (sgd, torch/sgd): then its options are shown
with their defaults, types and meanings, and what wraps it, from the inside out.
disable and enable take plugins, or distributions with all of their plugins; it is remembered until you say otherwise.
new writes a plugin that works, for you to change; check says which properties of its kind a component lacks (--quick
leaves out what starts two processes). `new --help` and `check --help` say more.

  ZOO_PLUGINS=a,b   load only these third-party plugins, disabled or not (empty: none); built-in ones always load
  ZOO_STRICT=1      stop at the first plugin that fails, and show where
  ZOO_CONFIG=DIR    where it is remembered what is disabled
"""

SUBCOMMANDS: Mapping[str, str] = {
    "show": "zoo.verbs.plugins_show",
    "disable": "zoo.verbs.plugins_disable",
    "enable": "zoo.verbs.plugins_enable",
    "new": "zoo.verbs.plugins_new",
    "check": "zoo.verbs.plugins_check",
}
"""Word to the module whose `main` takes the words after it."""

FLAGS = ("--json", "--files")


def main(argv: Sequence[str]) -> int:
    """Lists plugins, or hands the words to a subcommand."""
    if argv and argv[0] in SUBCOMMANDS:
        command = cast(Callable[[Sequence[str]], int], import_module(SUBCOMMANDS[argv[0]]).main)
        return command(argv[1:])
    if {"-h", "--help"} & set(argv):
        sys.stdout.write(USAGE)
        return 0
    unknown = [word for word in argv if word not in FLAGS]
    if unknown:
        raise UserError(
            f"cannot read {unknown[0]!r}",
            where=f"zoo plugins {' '.join(argv)}",
            allowed=f"nothing, {', '.join(FLAGS)}, or: {name_list(unknown[0], SUBCOMMANDS)}",
        )
    plugins = load_plugins()
    if "--json" in argv:
        sys.stdout.write(as_json(plugins.plugins))
    else:
        sys.stdout.write("\n".join([*_table(plugins, files="--files" in argv), *notes(plugins)]) + "\n")
    return 0


def as_json(found: Iterable[LoadedPlugin]) -> str:
    """Everything known of some plugins, as JSON."""
    rows: list[dict[str, Any]] = [
        {
            "plugin": plugin.origin.plugin,
            "distribution": plugin.origin.distribution,
            "version": plugin.origin.version,
            "file": plugin.origin.file,
            "status": plugin.status,
            "offers": dict(plugin.counts),
            "reason": plugin.reason,
            "seconds": round(plugin.cost.seconds, 4),
            "imports": list(plugin.cost.heavy),
        }
        for plugin in found
    ]
    return json.dumps(rows, indent=2) + "\n"


def _table(plugins: Plugins, *, files: bool) -> list[str]:
    columns = ["plugin", "from", "status", "offers"] + ["file"] * files
    cells = []
    for plugin in plugins.plugins:
        origin = plugin.origin
        row = [origin.plugin, f"{origin.distribution} {origin.version}", plugin.status, _offers(plugin)]
        cells.append(row + [origin.file or "(not loaded)"] * files)
    return table_lines(columns, cells)


def _offers(plugin: LoadedPlugin) -> str:
    if plugin.reason:
        return " ".join(plugin.reason.split())
    return ", ".join(f"{count} {kind if count == 1 else _plural(kind)}" for kind, count in plugin.counts)


def _plural(kind: str) -> str:
    return PLURALS.get(kind, f"{kind}s")


def notes(plugins: Plugins) -> list[str]:
    """What a user of these plugins should know, a line each."""
    return [*_clashes(plugins), *_slow(plugins), *_idle_wrappers(plugins), *_disputed_defaults(plugins.defaults)]


def _clashes(plugins: Plugins) -> list[str]:
    """Third-party components whose bare name means another component, or none without a namespace.

    Of a library's names those are compared that are known without importing it.
    """
    lines = []
    for kind in KINDS:
        entries = plugins.registry.entries(kind.name)
        strangers = [entry for entry in entries if entry.origin.distribution != DISTRIBUTION and kind.group]
        if not strangers:
            continue
        libraries = {p.origin: frozenset(light_names(p)) for p in plugins.registry.providers(kind.name)}
        for entry in strangers:
            others = [other.origin for other in entries if other.name == entry.name and other != entry]
            others += [origin for origin, names in libraries.items() if entry.name in names]
            if others:
                lines.append(
                    f"note: {kind.name} {entry.name!r} is also offered by {', '.join(map(str, others))}; "
                    f"write {entry.full_name!r} for the one of {entry.origin}"
                )
    return lines


def _slow(plugins: Plugins) -> list[str]:
    """Plugins for which every command waits."""
    slow = sorted((plugin for plugin in plugins.plugins if plugin.slows), key=lambda plugin: -plugin.cost.seconds)
    return [
        f"note: plugin {plugin.origin} takes {plugin.cost}, and every command pays for it: "
        "its author should import inside the target"
        for plugin in slow
    ]


def _idle_wrappers(plugins: Plugins) -> list[str]:
    return [
        f"note: a wrapper of {wrapper.origin} has no effect: nobody offers {wrapper.kind} {wrapper.wrapped!r}"
        for wrapper in plugins.registry.wrappers
        if plugins.registry.wraps_nothing(wrapper)
    ]


def _disputed_defaults(defaults: Sequence[ConfigDefault]) -> list[str]:
    """Keys for which two plugins have different defaults."""
    lines = []
    for key in dict.fromkeys(default.key for default in defaults):
        wanted = [default for default in defaults if default.key == key]
        if any(default.value != wanted[0].value for default in wanted):
            who = " and ".join(f"{default.origin} ({default.value})" for default in wanted)
            lines.append(f"note: {who} set {key} differently; a run asks you to choose")
    return lines
