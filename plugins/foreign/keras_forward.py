"""Keras' own forward pass of a file, to compare with. Keras never sees the file's configuration as it is.

A configuration may name functions and modules that Keras would import. So a clean one is made from the layers that the
reader knows, with plain settings alone, and Keras builds that; the values Keras then loads from the file by itself.
"""

from __future__ import annotations

import os
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from zoo_plugins.foreign.keras_files import unpacked
from zoo_plugins.foreign.keras_graphs import MODELS
from zoo_plugins.foreign.keras_layers import PLAIN, ROLES

from zoo.errors import UserError

if TYPE_CHECKING:
    from zoo.contracts.importing import Forward

SETTINGS = frozenset(
    {
        *("name", "batch_shape", "batch_input_shape", "filters", "kernel_size", "strides", "padding", "data_format"),
        *("dilation_rate", "groups", "use_bias", "depth_multiplier", "units", "axis", "epsilon", "center", "scale"),
        *("pool_size", "max_value", "negative_slope", "threshold", "alpha", "rate", "target_shape", "keepdims"),
        *("cropping", "size", "interpolation"),
    }
)
"""What is taken over of a layer's configuration, where it is a number, a word, or a list of numbers."""

ACTIVATIONS = frozenset(
    {
        *("linear", "relu", "relu6", "tanh", "sigmoid", "softmax", "elu", "selu", "gelu", "silu", "swish", "softplus"),
        *("softsign", "hard_sigmoid", "leaky_relu", "exponential", "mish", "log_softmax"),
    }
)


def import_keras() -> Any:
    """Keras on the torch backend where no other was chosen; None where it is not installed.

    Keras writes a settings file into the home folder when it is first imported; here it gets a folder of its own.
    """
    os.environ.setdefault("KERAS_BACKEND", "torch")
    os.environ.setdefault("KERAS_HOME", str(Path(tempfile.gettempdir()) / "zoo-keras-home"))
    try:
        import keras
    except ImportError:
        return None
    return keras


def whole_model(path: Path, config: Mapping[str, Any]) -> Forward | None:
    """The forward pass of a file that holds its network.

    Raises:
        UserError: An activation is not one of Keras' own by name, or Keras cannot load the file.
    """
    clean = _clean(config)
    keras = import_keras()
    if keras is None:
        return None
    kinds = {"Functional": keras.Model, "Model": keras.Model, "Sequential": keras.Sequential}
    try:
        network = kinds[clean["class_name"]].from_config(clean["config"])
        if zipfile.is_zipfile(path):
            with unpacked(path) as weights:
                network.load_weights(str(weights))
        else:
            network.load_weights(str(path))
    except (ValueError, TypeError, KeyError, OSError, AttributeError, RuntimeError, NotImplementedError) as error:
        raise _refused(path, error) from error
    return _forward(network, path, channels_last=not _channels_first(clean))


def published_model(path: Path, name: str, *, classes: int, side: int | None) -> Forward | None:
    """The forward pass of keras.applications' own network of this name, with the file's values.

    Args:
        path: A file of weights alone.
        name: `vgg16`, `resnet50`, `xception`...
        classes: Outputs of its last layer.
        side: Of the input, where a dense layer fixes it; None for the network's own.

    Raises:
        UserError: Keras cannot load the file.
    """
    keras = import_keras()
    if keras is None:
        return None
    builders = {builder.lower(): builder for builder in dir(keras.applications) if builder[0].isupper()}
    builder = getattr(keras.applications, builders[name])
    shape = None if side is None else (side, side, 3)
    try:
        network = builder(weights=None, classes=classes, classifier_activation=None, input_shape=shape)
        network.load_weights(str(path))
    except (ValueError, TypeError, KeyError, OSError, AttributeError, RuntimeError) as error:
        raise _refused(path, error) from error
    return _forward(network, path, channels_last=True)


def _forward(network: Any, path: Path, *, channels_last: bool) -> Forward:
    network = _without_softmax(network)

    def run(images: NDArray[np.float32]) -> NDArray[np.float32]:
        given = images.transpose(0, 2, 3, 1) if channels_last else images
        rows = []
        try:
            for place in range(len(given)):
                answer = network(np.ascontiguousarray(given[place : place + 1]), training=False)
                rows.append(np.asarray(answer.detach().cpu() if hasattr(answer, "detach") else answer, np.float32))
        except (ValueError, TypeError, RuntimeError) as error:
            raise _refused(path, error) from error
        return np.concatenate(rows).reshape(len(images), -1)

    return run


