"""Reads Keras files: .keras, whole models as .h5, and weights alone."""

from __future__ import annotations

import dataclasses
import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Gt
from zoo_plugins.foreign.keras_files import MAGIC, KerasFile, Stored, read_keras_file
from zoo_plugins.foreign.keras_forward import published_model, whole_model
from zoo_plugins.foreign.keras_graphs import Call, calls_of
from zoo_plugins.foreign.keras_layers import LayerReader
from zoo_plugins.foreign.keras_published import CAFFE, TF, TORCH, recognise

from zoo.contracts.importing import ForeignLayer, ForeignModel
from zoo.errors import UserError
from zoo.imaging.preprocess import Preprocess

if TYPE_CHECKING:
    from zoo.contracts.importing import Forward

CLASSES: Mapping[str, str] = {
    "conv2d": "Conv2D",
    "depthwise_conv2d": "DepthwiseConv2D",
    "separable_conv2d": "SeparableConv2D",
    "dense": "Dense",
    "batch_normalization": "BatchNormalization",
}
"""Keras 3's names of groups, and the classes that they stand for."""


class KerasImporter:
    """The reader of Keras files, with h5py alone; Keras 3 itself computes the outputs to compare with.

    Args:
        epsilon: What a batch norm adds to its variance, for a file of weights alone that does not say it. Keras' own
            default is 0.001; its published ResNets have 1.001e-5.
    """

    runtime = "Keras"

    def __init__(self, *, epsilon: Annotated[float, Gt(0)] | None = None) -> None:
        self.epsilon = epsilon

    def reads(self, path: Path) -> bool:
        """By the first bytes of HDF5, or by the members of a .keras archive."""
        try:
            with path.open("rb") as file:
                if file.read(len(MAGIC)) == MAGIC:
                    return True
            if not zipfile.is_zipfile(path):
                return path.suffix == ".keras"
            with zipfile.ZipFile(path) as archive:
                return {"config.json", "model.weights.h5"} <= set(archive.namelist())
        except (OSError, zipfile.BadZipFile):
            return False

    def read(self, path: Path, *, definition: Path | None = None) -> ForeignModel:
        """All layers with their values.

        A file that holds its network says everything. Weights alone are known by their layers' names where they are of
        one of the published networks; else they come in the order of the file, without strides and padding.

        Args:
            path: The file.
            definition: There is none apart.

        Raises:
            UserError: The file is torn, a layer is not known here, or a norm's epsilon is not stated.
        """
        if definition is not None:
            raise UserError("Keras keeps the network in the same file", where=f"definition={definition}")
        file = read_keras_file(path)
        if file.config is not None:
            self._no_epsilon("the file states it for each layer")
            return _whole(file)
        published = recognise(file.layers)
        if published is not None:
            self._no_epsilon(f"these are weights of {published.name}, which has its own")
            layers = LayerReader(file.layers, channels_last=True).read(published.calls)
            note = f"weights alone, known by their layers' names as Keras' {published.name}"
            return _with_convention(ForeignModel("keras", layers, "execution", published.name, notes=(note,)))
        return self._weights_alone(file.layers)

    def forward(self, path: Path, *, definition: Path | None = None) -> Forward | None:
        """Keras' own forward pass; None where Keras is not installed, or nothing says which network it is."""
        file = read_keras_file(path)
        if file.config is not None:
            return whole_model(path, file.config)
        published = recognise(file.layers)
        if published is None:
            return None
        head = file.layers[published.calls[-1].path]
        return published_model(path, published.name, classes=head.arrays[0].shape[-1], side=_side(file.layers))

    def _no_epsilon(self, why: str) -> None:
        if self.epsilon is not None:
            raise UserError(
                f"epsilon has no effect: {why}", where=f"importer.epsilon={self.epsilon:g}", do="leave it out"
            )

    def _weights_alone(self, stored: Mapping[str, Stored]) -> ForeignModel:
        """Layers in the order of the file, with what values alone can say."""
        calls = [Call(path, _class_of(path, layer), {}, ()) for path, layer in stored.items()]
        norms = [call.path for call in calls if call.class_name == "BatchNormalization"]
        if norms and self.epsilon is None:
            raise UserError(
                f"weights alone do not say what the norms add to their variance ({norms[0]} and {len(norms) - 1} more)",
                where="source",
                do=[
                    "importer.epsilon=0.001 (Keras' default), or what the network has",
                    "or save the whole model: .keras",
                ],
            )
        if not norms:
            self._no_epsilon("the file holds no norm")
        layers = LayerReader(stored, channels_last=True).read(calls)
        note = "weights alone: aligned by their order in the file, strides and padding unknown"
        return ForeignModel("keras", tuple(self._bare(layer) for layer in layers), "file", notes=(note,))

    def _bare(self, layer: ForeignLayer) -> ForeignLayer:
        """A layer without what its missing configuration would have said."""
        facts: dict[str, Any] = {key: layer.facts[key] for key in ("groups", "flatten_order") if key in layer.facts}
        if layer.kind == "norm":
            facts["epsilon"] = self.epsilon
        return dataclasses.replace(layer, facts=facts, after=None)


