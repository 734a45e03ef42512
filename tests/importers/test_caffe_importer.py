import copy

import numpy as np
import pytest
import torch
from google.protobuf import text_format
from support.caffe_runtime import PB, Net, lenet, run
from support.importing import fill, relative_difference
from torch import nn
from zoo_plugins.foreign.caffe_importer import CaffeImporter

from zoo.contracts.importing import ForeignPool
from zoo.errors import UserError


def read(proto, tmp_path, *, definition=None, name="net.caffemodel", **options):
    path = tmp_path / name
    path.write_bytes(proto if isinstance(proto, bytes) else proto.SerializeToString())
    if definition is not None:
        text = definition if isinstance(definition, str) else text_format.MessageToString(definition)
        definition = tmp_path / "net.prototxt"
        definition.write_text(text)
    return CaffeImporter(**options).read(path, definition=definition)


def images(count, *shape):
    return np.random.default_rng(7).normal(0, 1, (count, *shape))


def small_vgg():
    """Pairs of 3 x 3 with norms before the rectifiers, as VGG with batch normalisation has them; colour input."""
    net = Net("VGG_small", (3, 16, 16), seed=3)
    blob, widths = "data", (8, 8, 16, 16)
    for number, width in enumerate(widths, start=1):
        blob = net.conv(f"conv{number}", blob, width, 3, pad=1)
        net.relu(net.norm(f"bn{number}", blob, eps=1e-3))
        if number % 2 == 0:
            blob = net.pool(f"pool{number // 2}", blob)
    net.dense("fc6", blob, 16 * 4 * 4, 20)
    net.relu("fc6")
    net.layer("drop6", "Dropout", ["fc6"], ["fc6"])
    net.dense("fc8", "fc6", 20, 5)
    return net


def small_vgg_module():
    layers, width = [], 3
    for number, following in enumerate((8, 8, 16, 16), start=1):
        layers += [nn.Conv2d(width, following, 3, padding=1), nn.BatchNorm2d(following), nn.ReLU()]
        layers += [nn.MaxPool2d(2)] if number % 2 == 0 else []
        width = following
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(256, 20), nn.ReLU(), nn.Dropout(), nn.Linear(20, 5))


def test_a_small_vgg_gives_caffe_s_outputs(tmp_path):
    net, given = small_vgg(), images(3, 3, 16, 16)
    foreign = read(net.proto, tmp_path)
    module = fill(foreign, small_vgg_module(), (3, 16, 16))
    assert foreign.channel_order == "bgr"
    assert "B, G, R" in " ".join(foreign.notes)
    expected = run(net.proto, given)
    assert relative_difference(module, given[:, ::-1], expected) < 1e-5
    assert relative_difference(module, given, expected) > 1e-3, "the order of colours must matter here"


def test_layers_say_what_they_read_and_a_norm_is_one_layer(tmp_path):
    foreign = read(small_vgg().proto, tmp_path)
    assert [(layer.name, layer.kind, layer.after) for layer in foreign.layers] == [
        ("conv1", "conv", ()),
        ("bn1", "norm", ("conv1",)),
        ("conv2", "conv", ("bn1",)),
        ("bn2", "norm", ("conv2",)),
        ("conv3", "conv", ("bn2",)),
        ("bn3", "norm", ("conv3",)),
        ("conv4", "conv", ("bn3",)),
        ("bn4", "norm", ("conv4",)),
        ("fc6", "dense", ("bn4",)),
        ("fc8", "dense", ("fc6",)),
    ]
    assert foreign.order == "execution"
    assert foreign.architecture == "VGG_small"
    assert foreign.input_shape == (3, 16, 16)
    norm = foreign.layers[1]
    assert norm.facts["epsilon"] == pytest.approx(1e-3)
    assert norm.facts["direct"] is True
    assert "4 pairs of BatchNorm and Scale" in " ".join(foreign.notes)
    assert "network's own: ReLU" in foreign.notes[0]


