"""Published models as components of kind `model`."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from zoo.artifacts.cards import headline
from zoo.artifacts.saved_model import TENSORS, SavedModel
from zoo.artifacts.zoo_folder import describe, published_names, zoo_folders
from zoo.contracts.model import Model, WeightsRecord
from zoo.errors import UserError
from zoo.models.surgery import change_network
from zoo.registry import Offer
from zoo.weights.hub_folder import PREFIX, fetch_folder


class PublishedModels:
    """Names every model in the folders of ZOO_PATH; of two of one name the earlier folder's, as in PATH."""

    def __init__(self) -> None:
        self._fetched: dict[str, Path] = {}

    def names(self) -> list[str]:
        """Models in ZOO_PATH.

        Raises:
            UserError: A folder of ZOO_PATH is not there, or cannot be read.
        """
        return sorted({name for folder in zoo_folders() for name in published_names(folder)})

    def offer(self, name: str) -> Offer | None:
        """The model of this name; `hf:ORG/NAME` is fetched from the hub, or taken from its cache.

        A damaged model is offered as such, so that a list shows it; whoever chooses it is told.

        Raises:
            UserError: A folder of ZOO_PATH is not there; a repository cannot be had.
        """
        if name.startswith(PREFIX):
            if name not in self._fetched:
                self._fetched[name] = _checked(fetch_folder(name))
            return _offer(self._fetched[name])
        found = next((folder / name for folder in zoo_folders() if name in published_names(folder)), None)
        return None if found is None else _offer(found)


def build(*, folder: str, classes: int, channels: int, image_size: int | None) -> Model:
    """The network of a published model, with random values.

    Args:
        folder: Of the model.
        classes: Outputs of the head.
        channels: Of the input.
        image_size: Side of the input in pixels; None takes the model's own.

    Raises:
        UserError: Its description is damaged, or nobody offers its network here.
    """
    from zoo.plugins import load_plugins

    saved = describe(Path(folder))
    entry = load_plugins().registry.get("model", saved.model.name)
    size = image_size or saved.preprocess.size
    own, common = entry.split(saved.model.options)
    model: Model = entry.build(classes=classes, channels=channels, image_size=size, **own)
    model = change_network(model, common)
    spec = dataclasses.replace(model.spec, preprocess=saved.preprocess, weights=(_weights(saved),))
    return dataclasses.replace(model, spec=spec)


def _checked(folder: Path) -> Path:
    """What came from the hub, once all of it is what was published."""
    from zoo.artifacts.model_folder import load_model_folder

    load_model_folder(folder)
    return folder


def _offer(folder: Path) -> Offer:
    target, bound = "zoo_plugins.published_provider:build", {"folder": str(folder)}
    facts = {"saved_in": str(folder), "library": "published"}
    try:
        saved = describe(folder)
        facts |= {
            "parameters": dict(saved.origin.get("published") or {}).get("parameters"),
            "input_px": saved.preprocess.size,
            "channels": saved.preprocess.channels,
            "records": (_weights(saved),),
        }
        summary = headline(saved)
    except UserError as error:
        summary = f"cannot be used: {error.what}"
    return Offer(target, summary, str(folder), facts=facts, bound=bound)


def _weights(saved: SavedModel) -> WeightsRecord:
    return WeightsRecord(
        tag="",
        preprocess=saved.preprocess,
        url=(saved.folder / TENSORS).absolute().as_uri(),
        classes=len(saved.classes),
        license=dict(saved.origin.get("published") or {}).get("license"),
        sha256=str(saved.sha256.get(TENSORS, "")),
    )
