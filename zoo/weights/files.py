"""Reads weight files and folders. Nothing is ever unpickled that could run code."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch

from zoo.contracts.importing import Provenance
from zoo.contracts.model import FoundWeights, ModelSpec, WeightsRecord
from zoo.errors import UserError
from zoo.files import check_sealed, sha256_of
from zoo.imaging.preprocess import Interpolation, Preprocess, Resize

TORCH_SUFFIXES = (".pth", ".pt", ".bin", ".tar", ".ckpt", ".th", ".torch", ".pyth")
SUFFIXES = (".safetensors", *TORCH_SUFFIXES)
FOLDER_FILES = ("model.safetensors", "pytorch_model.bin")
"""Names that a weight file has inside a folder, the preferred one first."""

RESIZES: Mapping[str, Resize] = {"center": "crop", "border": "pad", "squash": "squash"}
"""timm's crop modes."""

_WRAPPERS = ("state_dict_ema", "model_ema", "state_dict", "model")
"""Keys under which training programs keep the tensors, the averaged ones first, as timm has it."""


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Tensors of one file by name; those of a training checkpoint are taken out of it.

    Raises:
        UserError: The file is torn, holds no tensors by name, or would have to run code to be read.
    """
    content = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    for key in _WRAPPERS:
        inner = content.get(key)
        if isinstance(inner, Mapping) and inner:
            content = inner
            break
    tensors = {_plain_name(name): value for name, value in content.items() if isinstance(value, torch.Tensor)}
    if not tensors or len(tensors) != len(content):
        odd = [str(name) for name, value in content.items() if not isinstance(value, torch.Tensor)]
        raise UserError(
            f"this file does not hold tensors by name (other entries: {', '.join(odd[:5]) or 'none at all'})",
            where=str(path),
            allowed="a state dict, or a checkpoint with one under: " + ", ".join(_WRAPPERS),
            do="save the network's state_dict() alone",
        )
    return tensors


def _plain_name(name: str) -> str:
    """A parameter's name without what torch.compile and data-parallel training put before it."""
    for prefix in ("_orig_mod.", "module.", "_orig_mod."):
        name = name.removeprefix(prefix)
    return name