def test_the_statistics_are_divided_by_their_factor(tmp_path):
    net = Net("n", (1, 4, 4))
    net.norm("bn", net.conv("c", "data", 2, 1))
    stored = {layer.name: layer.blobs for layer in net.proto.layer}
    tensors = read(net.proto, tmp_path).layers[1].tensors
    assert np.allclose(tensors["running_mean"], np.array(stored["bn"][0].data) / 2.5)
    assert np.allclose(tensors["running_var"], np.array(stored["bn"][1].data) / 2.5)
    assert np.array_equal(tensors["weight"], np.float32(stored["scale_bn"][0].data))
    assert np.array_equal(tensors["bias"], np.float32(stored["scale_bn"][1].data))


def test_a_factor_of_zero_means_that_nothing_was_seen_yet(tmp_path):
    net = Net("n", (1, 4, 4))
    net.norm("bn", net.conv("c", "data", 2, 1), scale=False)
    net.proto.layer[-1].blobs[2].data[:] = [0]
    norm = read(net.proto, tmp_path).layers[1]
    assert not norm.tensors["running_mean"].any()
    assert not norm.tensors["running_var"].any()
    assert norm.tensors["weight"].tolist() == [1, 1]
    assert norm.tensors["bias"].tolist() == [0, 0]


def test_branches_and_what_stands_between_are_followed(tmp_path):
    """conv1 -> split -> (conv2, itself); sum -> relu in place -> norm: the norm does not read a layer directly."""
    net = Net("n", (2, 6, 6))
    net.conv("conv1", "data", 4, 3, pad=1)
    net.layer("split", "Split", ["conv1"], ["conv1_0", "conv1_1"])
    net.channels["conv1_0"] = 4
    net.conv("conv2", "conv1_0", 4, 1)
    net.plus("sum", "conv2", "conv1_1")
    net.relu("sum")
    net.norm("bn", "sum")
    net.conv("conv3", "sum", 4, 1, group=2)
    found = {layer.name: layer for layer in read(net.proto, tmp_path).layers}
    assert found["conv2"].after == ("conv1",)
    assert found["bn"].after == ("conv2", "conv1")
    assert found["bn"].facts["direct"] is False
    assert found["conv3"].after == ("bn",)
    assert found["conv3"].facts["groups"] == 2
    assert found["conv3"].tensors["weight"].shape == (4, 2, 1, 1)


def test_height_and_width_may_differ(tmp_path):
    net = Net("n", (1, 9, 9))
    net.conv("a", "data", 2, 3)
    param = net.proto.layer[-1].convolution_param
    param.ClearField("stride"), param.ClearField("pad")
    param.stride_h, param.stride_w, param.pad_w = 2, 1, 3
    param.dilation.extend([1, 2])
    facts = read(net.proto, tmp_path).layers[0].facts
    assert facts == {"stride": (2, 1), "padding": (0, 3), "dilation": (1, 2), "groups": 1, "pools": ()}


def test_poolings_are_handed_over_as_caffe_rounds_them(tmp_path):
    net = Net("n", (1, 32, 32))
    net.conv("a", "data", 2, 1)
    net.pool("p1", "a", 3, 2, pad=1)
    net.conv("b", "p1", 2, 1)
    net.pool("p2", "b", 2, 2, kind=1)
    net.plus("sum", "p2", "p2")
    net.pool("p3", "sum", whole=True)
    net.conv("c", "p3", 2, 1)
    found = {layer.name: layer.facts["pools"] for layer in read(net.proto, tmp_path).layers}
    assert found == {
        "a": (),
        "b": (ForeignPool("max", (3, 3), (2, 2), (1, 1), ceil=True),),
        "c": (ForeignPool("avg", (2, 2), (2, 2), (0, 0), ceil=True),),
    }
    param = net.proto.layer[2].pooling_param
    param.ClearField("kernel_size")
    param.kernel_h, param.kernel_w = 2, 5
    assert read(net.proto, tmp_path).layers[1].facts["pools"][0].kernel == (2, 5)
    param.pool = 2
    with pytest.raises(UserError, match="'p1' draws at random"):
        read(net.proto, tmp_path)


