"""The whole way, `zoo convert` with each reader: files written by the other side's rules, outputs by its arithmetic."""

import json

import numpy as np
import pytest
import torch
from google.protobuf import text_format
from scipy.signal import convolve2d
from support import caffe_runtime
from support.caffe2_runtime import Nets
from support.e2e import run
from support.torch7_writer import Module, module, write
from torch.nn import functional

import zoo
from zoo.errors import UserError
from zoo.verbs.convert import main

DIGITS = np.random.default_rng(4).uniform(0, 1, (3, 1, 28, 28))


def convert(folder, source, *words, model="zoo/lenet", reference=None):
    """Runs the verb; returns the largest relative difference that it stored."""
    if reference is not None:
        np.savez(folder / "reference.npz", input=reference[0], output=reference[1])
        words = (*words, f"reference={folder / 'reference.npz'}")
    assert main([f"source={source}", f"model={model}", f"out={folder / 'out'}", *words]) == 0
    record = json.loads((folder / "out" / "zoo.json").read_text())["origin"]["import"]
    assert record["against"] == ("reference.npz" if reference is not None else "")
    return record


def lenet_values(seed=1):
    """Weights of LeNet in PyTorch's layout, with biases."""
    rng = np.random.default_rng(seed)
    shapes = {"conv1": (20, 1, 5, 5), "conv2": (50, 20, 5, 5), "ip1": (500, 800), "ip2": (10, 500)}
    return {
        name: (rng.normal(0, np.prod(shape[1:]) ** -0.5, shape).astype(np.float32), rng.normal(0, 0.1, shape[0]))
        for name, shape in shapes.items()
    }


def lenet_outputs(values, images, *, activation=torch.relu):
    """Caffe's LeNet in float64."""
    weights = {name: tuple(torch.from_numpy(np.float64(np.float32(v))) for v in pair) for name, pair in values.items()}
    maps = functional.max_pool2d(functional.conv2d(torch.from_numpy(images), *weights["conv1"]), 2)
    maps = functional.max_pool2d(functional.conv2d(maps, *weights["conv2"]), 2)
    hidden = activation(functional.linear(maps.flatten(1), *weights["ip1"]))
    return functional.linear(hidden, *weights["ip2"]).numpy()


def test_caffe_s_lenet_on_the_command_line(tmp_path):
    net = caffe_runtime.lenet()
    source = net.write(tmp_path / "lenet_iter_10000.caffemodel")
    definition = tmp_path / "lenet.prototxt"
    proto = type(net.proto)()
    proto.CopyFrom(net.proto)
    for layer in proto.layer:
        del layer.blobs[:]
    definition.write_text(text_format.MessageToString(proto))
    np.savez(tmp_path / "r.npz", input=DIGITS, output=caffe_runtime.run(net.proto, DIGITS))
    done = run(
        "convert",
        f"source={source}",
        f"definition={definition}",
        "model=zoo/lenet",
        f"out={tmp_path / 'out'}",
        f"reference={tmp_path / 'r.npz'}",
        "importer.scale=0.00390625",
        "--json",
    )
    result = json.loads(done.stdout)
    assert result["framework"] == "caffe"
    assert result["reader"] == "zoo/caffe"
    assert result["max_relative"] < 1e-5
    assert "parity" in done.stderr
    preprocess = json.loads((tmp_path / "out" / "zoo.json").read_text())["preprocess"]
    assert preprocess["std"] == pytest.approx([256 / 255])
    assert zoo.load(tmp_path / "out") is not None


