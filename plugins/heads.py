"""Hook module of the built-in heads. Imports nothing heavy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.hookspecs import hookimpl

if TYPE_CHECKING:
    from zoo.plugins import Register

MODULES = "zoo_plugins.head_modules"


@hookimpl
def register_heads(register: Register) -> None:
    """Offers linear, mlp and cosine."""
    register(
        "linear",
        f"{MODULES}:linear",
        summary="One linear layer, as in the published networks",
        source="arXiv:1512.03385 (He et al. 2015) and before; small start after arXiv:1706.02677 (section 5.1)",
    )
    register(
        "mlp",
        f"{MODULES}:mlp",
        summary="A hidden layer with dropout before the linear one",
        source="Rumelhart et al. 1986, Learning representations by back-propagating errors",
    )
    register(
        "cosine",
        f"{MODULES}:Cosine",
        summary="The angle between features and one direction a class; for few images a class",
        source="arXiv:1804.09458 (Gidaris and Komodakis 2018), arXiv:1904.04232 (Chen et al. 2019)",
    )