def older_form(proto):
    """The same LeNet as Caffe of 2014 wrote it: V1 layers, sizes as num, channels, height, width."""
    types = {"Convolution": 4, "InnerProduct": 14, "Pooling": 17, "ReLU": 18, "Softmax": 20}
    old = PB.NetParameter(name=proto.name, input=["data"], input_dim=[1, 1, 28, 28])
    for layer in proto.layer[1:]:
        new = old.layers.add(name=layer.name, type=types[layer.type], bottom=layer.bottom, top=layer.top)
        for name in ("convolution_param", "inner_product_param", "pooling_param"):
            if layer.HasField(name):
                getattr(new, name).CopyFrom(getattr(layer, name))
        for blob in layer.blobs:
            sizes = (1, 1, 1, 1, *blob.shape.dim)[-4:]
            new.blobs.add(data=blob.data, **dict(zip(("num", "channels", "height", "width"), sizes, strict=True)))
    return old


def test_both_forms_hold_the_same_net(tmp_path):
    proto = lenet().proto
    new, old = read(proto, tmp_path), read(older_form(proto), tmp_path)
    assert new.input_shape == old.input_shape == (1, 28, 28)
    assert len(new.layers) == len(old.layers) == 4
    for left, right in zip(new.layers, old.layers, strict=True):
        assert (left.name, left.kind, left.facts, left.after) == (right.name, right.kind, right.facts, right.after)
        assert all(np.array_equal(left.tensors[role], right.tensors[role]) for role in ("weight", "bias"))


def test_doubles_are_read_and_a_transposed_dense_layer_is_turned(tmp_path):
    net = Net("n", (1, 1, 3))
    net.dense("d", "data", 3, 2)
    layer = net.proto.layer[-1]
    layer.inner_product_param.transpose = True
    layer.blobs[0].shape.dim[:] = [3, 2]
    layer.blobs[0].double_data.extend([1, 2, 3, 4, 5, 6])
    layer.blobs[0].ClearField("data")
    assert read(net.proto, tmp_path).layers[0].tensors["weight"].tolist() == [[1, 3, 5], [2, 4, 6]]


TRAIN_VAL = """
name: "two phases"
layer { name: "data" type: "Data" top: "data" top: "label" include { phase: TRAIN }
        transform_param { mean_value: 104 mean_value: 117 mean_value: 123 crop_size: 12 mirror: true } }
layer { name: "data" type: "Data" top: "data" top: "label" include { phase: TEST }
        transform_param { mean_value: 104 mean_value: 117 mean_value: 123 crop_size: 12 } }
layer { name: "c" type: "Convolution" bottom: "data" top: "c" convolution_param { num_output: 2 kernel_size: 12 } }
layer { name: "aux" type: "InnerProduct" bottom: "c" top: "aux" include: { phase: TRAIN } }
layer { name: "fc" type: "InnerProduct" bottom: "c" top: "fc" inner_product_param { num_output: 2 } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" top: "loss" }
"""


def trained():
    """What the solver saves: the net of training, with its data layer, and an auxiliary output."""
    net = Net("two phases", (3, 12, 12))
    del net.proto.layer[:]
    data = net.layer("data", "Data", [], ["data", "label"])
    data.transform_param.scale = 0.5
    data.transform_param.crop_size = 10
    net.conv("c", "data", 2, 12)
    net.dense("aux", "c", 2, 2)
    net.dense("fc", "c", 2, 2)
    net.layer("loss", "SoftmaxWithLoss", ["fc", "label"], ["loss"])
    return net.proto


def test_a_definition_says_which_layers_there_are_when_the_net_is_tested(tmp_path):
    foreign = read(trained(), tmp_path, definition=TRAIN_VAL)
    assert [layer.name for layer in foreign.layers] == ["c", "fc"]
    assert "no such layers: aux" in " ".join(foreign.notes)
    assert foreign.preprocess.mean == pytest.approx((123 / 255, 117 / 255, 104 / 255))
    assert foreign.preprocess.std == pytest.approx((1 / 255,) * 3)
    assert foreign.input_shape == (3, 12, 12)
    assert foreign.preprocess.size == 12


def test_without_a_definition_the_file_s_own_data_layer_speaks(tmp_path):
    foreign = read(trained(), tmp_path)
    assert [layer.name for layer in foreign.layers] == ["c", "aux", "fc"]
    assert foreign.preprocess.mean == (0, 0, 0)
    assert foreign.preprocess.std == pytest.approx((1 / (255 * 0.5),) * 3)
    assert foreign.input_shape == (3, 10, 10)