def test_a_caffe_net_of_colours_from_pixels(tmp_path):
    """R, G, B pixels go in; the reference is Caffe's own: B, G, R in 0..255, less the means, times the scale."""
    net = caffe_runtime.Net("colour", (3, 28, 28), seed=9)
    net.conv("conv1", "data", 20, 5)
    net.pool("pool1", "conv1")
    net.conv("conv2", "pool1", 50, 5)
    net.pool("pool2", "conv2")
    net.dense("ip1", "pool2", 800, 500)
    net.relu("ip1")
    net.dense("ip2", "ip1", 500, 7)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 28, 28, 3), dtype=np.uint8)
    prepared = (pixels[..., ::-1].astype(np.float64) - [104, 117, 123]) * 0.017
    outputs = caffe_runtime.run(net.proto, prepared.transpose(0, 3, 1, 2))
    words = ("importer.mean_values=[104,117,123]", "importer.scale=0.017")
    source = net.write(tmp_path / "net.caffemodel")
    assert convert(tmp_path, source, *words, reference=(pixels, outputs))["max_relative"] < 1e-5


def test_caffe2_s_lenet(tmp_path):
    nets = Nets((1, 28, 28))
    for name, source, kernel in (("conv1", "data", 5), ("conv2", "pool1", 5)):
        nets.conv(name, source, 1 if name == "conv1" else 20, 20 if name == "conv1" else 50, kernel)
        nets.op("MaxPool", [name], [name.replace("conv", "pool")], kernel=2, stride=2)
    nets.dense("ip1", "pool2", 800, 500)
    nets.op("Relu", ["ip1"], ["ip1"])
    nets.dense("ip2", "ip1", 500, 10)
    nets.op("Softmax", ["ip2"], ["softmax"])
    init, predict = nets.write(tmp_path)
    stored = {op.output[0]: np.reshape(op.arg[1].floats, tuple(op.arg[0].ints)) for op in nets.init.op[1:]}
    values = {name: (stored[f"{name}_w"], stored[f"{name}_b"]) for name in ("conv1", "conv2", "ip1", "ip2")}
    outputs = lenet_outputs(values, DIGITS)
    record = convert(tmp_path, init, f"definition={predict}", reference=(DIGITS, outputs))
    assert record["max_relative"] < 1e-5
    (tmp_path / "named").mkdir()
    assert convert(tmp_path / "named", init, reference=(DIGITS, outputs))["max_relative"] < 1e-5


