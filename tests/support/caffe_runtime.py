"""Builds Caffe nets with the real protobuf library, and computes what Caffe computes, from its own definition.

Written from Caffe's layer catalogue (https://caffe.berkeleyvision.org/tutorial/layers.html), not from zoo's reader. It
goes through the messages in order, over a table of blobs, as Caffe's Net does; all in float64.
"""

from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from support.protobuf_schemas import compile_proto

PB = compile_proto(Path(__file__).parents[1] / "importers" / "protos" / "caffe.proto")


class Net:
    """A NetParameter that grows layer by layer, with random values."""

    def __init__(self, name, shape, seed=0):
        self.proto = PB.NetParameter(name=name)
        self.rng = np.random.default_rng(seed)
        self.channels = {"data": shape[0]}
        layer = self.layer("data", "Input", [], ["data"])
        layer.input_param.shape.add().dim.extend([1, *shape])

    def layer(self, name, kind, bottoms, tops):
        return self.proto.layer.add(name=name, type=kind, bottom=bottoms, top=tops)

    def blob(self, layer, values):
        blob = layer.blobs.add()
        blob.shape.dim.extend(np.shape(values))
        blob.data.extend(np.asarray(values, np.float32).ravel())

    def conv(self, name, bottom, outputs, kernel, *, stride=1, pad=0, group=1, bias=True):
        layer = self.layer(name, "Convolution", [bottom], [name])
        param = layer.convolution_param
        param.num_output, param.group, param.bias_term = outputs, group, bias
        param.kernel_size.append(kernel)
        param.stride.append(stride)
        param.pad.append(pad)
        inputs = self.channels[bottom] // group
        self.blob(layer, self.rng.normal(0, (2 / (inputs * kernel**2)) ** 0.5, (outputs, inputs, kernel, kernel)))
        if bias:
            self.blob(layer, self.rng.normal(0, 0.1, outputs))
        self.channels[name] = outputs
        return name

    def norm(self, name, blob, *, scale=True, eps=None):
        """BatchNorm and Scale in place, the statistics kept as sums over 2.5 updates."""
        width, factor = self.channels[blob], 2.5
        layer = self.layer(name, "BatchNorm", [blob], [blob])
        layer.batch_norm_param.use_global_stats = True
        if eps is not None:
            layer.batch_norm_param.eps = eps
        self.blob(layer, self.rng.normal(0, 0.3, width) * factor)
        self.blob(layer, self.rng.uniform(0.5, 2, width) * factor)
        self.blob(layer, [factor])
        if scale:
            layer = self.layer(f"scale_{name}", "Scale", [blob], [blob])
            layer.scale_param.bias_term = True
            self.blob(layer, self.rng.uniform(0.5, 1.5, width))
            self.blob(layer, self.rng.normal(0, 0.2, width))
        return blob

    def relu(self, blob):
        self.layer(f"{blob}_relu", "ReLU", [blob], [blob])
        return blob

    def pool(self, name, bottom, kernel=2, stride=2, *, pad=0, kind=0, whole=False):
        layer = self.layer(name, "Pooling", [bottom], [name])
        layer.pooling_param.pool = kind
        if whole:
            layer.pooling_param.global_pooling = True
        else:
            layer.pooling_param.kernel_size.append(kernel)
            layer.pooling_param.stride.append(stride)
            layer.pooling_param.pad.append(pad)
        self.channels[name] = self.channels[bottom]
        return name

    def plus(self, name, *bottoms):
        self.layer(name, "Eltwise", list(bottoms), [name])
        self.channels[name] = self.channels[bottoms[0]]
        return name

    def dense(self, name, bottom, inputs, outputs):
        layer = self.layer(name, "InnerProduct", [bottom], [name])
        layer.inner_product_param.num_output = outputs
        self.blob(layer, self.rng.normal(0, (1 / inputs) ** 0.5, (outputs, inputs)))
        self.blob(layer, self.rng.normal(0, 0.1, outputs))
        return name

    def write(self, path):
        path.write_bytes(self.proto.SerializeToString())
        return path


def values(layer):
    return [torch.from_numpy(np.array(blob.data, np.float64).reshape(tuple(blob.shape.dim))) for blob in layer.blobs]


def run(proto, images):
    """The last blob of a net for float[B, C, H, W], as Caffe computes it when it tests; a Softmax is left out."""
    blobs = {"data": torch.from_numpy(np.asarray(images, np.float64))}
    last = "data"
    for layer in proto.layer:
        if layer.type in ("Input", "Softmax"):
            continue
        inputs = [blobs[name] for name in layer.bottom]
        last = layer.top[0]
        blobs[last] = STEPS[layer.type](layer, inputs)
    return blobs[last].numpy()


def convolution(layer, inputs):
    param = layer.convolution_param
    weight, *bias = values(layer)
    pad, stride = param.pad[0] if param.pad else 0, param.stride[0] if param.stride else 1
    return functional.conv2d(inputs[0], weight, bias[0] if bias else None, stride, pad, 1, param.group or 1)


