"""`zoo explain config`: every value of a configuration, with where it came from."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.errors import UserError
from zoo.plugins import Plugins, load_plugins
from zoo.registry import RESERVED

if TYPE_CHECKING:
    from zoo.config.run_config import FinetuneConfig

USAGE = """\
usage: python -m zoo explain config [key=value ...] [--json]
       python -m zoo explain config run=DIR [--json]

  key=value  as for finetune: shows what such a run would be told, and from where each value comes
  run=DIR    shows what a run was told, and what its automatic rules came to
"""


@dataclass(frozen=True)
class Explained:
    """One value.

    Attributes:
        key: Dotted.
        value: As plain data.
        origin: `default`, `default of PLUGIN (DISTRIBUTION VERSION)`, `file X`, `command line`, or `automatic: RULE`.
    """

    key: str
    value: Any
    origin: str


def main(argv: Sequence[str]) -> int:
    """Prints a table, or JSON."""
    words = [word for word in argv if not word.startswith("-")]
    flags = [word for word in argv if word.startswith("-")]
    if {"-h", "--help"} & set(flags):
        sys.stdout.write(USAGE)
        return 0
    if set(flags) - {"--json"} or words[:1] != ["config"]:
        got = " ".join(argv) or "nothing"
        raise UserError(f"explain got {got}", where="zoo explain", allowed="explain config [key=value ...] [--json]")
    found = _of_words(words[1:], load_plugins())
    if "--json" in flags:
        sys.stdout.write(json.dumps([asdict(one) for one in found]) + "\n")
        return 0
    sys.stdout.write(render(found))
    return 0


def _of_words(words: Sequence[str], plugins: Plugins) -> list[Explained]:
    from zoo.config.compose import configure
    from zoo.data.shorthand import source_name_for

    runs = [word.partition("=")[2] for word in words if word.startswith("run=")]
    if not runs:
        return explain(configure(words, plugins, source_for=source_name_for), plugins)
    if len(words) > 1:
        raise UserError(f"run= stands beside {' '.join(words)}", where="zoo explain config", allowed="run=DIR alone")
    return _of_run(Path(runs[0].strip("'\"")).expanduser(), plugins)


def _of_run(folder: Path, plugins: Plugins) -> list[Explained]:
    """What a run was told, then the choices that were measured."""
    from zoo.artifacts.record import RunRecord
    from zoo.artifacts.run_folder import RunFolder
    from zoo.config.compose import from_plain

    record = RunRecord.load(RunFolder.open(folder).record)
    told = explain(from_plain(record.config, plugins, origins=record.origins), plugins)
    return [*told, *(Explained(f"measured: {key}", value, "this run") for key, value in record.choices.items())]


def explain(config: FinetuneConfig, plugins: Plugins) -> list[Explained]:
    """Every value of a configuration, in the order of its groups."""
    from zoo.config.compose import to_plain
    from zoo.config.keys import leaves
    from zoo.config.rules import RULES

    values = dict(leaves(to_plain(config)))
    plugin_of = _third_parties(config, plugins)
    found = []
    for key, value in values.items():
        origin = config.origins.get(key, "default")
        named_auto = key.endswith(".name") and str(value).rpartition("/")[2] == "auto"
        if (value == "auto" or named_auto) and key in RULES:
            origin = f"automatic: {RULES[key]}" if origin == "default" else f"{origin}; automatic: {RULES[key]}"
        elif origin == "default" and (owner := _owner(key, plugin_of)):
            origin = f"default of {owner}"
        found.append(Explained(key, value, origin))
    return found


def _third_parties(config: FinetuneConfig, plugins: Plugins) -> Mapping[str, str]:
    """Key of a chosen component to the plugin that offers it, where that is not one of zoo's own."""
    chosen = {c.key: plugins.registry.get(c.kind, c.name).origin for c in config.components()}
    return {key: str(origin) for key, origin in chosen.items() if origin.namespace not in RESERVED}


def _owner(key: str, plugin_of: Mapping[str, str]) -> str:
    return next((plugin for prefix, plugin in plugin_of.items() if key.startswith(f"{prefix}.")), "")


def render(found: Sequence[Explained]) -> str:
    """A table of three columns."""
    values = [json.dumps(one.value, ensure_ascii=False).strip('"') for one in found]
    wide, wider = max(len(one.key) for one in found) + 2, min(40, max(map(len, values))) + 2
    lines = [f"{one.key:<{wide}}{value:<{wider}}{one.origin}" for one, value in zip(found, values, strict=True)]
    return "\n".join(lines) + "\n"
