"""Networks written with Keras itself, with values that hide no mistake: random scales, shifts and statistics."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

os.environ.setdefault("KERAS_BACKEND", "torch")
os.environ.setdefault("KERAS_HOME", str(Path(tempfile.gettempdir()) / "zoo-keras-home"))


def keras() -> Any:
    """The library, imported late: it takes seconds."""
    import keras

    return keras


def randomised(model: Any, *, seed: int = 0) -> Any:
    """Draws all values anew so that signals neither vanish nor explode, and no two layers are alike."""
    generator = np.random.default_rng(seed)
    drawn = []
    for weight in model.weights:
        shape, name = tuple(weight.shape), weight.path.rpartition("/")[2]
        if name in ("gamma", "moving_variance"):
            values = generator.uniform(0.5, 1.5, shape)
        elif name in ("beta", "moving_mean", "bias"):
            values = generator.normal(0, 0.2, shape)
        else:
            depthwise = "depthwise" in weight.path and name != "pointwise_kernel"
            fan_in = shape[0] * shape[1] if depthwise else int(np.prod(shape[:-1]))
            values = generator.normal(0, (1.5 / fan_in) ** 0.5, shape)
        drawn.append(values.astype(np.float32))
    model.set_weights(drawn)
    return model


def lenet(*, functional: bool = False, classes: int = 10) -> Any:
    layers = keras().layers
    stack = [
        layers.Conv2D(20, 5, name="first"),
        layers.MaxPooling2D(2),
        layers.Conv2D(50, 5, name="second"),
        layers.MaxPooling2D(2),
        layers.Flatten(),
        layers.Dense(500, activation="relu", name="hidden"),
        layers.Dropout(0.5),
        layers.Dense(classes, activation="softmax", name="answer"),
    ]
    start = keras().Input((28, 28, 1))
    if not functional:
        return randomised(keras().Sequential([start, *stack]))
    x = start
    for layer in stack:
        x = layer(x)
    return randomised(keras().Model(start, x))


def outputs(model: Any, images: np.ndarray) -> np.ndarray:
    """What Keras answers to float32[N, C, H, W]."""
    answer = model(images.transpose(0, 2, 3, 1), training=False)
    return np.asarray(answer.detach().cpu(), np.float32)


def save_legacy_weights(model: Any, path: Path) -> Path:
    """The layout in which keras.applications published its files: layers at the root, no configuration."""
    import h5py
    from keras.src.legacy.saving import legacy_h5_format

    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, model)
    return path