def inner_product(layer, inputs):
    weight, *bias = values(layer)
    product = inputs[0].flatten(1) @ weight.T
    return product + bias[0] if bias else product


def batch_norm(layer, inputs):
    """blobs: sum of means, sum of variances, how much they were added up; eps under the root."""
    mean, variance, factor = values(layer)
    eps = layer.batch_norm_param.eps if layer.batch_norm_param.HasField("eps") else 1e-5
    shape = (1, -1, 1, 1)[: inputs[0].ndim]
    return (inputs[0] - (mean / factor).reshape(shape)) / torch.sqrt((variance / factor).reshape(shape) + eps)


def scale(layer, inputs):
    weight, *bias = values(layer)
    shape = (1, -1, 1, 1)[: inputs[0].ndim]
    result = inputs[0] * weight.reshape(shape)
    return result + bias[0].reshape(shape) if bias else result


def pooling(layer, inputs):
    """Window by window: sizes are rounded up, windows end at the map, averages count padding up to its border."""
    param, maps = layer.pooling_param, inputs[0].numpy()
    if param.global_pooling:
        reduced = maps.mean(axis=(2, 3)) if param.pool == 1 else maps.max(axis=(2, 3))
        return torch.from_numpy(reduced[:, :, None, None])
    kernel, stride, pad = param.kernel_size[0], param.stride[0], param.pad[0] if param.pad else 0
    height, width = maps.shape[2:]
    rows, columns = (int(np.ceil((side + 2 * pad - kernel) / stride)) + 1 for side in (height, width))
    if pad:
        rows -= (rows - 1) * stride >= height + pad
        columns -= (columns - 1) * stride >= width + pad
    out = np.empty((*maps.shape[:2], rows, columns))
    for row in range(rows):
        for column in range(columns):
            top, left = row * stride - pad, column * stride - pad
            bottom, right = min(top + kernel, height + pad), min(left + kernel, width + pad)
            area = (bottom - top) * (right - left)
            window = maps[:, :, max(top, 0) : min(bottom, height), max(left, 0) : min(right, width)]
            out[:, :, row, column] = window.max(axis=(2, 3)) if param.pool == 0 else window.sum(axis=(2, 3)) / area
    return torch.from_numpy(out)


STEPS = {
    "Convolution": convolution,
    "InnerProduct": inner_product,
    "BatchNorm": batch_norm,
    "Scale": scale,
    "Pooling": pooling,
    "ReLU": lambda layer, inputs: inputs[0].clamp(min=0),
    "Dropout": lambda layer, inputs: inputs[0],
    "Eltwise": lambda layer, inputs: sum(inputs),
    "Split": lambda layer, inputs: inputs[0],
}


def lenet(seed=0, classes=10):
    """Caffe's examples/mnist/lenet.prototxt."""
    net = Net("LeNet", (1, 28, 28), seed)
    net.conv("conv1", "data", 20, 5)
    net.pool("pool1", "conv1")
    net.conv("conv2", "pool1", 50, 5)
    net.pool("pool2", "conv2")
    net.dense("ip1", "pool2", 800, 500)
    net.relu("ip1")
    net.dense("ip2", "ip1", 500, classes)
    net.layer("prob", "Softmax", ["ip2"], ["prob"])
    return net


def resnet50(side=64, classes=10, seed=0):
    """He et al.'s published ResNet-50-deploy.prototxt: strides in the first 1 x 1, pool1 without padding."""
    net = Net("ResNet-50", (3, side, side), seed)
    blob = net.conv("conv1", "data", 64, 7, stride=2, pad=3)
    net.relu(net.norm("bn_conv1", blob))
    blob = net.pool("pool1", blob, 3, 2)
    for stage, (blocks, width) in enumerate(((3, 64), (4, 128), (6, 256), (3, 512)), start=2):
        for block in range(blocks):
            stride = 2 if block == 0 and stage > 2 else 1
            blob = bottleneck(net, blob, f"{stage}{'abcdef'[block]}", width, stride=stride, first=block == 0)
    net.pool("pool5", blob, kind=1, whole=True)
    net.dense("fc1000", "pool5", 2048, classes)
    net.layer("prob", "Softmax", ["fc1000"], ["prob"])
    return net


def bottleneck(net, blob, name, width, *, stride, first):
    shortcut = blob
    if first:
        shortcut = net.conv(f"res{name}_branch1", blob, 4 * width, 1, stride=stride, bias=False)
        net.norm(f"bn{name}_branch1", shortcut)
    inner = net.conv(f"res{name}_branch2a", blob, width, 1, stride=stride, bias=False)
    net.relu(net.norm(f"bn{name}_branch2a", inner))
    inner = net.conv(f"res{name}_branch2b", inner, width, 3, pad=1, bias=False)
    net.relu(net.norm(f"bn{name}_branch2b", inner))
    inner = net.conv(f"res{name}_branch2c", inner, 4 * width, 1, bias=False)
    net.norm(f"bn{name}_branch2c", inner)
    return net.relu(net.plus(f"res{name}", shortcut, inner))