def test_pixels_are_prepared_as_caffe_s_transformer_does(tmp_path):
    """(x - mean) * scale over B, G, R in 0..255, against zoo's own normalisation of R, G, B."""
    net = small_vgg().proto
    foreign = read(net, tmp_path, mean_values=(104, 117, 123), scale=0.017)
    pixels = np.random.default_rng(0).integers(0, 256, (1, 16, 16, 3), dtype=np.uint8)
    caffe = (pixels[..., ::-1].astype(np.float64) - [104, 117, 123]) * 0.017
    ours = foreign.preprocess.normalise(torch.from_numpy(pixels)).numpy()
    assert np.allclose(ours[:, ::-1], caffe.transpose(0, 3, 1, 2), atol=1e-5)
    assert "options mean_values, scale" in " ".join(foreign.notes)


def test_a_mean_image_becomes_the_means_of_its_channels(tmp_path):
    image = np.random.default_rng(1).uniform(90, 130, (3, 5, 5))
    blob = PB.BlobProto(num=1, channels=3, height=5, width=5, data=image.ravel())
    (tmp_path / "mean.binaryproto").write_bytes(blob.SerializeToString())
    foreign = read(small_vgg().proto, tmp_path, mean_file=str(tmp_path / "mean.binaryproto"))
    assert foreign.preprocess.mean == pytest.approx(tuple(image.mean(axis=(1, 2))[::-1] / 255), rel=1e-5)
    assert "not each place" in " ".join(foreign.notes)
    with pytest.raises(UserError, match="leave one of them out"):
        CaffeImporter(mean_values=(1.0,), mean_file="x")


def test_a_mean_image_that_is_not_at_hand_is_asked_for(tmp_path):
    proto = trained()
    proto.layer[0].transform_param.mean_file = "data/ilsvrc12/imagenet_mean.binaryproto"
    with pytest.raises(UserError, match=r"imagenet_mean\.binaryproto") as caught:
        read(proto, tmp_path)
    assert "importer.mean_values" in str(caught.value)
    assert read(proto, tmp_path, mean_values=(0.0,)).preprocess.mean == (0, 0, 0)


def test_gray_and_rgb_nets_are_not_turned(tmp_path):
    assert read(lenet().proto, tmp_path).channel_order == "rgb"
    foreign = read(small_vgg().proto, tmp_path, channel_order="rgb", mean_values=(1, 2, 3))
    assert foreign.channel_order == "rgb"
    assert foreign.preprocess.mean == pytest.approx((1 / 255, 2 / 255, 3 / 255))
    with pytest.raises(UserError, match="not a value"):
        CaffeImporter(channel_order="grb")


def test_a_file_without_dataflow_keeps_its_order(tmp_path):
    proto = lenet().proto
    for layer in proto.layer:
        del layer.bottom[:], layer.top[:]
    foreign = read(proto, tmp_path)
    assert foreign.order == "file"
    assert [(layer.name, layer.after) for layer in foreign.layers] == [
        (name, None) for name in ("conv1", "conv2", "ip1", "ip2")
    ]


def changed(change):
    net = Net("n", (1, 4, 4))
    net.norm("bn", net.conv("c", "data", 2, 1))
    proto = copy.deepcopy(net.proto)
    change(proto)
    return proto


def with_type(kind):
    def change(proto):
        proto.layer[1].type = kind

    return change


def no_layers(proto):
    del proto.layer[:]


def both_forms(proto):
    proto.layers.add(name="x")


def oldest_form(proto):
    no_layers(proto)
    proto.layers.add().layer.name = "x"


def short_blob(proto):
    del proto.layer[1].blobs[0].data[0]


def huge_blob(proto):
    proto.layer[1].blobs[0].shape.dim[:] = [2**31, 2**31, 2**20]


def negative_blob(proto):
    proto.layer[1].blobs[0].shape.dim[:] = [-1, -2]


def three_dimensions(proto):
    proto.layer[1].blobs[0].shape.dim[:] = [2, 1, 1, 1, 1]


