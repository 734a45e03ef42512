"""What options mean: the `Args:` of a component's docstring, and a line for each option that its kind brings."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import Any

from zoo.config.rules import RULES
from zoo.kinds import BY_NAME
from zoo.registry import Entry

_SECTION = re.compile(r"^( *)(?:Args|Attributes):\n((?:\1 +.*\n|\s*\n)*)", re.MULTILINE)
_FIRST = re.compile(r"^( *)(\w+)(?: \([^\n]*?\))?: *(.*)$")

_COMMON: Mapping[str, str] = {
    "data.cache": "`packed` keeps decoded images in a cache folder; `none` decodes them anew for each run.",
    "data.cache_dir": "Where decoded images and features are kept; null takes ZOO_CACHE or `~/.cache/zoo`.",
    "data.channels": "Channels of the images that the network sees: 1 gray, 3 colour, 4 colour with alpha.",
    "data.val_fraction": "Share of the images that a validation split is made of, where there is none.",
    "data.test_fraction": "Share of the images that a test split is made of, where there is none.",
    "data.split_seed": "Seed of the splits that are made; train.seed does not change them.",
    "data.max_bad_fraction": "Largest share of images that cannot be read; above it the run stops.",
    "data.threads": "Threads that decode images.",
    "model.image_size": "Side of the images that the network sees, in px; `native` is that of its weights.",
    "model.init": "How values are drawn at the start; for weights=none.",
    "model.activation": "What stands between the layers, in place of the network's own; for weights=none.",
    "model.norm": "What normalises between the layers, for weights=none; `fresh` starts pretrained norms anew.",
    "model.norm_epsilon": "Is added to the variance in norms; for weights=none.",
    "model.pixels": "Range of the values that the network is fed; for weights=none.",
    "optimizer.lr": "The learning rate at its highest; `measure` always finds it by a range test.",
    "schedule.warmup_share": "Share of a phase's steps in which the rate rises from 0.",
    "trackers.every_steps": "Steps from one log of training to the next.",
}
"""Group and option to meaning, for the options in `Kind.common`."""


def meanings(entry: Entry) -> Mapping[str, str]:
    """Name of an option to what it means, for those that are explained anywhere.

    Raises:
        PluginError: The component cannot be imported.
    """
    kind = BY_NAME[entry.kind]
    own = explained(entry.load())
    return own | {name: common_meaning(entry.kind, name) for name in kind.common if name not in entry.claimed}


def common_meaning(kind: str, option: str) -> str:
    """What an option means that every component of a kind has, with the rule behind its `auto`."""
    key = f"{BY_NAME[kind].group}.{option}"
    rule = RULES.get(key)
    return " ".join(part for part in (_COMMON.get(key), f"`auto`: {rule}." if rule else None) if part)


def explained(target: Any) -> dict[str, str]:
    """What the docstrings of a class or function say of its arguments; what a base class says comes last."""
    found: dict[str, str] = {}
    for owner in reversed(inspect.getmro(target) if inspect.isclass(target) else [target]):
        for text in (inspect.getdoc(getattr(owner, "__init__", owner)), inspect.getdoc(owner)):
            found |= read_arguments(text or "")
    return found


def read_arguments(text: str) -> dict[str, str]:
    """Argument to text, from the sections `Args:` and `Attributes:` of a docstring in Google's form."""
    found: dict[str, str] = {}
    for section in _SECTION.finditer(text + "\n"):
        name, margin = "", -1
        for line in section.group(2).splitlines():
            first = _FIRST.match(line)
            if first and (margin < 0 or len(first.group(1)) == margin):
                name, margin = first.group(2), len(first.group(1))
                found[name] = first.group(3)
            elif name and line.strip():
                found[name] = f"{found[name]} {line.strip()}".strip()
    return found
