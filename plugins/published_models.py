"""Offers models that somebody published: those in the folders of ZOO_PATH, and `hf:ORG/NAME`.

They stand under `published/NAME`. Everything installed comes first: a model that is called like a network of a library
is reached by its full name.
"""

from __future__ import annotations

from zoo.hookspecs import hookimpl
from zoo.plugins import Register


@hookimpl
def register_models(register: Register) -> None:
    """Offers published models on demand; folders and the hub are looked at when a name is asked for."""
    register.provider(
        "zoo_plugins.published_provider:PublishedModels",
        summary="models in the folders of ZOO_PATH, and hf:ORG/NAME",
        schemes=("hf",),
        light_names="zoo_plugins.library_names:published_models",
    )