def _without_softmax(network: Any) -> Any:
    """The same network without a softmax at its end; its last layer is told to be linear, or left out."""
    import keras

    last = network.layers[-1]
    activation = getattr(last, "activation", None)
    if activation is keras.activations.softmax and type(last).__name__ == "Dense":
        last.activation = keras.activations.linear
    elif type(last).__name__ == "Softmax" or (
        type(last).__name__ == "Activation" and activation is keras.activations.softmax
    ):
        return keras.Model(network.inputs, last.input)
    return network


def _channels_first(clean: Any) -> bool:
    if isinstance(clean, Mapping):
        return clean.get("data_format") == "channels_first" or any(_channels_first(value) for value in clean.values())
    return isinstance(clean, list) and any(_channels_first(value) for value in clean)


def _clean(item: Mapping[str, Any]) -> dict[str, Any]:
    """A model's configuration of known layers with plain settings."""
    name, config = str(item["class_name"]), item["config"]
    if name not in MODELS:
        raise UserError(f"a {name} is no network whose layers its file lists", where="source")
    layers = config if isinstance(config, list) else config["layers"]
    kept: dict[str, Any] = {"layers": [_clean_layer(layer) for layer in layers]}
    if isinstance(config, Mapping):
        kept |= {key: config[key] for key in ("name", "input_layers", "output_layers") if key in config}
    return {"module": "keras", "class_name": name, "config": kept, "registered_name": None}


def _clean_layer(layer: Mapping[str, Any]) -> dict[str, Any]:
    name = str(layer["class_name"])
    if name in MODELS:
        kept = _clean(layer)
    elif name in PLAIN or name in ROLES:
        config = layer["config"]
        plain = {key: value for key, value in config.items() if key in SETTINGS and _is_plain(value)}
        if "activation" in config:
            plain["activation"] = _activation(config["activation"], config.get("name"))
        kept = {"module": "keras.layers", "class_name": name, "config": plain, "registered_name": None}
    else:
        raise UserError(
            f"the layer {layer['config'].get('name')!r} is a {name}, which is not known here", where="source"
        )
    nodes = layer.get("inbound_nodes")
    names = layer["config"].get("name") if isinstance(layer["config"], Mapping) else None
    kept["name"] = layer.get("name", names)
    return kept if nodes is None else kept | {"inbound_nodes": _clean_nodes(nodes)}


def _clean_nodes(nodes: Any) -> Any:
    """What a call reads: tensors by their history, nothing else that could be built from it."""
    if isinstance(nodes, Mapping):
        if nodes.get("class_name") == "__keras_tensor__":
            config = nodes["config"]
            return {
                "class_name": "__keras_tensor__",
                "config": {
                    "shape": [size for size in config.get("shape", ()) if size is None or isinstance(size, int)],
                    "dtype": "float32",
                    "keras_history": [str(config["keras_history"][0]), *map(int, config["keras_history"][1:])],
                },
            }
        if "class_name" in nodes or "module" in nodes:
            raise UserError("a layer is called with an object that Keras would have to build", where="source")
        return {str(key): _clean_nodes(value) for key, value in nodes.items()}
    if isinstance(nodes, list):
        return [_clean_nodes(value) for value in nodes]
    return nodes if _is_plain(nodes) else None


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(_is_plain(item) for item in value)
    return value is None or isinstance(value, bool | int | float | str)


def _activation(value: Any, layer: Any) -> str:
    """Its name; Keras 2 and 3 write that of their own ones as a word."""
    if value is None:
        return "linear"
    if not isinstance(value, str) or value not in ACTIVATIONS:
        raise UserError(
            f"the layer {layer!r} has the activation {value!r}, which is not known here",
            where="source",
            allowed=", ".join(sorted(ACTIVATIONS)),
        )
    return value


def _refused(path: Path, error: Exception) -> UserError:
    lines: Sequence[str] = str(error).strip().splitlines() or [type(error).__name__]
    return UserError(
        f"Keras cannot run this file: {lines[0][:200]}",
        where=f"source={path}",
        do="save it again with the Keras that made it, as .keras; or give reference=FILE.npz",
    )