def odd_groups(proto):
    proto.layer[1].convolution_param.group = 3


def short_bias(proto):
    del proto.layer[1].blobs[1].data[0]
    proto.layer[1].blobs[1].shape.dim[:] = [1]


def scale_elsewhere(proto):
    proto.layer[2].top[:] = ["bn"]
    proto.layer[3].bottom[:] = ["c"]


def shared_norm(proto):
    proto.layer[2].top[:] = ["bn"]
    proto.layer[3].bottom[:] = ["bn"]
    proto.layer.add(name="relu", type="ReLU", bottom=["bn"], top=["x"])


def scale_over_places(proto):
    proto.layer[3].scale_param.num_axes = 2


def no_dataflow(proto):
    for layer in proto.layer:
        del layer.bottom[:], layer.top[:]


def unknown_bottom(proto):
    proto.layer[1].bottom[:] = ["dta"]


def twice_the_name(proto):
    proto.layer[2].name = "c"


def no_values(proto):
    for layer in proto.layer:
        del layer.blobs[:]


def norm_without_factor(proto):
    del proto.layer[2].blobs[2]


def wide_scale(proto):
    proto.layer[3].blobs[0].data.append(1)
    proto.layer[3].blobs[0].shape.dim[:] = [3]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (with_type("Deconvolution"), r"c \(Deconvolution\)"),
        (with_type("PReLU"), r"c \(PReLU\)"),
        (no_layers, "no layers of Caffe"),
        (both_forms, "both of Caffe's forms"),
        (oldest_form, "oldest form"),
        (short_blob, "says it has 2 x 1 x 1 x 1 values and has 1"),
        (huge_blob, "values and has 2"),
        (negative_blob, "says it has -1 x -2"),
        (three_dimensions, "cannot be brought over"),
        (odd_groups, "in 3 groups"),
        (short_bias, "bias"),
        (scale_elsewhere, "'scale_bn' does not stand alone"),
        (shared_norm, "'scale_bn' does not stand alone"),
        (scale_over_places, "'scale_bn' does not stand alone"),
        (no_dataflow, "definition=FILE.prototxt"),
        (unknown_bottom, "reads 'dta'"),
        (twice_the_name, "have the name 'c'"),
        (no_values, "no values for the layers c, bn"),
        (norm_without_factor, r"factor \[1\]"),
        (wide_scale, "2 values each"),
    ],
)
def test_what_cannot_be_expressed_is_refused_by_name(tmp_path, change, words):
    with pytest.raises(UserError, match=words) as caught:
        read(changed(change), tmp_path)
    assert "net." in str(caught.value)


def test_a_definition_of_another_net_is_refused(tmp_path):
    with pytest.raises(UserError, match="no values for the layers c, aux, fc"):
        read(lenet().proto, tmp_path, definition=TRAIN_VAL.replace("include: { phase: TRAIN }", ""))


def test_files_that_are_torn_or_of_another_kind_are_refused(tmp_path):
    whole = lenet().proto.SerializeToString()
    for content in (b"", whole[:-7], whole[: len(whole) // 2], b"PK\x03\x04 a zip file", b"\x89HDF\r\n\x1a\n" * 9):
        with pytest.raises(UserError) as caught:
            read(content, tmp_path)
        assert "net.caffemodel" in str(caught.value)
    with pytest.raises(UserError, match="cannot be read"):
        CaffeImporter().read(tmp_path / "missing.caffemodel")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"mean_values": (1, 2)}, "2 means for 3 channels"),
        ({"scale": 0.0}, "the scale above 0"),
        ({"mean_values": (float("nan"),)}, "finite numbers"),
    ],
)
def test_options_that_cannot_be_are_refused(tmp_path, options, words):
    with pytest.raises(UserError, match=words):
        read(small_vgg().proto, tmp_path, **options)


def test_the_importer_knows_its_files_and_has_no_forward_pass(tmp_path):
    importer = CaffeImporter()
    assert importer.reads(tmp_path / "a.CAFFEMODEL")
    assert not importer.reads(tmp_path / "a.pth")
    assert importer.forward(tmp_path / "a.caffemodel") is None
