"""Reads ONNX graphs. The graph says everything: order, dataflow, strides, padding, epsilon; nothing of it is run."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from zoo_plugins.foreign.foreign_graphs import Trail, missing_library, pass_on, start_trail
from zoo_plugins.foreign.onnx_operators import FOLDABLE, MOST_NUMBERS, PARAMETERS_ALLOWED, PLAIN

from zoo.contracts.importing import ForeignLayer, ForeignModel, ForeignPool
from zoo.errors import UserError

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

    from zoo.contracts.importing import Forward

Array = NDArray[Any]


class OnnxImporter:
    """The reader of .onnx files, with onnx's own parser; onnxruntime computes the outputs to compare with."""

    runtime = "onnxruntime"

    def reads(self, path: Path) -> bool:
        """By its ending: a protobuf has no first bytes of its own."""
        return path.suffix.lower() == ".onnx"

    def read(self, path: Path, *, definition: Path | None = None) -> ForeignModel:
        """All layers with their values, in the order of the graph.

        Args:
            path: The file; tensors in a second file beside it are read, too.
            definition: There is none apart.

        Raises:
            UserError: The file is torn, or the graph computes with values in a way that is not known here.
        """
        if definition is not None:
            raise UserError("an .onnx file describes its network itself", where=f"definition={definition}")
        model = _load(path)
        return _Reading(model, path).result()

    def forward(self, path: Path, *, definition: Path | None = None) -> Forward | None:
        """onnxruntime on the whole graph, without a softmax at its end; None where it is not installed."""
        try:
            import onnxruntime
        except ImportError:
            return None
        model = without_softmax(_load(path))
        settings = onnxruntime.SessionOptions()
        settings.log_severity_level = 3
        settings.intra_op_num_threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
        try:
            session = onnxruntime.InferenceSession(
                model.SerializeToString(), settings, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime raises kinds of its own, one a cause
            raise _unreadable(path, error) from error
        name = session.get_inputs()[0].name

        def run(images: NDArray[np.float32]) -> NDArray[np.float32]:
            try:
                rows = [session.run(None, {name: images[i : i + 1]})[0] for i in range(len(images))]
            except Exception as error:  # as above
                raise _unreadable(path, error) from error
            return np.concatenate(rows).astype(np.float32).reshape(len(images), -1)

        return run


def _load(path: Path) -> ModelProto:
    """The graph with its values.

    Raises:
        UserError: onnx is not installed, or the file is torn.
    """
    try:
        import onnx
    except ImportError as error:
        raise missing_library("onnx", "ONNX files") from error
    try:
        model = onnx.load(str(path))
        onnx.checker.check_model(model)
    except Exception as error:  # protobuf, onnx's checker and the file system raise a dozen kinds
        raise _unreadable(path, error) from error
    return model


def _unreadable(path: Path, error: Exception) -> UserError:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return UserError(
        f"this ONNX file cannot be used: {reason[:200]}",
        where=f"source={path}",
        do="export it again; tensors kept in a second file must lie beside it",
    )


def without_softmax(model: ModelProto) -> ModelProto:
    """The same graph, its output taken before a softmax over classes at the end."""
    import onnx

    last = {output: node for node in model.graph.node for output in node.output}.get(model.graph.output[0].name)
    if last is not None and last.op_type == "Softmax":
        shortened = onnx.ModelProto()
        shortened.CopyFrom(model)
        del shortened.graph.output[:]
        shortened.graph.output.append(onnx.helper.make_empty_tensor_value_info(last.input[0]))
        for node in list(shortened.graph.node):
            if node.op_type == "Softmax" and node.output[0] == last.output[0]:
                shortened.graph.node.remove(node)
        return shortened
    return model


class _Reading:
    """One pass over a graph."""

    def __init__(self, model: ModelProto, path: Path) -> None:
        from onnx import numpy_helper

        self.model, self.path = model, path
        self.constants: dict[str, Array] = {
            tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer
        }
        self.inputs = [value for value in model.graph.input if value.name not in self.constants]
        self.trails: dict[str, Trail] = {value.name: start_trail() for value in self.inputs}
        self.layers: list[ForeignLayer] = []
        self.notes: list[str] = []
        self.owner: dict[str, int] = {}

    def result(self) -> ForeignModel:
        """The model once every node was looked at."""
        if len(self.inputs) != 1 or len(self.model.graph.output) != 1:
            raise UserError(
                f"this graph has {len(self.inputs)} inputs and {len(self.model.graph.output)} outputs",
                where=f"source={self.path}",
                allowed="one image in, one row of logits out",
            )
        for node in self.model.graph.node:
            self._node(node)
        return ForeignModel(
            framework="onnx",
            layers=tuple(self.layers),
            order="execution",
            architecture=self.model.graph.name,
            notes=tuple(self.notes),
            input_shape=self._input_shape(),
        )

    def _input_shape(self) -> tuple[int, int, int] | None:
        sizes = [dim.dim_value for dim in self.inputs[0].type.tensor_type.shape.dim]
        return (sizes[1], sizes[2], sizes[3]) if len(sizes) == 4 and all(sizes[1:]) else None

    def _node(self, node: NodeProto) -> None:
        """Takes one node's values, or lets what is known of its inputs through."""
        read = [name for name in node.input if name]
        fixed = [name for name in read if name in self.constants]
        if node.domain not in ("", "ai.onnx"):
            raise self._refusal(node, f"of the domain {node.domain!r}")
        if node.op_type == "Constant":
            self.constants[node.output[0]] = self._constant(node)
        elif len(fixed) == len(read) and node.op_type in FOLDABLE:
            self._compute(node)
        elif node.op_type == "Conv":
            self._conv(node)
        elif node.op_type == "Gemm":
            self._gemm(node)
        elif node.op_type == "MatMul" and len(fixed) == 1 and node.input[1] in self.constants:
            self._dense(node, self.constants[node.input[1]].T, None)
        elif node.op_type == "Add" and len(fixed) == 1 and self._adds_bias(node, fixed[0]):
            pass
        elif node.op_type == "BatchNormalization":
            self._norm(node)
        elif node.op_type in PLAIN:
            self._plain(node, fixed)
        else:
            raise self._refusal(node, "which is not known here")

    def _constant(self, node: NodeProto) -> Array:
        from onnx import numpy_helper

        values = _attributes(node)
        if "value" in values:
            return numpy_helper.to_array(values["value"])
        for key in ("value_float", "value_floats", "value_int", "value_ints"):
            if key in values:
                return np.asarray(values[key])
        raise self._refusal(node, "whose value is none of numbers")

    def _compute(self, node: NodeProto) -> None:
        """A constant made from constants, by onnx's own reference."""
        from onnx.reference import ReferenceEvaluator

        made = np.prod(self.constants[node.input[0]]) if node.op_type == "ConstantOfShape" else 0
        if made > MOST_NUMBERS:
            raise self._refusal(node, f"of {made} numbers")
        result = ReferenceEvaluator(node).run(None, {name: self.constants[name] for name in node.input if name})[0]
        self.constants[node.output[0]] = np.asarray(result)

    def _conv(self, node: NodeProto) -> None:
        values = _attributes(node)
        tensors = self._values(node, ("weight", "bias"))
        if tensors["weight"].ndim != 4:
            raise self._refusal(node, f"over {tensors['weight'].ndim - 2} axes; images have two")
        facts = {
            "stride": tuple(values.get("strides", (1, 1))),
            "dilation": tuple(values.get("dilations", (1, 1))),
            "groups": values.get("group", 1),
            "padding": self._all_pads(node, values, self.trails[node.input[0]]),
        }
        self._add(node, "conv", tensors, facts)

    def _all_pads(self, node: NodeProto, values: Mapping[str, Any], trail: Trail) -> Any:
        """A node's padding, with the zeros put around before it."""
        auto = (values.get("auto_pad") or b"NOTSET").decode()
        if auto == "SAME_LOWER":
            raise self._refusal(node, "with auto_pad SAME_LOWER")
        padding: Any = {"SAME_UPPER": "same", "VALID": "valid"}.get(auto) or tuple(values.get("pads", (0, 0, 0, 0)))
        if any(trail.pads):
            if trail.fill and node.op_type != "MaxPool":
                raise self._refusal(node, "that reads minus infinity around its map")
            if padding == "same":
                raise self._refusal(node, "padded twice, once by SAME")
            own = (0, 0, 0, 0) if padding == "valid" else padding
            padding = tuple(a + b for a, b in zip(own, trail.pads, strict=True))
        return padding

    def _gemm(self, node: NodeProto) -> None:
        values = _attributes(node)
        if values.get("transA", 0) or values.get("alpha", 1.0) != 1.0 or values.get("beta", 1.0) != 1.0:
            raise self._refusal(node, "with transA, alpha or beta")
        tensors = self._values(node, ("weight", "bias"))
        weight = tensors["weight"] if values.get("transB", 0) else tensors["weight"].T
        self._dense(node, weight, tensors.get("bias"))

    def _dense(self, node: NodeProto, weight: Array, bias: Array | None) -> None:
        if weight.ndim != 2:
            raise self._refusal(node, f"with weights of {weight.ndim} axes")
        tensors = {"weight": weight} if bias is None else {"weight": weight, "bias": np.ravel(bias)}
        trail = self.trails[node.input[0]]
        facts = {"flatten_order": "hwc"} if trail.channels_last else {}
        self._add(node, "dense", tensors, facts)

    def _adds_bias(self, node: NodeProto, fixed: str) -> bool:
        """Whether an Add is the bias of the dense layer right before it; then the layer takes it."""
        moving = next(name for name in node.input if name != fixed)
        place = self.owner.get(moving)
        values = self.constants[fixed]
        if place is None:
            return False
        layer = self.layers[place]
        count = layer.tensors["weight"].shape[0] if layer.kind != "norm" else 0
        flat = values.size == count and (layer.kind == "dense" or values.shape[-2:] == (1, 1))
        if "bias" in layer.tensors or not flat or layer.kind == "norm":
            return False
        tensors = {**layer.tensors, "bias": _floats(values).ravel()}
        self.layers[place] = ForeignLayer(layer.name, layer.kind, tensors, layer.facts, layer.after)
        self.trails[node.output[0]] = self.trails[moving]
        self.owner[node.output[0]] = place
        return True

    def _norm(self, node: NodeProto) -> None:
        values = _attributes(node)
        if values.get("training_mode", 0):
            raise self._refusal(node, "in training mode; export the network in eval mode")
        tensors = self._values(node, ("weight", "bias", "running_mean", "running_var"))
        facts = {"epsilon": float(values.get("epsilon", 1e-5)), "direct": self.trails[node.input[0]].direct}
        self._add(node, "norm", tensors, facts)

    def _values(self, node: NodeProto, roles: Sequence[str]) -> dict[str, Array]:
        """The constants behind a node's first input, by role."""
        found: dict[str, Array] = {}
        for role, name in zip(roles, node.input[1:], strict=False):
            if not name:
                continue
            if name not in self.constants:
                raise self._refusal(node, f"whose {role} is computed, not stored")
            found[role] = _floats(self.constants[name])
        return found

    def _add(self, node: NodeProto, kind: Any, tensors: Mapping[str, Array], facts: Mapping[str, Any]) -> None:
        """One more layer; what reads its result reads this layer."""
        name = node.name or node.output[0]
        if any(layer.name == name for layer in self.layers):
            name = node.output[0]
        trail = self.trails[node.input[0]]
        self.layers.append(
            ForeignLayer(
                name,
                kind,
                {role: _floats(v) for role, v in tensors.items()},
                {**facts, "pools": trail.pool_fact},
                trail.after,
            )
        )
        self.trails[node.output[0]] = Trail(after=(name,), direct=True, channels_last=trail.channels_last)
        self.owner[node.output[0]] = len(self.layers) - 1

    def _plain(self, node: NodeProto, fixed: Sequence[str]) -> None:
        """An operator without values: its result stands behind what its inputs stand behind."""
        allowed = PARAMETERS_ALLOWED.get(node.op_type, ())
        for place, name in enumerate(node.input):
            if name in fixed and place not in allowed and self.constants[name].dtype.kind == "f":
                raise self._refusal(node, f"which computes with the stored numbers {name!r}")
        trails = [self.trails[name] for name in node.input if name in self.trails]
        trail = pass_on(trails)
        if node.op_type == "Pad":
            trail = self._padded(node, trails[0])
        elif node.op_type == "Transpose":
            trail = self._transposed(node, trails[0])
        elif node.op_type in ("Identity", "Dropout", "Cast"):
            trail = trails[0] if trails else trail
        elif node.op_type in ("MaxPool", "AveragePool"):
            trail = replace(trail, pools=(*trail.pools, (node.output[0], self._pool(node, trails[0]))))
        for output in node.output:
            self.trails[output] = trail

    def _pool(self, node: NodeProto, trail: Trail) -> ForeignPool:
        """A pooling over windows, with the zeros put around before it."""
        values = _attributes(node)
        kernel = _pair(values["kernel_shape"])
        pads = self._all_pads(node, values, trail)
        stride = _pair(values.get("strides", (1, 1)))
        kind: Literal["max", "avg"] = "max" if node.op_type == "MaxPool" else "avg"
        return ForeignPool(kind, kernel, stride, pads, ceil=bool(values.get("ceil_mode", 0)))

    def _padded(self, node: NodeProto, trail: Trail) -> Trail:
        """Zeros before a convolution count with its padding."""
        values = _attributes(node)
        pads = self.constants[node.input[1]].tolist() if len(node.input) > 1 else list(values.get("pads", ()))
        fill = (
            self.constants[node.input[2]].item() if len(node.input) > 2 and node.input[2] else values.get("value", 0.0)
        )
        mode = (values.get("mode") or b"constant").decode()
        if (
            mode != "constant"
            or fill not in (0.0, -np.inf)
            or (any(trail.pads) and fill != trail.fill)
            or len(pads) != 8
            or any(pads[i] for i in (0, 1, 4, 5))
        ):
            raise self._refusal(node, "other than with zeros (or minus infinity, for a pooling) around the image")
        own = (pads[2], pads[3], pads[6], pads[7])
        return replace(
            trail, direct=False, fill=float(fill), pads=tuple(a + b for a, b in zip(trail.pads, own, strict=True))
        )

    def _transposed(self, node: NodeProto, trail: Trail) -> Trail:
        """Follows the channels' axis, which decides the order of a flattened map."""
        order = tuple(_attributes(node).get("perm", ()))
        if order == (0, 2, 3, 1):
            return replace(trail, channels_last=True, direct=False)
        if order == (0, 3, 1, 2):
            return replace(trail, channels_last=False, direct=False)
        raise self._refusal(node, f"of axes {order}")

    def _refusal(self, node: NodeProto, what: str) -> UserError:
        return UserError(
            f"the graph has a {node.op_type} ({node.name or node.output[0]}) {what}",
            where=f"source={self.path}",
            allowed="Conv, Gemm, MatMul with Add, BatchNormalization, and operators without values",
        )


def _pair(values: Sequence[int]) -> tuple[int, int]:
    return int(values[0]), int(values[-1])


def _attributes(node: NodeProto) -> dict[str, Any]:
    from onnx import helper

    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def _floats(values: Array) -> NDArray[np.float32]:
    return np.asarray(values, dtype=np.float32)
