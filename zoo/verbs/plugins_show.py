"""`zoo plugins show`: a plugin with its components, or a component with its options and wrappers."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Sequence
from typing import Any

from zoo.errors import UserError, name_list
from zoo.kinds import KINDS
from zoo.plugins import LoadedPlugin, Plugins, load_plugins
from zoo.registry import Entry
from zoo.verbs.plugins import USAGE, as_json


def main(argv: Sequence[str]) -> int:
    """Shows what one name means."""
    if {"-h", "--help"} & set(argv):
        sys.stdout.write(USAGE)
        return 0
    words = [word for word in argv if word != "--json"]
    if len(words) != 1:
        raise UserError(
            f"show got {len(words)} names", where="zoo plugins show", allowed="one: a plugin's or a component's"
        )
    sys.stdout.write(_shown(load_plugins(), words[0], json_wanted="--json" in argv))
    return 0


def _shown(plugins: Plugins, name: str, *, json_wanted: bool) -> str:
    """A plugin with its components, or a component with its options.

    Raises:
        UserError: There is neither.
    """
    found = [plugin for plugin in plugins.plugins if plugin.origin.plugin == name]
    if found:
        return as_json(found) if json_wanted else "".join(_show_plugin(plugins, plugin) for plugin in found)
    entries = [e for kind in KINDS for e in plugins.registry.owners(kind.name, name) if kind.name != "command"]
    if not entries:
        known = [plugin.origin.plugin for plugin in plugins.plugins]
        known += [entry.name for kind in KINDS for entry in plugins.registry.entries(kind.name)]
        raise UserError(
            f"no plugin and no component {name!r}", where="zoo plugins show", allowed=name_list(name, known)
        )
    if json_wanted:
        return json.dumps([_component_record(entry) for entry in entries], indent=2) + "\n"
    return "\n".join(_show_component(entry) for entry in entries)


def _show_plugin(plugins: Plugins, plugin: LoadedPlugin) -> str:
    name = plugin.origin.plugin
    lines = [f"{plugin.origin}: {plugin.status}", f"  file: {plugin.origin.file or '(not loaded)'}"]
    if plugin.reason:
        lines.append(f"  reason: {plugin.reason}")
    if plugin.status == "ok":
        lines.append(f"  cost: {plugin.cost}")
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
    lines += [
        f"  wraps {wrapper.kind} {wrapper.wrapped}: {wrapper.summary}"
        for wrapper in plugins.registry.wrappers
        if wrapper.origin.plugin == name
    ]
    lines += [f"  default {d.key}={d.value}: {d.reason}" for d in plugins.defaults if d.origin.plugin == name]
    return "\n".join(lines) + "\n"


def _show_component(entry: Entry) -> str:
    record = _component_record(entry)
    lines = [f"{entry.kind} {entry.full_name}: {entry.summary}", f"  plugin: {entry.origin}"]
    lines += [f"  source: {entry.source}"] if entry.source else []
    lines += [f"  {name}: {value}" for name, value in record["facts"].items()]
    lines += ["  wrapped by, from the inside out:"] if entry.wrappers else []
    lines += [f"    {n}. {wrapper.summary} ({wrapper.origin})" for n, wrapper in enumerate(entry.wrappers, start=1)]
    options: list[dict[str, Any]] = record["options"]
    lines.append("  options:" if options else "  options: none")
    width = max((len(f"{o['key']}={o['default']}") for o in options), default=0)
    for option in options:
        lines.append(f"    {option['key'] + '=' + option['default']:<{width}}  {option['type']}")
        lines += textwrap.wrap(option["meaning"] or "", 116, initial_indent=" " * 8, subsequent_indent=" " * 8)
    return "\n".join(lines) + "\n"


def _component_record(entry: Entry) -> dict[str, Any]:
    """All that is known of a component; loads it."""
    from zoo.config import schema
    from zoo.config.meanings import meanings
    from zoo.kinds import BY_NAME

    kind = BY_NAME[entry.kind]
    prefix = f"{kind.group}.{entry.name}." if kind.many else f"{kind.group}." if kind.group else ""
    said = meanings(entry)
    return {
        "kind": entry.kind,
        "name": entry.full_name,
        "summary": entry.summary,
        "source": entry.source,
        "plugin": str(entry.origin),
        "facts": {name: str(value) for name, value in entry.facts.items()},
        "wrappers": [{"target": w.target, "summary": w.summary, "plugin": str(w.origin)} for w in entry.wrappers],
        "options": [
            {
                "key": f"{prefix}{option.name}",
                "default": "VALUE" if option.required else json.dumps(schema.plain(option.default)).strip('"'),
                "type": option.type_name,
                "meaning": said.get(option.name),
            }
            for option in schema.options(entry)
        ],
    }
