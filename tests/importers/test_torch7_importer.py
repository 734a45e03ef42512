import numpy as np
import pytest
import torch
from support.importing import fill, relative_difference
from support.torch7_writer import Module, module, write
from torch import nn
from torch.nn import functional
from zoo_plugins.foreign.torch7_importer import Torch7Importer

from zoo.contracts.importing import ForeignPool
from zoo.errors import UserError

RNG = np.random.default_rng(11)


def values(*shape):
    return RNG.normal(0, 0.5, shape)


def conv(inputs, outputs, kernel, *, kind="nn.SpatialConvolution", rows=False, **fields):
    weight = values(outputs, inputs, kernel, kernel)
    if rows:
        weight = weight.reshape(outputs, -1)
    sides = {"nInputPlane": inputs, "nOutputPlane": outputs, "kW": kernel, "kH": kernel, "dW": 1, "dH": 1}
    return Module(kind, weight=weight, bias=values(outputs), gradWeight=values(2), **{**sides, **fields})


def norm(width, *, version=2, kind="nn.SpatialBatchNormalization", affine=True):
    eps = 1e-3
    variance = RNG.uniform(0.5, 2, width)
    statistics = {"running_var": variance} if version == 2 else {"running_std": 1 / np.sqrt(variance + eps)}
    learned = {"weight": RNG.uniform(0.5, 1.5, width), "bias": values(width)} if affine else {}
    return Module(kind, version=version, eps=eps, running_mean=values(width), **statistics, **learned)


def linear(inputs, outputs):
    return Module("nn.Linear", weight=values(outputs, inputs), bias=values(outputs))


def relu():
    return Module("nn.ReLU", inplace=True)


def residual():
    """A stem, a block with a shortcut, two branches whose maps are joined, a classifier."""
    block = module(
        "nn.Sequential",
        module(
            "nn.ConcatTable",
            module("nn.Sequential", conv(4, 4, 3, padW=1, padH=1, kind="cudnn.SpatialConvolution"), norm(4), relu()),
            module("nn.Identity"),
        ),
        Module("nn.CAddTable", inplace=True),
    )
    branches = module(
        "nn.Concat",
        module("nn.Sequential", conv(4, 2, 1)),
        module("nn.Sequential", Module("nn.SpatialZeroPadding", pad_l=1, pad_r=1, pad_t=1, pad_b=1), conv(4, 3, 3)),
        dimension=2,
    )
    return module(
        "nn.Sequential",
        conv(3, 4, 3, kind="nn.SpatialConvolutionMM", rows=True, padding=1, dW=2, dH=2),
        norm(4, version=1),
        relu(),
        block,
        branches,
        Module("nn.SpatialAveragePooling", kW=4, kH=4),
        Module("nn.View", size=5),
        linear(5, 6),
        Module("nn.LogSoftMax"),
    )


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.bn = nn.Conv2d(3, 4, 3, 2, 1), nn.BatchNorm2d(4)
        self.conv, self.bn2 = nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.left, self.right = nn.Conv2d(4, 2, 1), nn.Conv2d(4, 3, 3, padding=1)
        self.fc = nn.Linear(5, 6)

    def forward(self, images):
        stem = self.bn(self.stem(images)).relu()
        block = self.bn2(self.conv(stem)).relu() + stem
        return self.fc(torch.cat([self.left(block), self.right(block)], 1).mean((2, 3)))


def run(network, images):
    """What nn computes, module by module, from its documentation; LogSoftMax left out. float64."""
    kind, fields = network.class_name.partition(".")[2], network.fields
    parts = list(fields.get("modules", {}).values())
    tensors = {name: torch.from_numpy(value) for name, value in fields.items() if isinstance(value, np.ndarray)}
    if kind == "Sequential":
        for part in parts:
            images = run(part, images)
        return images
    if kind in ("ConcatTable", "Concat"):
        results = [run(part, images) for part in parts]
        return torch.cat(results, 1) if kind == "Concat" else results
    if kind.startswith("SpatialConvolution"):
        shape = (fields["nOutputPlane"], fields["nInputPlane"], fields["kH"], fields["kW"])
        pad = fields.get("padding", fields.get("padW", 0))
        return functional.conv2d(images, tensors["weight"].reshape(shape), tensors["bias"], fields["dW"], pad)
    if kind == "SpatialBatchNormalization":
        mean, weight, bias = (tensors[n].reshape(1, -1, 1, 1) for n in ("running_mean", "weight", "bias"))
        inverse = (
            tensors["running_std"] if "running_std" in tensors else (tensors["running_var"] + fields["eps"]) ** -0.5
        )
        return (images - mean) * inverse.reshape(1, -1, 1, 1) * weight + bias
    steps = {
        "Linear": lambda x: x @ tensors["weight"].T + tensors["bias"],
        "ReLU": lambda x: x.clamp(min=0),
        "Identity": lambda x: x,
        "LogSoftMax": lambda x: x,
        "CAddTable": sum,
        "SpatialZeroPadding": lambda x: functional.pad(x, (1, 1, 1, 1)),
        "SpatialAveragePooling": lambda x: x.mean((2, 3), keepdim=True),
        "View": lambda x: x.flatten(1),
    }
    return steps[kind](images)


