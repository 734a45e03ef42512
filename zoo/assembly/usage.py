"""`zoo finetune --help`: groups, options by name, keys. Imports no torch, so no library's thousand names."""

from __future__ import annotations

import dataclasses
import json
import textwrap
from collections.abc import Sequence

from zoo.config.compose import known_experiments
from zoo.config.meanings import common_meaning, explained
from zoo.config.run_config import TrainConfig
from zoo.kinds import BY_GROUP, BY_NAME
from zoo.plugins import Plugins

EXAMPLES = """\
  python -m zoo finetune model=resnet18 data=my/photos
  python -m zoo finetune data=photos.csv strategy=probe
  python -m zoo finetune data=my/photos 'augmentations=[flip,rotate]' augmentations.rotate.limit_deg=20
  python -m zoo finetune data=my/photos optimizer=sgd optimizer.lr=0.01 'regularizers=[dropout,l2]'
  python -m zoo finetune -m data=my/photos optimizer=sgd,adamw train.seed=0,1
  python -m zoo finetune resume=runs/2026-01-31/12-00-00-resnet18-photos
"""


def finetune_usage(plugins: Plugins) -> str:
    """The help text."""
    lines = ["usage: python -m zoo finetune [group=option] [key=value] [-m] [--json] [--cfg job]", "", EXAMPLES]
    lines.append("groups (--cfg job shows the keys of the chosen options, with their values):")
    lines += _table([_group_row(group, plugins) for group in BY_GROUP])
    lines += ["", "keys:", *_table([*_top_rows(plugins), *_train_rows()])]
    lines += ["", "flags:", *_table(_FLAGS)]
    return "\n".join(lines) + "\n"


def _top_rows(plugins: Plugins) -> list[tuple[str, str]]:
    """One row a key that belongs to no option, and for the keys of data, which go with every data set."""
    of_data = BY_NAME["dataset"].common
    sources = ", ".join(entry.name for entry in plugins.registry.entries("weights"))
    return [
        ("data=PATH", "a folder, table or archive, instead of a registered data set"),
        *((f"data.{key}={_shown(value)}", common_meaning("dataset", key)) for key, value in of_data.items()),
        ("model=PATH", "a run or a saved model to go on from"),
        ("weights=auto", f"auto, none (random values), the path of weights, or a source of them: {sources}"),
        ("experiment=NAME", f"a file that sets several things: {', '.join(known_experiments(plugins))}"),
        ("run.dir=PATH", "the run folder; without it, runs/<date>/<time>-<model>-<data>"),
        ("resume=DIR", "goes on with a run that was stopped"),
    ]


_FLAGS = (
    ("-m", "one run for each combination of values separated by commas"),
    ("--json", "one JSON summary on stdout, everything else on stderr"),
    ("--cfg job", "print the configuration that the words mean"),
)


def _group_row(group: str, plugins: Plugins) -> tuple[str, str]:
    kind = BY_GROUP[group]
    names = sorted({entry.name for entry in plugins.registry.entries(kind.name)})
    names += [f"all of {provider.origin.namespace}" for provider in plugins.registry.providers(kind.name)]
    return f"{group}=[...]" if kind.many else f"{group}=NAME", f"{kind.stage}: {', '.join(names)}"


def _shown(value: object) -> str:
    """A default as a word would write it."""
    return json.dumps(value).strip('"')


def _train_rows() -> list[tuple[str, str]]:
    """One row a field, explained by the class's own docstring."""
    said = explained(TrainConfig)
    rows = []
    for field in dataclasses.fields(TrainConfig):
        rows.append((f"train.{field.name}={_shown(field.default)}", said[field.name]))
    return rows


def _table(rows: Sequence[tuple[str, str]]) -> list[str]:
    """Two columns, the second wrapped."""
    width = max(len(left) for left, _ in rows) + 2
    lines = []
    for left, right in rows:
        first, *rest = textwrap.wrap(right, 116 - width) or [""]
        lines += [f"  {left:<{width}}{first}", *(f"  {'':<{width}}{line}" for line in rest)]
    return lines
