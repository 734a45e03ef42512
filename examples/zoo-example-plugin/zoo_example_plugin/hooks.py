"""What this plugin offers to zoo."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from zoo.hookspecs import hookimpl


@hookimpl
def register_augmentations(register: Callable[..., Any]) -> None:
    """One augmentation; the target is imported when somebody chooses it."""
    register(
        "posterize",
        "zoo_example_plugin.posterize:Posterize",
        summary="Leaves few levels of brightness in each channel",
        source="arXiv:1805.09501 (Cubuk et al. 2019, AutoAugment)",
    )


@hookimpl
def register_config_dirs(register: Callable[[str], None]) -> None:
    """Experiments and options written as YAML."""
    register("zoo_example_plugin.conf")
