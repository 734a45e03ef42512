"""A saved model as it is described by its zoo.json."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.contracts.data import Task
from zoo.files import sealed_digest, to_json, to_plain
from zoo.imaging.preprocess import Preprocess

if TYPE_CHECKING:
    import torch

FORMAT = 1
"""Generation of zoo.json. A reader refuses a later one."""

TENSORS, CONFIG, CARD = "model.safetensors", "config.json", "zoo.json"


@dataclass(frozen=True)
class Part:
    """A component by its full name with its own options: what the registry needs to build it again."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SavedModel:
    """A saved model that was checked but not built yet.

    Attributes:
        folder: Where it lies.
        thresholds: For each label of a multi-label task the probability from which on it is given, or None.
        temperature: What logits are divided by before they become probabilities.
        model: The network's component and options.
        head: The head's component and options, or None for the library's own classifier.
        args: Extra arguments with which the library built the network.
        timm_loadable: Whether timm gave the same logits when the model was saved.
        timm_note: Why not, or "".
        sha256: File name to hash, of every file that zoo.json vouches for, itself included.
        origin: Where the model comes from, as the run told it.
    """

    folder: Path
    classes: tuple[str, ...]
    task: Task
    preprocess: Preprocess
    temperature: float
    thresholds: tuple[float, ...] | None
    library: str
    arch: str
    model: Part
    head: Part | None
    args: Mapping[str, Any]
    timm_loadable: bool
    timm_note: str
    sha256: Mapping[str, str]
    zoo_version: str
    origin: Mapping[str, Any]

    @property
    def tensors_path(self) -> Path:
        """The file of parameters and buffers."""
        return self.folder / TENSORS

    def tensors(self) -> dict[str, torch.Tensor]:
        """All parameters and buffers, on the CPU."""
        from safetensors.torch import load_file

        loaded: dict[str, torch.Tensor] = load_file(self.tensors_path)
        return loaded


def to_card(saved: SavedModel) -> dict[str, Any]:
    """The content of zoo.json, without the hash of itself."""
    values: dict[str, Any] = to_plain(dataclasses.replace(saved, folder=Path()))
    del values["folder"]
    return {"format": FORMAT, **values}


def from_card(folder: Path, values: Mapping[str, Any]) -> SavedModel:
    """The model that a zoo.json describes.

    Raises:
        KeyError, TypeError, ValueError: Parts are missing, unknown or of another kind.
    """
    known = {name: value for name, value in values.items() if name != "format"}
    return SavedModel(
        **known
        | {
            "folder": folder,
            "classes": tuple(known["classes"]),
            "task": Task(known["task"]),
            "preprocess": Preprocess.from_dict(known["preprocess"]),
            "thresholds": None if known["thresholds"] is None else tuple(known["thresholds"]),
            "model": Part(**known["model"]),
            "head": None if known["head"] is None else Part(**known["head"]),
        }
    )


def card_digest(card: Mapping[str, Any]) -> str:
    """Hash of the card's content without its own hash, whatever the layout of the text."""
    return sealed_digest(card, CARD)


def seal(saved: SavedModel) -> tuple[SavedModel, bytes]:
    """A model with the hash of its own description added, and that description as the bytes of zoo.json."""
    card = to_card(saved)
    card["sha256"][CARD] = card_digest(card)
    return dataclasses.replace(saved, sha256=card["sha256"]), (to_json(card, indent=2) + "\n").encode()


def check_content(saved: SavedModel) -> None:
    """Raises ValueError where the parts contradict each other."""
    names = saved.classes
    if len(names) < 1 or len(set(names)) != len(names) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"class names must be different strings, at least one: {list(names)[:5]}")
    if not saved.temperature > 0:
        raise ValueError(f"temperature {saved.temperature} is not above 0")
    if saved.thresholds is not None:
        if saved.task is not Task.MULTI_LABEL:
            raise ValueError("thresholds have no effect where an image has exactly one label")
        if len(saved.thresholds) != len(names) or not all(0 < value < 1 for value in saved.thresholds):
            raise ValueError(f"{len(saved.thresholds)} thresholds for {len(names)} labels, each between 0 and 1")
