"""Builds saved or pretrained networks for use: predict and evaluate."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import torch

from zoo.artifacts.model_folder import load_model_folder, rebuild
from zoo.artifacts.predictor import Predictor
from zoo.artifacts.saved_model import SavedModel
from zoo.assembly.network import choose_weights
from zoo.assembly.pinned import registry_of, say_wrappers, used_wrappers
from zoo.contracts.model import Model, WeightsRecord
from zoo.errors import UserError
from zoo.models.build import channels_last, replace_head
from zoo.models.surgery import change_network
from zoo.plugins import Plugins
from zoo.registry import Registry
from zoo.training.devices import keep_freed_memory

Say = Callable[[str], None]


def load_saved(folder: Path, plugins: Plugins, *, say: Say | None = None) -> tuple[SavedModel, Model]:
    """A saved model, checked and built again, with the wrappers around it with which it was trained.

    Args:
        folder: The model, or the run that holds it.
        plugins: What is installed.
        say: Told of plugins that have another version than when the model was saved.

    Raises:
        UserError: There is no model, it was changed, or a plugin that it needs is missing.
    """
    saved = load_model_folder(folder)
    registry = registry_of(saved, plugins, say=say or (lambda _: None))
    model = rebuild(saved, registry, replace_head=replace_head, change_network=change_network)
    channels_last(model.module)
    return saved, model


def saved_folder(word: str, registry: Registry) -> Path:
    """What `run=` means: a path, or a published model by its name (in ZOO_PATH) or as `hf:ORG/NAME`.

    A path that exists, or begins with `.`, `/` or `~`, is taken as one; so is a word that nobody published.

    Raises:
        UserError: A folder of ZOO_PATH is not there, or the hub does not have the model.
    """
    path = Path(word).expanduser()
    if path.exists() or word.startswith((".", "/", "~")):
        return path
    name = word if ":" in word or word.startswith("published/") else f"published/{word}"
    folder = registry.get("model", name).facts.get("saved_in") if registry.has("model", name) else None
    return path if folder is None else Path(folder)


def load_predictor(folder: Path, plugins: Plugins, *, device: str = "auto", say: Say | None = None) -> Predictor:
    """A predictor for a run or a saved model; `say` is told of plugins of another version."""
    keep_freed_memory()
    saved, model = load_saved(folder, plugins, say=say)
    return Predictor.of(saved, model, device=pick_device(device))


def pretrained_predictor(name: str, plugins: Plugins, *, weights: str, device: str, say: Say) -> Predictor:
    """A predictor for a pretrained network as it is published, with its own head and class names.

    Raises:
        UserError: The weights are not to be had, or their classes have no known names.
    """
    from zoo.weights.load import load_weights

    keep_freed_memory()
    if weights == "none":
        raise UserError("predict with random values says nothing", where="weights=none", allowed="auto, or a path")
    entry = plugins.registry.get("model", name)
    if entry.facts.get("saved_in"):
        if weights != "auto":
            raise UserError(f"{name} is a published model, with weights of its own", where="weights", do="leave it out")
        return load_predictor(Path(entry.facts["saved_in"]), plugins, device=device, say=say)
    say_wrappers(used_wrappers([entry]), say)
    first: Model = entry.build(classes=1000, channels=3, image_size=None)
    found = choose_weights(weights, plugins.registry, model=first, name=name, say=say)
    if found is None:
        raise UserError(f"no pretrained values for {name}", where=f"model={name}")
    count, preprocess = found.record.classes or 1000, found.record.preprocess
    model = first
    if (count, preprocess.channels) != (1000, 3):
        model = entry.build(classes=count, channels=preprocess.channels, image_size=None)
    load_weights(model, found, head_is_new=False)
    model = dataclasses.replace(model, spec=dataclasses.replace(model.spec, preprocess=preprocess))
    channels_last(model.module)
    classes = found.labels or class_names(model, found.record, name=name)
    return Predictor(model, classes=classes, preprocess=preprocess, device=pick_device(device))


def class_names(model: Model, record: WeightsRecord, *, name: str) -> tuple[str, ...]:
    """Names of a published head's outputs.

    They are those that the network's library states for these weights; for weights whose tag it does not know (a
    path), those of its other weights with as many outputs; else ImageNet's, by the number of outputs. The libraries
    differ: torchvision says `tench` and tells `crane bird` from `crane`, where timm says `tench, Tinca tinca` and
    calls both `crane`.

    Args:
        model: The network.
        record: The weights that it holds.
        name: What the user called the network.

    Raises:
        UserError: No list has this many names.
    """
    count = record.classes or 1000
    for known in (record, *model.spec.weights):
        stated = model.labels(known) if model.labels is not None else ()
        if len(stated) == count:
            return stated
    from timm.data import ImageNetInfo

    lists = {1000: "imagenet-1k", 21841: "imagenet-22k", 11821: "imagenet-12k", 21843: "imagenet-21k-goog"}
    if count not in lists:
        raise UserError(
            f"{name} has {count} outputs whose names are not known",
            where=f"model={name}",
            do="fine-tune it on your own classes first",
        )
    info = ImageNetInfo(lists[count])
    return tuple(info.index_to_description(index) for index in range(count))


def pick_device(device: str) -> torch.device:
    """The device that a name means.

    Raises:
        UserError: It is not there.
    """
    from zoo.training.devices import make_accelerator

    if device not in ("auto", "cpu", "cuda", "mps"):
        raise UserError(f"unknown device {device!r}", where="device", allowed="auto, cpu, cuda, mps")
    picked: torch.device = make_accelerator(device).device
    return picked
