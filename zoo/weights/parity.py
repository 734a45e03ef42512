"""How far two networks' outputs are apart on the same inputs."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from zoo.errors import UserError
from zoo.imaging.preprocess import Preprocess

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Reference:
    """Inputs and the outputs that the source gives for them.

    Attributes:
        against: What gave the outputs, for the record.
        inputs: float32[N, C, S, S], as the network takes them (R, G, B).
        outputs: float32[N, K].
    """

    against: str
    inputs: Floats
    outputs: Floats


@dataclass(frozen=True)
class Difference:
    """Of two sets of outputs: the largest absolute one, and that over the largest absolute output of the source."""

    max_abs: float
    max_relative: float
    compared: str


def noise_images(preprocess: Preprocess, *, count: int = 4, seed: int = 0) -> Floats:
    """Noise of all pixel values, prepared as the network wants it: float32[count, C, S, S]."""
    shape = (count, preprocess.size, preprocess.size, preprocess.channels)
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    images: Floats = preprocess.normalise(torch.from_numpy(pixels)).contiguous().numpy()
    return images


def run_source(
    forward: Callable[[Floats], Floats], preprocess: Preprocess, *, reverse_input: bool, against: str
) -> Reference:
    """The source framework's own outputs for noise.

    Args:
        forward: Its forward pass.
        preprocess: How the network wants its input.
        reverse_input: The source reads B, G, R.
        against: What the forward pass is called in the record.
    """
    images = noise_images(preprocess)
    given = np.ascontiguousarray(images[:, ::-1]) if reverse_input else images
    return Reference(against, images, np.asarray(forward(given), np.float32))


def read_reference(path: Path, preprocess: Preprocess, *, reverse_input: bool) -> Reference:
    """Arrays `input` and `output` of an .npz file.

    `input` is float[N, C, S, S] or float[N, S, S, C] as the source network takes it (its own normalisation and order of
    colours), or uint8 of either layout: R, G, B pixels, which then go through `preprocess` as any image does.

    Raises:
        UserError: The file is none of this kind, or its shapes do not fit the network.
    """
    arrays = _read_arrays(path)
    images, outputs = arrays["input"], arrays["output"]
    images = _channels_first(images, channels=preprocess.channels, path=path)
    side = preprocess.size
    if images.shape[2:] != (side, side) or outputs.ndim != 2 or len(outputs) != len(images) or not len(images):
        raise UserError(
            f"input {list(arrays['input'].shape)} and output {list(outputs.shape)} do not fit the network",
            where=f"reference={path}",
            allowed=f"input [N, {preprocess.channels}, {side}, {side}] or [N, {side}, {side}, {preprocess.channels}], "
            "output [N, classes], with the same N from 1 on",
            do="image_size= sets the network's side",
        )
    if images.dtype == np.uint8:
        prepared = preprocess.normalise(torch.from_numpy(np.ascontiguousarray(images.transpose(0, 2, 3, 1))))
        given = prepared.contiguous().numpy()
    else:
        given = images[:, ::-1] if reverse_input else images
    return Reference(path.name, np.ascontiguousarray(given, np.float32), np.asarray(outputs, np.float32))


def _read_arrays(path: Path) -> dict[str, NDArray[np.generic]]:
    """Both arrays; nothing is unpickled."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in ("input", "output")}
    except FileNotFoundError as error:
        raise UserError(f"there is no file {str(path)!r}", where="reference") from error
    except (OSError, ValueError, KeyError, AttributeError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(
            f"this file does not hold the arrays input and output: {error}",
            where=f"reference={path}",
            allowed="an .npz file: numpy.savez(FILE, input=..., output=...)",
        ) from error
    if any(array.dtype.kind not in "fui" for array in arrays.values()):
        raise UserError(
            "input and output are not numbers", where=f"reference={path}", allowed="float32, or uint8 pixels"
        )
    return arrays


def _channels_first(images: NDArray[np.generic], *, channels: int, path: Path) -> NDArray[np.generic]:
    """[N, C, H, W] from either layout.

    Raises:
        UserError: It is neither, or could be both.
    """
    if images.ndim == 4:
        first, last = images.shape[1] == channels, images.shape[3] == channels
        if first and not last:
            return images
        if last and not first:
            return images.transpose(0, 3, 1, 2)
    raise UserError(
        f"input {list(images.shape)} is not clearly [N, {channels}, H, W] or [N, H, W, {channels}]",
        where=f"reference={path}",
    )


def compare(module: nn.Module, reference: Reference) -> Difference:
    """The network's outputs against the source's, in float32 on the CPU.

    Where the source's outputs are probabilities (none below 0, each row sums to 1), the softmax of ours is taken.

    Raises:
        UserError: The numbers of outputs differ.
    """
    module.eval()
    with torch.inference_mode():
        logits = torch.cat(
            [module(torch.from_numpy(reference.inputs[i : i + 1])) for i in range(len(reference.inputs))]
        )
    theirs = torch.from_numpy(reference.outputs).double()
    ours = logits.double()
    if ours.shape != theirs.shape:
        raise UserError(
            f"the source gives {list(theirs.shape)} outputs, the network {list(ours.shape)}", where=reference.against
        )
    compared = "logits"
    sums = theirs.sum(dim=1)
    if bool((theirs >= 0).all()) and bool(((sums - 1).abs() < 1e-3).all()):
        ours, compared = ours.softmax(dim=1), "probabilities"
    distance = float((ours - theirs).abs().max())
    largest = float(theirs.abs().max())
    relative = distance / largest if largest > 0 else (0.0 if distance == 0 else float("inf"))
    return Difference(distance, relative if np.isfinite(relative) else float("inf"), compared)
