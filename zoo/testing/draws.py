"""Chance: other global seeds, and generators that a component makes for itself."""

from __future__ import annotations

import contextlib
import random
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np


@contextlib.contextmanager
def global_seed(seed: int) -> Iterator[None]:
    """Seeds `random`, `numpy.random` and torch (where it is imported), and puts back afterwards what was there."""
    before = global_states()
    random.seed(seed)
    np.random.seed(seed)
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
        if torch is not None and before[2] is not None:
            torch.set_rng_state(before[2])


def global_states() -> tuple[Any, Any, Any]:
    """The states of `random`, `numpy.random` and torch (None where it is not imported)."""
    torch = sys.modules.get("torch")
    return random.getstate(), np.random.get_state(), None if torch is None else torch.get_rng_state()


def drew_globally(before: tuple[Any, Any, Any]) -> str:
    """Which global generator was drawn from since `before`, or ""."""
    now = global_states()
    if now[0] != before[0]:
        return "random"
    if any(not np.array_equal(a, b) for a, b in zip(now[1], before[1], strict=True)):
        return "numpy.random"
    if before[2] is not None and not bool((now[2] == before[2]).all()):
        return "torch's global generator"
    return ""


@contextlib.contextmanager
def own_generators() -> Iterator[list[str]]:
    """Notes the generators that are made inside, by the names of what makes them."""
    made: list[str] = []

    def noting(name: str, make: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*arguments: Any, **named: Any) -> Any:
            made.append(name)
            return make(*arguments, **named)

        def new(_: type, *arguments: Any, **named: Any) -> Any:
            return noted(*arguments, **named)

        # A class stays a class: others ask whether things are instances of it.
        return type(make.__name__, (make,), {"__new__": new}) if isinstance(make, type) else noted

    places: list[tuple[Any, str]] = [(np.random, "default_rng"), (np.random, "RandomState"), (random, "Random")]
    if "torch" in sys.modules:
        places.append((sys.modules["torch"], "Generator"))
    with contextlib.ExitStack() as stack:
        for module, name in places:
            original = getattr(module, name)
            stack.callback(setattr, module, name, original)
            setattr(module, name, noting(f"{module.__name__}.{name}", original))
        yield made
