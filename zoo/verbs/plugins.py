"""`zoo plugins`: what is installed, what it offers, and what failed. Imports no torch."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from zoo.errors import UserError, name_list
from zoo.plugins import LoadedPlugin, Plugins, load_plugins


def main(argv: Sequence[str]) -> int:
    """Lists plugins, or shows one with its components."""
    words = [word for word in argv if word not in ("--json",)]
    plugins = load_plugins()
    if words and words[0] in ("-h", "--help"):
        sys.stdout.write("usage: zoo plugins [--json] | zoo plugins show NAME\n")
        return 0
    if not words:
        sys.stdout.write(_as_json(plugins) if "--json" in argv else _as_table(plugins))
        return 0
    if words[0] != "show" or len(words) != 2:
        raise UserError(f"cannot read {' '.join(words)!r}", where="zoo plugins", allowed="nothing, or: show NAME")
    sys.stdout.write(_show(plugins, words[1]))
    return 0


def _as_json(plugins: Plugins) -> str:
    rows = [
        {
            "plugin": p.origin.plugin,
            "distribution": p.origin.distribution,
            "version": p.origin.version,
            "file": p.origin.file,
            "status": p.status,
            "offers": dict(p.counts),
            "reason": p.reason,
        }
        for p in plugins.plugins
    ]
    return json.dumps(rows, indent=2) + "\n"


def _as_table(plugins: Plugins) -> str:
    rows = [("plugin", "from", "status", "offers")]
    rows += [(p.origin.plugin, f"{p.origin.distribution} {p.origin.version}", p.status, _offers(p)) for p in plugins.plugins]
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    lines = ["  ".join([*(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=False)), row[3]]).rstrip() for row in rows]
    return "\n".join([*lines, *_clashes(plugins)]) + "\n"


def _offers(plugin: LoadedPlugin) -> str:
    if plugin.reason:
        return plugin.reason
    return ", ".join(f"{count} {_counted(kind, count)}" for kind, count in plugin.counts) or "nothing"


def _counted(kind: str, count: int) -> str:
    from zoo.kinds import PLURALS

    return kind if count == 1 else PLURALS.get(kind, f"{kind}s")


def _clashes(plugins: Plugins) -> list[str]:
    """Third-party components whose bare name belongs to somebody else."""
    from zoo.kinds import KINDS

    lines = []
    for kind in KINDS:
        for entry in plugins.registry.entries(kind.name):
            owners = plugins.registry._entries[(kind.name, entry.name)]
            if len(owners) > 1 and entry.origin.distribution != "zoo":
                lines.append(f"note: {kind.name} {entry.name!r} has several owners; write {entry.full_name!r} for this one")
    return lines


def _show(plugins: Plugins, name: str) -> str:
    found = [p for p in plugins.plugins if p.origin.plugin == name]
    if not found:
        raise UserError(
            f"no plugin {name!r}", where="zoo plugins show", allowed=name_list(name, [p.origin.plugin for p in plugins.plugins])
        )
    plugin = found[0]
    lines = [f"{plugin.origin}: {plugin.status}", f"  file: {plugin.origin.file}"]
    if plugin.reason:
        lines.append(f"  reason: {plugin.reason}")
    from zoo.kinds import KINDS

    for kind in KINDS:
        for entry in plugins.registry.entries(kind.name):
            if entry.origin.plugin == name:
                source = f"  [{entry.source}]" if entry.source else ""
                lines.append(f"  {kind.name} {entry.full_name}: {entry.summary}{source}")
        lines += [
            f"  {kind.name} provider {p.target}: {p.summary}"
            for p in plugins.registry.providers(kind.name)
            if p.origin.plugin == name
        ]
    return "\n".join(lines) + "\n"