def read(network, tmp_path, **options):
    return Torch7Importer(**options).read(write(tmp_path / "net.t7", network))


def test_a_residual_net_gives_torch7_s_outputs(tmp_path):
    network, images = residual(), np.random.default_rng(1).normal(0, 1, (3, 3, 8, 8))
    foreign = read(network, tmp_path)
    module_ = fill(foreign, Residual(), (3, 8, 8))
    expected = run(network, torch.from_numpy(images)).numpy()
    assert relative_difference(module_, images, expected) < 1e-5
    assert (foreign.order, foreign.channel_order) == ("execution", "rgb")


def test_layers_have_the_names_of_their_places_and_say_what_they_read(tmp_path):
    foreign = read(residual(), tmp_path)
    assert [(layer.name, layer.kind, layer.after) for layer in foreign.layers] == [
        ("1", "conv", ()),
        ("2", "norm", ("1",)),
        ("4.1.1.1", "conv", ("2",)),
        ("4.1.1.2", "norm", ("4.1.1.1",)),
        ("5.1.1", "conv", ("4.1.1.2", "2")),
        ("5.2.2", "conv", ("4.1.1.2", "2")),
        ("8", "dense", ("5.1.1", "5.2.2")),
    ]
    facts = {layer.name: layer.facts for layer in foreign.layers}
    plain = {"dilation": (1, 1), "groups": 1, "pools": ()}
    assert facts["1"] == {"stride": (2, 2), "padding": (1, 1, 1, 1), **plain}
    assert facts["5.2.2"]["padding"] == (1, 1, 1, 1)
    assert facts["2"] == {"epsilon": 1e-3, "direct": True, "pools": ()}
    assert "nn.ReLU, nn.CAddTable, nn.SpatialAveragePooling, nn.View, nn.LogSoftMax" in " ".join(foreign.notes)


def test_parallel_tables_and_copies_for_devices(tmp_path):
    inner = module(
        "nn.Sequential",
        module("nn.ConcatTable", conv(1, 2, 1), conv(1, 2, 1)),
        module("nn.ParallelTable", module("nn.Identity"), norm(2, affine=False)),
        Module("nn.JoinTable", dimension=2),
        Module("nn.Dropout", p=0.5),
        conv(4, 2, 1, kind="cudnn.SpatialConvolution", groups=1, dilationW=2, dilationH=1, padW=3),
    )
    found = {layer.name: layer for layer in read(module("nn.DataParallelTable", inner, inner), tmp_path).layers}
    assert found["2.2"].after == ("1.2",)
    assert found["2.2"].tensors["weight"].tolist() == [1, 1]
    assert found["2.2"].tensors["bias"].tolist() == [0, 0]
    assert found["5"].after == ("1.1", "2.2")
    assert found["5"].facts["dilation"] == (1, 2)
    assert found["5"].facts["padding"] == (3, 3, 3, 3)


def test_poolings_are_handed_over(tmp_path):
    network = module(
        "nn.Sequential",
        Module("nn.SpatialZeroPadding", pad_l=1, pad_t=2),
        Module("cudnn.SpatialMaxPooling", kW=3, kH=2, dW=2, dH=1, padW=1, padH=0, ceil_mode=True),
        Module("nn.SpatialAveragePooling", kW=2, kH=2),
        conv(1, 2, 1),
    )
    assert read(network, tmp_path).layers[0].facts["pools"] == (
        ForeignPool("max", (2, 3), (1, 2), (2, 2, 0, 1), ceil=True),
        ForeignPool("avg", (2, 2), (2, 2), (0, 0, 0, 0)),
    )
    network.fields["modules"][2].fields["kW"] = 2.5
    with pytest.raises(UserError, match="SpatialMaxPooling"):
        read(network, tmp_path)


