"""ONNX operators by what the reader does with them."""

from __future__ import annotations

from collections.abc import Mapping

PLAIN = frozenset(
    {
        *("Relu", "LeakyRelu", "Clip", "Sigmoid", "Tanh", "Elu", "Selu", "Gelu"),
        *("HardSigmoid", "HardSwish", "Mish", "Softplus", "Erf", "Sqrt", "Reciprocal", "Exp"),
        *(
            "MaxPool",
            "AveragePool",
            "GlobalAveragePool",
            "GlobalMaxPool",
            "ReduceMean",
            "ReduceSum",
            "Flatten",
            "Reshape",
        ),
        *("Squeeze", "Unsqueeze", "Identity", "Dropout", "Cast", "Shape", "Gather", "Slice"),
        *("Concat", "Softmax", "LogSoftmax", "Pad", "Transpose", "ConstantOfShape", "Range", "Add"),
        *("Mul", "Sub", "Div", "Sum", "Mean", "Max", "Min", "LRN"),
    }
)
"""Operators without values of their own."""

PARAMETERS_ALLOWED: Mapping[str, tuple[int, ...]] = {"Clip": (1, 2), "Pad": (2,), "Dropout": (1,), "ReduceMean": (1,)}
"""Inputs that may be constant numbers because they are settings, by operator; everywhere else they are values."""

FOLDABLE = frozenset(
    {
        *("Identity", "Cast", "Reshape", "Transpose", "Unsqueeze", "Squeeze", "Concat", "Slice", "Gather", "Shape"),
        *("ConstantOfShape", "Add", "Sub", "Mul", "Div", "Flatten"),
    }
)
"""Operators that are computed at once where all that they read is stored: exporters lay out weights and paddings so."""

MOST_NUMBERS = 1 << 20
"""How many numbers ConstantOfShape may make; it serves for shapes, never for weights."""