def test_lasagne_s_lenet(tmp_path):
    """Theano convolves: its outputs are computed plane by plane with scipy's convolve2d."""
    values = lenet_values()
    lists = [array for name in values for array in (values[name][0], np.float32(values[name][1]))]
    lists[4], lists[6] = lists[4].T, lists[6].T
    np.savez(tmp_path / "model.npz", *lists)

    def valid(plane, kernel):
        return convolve2d(plane, kernel, "valid")

    maps = DIGITS
    for name in ("conv1", "conv2"):
        kernels, bias = values[name][0].astype(np.float64), np.float64(np.float32(values[name][1]))
        maps = np.stack(
            [[sum(map(valid, x, kernel)) + shift for kernel, shift in zip(kernels, bias, strict=True)] for x in maps]
        )
        maps = maps.reshape(*maps.shape[:2], maps.shape[2] // 2, 2, -1, 2).max(axis=(3, 5))
    hidden = np.maximum(maps.reshape(3, -1) @ np.float64(lists[4]) + np.float64(lists[5]), 0)
    outputs = hidden @ np.float64(lists[6]) + np.float64(lists[7])
    record = convert(tmp_path, tmp_path / "model.npz", reference=(DIGITS, outputs))
    assert record["max_relative"] < 1e-5
    assert record["reader"] == "zoo/lasagne"


def test_torch7_s_lenet(tmp_path):
    values = lenet_values()
    wrapped = {name: {"weight": np.float64(weight), "bias": bias} for name, (weight, bias) in values.items()}
    sides = {"kW": 5, "kH": 5, "dW": 1, "dH": 1, "nInputPlane": 1, "nOutputPlane": 20}
    pool = Module("nn.SpatialMaxPooling", kW=2, kH=2, dW=2, dH=2, ceil_mode=False)
    network = module(
        "nn.Sequential",
        Module("nn.SpatialConvolution", **sides, **wrapped["conv1"]),
        pool,
        Module("nn.SpatialConvolution", **sides | {"nInputPlane": 20, "nOutputPlane": 50}, **wrapped["conv2"]),
        pool,
        Module("nn.View", numElements=800),
        Module("nn.Linear", **wrapped["ip1"]),
        Module("nn.Tanh"),
        Module("nn.Linear", **wrapped["ip2"]),
        Module("nn.LogSoftMax"),
    )
    outputs = lenet_outputs(values, DIGITS, activation=torch.tanh)
    source = write(tmp_path / "net.t7", network)
    record = convert(tmp_path, source, "model.activation=tanh", reference=(DIGITS, outputs))
    assert record["max_relative"] < 1e-5


def test_a_foreign_pytorch_lenet(tmp_path):
    values = lenet_values()
    names = {"conv1": "net.0", "conv2": "net.3", "ip1": "classifier.0", "ip2": "classifier.2"}
    state = {}
    for name, (weight, bias) in values.items():
        state[f"module.{names[name]}.weight"] = torch.from_numpy(weight)
        state[f"module.{names[name]}.bias"] = torch.from_numpy(np.float32(bias))
    torch.save({"state_dict": state, "epoch": 1}, tmp_path / "net.ckpt")
    record = convert(tmp_path, tmp_path / "net.ckpt", reference=(DIGITS, lenet_outputs(values, DIGITS)))
    assert record["max_relative"] < 1e-5


@pytest.mark.slow
def test_caffe_s_resnet50_strides_in_the_first_convolution_and_pools_from_the_corner(tmp_path):
    net = caffe_runtime.resnet50()
    source = net.write(tmp_path / "ResNet-50-model.caffemodel")
    images = np.random.default_rng(2).normal(0, 50, (2, 3, 64, 64))
    outputs = caffe_runtime.run(net.proto, images)
    with pytest.raises(UserError, match="max pooling before res2a_branch") as caught:
        convert(tmp_path, source, model="resnet50_v1")
    assert not (tmp_path / "out").exists()
    with pytest.raises(UserError, match="stride") as caught:
        convert(tmp_path, source, model="torchvision/resnet50")
    assert "resnet50_v1" in str(caught.value)
    assert not (tmp_path / "out").exists()
    record = convert(tmp_path, source, "model.pool=ceil", model="resnet50_v1", reference=(images, outputs))
    assert record["max_relative"] < 1e-4
    assert record["compared"] == "logits"


def torn(tmp_path):
    path = tmp_path / "net.caffemodel"
    path.write_bytes(caffe_runtime.lenet().proto.SerializeToString()[:-100])
    return path


def pickled(tmp_path):
    (tmp_path / "vgg16.pkl").write_bytes(b"\x80\x04K\x01.")
    return tmp_path / "vgg16.pkl"


def damaged_lua(tmp_path):
    (tmp_path / "net.t7").write_bytes(b"\x04\0\0\0\x01\0\0\0\xff\xff\xff\x7f")
    return tmp_path / "net.t7"


def objects(tmp_path):
    np.savez(tmp_path / "net.npz", np.array([None, 1], dtype=object))
    return tmp_path / "net.npz"


def html(tmp_path):
    (tmp_path / "net.pth").write_text("<!DOCTYPE html><p>Not found</p>")
    return tmp_path / "net.pth"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (torn, "cannot be read"),
        (pickled, "a pickle runs the code"),
        (damaged_lua, "Torch7 file cannot be read"),
        (objects, "would run code"),
        (html, "cannot be read"),
    ],
)
def test_what_cannot_be_read_is_one_message_and_leaves_nothing(tmp_path, make, words):
    source = make(tmp_path)
    with pytest.raises(UserError, match=words) as caught:
        main([f"source={source}", "model=zoo/lenet", f"out={tmp_path / 'out'}"])
    assert caught.value.exit_code == 2
    assert source.name in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == [source.name]


@pytest.mark.slow
def test_a_torn_file_on_the_command_line_ends_with_code_2(tmp_path):
    done = run("convert", f"source={torn(tmp_path)}", "model=zoo/lenet", f"out={tmp_path / 'out'}", code=2)
    assert "Traceback" not in done.stderr
    assert "net.caffemodel" in done.stderr
    assert not (tmp_path / "out").exists()