def _read_safetensors(path: Path) -> Mapping[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return cast(Mapping[str, Any], load_file(path))
    except (SafetensorError, OSError, ValueError) as error:
        raise _unreadable(path, error) from error


def _read_torch(path: Path) -> Mapping[str, Any]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        names = _wanted_code(path)
        if not names:
            raise _unreadable(path, error) from error
        raise UserError(
            f"this file would have to run code to be read: {', '.join(names[:5])}",
            where=str(path),
            allowed="files of tensors alone",
            do="where it comes from, save the tensors: torch.save(network.state_dict(), FILE), or as .safetensors",
        ) from error
    except Exception as error:  # the unpickler meets other files with whatever their bytes make it do
        raise _unreadable(path, error) from error
    if not isinstance(content, Mapping):
        raise UserError(
            f"this file holds a {type(content).__name__}, not tensors by name",
            where=str(path),
            do="save the network's state_dict() alone",
        )
    return content


def _wanted_code(path: Path) -> list[str]:
    """Names of the functions that a pickle calls for; empty where it is no such file at all."""
    try:
        return [str(name) for name in torch.serialization.get_unsafe_globals_in_checkpoint(str(path))]
    except Exception:  # no pickle, or a torn one
        return []


def _unreadable(path: Path, error: Exception) -> UserError:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return UserError(
        f"this weight file cannot be read: {reason[:200]}",
        where=str(path),
        do="it may be torn or of another format: delete it and fetch it again",
    )


def check_sha256(path: Path, expected: str) -> None:
    """Compares a file with the beginning of the hash that its publisher states.

    Raises:
        UserError: It is another file, or a torn one.
    """
    actual = sha256_of(path)
    if not actual.startswith(expected):
        raise UserError(
            f"this file is not the published one: its SHA-256 is {actual[:16]}..., published is {expected}...",
            where=str(path),
            do="delete it, so that it is fetched again",
        )


def read_path(path: Path, spec: ModelSpec) -> FoundWeights:
    """Weights that the user points at: a file, a saved model's folder, or a folder in timm's form.

    The weight file of a saved model stands for its folder: what lies beside it says how the input is prepared.

    Raises:
        UserError: There is nothing, it is of no known form, or it belongs to another network.
    """
    if path.is_dir():
        return _read_folder(path, spec)
    if (path.parent / "zoo.json").is_file() and path == _weights_in(path.parent):
        return _read_folder(path.parent, spec)
    if not path.is_file():
        raise UserError(
            f"there is no file or folder {str(path)!r}",
            where="weights",
            allowed="auto, none, or the path of a weight file or of a saved model's folder",
        )
    if path.suffix not in SUFFIXES:
        raise UserError(
            f"{path.suffix or 'a file without an ending'} is no form of weights that zoo reads",
            where=f"weights={path}",
            allowed=", ".join(SUFFIXES),
        )
    record = WeightsRecord("", spec.preprocess)
    note = "the file does not say how its input is prepared; taken as for the published weights"
    return FoundWeights("file", path, record, read_tensors(path), note)


def _weights_in(folder: Path) -> Path | None:
    """The weight file of a folder."""
    return next((folder / name for name in FOLDER_FILES if (folder / name).is_file()), None)


def _read_folder(folder: Path, spec: ModelSpec) -> FoundWeights:
    """A saved model of zoo (zoo.json) or of timm (config.json); a run's folder stands for the model in it."""
    if not (folder / "zoo.json").is_file() and (folder / "model" / "zoo.json").is_file():
        folder = folder / "model"
    file = _weights_in(folder)
    if file is None:
        raise UserError(
            "this folder holds no weights",
            where=f"weights={folder}",
            allowed="a folder with " + " or ".join(FOLDER_FILES),
        )
    note = ""
    if (folder / "zoo.json").is_file():
        record, note = _saved_record(folder / "zoo.json", spec, file=file)
    elif (folder / "config.json").is_file():
        record = _timm_record(folder / "config.json", spec)
    else:
        record = WeightsRecord("", spec.preprocess)
    return FoundWeights("file", file, record, read_tensors(file), note)


def _saved_record(card: Path, spec: ModelSpec, *, file: Path) -> tuple[WeightsRecord, str]:
    """What zoo wrote beside the weights of a saved model, once both are what was saved; and how far they are proven
    where they were imported."""
    saved = _read_json(card)
    check_sealed(card.parent, saved, own=card.name, needed=(file.name,))
    try:
        own, preprocess = f"{saved['library']}/{saved['arch']}", Preprocess.from_dict(saved["preprocess"])
        origin = dict(saved.get("origin") or {})
        classes, published = len(saved["classes"]), origin.get("published") or {}
        imported = Provenance.from_origin(origin)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"this saved model is damaged: {type(error).__name__} {error}",
            where=str(card),
            do="copy the whole folder again from where it was saved",
        ) from error
    _check_network(own, spec, path=card)
    tag = f"published/{published['name']}" if published.get("name") else ""
    record = WeightsRecord(tag, preprocess, classes=classes, license=published.get("license"))
    return record, "" if imported is None else imported.line()


def _check_network(own: str, spec: ModelSpec, *, path: Path) -> None:
    if own != spec.name:
        raise UserError(
            f"these are weights of {own}, not of {spec.name}", where=str(path), do=f"take model={own}, or other weights"
        )


def _timm_record(path: Path, spec: ModelSpec) -> WeightsRecord:
    """What timm writes beside the weights of a model that it saved."""
    config = _read_json(path)
    _check_network(f"timm/{config.get('architecture', spec.arch)}", spec, path=path)
    cfg = config.get("pretrained_cfg", config)
    classes = int(config.get("num_classes") or cfg.get("num_classes") or 0)
    return WeightsRecord(
        str(cfg.get("tag") or ""), preprocess_from_config(cfg), classes=classes, license=cfg.get("license")
    )


def preprocess_from_config(cfg: Mapping[str, Any]) -> Preprocess:
    """The preprocessing that timm states beside weights (`pretrained_cfg`); the size is the shorter input side.

    A few sets state a crop share above 1, a picture smaller than the window in a black frame; here it fills the window.
    """
    return Preprocess(
        size=min(cfg.get("input_size", (3, 224, 224))[1:]),
        mean=tuple(cfg.get("mean", (0.485, 0.456, 0.406))),
        std=tuple(cfg.get("std", (0.229, 0.224, 0.225))),
        resize=RESIZES[cfg.get("crop_mode", "center")],
        crop_share=min(cfg.get("crop_pct", 0.875), 1.0),
        interpolation=cast(Interpolation, cfg.get("interpolation", "bicubic")),
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"this file cannot be read as JSON: {error}", where=str(path)) from error
    if not isinstance(content, dict):
        raise UserError("this file does not hold a JSON object", where=str(path))
    return content
