import copy

import numpy as np
import pytest
from google.protobuf import text_format
from support.caffe2_runtime import Nets, run
from support.importing import fill, relative_difference
from torch import nn
from zoo_plugins.foreign.caffe2_importer import Caffe2Importer

from zoo.contracts.importing import ForeignPool
from zoo.errors import UserError


def residual():
    """The beginning of Caffe2's ResNet: a stem, a block with a shortcut of its own, one in place rectifier each."""
    nets = Nets((3, 12, 12))
    nets.conv("conv1", "data", 3, 8, 3, bias=False, stride=2, pad=1)
    blob = nets.norm("conv1", 8, epsilon=1e-3)
    nets.op("Relu", [blob], [blob])
    nets.conv("res2_0_branch2a", blob, 8, 4, 1, bias=False)
    inner = nets.norm("res2_0_branch2a", 4)
    nets.op("Relu", [inner], [inner])
    nets.conv("res2_0_branch2b", inner, 4, 12, 3, bias=False, pad_t=1, pad_l=1, pad_b=1, pad_r=1)
    inner = nets.norm("res2_0_branch2b", 12)
    nets.conv("res2_0_branch1", blob, 8, 12, 1, bias=False)
    shortcut = nets.norm("res2_0_branch1", 12)
    nets.op("Sum", [inner, shortcut], [inner])
    nets.op("Relu", [inner], [inner])
    nets.op("AveragePool", [inner], ["pool5"], global_pooling=1)
    nets.dense("pred", "pool5", 12, 5)
    nets.op("Softmax", ["pred"], ["softmax"])
    return nets


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8, eps=1e-3)
        self.conv2, self.bn2 = nn.Conv2d(8, 4, 1, bias=False), nn.BatchNorm2d(4)
        self.conv3, self.bn3 = nn.Conv2d(4, 12, 3, padding=1, bias=False), nn.BatchNorm2d(12)
        self.downsample, self.bn4 = nn.Conv2d(8, 12, 1, bias=False), nn.BatchNorm2d(12)
        self.fc = nn.Linear(12, 5)

    def forward(self, images):
        stem = self.bn1(self.conv1(images)).relu()
        inner = self.bn3(self.conv3(self.bn2(self.conv2(stem)).relu()))
        return self.fc((inner + self.bn4(self.downsample(stem))).relu().mean((2, 3)))


def read(nets, folder, *, definition=True, **options):
    init, predict = nets.write(folder)
    return Caffe2Importer(**options).read(init, definition=predict if definition else None)


def test_a_residual_net_gives_caffe2_s_outputs(tmp_path):
    nets, images = residual(), np.random.default_rng(1).normal(0, 1, (3, 3, 12, 12))
    foreign = read(nets, tmp_path)
    module = fill(foreign, Residual(), (3, 12, 12))
    assert relative_difference(module, images[:, ::-1], run(nets, images)) < 1e-5
    assert foreign.order == "execution"
    assert foreign.input_shape == (3, 12, 12)
    assert foreign.architecture == "net"
    assert "riv are variances" in " ".join(foreign.notes)
    assert "network's own: Relu, Sum" in " ".join(foreign.notes)


def test_layers_say_what_they_read(tmp_path):
    found = {layer.name: layer for layer in read(residual(), tmp_path).layers}
    assert found["conv1"].after == ()
    assert found["conv1_bn"].after == ("conv1",)
    assert found["res2_0_branch1"].after == ("conv1_bn",)
    assert found["pred"].after == ("res2_0_branch2b_bn", "res2_0_branch1_bn")
    assert found["conv1_bn"].facts == {"epsilon": pytest.approx(1e-3), "direct": True, "pools": ()}
    plain = {"groups": 1, "dilation": (1, 1), "pools": ()}
    assert found["conv1"].facts == {"stride": (2, 2), "padding": (1, 1, 1, 1), **plain}


