"""What this plugin offers to zoo. Every command reads it, so it imports nothing heavy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.hookspecs import hookimpl

if TYPE_CHECKING:
    from zoo.plugins import Register


@hookimpl
def register_optimizers(register: Register) -> None:
    """One optimizer; the target is imported when somebody chooses it.

    The fact `lr` is what `optimizer.lr=auto` starts from. The paper (section 5) advises a rate 3 to 10 times smaller
    than AdamW's, which is 5e-4 in zoo: a fifth of it.
    """
    register(
        "lion",
        "zoo_example_lion.lion:Lion",
        summary="The sign of momentum and gradient: every weight moves by the learning rate",
        source="arXiv:2302.06675 (Chen et al. 2023, algorithm 2)",
        lr=1e-4,
    )