def test_a_norm_behind_a_rectifier_says_so(tmp_path):
    found = read(module("nn.Sequential", conv(1, 2, 1), relu(), norm(2)), tmp_path).layers
    assert found[1].facts["direct"] is False
    found = read(module("nn.Sequential", conv(1, 2, 1), Module("nn.Dropout"), norm(2)), tmp_path).layers
    assert found[1].facts["direct"] is True


def test_a_network_in_a_table_with_other_things(tmp_path):
    foreign = read({"model": residual(), "epoch": 3, "opt": {"lr": 0.1}}, tmp_path)
    assert len(foreign.layers) == 7
    assert "entry 'model'" in " ".join(foreign.notes)


def test_one_layer_alone(tmp_path):
    assert [layer.name for layer in read(linear(2, 3), tmp_path).layers] == ["1"]


def looped():
    network = module("nn.Sequential", linear(2, 2))
    network.fields["modules"][2] = network
    return network


def without(kind, *names):
    made = {"conv": conv(1, 2, 1), "norm": norm(2), "linear": linear(2, 2)}[kind]
    for name in names:
        del made.fields[name]
    return made


def changed(made, **fields):
    made.fields.update(fields)
    return made


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (module("nn.Sequential", Module("nn.PReLU", weight=values(2))), r"module 1 \(nn.PReLU\) holds weight"),
        (module("nn.Sequential", conv(1, 2, 1, kind="nn.SpatialFullConvolution")), "holds weight, bias"),
        (module("nn.gModule", linear(2, 2)), r"\(nn.gModule\) is no container"),
        (module("my.Sequential", linear(2, 2)), r"\(my.Sequential\) is no container"),
        (looped(), "contains itself"),
        (module("nn.Sequential", Module("nn.SelectTable", index=1), linear(2, 2)), "cannot be followed"),
        (module("nn.Sequential", Module("nn.SpatialReflectionPadding"), linear(2, 2)), "cannot be followed"),
        (module("nn.Sequential", Module("nn.SpatialZeroPadding", pad_l=-1), linear(2, 2)), "cuts maps off"),
        (module("nn.ParallelTable", linear(2, 2), linear(2, 2)), "has 2 parts for 1 inputs"),
        (module("nn.Sequential", 3.0), "stands no module"),
        (module("nn.Sequential", relu()), "holds no values"),
        (without("norm", "eps"), "states no eps"),
        (without("norm", "running_var"), "has no running_var"),
        (without("linear", "weight"), "has no weight"),
        (changed(conv(1, 2, 1), dW=1.5), "dW is 1.5"),
        (changed(conv(1, 2, 1), groups=3), "2 outputs do not fall into 3 groups"),
        (changed(conv(1, 2, 1, rows=True), kH=5), "cannot be read"),
        (changed(linear(2, 2), bias=values(3)), r"shapes \[\[2, 2\], \[3\]\]"),
        (changed(linear(2, 2), weight=values(2, 2, 1)), "shapes"),
        ({"a": 1}, "a table without a network"),
        ({"model": relu(), "net": relu()}, "a table without a network"),
        (5.0, "holds a float"),
    ],
)
def test_what_cannot_be_expressed_is_refused_by_class_and_place(tmp_path, network, words):
    with pytest.raises(UserError, match=words) as caught:
        read(network, tmp_path)
    assert "net.t7" in str(caught.value)


def test_options_and_definitions(tmp_path):
    assert read(linear(2, 2), tmp_path, channel_order="bgr").channel_order == "bgr"
    with pytest.raises(UserError, match="not a value"):
        Torch7Importer(channel_order="auto")
    with pytest.raises(UserError, match="leave it out"):
        Torch7Importer().read(tmp_path / "net.t7", definition=tmp_path / "x")
    assert Torch7Importer().reads(tmp_path / "a.T7")
    assert not Torch7Importer().reads(tmp_path / "a.pth")
    assert Torch7Importer().forward(tmp_path / "a.t7") is None