def test_without_a_predict_net_names_put_the_layers_together(tmp_path):
    nets = residual()
    whole, named = read(nets, tmp_path), read(nets, tmp_path, definition=False, epsilon=1e-3)
    with pytest.raises(UserError, match="epsilon has no effect"):
        read(nets, tmp_path, epsilon=1e-3)
    assert read(nets, tmp_path, definition=False).layers[1].facts == {"epsilon": 1e-5}
    assert named.order == "file"
    assert [layer.name for layer in named.layers] == [layer.name for layer in whole.layers]
    assert all(layer.after is None for layer in named.layers)
    for left, right in zip(whole.layers, named.layers, strict=True):
        assert left.kind == right.kind
        assert list(left.tensors) == list(right.tensors)
        assert all(np.array_equal(left.tensors[role], right.tensors[role]) for role in left.tensors)
    assert named.layers[1].facts == {"epsilon": 1e-3}
    assert "importer.epsilon" in " ".join(named.notes)


def test_a_predict_net_may_be_text(tmp_path):
    nets = residual()
    init, _ = nets.write(tmp_path)
    text = tmp_path / "predict_net.pbtxt"
    text.write_text(text_format.MessageToString(nets.predict))
    found = Caffe2Importer().read(init, definition=text)
    assert [layer.after for layer in found.layers] == [layer.after for layer in read(nets, tmp_path).layers]


