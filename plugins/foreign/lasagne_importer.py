"""Reads the parameter lists of Theano and Lasagne: .npz files of arrays in the order of the layers.

Source: https://lasagne.readthedocs.io (`lasagne.layers.get_all_param_values`, `Conv2DLayer`, `DenseLayer`,
`BatchNormLayer`); the files are those of `numpy.savez("model.npz", *get_all_param_values(network))`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from zoo_plugins.foreign.zipped_arrays import read_arrays
from zoo_plugins.option_checks import check_choice, check_range, no_effect

from zoo.contracts.importing import ForeignLayer, ForeignModel
from zoo.errors import UserError

if TYPE_CHECKING:
    from zoo.contracts.importing import Forward

Floats = NDArray[np.float32]

PICKLES = (".pkl", ".pickle", ".p")
NORM_PARTS = ("beta", "gamma", "mean", "inv_std", "var")
_SAVE = "numpy.savez('model.npz', *lasagne.layers.get_all_param_values(network))"
_POSITION = re.compile(r"arr_(\d+)")
_EPSILON = 1e-4
"""Lasagne's BatchNormLayer adds this; only stored variances need it, stored inverse deviations have it in them."""


class LasagneImporter:
    """Convolutions W [O, I, h, w], dense layers W [I, O], biases, and batch normalisations behind them.

    The file holds no names and no dataflow. Behind a W stand as many vectors of its width as its layer has: none, a
    bias, a normalisation, or both. Anything else is refused with its place.

    Args:
        flip_filters: Whether the net convolves, as Theano and Conv2DLayer do by default, so that kernels are turned by
            180 degrees here; false for nets of Conv2DDNNLayer with its default, or of `flip_filters=False`.
        norm: The vectors of a normalisation in their order, of `beta`, `gamma`, `mean`, and `inv_std` or `var`; the
            default is that of BatchNormLayer.
        epsilon: What was added to stored variances (`var` in `norm`); Lasagne's 1e-4 where it is left out.
    """

    def __init__(
        self,
        *,
        flip_filters: bool = True,
        norm: tuple[str, ...] = ("beta", "gamma", "mean", "inv_std"),
        epsilon: float | None = None,
    ) -> None:
        for part in norm:
            check_choice(part, where="importer.norm", choices=NORM_PARTS)
        if len(set(norm)) != len(norm) or "mean" not in norm or len({"inv_std", "var"} & set(norm)) != 1:
            raise UserError(
                f"{', '.join(norm)} is no normalisation",
                where="importer.norm",
                allowed="mean, one of inv_std and var, and beta and gamma where there are any; each once",
            )
        if epsilon is not None:
            check_range(epsilon, where="importer.epsilon", low=0, high=1)
            if "var" not in norm:
                raise no_effect(
                    "epsilon", where="importer.epsilon", do="leave it out: inverse deviations have it in them"
                )
        self.flip_filters, self.norm = flip_filters, tuple(norm)
        self.epsilon = epsilon

    def reads(self, path: Path) -> bool:
        """Whether the file ends in .npz, or is a pickle, which `read` refuses with the reason."""
        return path.suffix.lower() in (".npz", *PICKLES)

    def read(self, path: Path, *, definition: Path | None = None) -> ForeignModel:
        """All layers with their values, in the order of the list.

        Args:
            path: The .npz file with arr_0, arr_1...
            definition: None; nothing that describes such a net can be read.

        Raises:
            UserError: The file is torn, needs unpickling, is no list of arrays, or its arrays make no layers.
        """
        if path.suffix.lower() in PICKLES:
            raise UserError(
                "a pickle runs the code that it names when it is read, and is not read here",
                where=str(path),
                allowed="a list of arrays in an .npz file",
                do=f"where the network can be built: {_SAVE}",
            )
        if definition is not None:
            raise no_effect("a definition", where=f"definition={definition}", do="leave it out")
        arrays = _in_order(read_arrays(path), path)
        layers = self._layers(arrays, path)
        notes = [_kernels_note(turned=self.flip_filters)] if any(layer.kind == "conv" for layer in layers) else []
        if any(layer.kind == "norm" for layer in layers):
            notes.append(f"vectors of normalisations were taken to be {', '.join(self.norm)} (importer.norm)")
        elif self.epsilon is not None:
            raise no_effect("epsilon", where="importer.epsilon", do="leave it out: the file holds no normalisation")
        return ForeignModel("lasagne", tuple(layers), "execution", notes=tuple(notes))

    def forward(self, path: Path, *, definition: Path | None = None) -> Forward | None:
        """None: Theano is no more."""
        return None

    def _layers(self, arrays: Sequence[tuple[str, Floats]], path: Path) -> list[ForeignLayer]:
        layers: list[ForeignLayer] = []
        at = 0
        while at < len(arrays):
            name, values = arrays[at]
            width = values.shape[0] if values.ndim in (1, 4) else values.shape[-1] if values.ndim == 2 else 0
            first = at if values.ndim == 1 else at + 1
            end = first
            while end < len(arrays) and arrays[end][1].shape == (width,):
                end += 1
            vectors = arrays[first:end]
            counts = (len(self.norm),) if values.ndim == 1 else (0, 1, len(self.norm), len(self.norm) + 1)
            if values.ndim not in (1, 2, 4) or len(vectors) not in counts or not values.size:
                raise UserError(
                    f"{name} {list(values.shape)} and {len(vectors)} vectors of its width behind it make no layer",
                    where=str(path),
                    allowed=f"W of a convolution or dense layer with {counts} vectors (importer.norm says which)",
                )
            with_norm = len(vectors) >= len(self.norm)
            bias = vectors[: len(vectors) - len(self.norm) * with_norm]
            if values.ndim != 1:
                layers.append(self._weighted(name, values, bias))
            if with_norm:
                layers.append(self._norm(vectors[len(bias) :], path))
            at = end
        return layers

    def _weighted(self, name: str, weight: Floats, bias: Sequence[tuple[str, Floats]]) -> ForeignLayer:
        if weight.ndim == 4 and self.flip_filters:
            weight = weight[:, :, ::-1, ::-1]
        values: dict[str, Floats] = {"weight": np.ascontiguousarray(weight if weight.ndim == 4 else weight.T)}
        if bias:
            values["bias"] = bias[0][1]
        return ForeignLayer(name, "conv" if weight.ndim == 4 else "dense", values)

    def _norm(self, vectors: Sequence[tuple[str, Floats]], path: Path) -> ForeignLayer:
        """An inverse deviation d is a variance of 1 / d^2 to which nothing is added."""
        parts = dict(zip(self.norm, (values for _, values in vectors), strict=True))
        mean = parts["mean"]
        variance, epsilon = parts.get("var"), _EPSILON if self.epsilon is None else self.epsilon
        if variance is None:
            inverse, epsilon = parts["inv_std"].astype(np.float64), 0.0
            if (inverse <= 0).any():
                raise UserError(
                    f"the inverse deviations that begin with {vectors[0][0]} are not all above 0",
                    where=str(path),
                    do="say what the vectors are: importer.norm=[beta,gamma,mean,var]",
                )
            variance = (inverse**-2).astype(np.float32)
        tensors: Mapping[str, Any] = {
            "weight": parts.get("gamma", np.ones_like(mean)),
            "bias": parts.get("beta", np.zeros_like(mean)),
            "running_mean": mean,
            "running_var": variance,
        }
        return ForeignLayer(vectors[0][0], "norm", tensors, {"epsilon": epsilon})


def _in_order(arrays: Mapping[str, NDArray[Any]], path: Path) -> list[tuple[str, Floats]]:
    """Arrays by their position as float32.

    Raises:
        UserError: The names are not arr_0, arr_1... without a gap, or an array holds no floating-point numbers.
    """
    names = [f"arr_{number}" for number in range(len(arrays))]
    if set(names) != set(arrays) or not names:
        odd = [name for name in arrays if not _POSITION.fullmatch(name)]
        raise UserError(
            f"this file is no list of arrays: it has {', '.join(odd[:4] or list(arrays)[:4]) or 'nothing'}",
            where=str(path),
            allowed="arr_0, arr_1... in the order of the layers",
            do=f"write it by {_SAVE}",
        )
    for name in names:
        if arrays[name].dtype.kind != "f":
            raise UserError(f"{name} holds values of the type {arrays[name].dtype}, not numbers", where=str(path))
    return [(name, np.asarray(arrays[name], dtype=np.float32)) for name in names]


def _kernels_note(*, turned: bool) -> str:
    if turned:
        return "kernels were turned by 180 degrees, as Theano convolves (importer.flip_filters=false leaves them)"
    return "kernels were left as they are: the net correlates (importer.flip_filters)"
