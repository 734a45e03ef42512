"""Networks of keras.applications whose published files hold weights alone: their graphs, by the layers' names.

Source: https://github.com/keras-team/keras/tree/master/keras/src/applications (vgg16.py, vgg19.py, resnet.py,
xception.py).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from zoo_plugins.foreign.keras_graphs import Call

CAFFE = frozenset({"vgg16", "vgg19", "resnet50", "resnet101", "resnet152"})
TF = frozenset({"xception", "inception_v3", "inception_resnet_v2", "resnet50v2", "resnet101v2", "resnet152v2"})
TORCH = frozenset({"densenet121", "densenet169", "densenet201"})
"""How the published weights want their pixels (`preprocess_input` of each), by the name of the configuration."""

RESNET_BLOCKS: Mapping[str, tuple[int, ...]] = {
    "resnet50": (3, 4, 6, 3),
    "resnet101": (3, 4, 23, 3),
    "resnet152": (3, 8, 36, 3),
}
VGG_BLOCKS: Mapping[str, tuple[int, ...]] = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
RESNET_EPSILON = 1.001e-5
XCEPTION_EPSILON = 1e-3


@dataclass(frozen=True)
class Published:
    """A network that is known by its layers' names."""

    name: str
    calls: tuple[Call, ...]


class _Plan:
    """Calls in a row; each returns its path."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    def add(self, path: str, class_name: str, *inputs: str, **config: Any) -> str:
        self.calls.append(Call(path, class_name, config, inputs))
        return path

    def conv_norm(self, path: str, before: str, *, epsilon: float, norm: str, **config: Any) -> str:
        kind = "SeparableConv2D" if "sepconv" in path else "Conv2D"
        return self.add(norm, "BatchNormalization", self.add(path, kind, before, **config), epsilon=epsilon)


def recognise(names: Collection[str]) -> Published | None:
    """The published network whose layers have exactly these names, or None."""
    present = set(names)
    head = next((name for name in ("predictions", "probs", "fc1000") if name in present), "predictions")
    plans = [(name, _vgg(blocks, head)) for name, blocks in VGG_BLOCKS.items()]
    plans += [(name, _resnet(blocks, head)) for name, blocks in RESNET_BLOCKS.items()]
    plans.append(("xception", _xception(sorted(present, key=lambda name: (len(name), name)), head)))
    valued = {"Conv2D", "SeparableConv2D", "Dense", "BatchNormalization"}
    for name, plan in plans:
        if {call.path for call in plan.calls if call.class_name in valued} == present:
            return Published(name, tuple(plan.calls))
    return None


def _vgg(blocks: tuple[int, ...], head: str) -> _Plan:
    plan = _Plan()
    x = plan.add("input", "InputLayer")
    for block, count in enumerate(blocks, 1):
        for conv in range(1, count + 1):
            x = plan.add(f"block{block}_conv{conv}", "Conv2D", x, padding="same", activation="relu")
        x = plan.add(f"block{block}_pool", "MaxPooling2D", x, pool_size=2)
    x = plan.add("flatten", "Flatten", x)
    for name in ("fc1", "fc2", head):
        x = plan.add(name, "Dense", x, activation="relu")
    return plan


def _resnet(blocks: tuple[int, ...], head: str) -> _Plan:
    """The stride of a stage lies in the first 1 x 1 convolution of its first block."""
    plan = _Plan()

    def unit(name: str, before: str, **config: Any) -> str:
        return plan.conv_norm(f"{name}_conv", before, norm=f"{name}_bn", epsilon=RESNET_EPSILON, **config)

    x = plan.add("pad", "ZeroPadding2D", plan.add("input", "InputLayer"), padding=3)
    x = plan.add("pad2", "ZeroPadding2D", plan.add("relu", "ReLU", unit("conv1", x, strides=2)), padding=1)
    x = plan.add("pool", "MaxPooling2D", x, pool_size=3, strides=2)
    for stage, count in enumerate(blocks, 2):
        for block in range(1, count + 1):
            name, stride = f"conv{stage}_block{block}", 2 if block == 1 and stage > 2 else 1
            shortcut = unit(f"{name}_0", x, strides=stride) if block == 1 else x
            y = plan.add(f"{name}_relu1", "ReLU", unit(f"{name}_1", x, strides=stride))
            y = plan.add(f"{name}_relu2", "ReLU", unit(f"{name}_2", y, padding="same"))
            x = plan.add(f"{name}_add", "Add", shortcut, unit(f"{name}_3", y))
    plan.add(head, "Dense", plan.add("avg_pool", "GlobalAveragePooling2D", x))
    return plan


def _xception(names: list[str], head: str) -> _Plan:
    """Its four shortcuts have no names of their own; they come in the order in which they were made."""
    convs = [name for name in names if name.startswith("conv2d")][:4]
    norms = [name for name in names if name.startswith("batch_normalization")][:4]
    shortcuts = dict(zip((2, 3, 4, 13), zip(convs, norms, strict=False), strict=False))
    plan = _Plan()

    def unit(name: str, before: str, **config: Any) -> str:
        return plan.conv_norm(name, before, norm=f"{name}_bn", epsilon=XCEPTION_EPSILON, **config)

    x = plan.add("act0", "ReLU", unit("block1_conv1", plan.add("input", "InputLayer"), strides=2))
    x = plan.add("act1", "ReLU", unit("block1_conv2", x))
    for block in range(2, 15):
        y = x
        for number in range(1, 4 if 5 <= block <= 12 else 3):
            y = unit(f"block{block}_sepconv{number}", plan.add(f"act{block}_{number}", "ReLU", y), padding="same")
        if block in shortcuts:
            conv, norm = shortcuts[block]
            side = plan.conv_norm(conv, x, norm=norm, epsilon=XCEPTION_EPSILON, strides=2, padding="same")
            y = plan.add(f"pool{block}", "MaxPooling2D", y, pool_size=3, strides=2, padding="same")
            x = plan.add(f"add{block}", "Add", y, side)
        else:
            x = y if block == 14 else plan.add(f"add{block}", "Add", y, x)
    plan.add(head, "Dense", plan.add("avg_pool", "GlobalAveragePooling2D", plan.add("act", "ReLU", x)))
    return plan