@pytest.mark.parametrize(
    ("arguments", "facts"),
    [
        ({"strides": [2, 1], "pads": [1, 2, 3, 4]}, {"stride": (2, 1), "padding": (1, 2, 3, 4)}),
        ({"stride_h": 3, "stride_w": 2, "pad_l": 1}, {"stride": (3, 2), "padding": (0, 1, 0, 0)}),
        ({"legacy_pad": 2, "dilation": 2}, {"dilation": (2, 2), "padding": "same"}),
        ({"legacy_pad": 1, "dilations": [1, 2]}, {"dilation": (1, 2), "padding": "valid"}),
        ({"group": 2}, {"groups": 2}),
    ],
)
def test_the_geometry_of_convolutions_is_stated(tmp_path, arguments, facts):
    nets = Nets((4, 9, 9))
    nets.conv("c", "data", 4 // arguments.get("group", 1), 4, 3, **arguments)
    plain = {"groups": 1, "stride": (1, 1), "dilation": (1, 1), "padding": (0, 0, 0, 0), "pools": ()}
    assert read(nets, tmp_path).layers[0].facts == plain | facts


@pytest.mark.parametrize(
    ("kind", "arguments", "expected"),
    [
        ("MaxPool", {"kernel": 3, "stride": 2}, ForeignPool("max", (3, 3), (2, 2), (0, 0, 0, 0))),
        ("MaxPool", {"kernel": 3, "pad": 1, "legacy_pad": 3}, ForeignPool("max", (3, 3), (1, 1), (1, 1, 1, 1), True)),
        ("AveragePool", {"kernels": [2, 3], "legacy_pad": 2}, ForeignPool("avg", (2, 3), (1, 1), "same")),
        ("AveragePool", {"global_pooling": 1}, None),
    ],
)
def test_poolings_are_handed_over(tmp_path, kind, arguments, expected):
    nets = Nets((1, 9, 9))
    nets.op(kind, ["data"], ["pool"], **arguments)
    nets.conv("c", "pool", 1, 2, 1)
    assert read(nets, tmp_path).layers[0].facts["pools"] == (() if expected is None else (expected,))


def test_a_bias_may_be_filled_with_one_value(tmp_path):
    nets = Nets((1, 4, 4))
    nets.conv("c", "data", 1, 2, 1, bias=False)
    nets.predict.op[0].input.append("c_b")
    nets.fill("c_b", "ConstantFill", shape=[2]).arg.add(name="value", f=0.5)
    for definition in (True, False):
        assert read(nets, tmp_path, definition=definition).layers[0].tensors["bias"].tolist() == [0.5, 0.5]


def test_what_the_predict_net_does_not_use_is_said(tmp_path):
    nets = residual()
    nets.fill("aux_w", values=np.ones((2, 2)))
    foreign = read(nets, tmp_path)
    assert "aux_w" in " ".join(foreign.notes)
    assert "aux" not in [layer.name for layer in foreign.layers]


def test_the_order_of_colours_can_be_said(tmp_path):
    foreign = read(residual(), tmp_path)
    assert foreign.channel_order == "bgr"
    assert "B, G, R" in " ".join(foreign.notes)
    assert read(residual(), tmp_path, channel_order="rgb").channel_order == "rgb"
    with pytest.raises(UserError, match="not a value"):
        Caffe2Importer(channel_order="gbr")
    with pytest.raises(UserError, match="epsilon"):
        Caffe2Importer(epsilon=-1)


def random_fill(nets):
    nets.init.op[1].type = "XavierFill"


def short(nets):
    del nets.init.op[1].arg[1].floats[0]


def huge(nets):
    nets.init.op[1].arg[0].ints[:] = [2**40, 2**40, 2, 2]


def negative(nets):
    nets.init.op[1].arg[0].ints[:] = [-8, -3, 3, 3]


def no_values(nets):
    del nets.init.op[1].arg[1]


def missing(nets):
    del nets.init.op[1]


def scaled(nets):
    nets.fill("scale_w", values=np.ones(8))
    nets.op("Mul", ["conv1_bn", "scale_w"], ["conv1_bn"], broadcast=1)


def shifted(nets):
    nets.fill("shift", "ConstantFill", shape=[8])
    nets.op("Add", ["conv1_bn", "shift"], ["conv1_bn"], broadcast=1)


def slopes(nets):
    nets.fill("p_w", values=np.ones(8))
    nets.op("PRelu", ["conv1_bn", "p_w"], ["conv1_bn"])


def other_order(nets):
    nets.predict.op[0].arg[1].s = b"NHWC"


def odd_axis(nets):
    nets.predict.op[-2].arg.add(name="axis", i=2)


def short_norm(nets):
    nets.predict.op[1].input.pop()


def no_operators(nets):
    del nets.init.op[:]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (random_fill, "'XavierFill' for conv1_w"),
        (short, "conv1_w says it has 8 x 3 x 3 x 3 values and has 215"),
        (huge, "values and has 216"),
        (negative, "conv1_w says it has -8"),
        (no_values, "and has 0"),
        (missing, "no stored values for conv1_w"),
        (scaled, "scale_w is read by the operator 'Mul'"),
        (shifted, "shift is read by the operator 'Add'"),
        (slopes, "p_w is read by the operator 'PRelu'"),
        (other_order, "NHWC"),
        (odd_axis, "axes of its own"),
        (short_norm, "SpatialBN 'conv1_bn' has"),
        (no_operators, "no operators of Caffe2"),
    ],
)
def test_what_cannot_be_expressed_is_refused_by_name(tmp_path, change, words):
    nets = copy.deepcopy(residual())
    change(nets)
    with pytest.raises(UserError, match=words) as caught:
        read(nets, tmp_path)
    assert "_net.pb" in str(caught.value)


def test_names_that_belong_to_no_layer_are_refused(tmp_path):
    nets = residual()
    nets.fill("p_Slope", values=np.ones(8))
    with pytest.raises(UserError, match="p_Slope"):
        read(nets, tmp_path, definition=False)


def test_the_wrong_file_of_the_two_is_refused(tmp_path):
    init, predict = residual().write(tmp_path)
    with pytest.raises(UserError, match="does not fill a tensor"):
        Caffe2Importer().read(predict)
    init.write_bytes(Nets((3, 4, 4)).init.SerializeToString())
    with pytest.raises(UserError, match="holds no values"):
        Caffe2Importer().read(init)


def test_torn_files_are_refused_and_others_are_not_taken_for_ours(tmp_path):
    init, predict = residual().write(tmp_path)
    importer = Caffe2Importer()
    assert importer.reads(init)
    assert not importer.reads(predict)
    assert not importer.reads(tmp_path / "missing.pb")
    assert importer.forward(init) is None
    whole = init.read_bytes()
    for content in (whole[:-3], whole[: len(whole) // 2], b"", b"\x00" * 40):
        init.write_bytes(content)
        with pytest.raises(UserError, match=r"cannot be read|says it has|does not fill"):
            importer.read(init)
