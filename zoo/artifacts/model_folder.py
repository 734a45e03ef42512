"""The saved model: a folder of plain tensors and JSON that says everything needed to use it.

model.safetensors   all parameters and buffers, under the library's own names
config.json         what timm needs to load it (or, for a network that timm cannot load, words that say so)
zoo.json            classes, preprocessing, thresholds, temperature, components, hashes, origin
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from zoo.artifacts.record import check_format
from zoo.artifacts.saved_model import (
    CARD,
    CONFIG,
    FORMAT,
    TENSORS,
    Part,
    SavedModel,
    check_content,
    from_card,
    seal,
)
from zoo.artifacts.timm_config import CHANGES, disagreement_with_timm, timm_config, words_for_timm
from zoo.contracts.data import Task
from zoo.contracts.model import Model
from zoo.errors import UserError
from zoo.files import check_sealed, force_folder, read_json, temporary_name, to_json, write_error
from zoo.imaging.preprocess import Preprocess

if TYPE_CHECKING:
    from torch import nn

    from zoo.registry import Registry

__all__ = ["Part", "SavedModel", "fill", "load_model_folder", "rebuild", "save_model"]


def save_model(
    folder: Path,
    model: Model,
    *,
    classes: Sequence[str],
    preprocess: Preprocess,
    task: Task,
    thresholds: Sequence[float] | None = None,
    temperature: float = 1.0,
    origin: Mapping[str, Any],
    model_options: Mapping[str, Any] | None = None,
    head: Part | None = None,
    model_name: str | None = None,
) -> SavedModel:
    """Saves a model whole or not at all.

    It is written beside the folder under a temporary name, and takes the folder's place once all of it is on disk. A
    network of timm is then loaded by timm and asked about one batch; `timm_loadable` says whether the logits agree.

    Args:
        folder: Of the saved model; an older model in it is replaced.
        model: The network, on any device; its mode is left as it was.
        classes: Label names in the order of the logits.
        preprocess: How it wants its input.
        task: One label an image or any number of them.
        thresholds: For each label of a multi-label task, the probability from which on it is given.
        temperature: From calibration, above 0.
        origin: Where it comes from: run, data, weights; plain values.
        model_options: Options of the model component, its own and those common ones that change the network.
        head: The head's component and options; None for the library's own classifier.
        model_name: Full name by which the registry builds the network (with its weight tag); None is `spec.name`.

    Raises:
        UserError: The disk is full, the folder cannot be written, or it holds something else than a saved model; what
            was there is still there.
        ValueError: Names, thresholds or temperature do not fit the network.
    """
    saved = SavedModel(
        folder=folder,
        classes=tuple(classes),
        task=task,
        preprocess=preprocess,
        temperature=float(temperature),
        thresholds=None if thresholds is None else tuple(float(value) for value in thresholds),
        library=model.spec.library,
        arch=model.spec.arch,
        model=Part(model_name or model.spec.name, dict(model_options or {})),
        head=head,
        args=dict(model.spec.args),
        timm_loadable=False,
        timm_note="",
        sha256={},
        zoo_version=_zoo_version(),
        origin=dict(origin),
    )
    check_content(saved)
    folder = Path(os.path.abspath(folder))
    _refuse_strangers(folder)
    return _save_whole(folder, model, saved=saved)


def load_model_folder(folder: Path) -> SavedModel:
    """Reads and checks a saved model: its format, its hashes, and that its parts fit each other.

    Args:
        folder: Of the model, or of the run that saved it in `model/`.

    Raises:
        UserError: It is no saved model, a file is missing or was changed, or a later version of zoo wrote it.
    """
    if not (folder / CARD).is_file() and (folder / "model" / CARD).is_file():
        folder = folder / "model"
    if not (folder / CARD).is_file():
        raise _no_model(folder)
    values = read_json(folder / CARD)
    if not isinstance(values, dict):
        raise UserError(
            f"{CARD} holds no object: it is not what was saved",
            where=str(folder / CARD),
            do="copy the whole folder again from where it was saved",
        )
    check_format(values, FORMAT, what=f"the saved model {str(folder)!r}")
    check_sealed(folder, values, own=CARD, needed=(TENSORS, CONFIG))
    try:
        saved = from_card(folder, values)
        check_content(saved)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{CARD} is damaged: {type(error).__name__}: {error}", where=str(folder)) from error
    return saved


def rebuild(
    saved: SavedModel,
    registry: Registry,
    *,
    replace_head: Callable[[Model, nn.Module], Model],
    change_network: Callable[[Model, Mapping[str, Any]], Model],
) -> Model:
    """Builds the network again and fills it, strictly by name and shape.

    Args:
        saved: A checked model.
        registry: Where the network and its head are offered.
        replace_head: Puts a module into the head's slot (`zoo.models.build.replace_head`).
        change_network: Puts other activations and norms into it (`zoo.models.surgery.change_network`).

    Raises:
        UserError: Nobody offers the network or the head any more, or the tensors do not fit what is built.
    """
    entry = registry.get("model", saved.model.name)
    own, common = entry.split(saved.model.options)
    model: Model = entry.build(
        classes=len(saved.classes), channels=saved.preprocess.channels, image_size=saved.preprocess.size, **own
    )
    model = change_network(model, common)
    if saved.head is not None:
        component = registry.get("head", saved.head.name)
        head = component.build(features=model.spec.feature_dim, classes=len(saved.classes), **saved.head.options)
        model = replace_head(model, head)
    fill(model.module, saved)
    return dataclasses.replace(model, spec=dataclasses.replace(model.spec, preprocess=saved.preprocess))


def fill(module: nn.Module, saved: SavedModel) -> None:
    """Copies the saved tensors into a network of the same names and shapes.

    Raises:
        UserError: A name is missing or left over, or a shape differs.
    """
    tensors = saved.tensors()
    wanted = module.state_dict()
    missing, extra = sorted(set(wanted) - set(tensors)), sorted(set(tensors) - set(wanted))
    misshapen = [
        f"{name} {list(tensors[name].shape)} instead of {list(wanted[name].shape)}"
        for name in sorted(set(wanted) & set(tensors))
        if tensors[name].shape != wanted[name].shape
    ]
    if missing or extra or misshapen:
        raise UserError(
            f"the saved tensors do not fit {saved.model.name}: {len(missing)} missing {missing[:3]}, "
            f"{len(extra)} left over {extra[:3]}, {len(misshapen)} of another shape {misshapen[:3]}",
            where=str(saved.tensors_path),
            do=f"use the versions that saved it (zoo {saved.zoo_version}; `origin` in {CARD} says more)",
        )
    module.load_state_dict(tensors, strict=True)


def _save_whole(folder: Path, model: Model, *, saved: SavedModel) -> SavedModel:
    """Writes beside the folder, then takes its place; what is left of a failure is removed."""
    temporary = folder.with_name(temporary_name(folder.name))
    try:
        temporary.mkdir(parents=True)
        saved = _write_files(temporary, model, saved=saved)
        _take_place(temporary, folder)
    except OSError as error:
        raise write_error(error, folder) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return saved


def _write_files(folder: Path, model: Model, *, saved: SavedModel) -> SavedModel:
    """Writes all three files and finds out whether timm agrees."""
    from safetensors.torch import save

    tensors = {name: _to_save(tensor) for name, tensor in model.module.state_dict().items()}
    content = save(tensors, metadata={"format": "pt"})
    _write(folder / TENSORS, content)
    hashes = {TENSORS: hashlib.sha256(content).hexdigest()}
    del content, tensors
    changed = ", ".join(f"{key}={saved.model.options[key]}" for key in CHANGES if key in saved.model.options)
    note = f"{saved.library} built it, not timm"
    if saved.library == "timm" and changed:
        note = f"its {changed} is not the published network's, which timm would build"
    elif saved.library == "timm":
        _write(folder / CONFIG, _config_bytes(timm_config(model, classes=saved.classes, preprocess=saved.preprocess)))
        note = disagreement_with_timm(folder, model, preprocess=saved.preprocess)
    if note:
        _write(folder / CONFIG, _config_bytes(words_for_timm(saved.arch, saved.classes)))
    hashes[CONFIG] = hashlib.sha256((folder / CONFIG).read_bytes()).hexdigest()
    saved = dataclasses.replace(saved, timm_loadable=not note, timm_note=note, sha256=hashes)
    saved, card = seal(saved)
    _write(folder / CARD, card)
    return saved


def _write(path: Path, content: bytes) -> None:
    """Writes a file of a folder that nobody looks at yet, and forces it to disk."""
    with path.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def _config_bytes(config: Mapping[str, Any]) -> bytes:
    return (to_json(config, indent=2) + "\n").encode()


def _to_save(tensor: torch.Tensor) -> torch.Tensor:
    """A copy on the CPU in plain layout; floating values in 32 bits."""
    kind = torch.float32 if tensor.is_floating_point() else tensor.dtype
    return tensor.detach().to("cpu", kind).clone(memory_format=torch.contiguous_format)


def _refuse_strangers(folder: Path) -> None:
    """Only a saved model, or nothing, may be replaced."""
    if not folder.exists() or (folder / CARD).is_file():
        return
    if not folder.is_dir() or any(folder.iterdir()):
        raise UserError(
            f"{str(folder)!r} holds something else than a saved model; it was left as it is",
            where=str(folder),
            do="name a folder that is new, empty, or a saved model",
        )


def _take_place(temporary: Path, folder: Path) -> None:
    """Puts a finished folder where the old one is. Folders cannot be exchanged in one step everywhere, so the old one
    steps aside first and comes back if the new one cannot be renamed."""
    old = folder.with_name(temporary_name(folder.name).replace(".tmp", ".old"))
    existed = folder.exists()
    if existed:
        os.rename(folder, old)
    try:
        os.rename(temporary, folder)
    except OSError:
        if existed:
            os.rename(old, folder)
        raise
    force_folder(folder.parent)
    shutil.rmtree(old, ignore_errors=True)


def _no_model(folder: Path) -> UserError:
    aside = sorted(folder.parent.glob(f".{folder.name}.*.old")) if not folder.exists() else []
    what = f"there is no saved model in {str(folder)!r}" if folder.is_dir() else f"{str(folder)!r} is no folder"
    do = ["name a run folder, or the `model` folder in it"]
    if aside:
        do = [f"a run was killed while it replaced this model; the old one is whole: mv {aside[-1]} {folder}"]
    return UserError(what, where=str(folder), allowed=f"a folder with {CARD}, {CONFIG} and {TENSORS}", do=do)


def _zoo_version() -> str:
    with contextlib.suppress(metadata.PackageNotFoundError):
        return metadata.version("zoo")
    return "unknown"
