"""Hook module of timm's optimizers: one provider, asked on demand. Imports nothing heavy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.hookspecs import hookimpl

if TYPE_CHECKING:
    from zoo.plugins import Register


@hookimpl
def register_optimizers(register: Register) -> None:
    """Offers every optimizer of timm that steps with plain gradients and needs no CUDA package."""
    register.provider(
        "zoo_plugins.timm_optimizer_provider:TimmOptimizers",
        summary="Optimizers of the timm library (LAMB, Lion, Muon, Adan, MADGRAD and some eighty more)",
        light_names="zoo_plugins.library_names:timm_optimizers",
    )
