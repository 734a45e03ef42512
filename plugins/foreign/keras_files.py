"""The values and the configuration in Keras' three kinds of file, as they are stored."""

from __future__ import annotations

import json
import re
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from zoo_plugins.foreign.foreign_graphs import missing_library

from zoo.errors import UserError

MAGIC = b"\x89HDF\r\n\x1a\n"
"""The first bytes of an HDF5 file."""

IGNORED = frozenset({"seed_generator", "optimizer", "optimizer_weights", "top_level_model_weights", "_metrics"})
"""Groups that hold no value of the network: states of random numbers, of optimizers and of metrics."""

ROLE = re.compile(
    r"(?:^|[/_])(depthwise_kernel|pointwise_kernel|kernel|bias|gamma|beta|moving_mean|moving_variance|W|b"
    r"|running_mean|running_std)(?:_\d+)?(?::\d+)?$"
)
"""What a weight's name ends in: Keras 2 and 3, and Keras 1 (`conv1_W`; its `running_std` holds variances)."""

OLD_ROLES: Mapping[str, str] = {
    "W": "kernel",
    "b": "bias",
    "running_mean": "moving_mean",
    "running_std": "moving_variance",
}

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Stored:
    """One layer's arrays.

    Attributes:
        arrays: As they stand in the file, in order.
        roles: `kernel`, `bias`, `gamma`... of each, or () where the file does not name them (Keras 3).
        class_hint: The layer's class in snake case where the file says it (`separable_conv2d`), or "".
    """

    arrays: tuple[Array, ...]
    roles: tuple[str, ...] = ()
    class_hint: str = ""


@dataclass(frozen=True)
class KerasFile:
    """What a file holds: the network's configuration where it has one, and arrays by the layer's path."""

    config: Mapping[str, Any] | None
    layers: Mapping[str, Stored] = field(default_factory=dict)


def read_keras_file(path: Path) -> KerasFile:
    """Reads a .keras archive, a whole-model .h5, or weights alone.

    Raises:
        UserError: The file is torn or of another kind, or h5py is not installed.
    """
    try:
        if zipfile.is_zipfile(path):
            with unpacked(path) as weights, zipfile.ZipFile(path) as archive:
                return KerasFile(_parsed(archive.read("config.json"), path), _read_h5(weights).layers)
        return _read_h5(path)
    except (OSError, KeyError, ValueError, RuntimeError, zipfile.BadZipFile, EOFError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"this Keras file cannot be read: {reason[:200]}",
            where=f"source={path}",
            allowed=".keras, a whole model as .h5, .weights.h5, or weights as keras.applications publishes them",
        ) from error


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """The weights of a .keras archive as a file of their own, for a while."""
    with tempfile.TemporaryDirectory(prefix="zoo-keras-") as folder, zipfile.ZipFile(path) as archive:
        yield Path(archive.extract("model.weights.h5", folder))


def _parsed(text: bytes | str, path: Path) -> Mapping[str, Any]:
    config = json.loads(text)
    if not isinstance(config, dict) or "config" not in config:
        raise UserError("its configuration describes no network", where=f"source={path}")
    return config


def _read_h5(path: Path) -> KerasFile:
    """Any of the HDF5 layouts."""
    try:
        import h5py
    except ImportError as error:
        raise missing_library("h5py", "Keras files") from error
    limit = 64 * path.stat().st_size
    with h5py.File(path, "r") as file:
        config = file.attrs.get("model_config")
        root = file.get("model_weights", file)
        if "layer_names" in root.attrs:
            layers = _legacy_layers(root, limit=limit)
        elif "layers" in file or "_layer_checkpoint_dependencies" in file:
            layers = dict(_current_layers(file, "", limit=limit))
        else:
            raise UserError(
                "this HDF5 file holds no Keras layers", where=f"source={path}", do="save the model again with Keras"
            )
        return KerasFile(None if config is None else _parsed(config, path), layers)


def _legacy_layers(root: Any, *, limit: int) -> dict[str, Stored]:
    """Keras 1 and 2, and whole-model .h5 of Keras 3: names in attributes, a nested model's layers in one group."""
    found: dict[str, Stored] = {}
    for layer in _texts(root.attrs["layer_names"]):
        group = root[layer]
        parts: dict[str, tuple[list[Array], list[str]]] = {}
        for name in _texts(group.attrs.get("weight_names", ())):
            matched = ROLE.search(name)
            if matched is None:
                raise UserError(f"the layer {layer!r} holds {name!r}, which is no known value", where="source")
            arrays, roles = parts.setdefault(name[: matched.start()], ([], []))
            arrays.append(_array(group[name], limit=limit))
            roles.append(OLD_ROLES.get(matched.group(1), matched.group(1)))
        for inner, (arrays, roles) in parts.items():
            found[_legacy_path(layer, inner, alone=len(parts) == 1)] = Stored(tuple(arrays), tuple(roles))
    return found


def _legacy_path(layer: str, inner: str, *, alone: bool) -> str:
    """The path of a layer: of the group's own, or of one in the nested model that the group stands for.

    Args:
        layer: Name of the group.
        inner: What stands before the role in a weight's name: `conv`, `model/conv`, `model/nested/conv`, or `conv_3`
            where TensorFlow counted.
        alone: All weights of the group share it.
    """
    parts = inner.split("/")
    if layer in parts:
        return "/".join(parts[parts.index(layer) :])
    return layer if alone else f"{layer}/{parts[-1]}"


def _texts(values: Any) -> list[str]:
    return [value.decode() if isinstance(value, bytes) else str(value) for value in values]


def _current_layers(group: Any, prefix: str, *, limit: int) -> Iterator[tuple[str, Stored]]:
    """Keras 3: `layers/<class>_<number>/vars/<number>`, the layer's own name an attribute of `vars`."""
    inside = group.get("layers") or group.get("_layer_checkpoint_dependencies")
    for key in sorted(inside, key=_natural) if inside is not None else ():
        layer = inside[key]
        values = layer.get("vars")
        name = values.attrs.get("name", key) if values is not None else key
        path = f"{prefix}/{name}" if prefix else str(name)
        if values is not None and len(values):
            arrays = tuple(_array(values[number], limit=limit) for number in sorted(values, key=int))
            yield path, Stored(arrays, class_hint=re.sub(r"_\d+$", "", key))
        for other in layer:
            if other not in ("vars", "layers", "_layer_checkpoint_dependencies", *IGNORED) and _holds_values(
                layer[other]
            ):
                raise UserError(
                    f"the layer {path!r} keeps values in {other!r}, which is not known here", where="source"
                )
        yield from _current_layers(layer, path, limit=limit)


def _holds_values(item: Any) -> bool:
    import h5py

    if isinstance(item, h5py.Dataset):
        return True
    return any(_holds_values(item[key]) for key in item)


def _natural(text: str) -> list[tuple[int, str]]:
    """Sorts conv2d_2 before conv2d_10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", text)]


def _array(dataset: Any, *, limit: int) -> Array:
    """Values as float32; a size that the file cannot hold is refused before it is allocated."""
    if dataset.size * dataset.dtype.itemsize > limit:
        raise UserError(f"{dataset.name} claims {dataset.size} values, more than the file can hold", where="source")
    if dataset.dtype.kind not in "fiu":
        raise UserError(f"{dataset.name} holds {dataset.dtype}, not numbers", where="source")
    return np.asarray(dataset[()], dtype=np.float32)
