"""What loading a plugin's hook module costs, which every command pays. Imports no torch."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

SLOW_S = 0.2
"""From here on a plugin is named: `zoo --help` itself takes half of it."""

HEAVY = frozenset(
    (
        *("torch", "torchvision", "timm", "albumentations", "accelerate", "transformers", "datasets", "kornia"),
        *("tensorflow", "keras", "jax", "numpy", "scipy", "pandas", "pyarrow", "sklearn", "matplotlib", "cv2", "PIL"),
        *("hydra", "omegaconf", "pydantic", "mlflow", "wandb", "trackio", "gradio"),
    )
)
"""Libraries that no hook module may import; a component's own module does, once it is used."""


@dataclass(frozen=True)
class LoadCost:
    """What it took to import a hook module and to ask it what it offers.

    Attributes:
        seconds: Wall time. Modules that were imported before, by others, cost it nothing.
        heavy: Heavy libraries that it was the first to import, sorted.
    """

    seconds: float = 0.0
    heavy: tuple[str, ...] = ()

    @property
    def noteworthy(self) -> bool:
        """Whether every command is slower for it."""
        return self.seconds >= SLOW_S or bool(self.heavy)

    def __str__(self) -> str:
        imports = f", imports {', '.join(self.heavy)}" if self.heavy else ""
        return f"{self.seconds:.2f} s to load{imports}"


_KNOWN: dict[str, tuple[object, LoadCost]] = {}
"""Hook module (as the entry point names it) to what it is and what it cost. A module is imported once a process, so
what that cost is known to whoever loads plugins first and must be kept for who asks later."""


def watched(name: str, load: Callable[[], Any]) -> tuple[Any, LoadCost]:
    """What a call returns, and its cost: that of the first time where it returns the same object again.

    Args:
        name: What is loaded.
        load: Imports the hook module and returns it.
    """
    before = HEAVY & sys.modules.keys()
    start = time.perf_counter()
    found = load()
    cost = LoadCost(time.perf_counter() - start, tuple(sorted((HEAVY & sys.modules.keys()) - before)))
    known, first = _KNOWN.get(name, (None, cost))
    if known is found:
        return found, first
    _KNOWN[name] = (found, cost)
    return found, cost