def _whole(file: KerasFile) -> ForeignModel:
    """A file that holds its network."""
    config = file.config or {}
    calls, _ = calls_of(config)
    first = next((call for call in calls if not call.inputs), calls[0])
    last_channels = not any(call.config.get("data_format") == "channels_first" for call in calls)
    layers = LayerReader(file.layers, channels_last=last_channels).read(calls)
    inner = config.get("config")
    name = str(inner.get("name", "")) if isinstance(inner, Mapping) else ""
    shape = first.config.get("batch_shape") or first.config.get("batch_input_shape") or ()
    sides = [size for size in shape[1:] if isinstance(size, int)]
    input_shape = None
    if len(sides) == 3:
        input_shape = (sides[2], sides[0], sides[1]) if last_channels else (sides[0], sides[1], sides[2])
    return _with_convention(ForeignModel("keras", layers, "execution", name, input_shape=input_shape))


def _with_convention(model: ForeignModel) -> ForeignModel:
    """The preprocessing of a network of keras.applications, by its name; a network of another name has none."""
    known = {"caffe": CAFFE, "tf": TF, "torch": TORCH}
    mode = next((mode for mode, names in known.items() if model.architecture in names), None)
    if mode is None:
        return model
    numbers = {
        "caffe": ((123.68 / 255, 116.779 / 255, 103.939 / 255), (1 / 255,) * 3),
        "tf": ((0.5,) * 3, (0.5,) * 3),
        "torch": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    }
    mean, std = numbers[mode]
    note = f"pixels as keras.applications prepares them for {model.architecture}"
    return dataclasses.replace(
        model,
        preprocess=Preprocess(1, mean, std),
        channel_order="bgr" if mode == "caffe" else "rgb",
        notes=(*model.notes, note),
    )


def _side(stored: Mapping[str, Stored]) -> int | None:
    """Side of a VGG's input, which its first dense layer fixes: five halvings before 512 channels."""
    if "fc1" not in stored:
        return None
    return 32 * math.isqrt(stored["fc1"].arrays[0].shape[0] // 512)


def _class_of(path: str, stored: Stored) -> str:
    """A layer's class by its group's name, or by the roles and axes of its arrays.

    Raises:
        UserError: Neither says it.
    """
    if stored.class_hint:
        if stored.class_hint not in CLASSES:
            raise UserError(
                f"the layer {path!r} is a {stored.class_hint}, which is not known here",
                where="source",
                allowed=", ".join(CLASSES),
            )
        if stored.class_hint == "batch_normalization" and len(stored.arrays) == 3:
            raise UserError(
                f"the norm {path!r} has a scale or a shift, and the file does not say which", where="source"
            )
        return CLASSES[stored.class_hint]
    roles = set(stored.roles)
    if "moving_mean" in roles:
        return "BatchNormalization"
    if "depthwise_kernel" in roles:
        return "SeparableConv2D" if "pointwise_kernel" in roles else "DepthwiseConv2D"
    if "kernel" in roles:
        kernel = stored.arrays[stored.roles.index("kernel")]
        if kernel.ndim in (2, 4):
            return "Dense" if kernel.ndim == 2 else "Conv2D"
    raise UserError(f"the layer {path!r} holds {', '.join(stored.roles)}: no layer that is known here", where="source")
