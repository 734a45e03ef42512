"""Builds Caffe2 nets with the real protobuf library, and computes what Caffe2 computes, from its catalogue."""

from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from support.protobuf_schemas import compile_proto

PB = compile_proto(Path(__file__).parents[1] / "importers" / "protos" / "caffe2.proto")


class Nets:
    """An init_net and a predict_net that grow together, as Caffe2's model builder and mobile_exporter make them."""

    def __init__(self, shape, seed=0):
        self.init, self.predict = PB.NetDef(name="net_init"), PB.NetDef(name="net", external_input=["data"])
        self.rng = np.random.default_rng(seed)
        self.fill("data", "ConstantFill", shape=[1, *shape])

    def fill(self, name, kind="GivenTensorFill", values=None, shape=None):
        op = self.init.op.add(type=kind, output=[name])
        op.arg.add(name="shape", ints=np.shape(values) if shape is None else shape)
        if values is not None:
            op.arg.add(name="values", floats=np.asarray(values, np.float32).ravel())
            self.predict.external_input.append(name)
        return op

    def op(self, kind, inputs, outputs, **arguments):
        op = self.predict.op.add(type=kind, input=inputs, output=outputs)
        for name, value in arguments.items():
            argument = op.arg.add(name=name)
            if isinstance(value, float):
                argument.f = value
            elif isinstance(value, int):
                argument.i = value
            elif isinstance(value, str):
                argument.s = value.encode()
            else:
                argument.ints.extend(value)
        return outputs[0]

    def conv(self, name, blob, inputs, outputs, kernel, *, bias=True, **arguments):
        self.fill(
            f"{name}_w", values=self.rng.normal(0, (inputs * kernel**2) ** -0.5, (outputs, inputs, kernel, kernel))
        )
        names = [blob, f"{name}_w"]
        if bias:
            self.fill(f"{name}_b", values=self.rng.normal(0, 0.1, outputs))
            names.append(f"{name}_b")
        return self.op("Conv", names, [name], kernel=kernel, order="NCHW", **arguments)

    def norm(self, blob, width, **arguments):
        name = f"{blob}_bn"
        self.fill(f"{name}_s", values=self.rng.uniform(0.5, 1.5, width))
        self.fill(f"{name}_b", values=self.rng.normal(0, 0.2, width))
        self.fill(f"{name}_rm", values=self.rng.normal(0, 0.3, width))
        self.fill(f"{name}_riv", values=self.rng.uniform(0.5, 2, width))
        inputs = [blob, *(f"{name}_{role}" for role in ("s", "b", "rm", "riv"))]
        return self.op("SpatialBN", inputs, [name], is_test=1, order="NCHW", **arguments)

    def dense(self, name, blob, inputs, outputs):
        self.fill(f"{name}_w", values=self.rng.normal(0, inputs**-0.5, (outputs, inputs)))
        self.fill(f"{name}_b", values=self.rng.normal(0, 0.1, outputs))
        return self.op("FC", [blob, f"{name}_w", f"{name}_b"], [name])

    def write(self, folder):
        (folder / "init_net.pb").write_bytes(self.init.SerializeToString())
        (folder / "predict_net.pb").write_bytes(self.predict.SerializeToString())
        return folder / "init_net.pb", folder / "predict_net.pb"


def run(nets, images):
    """What Caffe2 computes for float[B, 3, H, W], operator by operator, from its operators' catalogue; in float64."""
    blobs = {
        op.output[0]: torch.tensor(np.reshape(op.arg[1].floats, tuple(op.arg[0].ints)), dtype=torch.float64)
        for op in nets.init.op
        if op.type == "GivenTensorFill"
    }
    blobs["data"] = torch.from_numpy(images)
    for op in nets.predict.op:
        given = {item.name: item for item in op.arg}
        inputs = [blobs[name] for name in op.input]
        if op.type == "Conv":
            pad = given["pad"].i if "pad" in given else given["pad_t"].i if "pad_t" in given else 0
            bias = inputs[2] if len(inputs) > 2 else None
            result = functional.conv2d(inputs[0], inputs[1], bias, given["stride"].i if "stride" in given else 1, pad)
        elif op.type == "SpatialBN":
            scale, shift, mean, variance = (value.reshape(1, -1, 1, 1) for value in inputs[1:])
            epsilon = given["epsilon"].f if "epsilon" in given else 1e-5
            result = (inputs[0] - mean) / torch.sqrt(variance + epsilon) * scale + shift
        elif op.type == "FC":
            result = inputs[0].flatten(1) @ inputs[1].T + inputs[2]
        elif op.type == "Relu":
            result = inputs[0].clamp(min=0)
        elif op.type == "Sum":
            result = sum(inputs)
        elif op.type == "AveragePool":
            result = inputs[0].mean((2, 3), keepdim=True)
        elif op.type == "Softmax":
            continue
        blobs[op.output[0]] = result
    return result.numpy()
