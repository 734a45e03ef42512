"""`zoo finetune --help`: groups, options by name, keys. Imports no torch, so no library's thousand names."""

from __future__ import annotations

import dataclasses

from zoo.config.run_config import TrainConfig
from zoo.kinds import BY_GROUP
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
    lines.append("groups (each option's own keys: --cfg job shows them with their values):")
    for group, kind in BY_GROUP.items():
        names = [entry.name for entry in plugins.registry.entries(kind.name)]
        shown = ", ".join(sorted(set(names)))
        libraries = [f"all of {p.origin.namespace}" for p in plugins.registry.providers(kind.name)]
        value = f"[{group[:-1]},...]" if kind.many else "NAME"
        lines.append(f"  {group}={value:<18} {kind.stage}: {', '.join([shown, *libraries] if shown else libraries)}")
    lines.append("  data=PATH, model=PATH   a folder, table or archive; a run or saved model to go on from")
    lines += ["", "keys:", "  weights=auto|none|PATH   where pretrained values come from"]
    for field in dataclasses.fields(TrainConfig):
        lines.append(f"  train.{field.name}={field.default}")
    lines += ["  run.dir=PATH   the run folder (default runs/<date>/<time>-<model>-<data>)", "  resume=DIR     goes on"]
    lines += ["", "flags:", "  -m         one run for each combination of values separated by commas"]
    lines += [
        "  --json     one JSON summary on stdout, everything else on stderr",
        "  --cfg job  print the configuration",
    ]
    return "\n".join(lines) + "\n"
