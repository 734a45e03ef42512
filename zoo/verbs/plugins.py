"""`zoo plugins`: what is installed, what it offers, and what failed. The list imports no torch."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from zoo.errors import UserError, name_list
from zoo.kinds import KINDS, PLURALS
from zoo.plugins import DISTRIBUTION, LoadedPlugin, Plugins, load_plugins
from zoo.registry import Entry

USAGE = """\
usage: python -m zoo plugins [--json]
       python -m zoo plugins show NAME [--json]

Lists plugins, what each offers, and which failed. NAME is a plugin (zoo.losses), or a component by its bare or
full name (sgd, torch/sgd): then its options with their defaults and types are shown.

  ZOO_PLUGINS=a,b   load only these third-party plugins (empty: none); built-in ones always load
  ZOO_STRICT=1      stop at the first plugin that fails, and show where
"""


def main(argv: Sequence[str]) -> int:
    """Lists plugins, or shows a plugin or a component."""
    if {"-h", "--help"} & set(argv):
        sys.stdout.write(USAGE)
        return 0
    words = [word for word in argv if word != "--json"]
    plugins = load_plugins()
    if not words:
        sys.stdout.write(_as_json(plugins.plugins) if "--json" in argv else _as_table(plugins))
        return 0
    if words[0] != "show" or len(words) != 2:
        raise UserError(f"cannot read {' '.join(words)!r}", where="zoo plugins", allowed="nothing, or: show NAME")
    sys.stdout.write(_show(plugins, words[1], as_json="--json" in argv))
    return 0


def _as_json(found: Iterable[LoadedPlugin]) -> str:
    rows = [
        {
            "plugin": plugin.origin.plugin,
            "distribution": plugin.origin.distribution,
            "version": plugin.origin.version,
            "file": plugin.origin.file,
            "status": plugin.status,
            "offers": dict(plugin.counts),
            "reason": plugin.reason,
        }
        for plugin in found
    ]
    return json.dumps(rows, indent=2) + "\n"


def _as_table(plugins: Plugins) -> str:
    rows = [("plugin", "from", "status", "offers")]
    for plugin in plugins.plugins:
        origin = plugin.origin
        rows.append((origin.plugin, f"{origin.distribution} {origin.version}", plugin.status, _offers(plugin)))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = [
        "  ".join([*(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)), row[3]]).rstrip()
        for row in rows
    ]
    return "\n".join([*lines, *_clashes(plugins)]) + "\n"


def _offers(plugin: LoadedPlugin) -> str:
    if plugin.reason:
        return plugin.reason
    return ", ".join(f"{count} {kind if count == 1 else _plural(kind)}" for kind, count in plugin.counts) or "nothing"


def _plural(kind: str) -> str:
    return PLURALS.get(kind, f"{kind}s")


def _clashes(plugins: Plugins) -> list[str]:
    """Third-party components whose bare name means another component, or none without a namespace."""
    lines = []
    for kind in KINDS:
        for entry in plugins.registry.entries(kind.name):
            if entry.origin.distribution == DISTRIBUTION or kind.name == "command":
                continue
            others = [other for other in plugins.registry.owners(kind.name, entry.name) if other != entry]
            if others:
                owners = ", ".join(str(other.origin) for other in others)
                lines.append(
                    f"note: {kind.name} {entry.name!r} is also offered by {owners}; "
                    f"write {entry.full_name!r} for the one of {entry.origin}"
                )
    return lines


def _show(plugins: Plugins, name: str, *, as_json: bool) -> str:
    """A plugin with its components, or a component with its options.

    Raises:
        UserError: There is neither.
    """
    found = [plugin for plugin in plugins.plugins if plugin.origin.plugin == name]
    if found:
        return _as_json(found) if as_json else "".join(_show_plugin(plugins, plugin) for plugin in found)
    entries = [e for kind in KINDS for e in plugins.registry.owners(kind.name, name) if kind.name != "command"]
    if not entries:
        known = [plugin.origin.plugin for plugin in plugins.plugins]
        known += [entry.name for kind in KINDS for entry in plugins.registry.entries(kind.name)]
        raise UserError(
            f"no plugin and no component {name!r}", where="zoo plugins show", allowed=name_list(name, known)
        )
    if as_json:
        return json.dumps([_component_record(entry) for entry in entries], indent=2) + "\n"
    return "\n".join(_show_component(entry) for entry in entries)


def _show_plugin(plugins: Plugins, plugin: LoadedPlugin) -> str:
    name = plugin.origin.plugin
    lines = [f"{plugin.origin}: {plugin.status}", f"  file: {plugin.origin.file or '(not loaded)'}"]
    if plugin.reason:
        lines.append(f"  reason: {plugin.reason}")
    for kind in KINDS:
        for entry in plugins.registry.entries(kind.name):
            if entry.origin.plugin == name:
                source = f"  [{entry.source}]" if entry.source else ""
                lines.append(f"  {kind.name} {entry.full_name}: {entry.summary}{source}")
        lines += [
            f"  {kind.name} provider {provider.target}: {provider.summary}"
            for provider in plugins.registry.providers(kind.name)
            if provider.origin.plugin == name
        ]
    return "\n".join(lines) + "\n"


def _show_component(entry: Entry) -> str:
    record = _component_record(entry)
    lines = [f"{entry.kind} {entry.full_name}: {entry.summary}", f"  plugin: {entry.origin}"]
    lines += [f"  source: {entry.source}"] if entry.source else []
    lines += [f"  {name}: {value}" for name, value in record["facts"].items()]
    options: list[dict[str, str]] = record["options"]
    lines.append("  options:" if options else "  options: none")
    width = max((len(f"{o['key']}={o['default']}") for o in options), default=0)
    lines += [f"    {o['key'] + '=' + o['default']:<{width}}  {o['type']}" for o in options]
    return "\n".join(lines) + "\n"


def _component_record(entry: Entry) -> dict[str, Any]:
    """All that is known of a component; loads it."""
    from zoo.config import schema
    from zoo.kinds import BY_NAME

    kind = BY_NAME[entry.kind]
    prefix = f"{kind.group}.{entry.name}." if kind.many else f"{kind.group}." if kind.group else ""
    return {
        "kind": entry.kind,
        "name": entry.full_name,
        "summary": entry.summary,
        "source": entry.source,
        "plugin": str(entry.origin),
        "facts": {name: str(value) for name, value in entry.facts.items()},
        "options": [
            {
                "key": f"{prefix}{option.name}",
                "default": "VALUE" if option.required else json.dumps(schema.plain(option.default)).strip('"'),
                "type": option.type_name,
            }
            for option in schema.options(entry)
        ],
    }
