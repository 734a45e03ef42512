"""Files that Keras wrote, against what Keras answers."""

import json
import zipfile

import h5py
import numpy as np
import pytest
import torch
from support import keras_nets
from support.importing import fill, relative_difference
from torch import nn
from torch.nn import functional
from zoo_plugins.foreign.keras_importer import KerasImporter

from zoo.errors import UserError


@pytest.fixture(scope="module")
def lenet():
    return keras_nets.lenet()


@pytest.fixture(scope="module")
def blocks():
    """All kinds of layers at once, in a functional model with a nested one."""
    layers = keras_nets.keras().layers
    start = keras_nets.keras().Input((17, 17, 3))
    x = layers.ZeroPadding2D(((1, 2), (0, 3)))(start)
    x = layers.Conv2D(8, 3, strides=2, use_bias=False, name="stem")(x)
    x = layers.ReLU()(layers.BatchNormalization(scale=False, epsilon=0.01, name="stem_bn")(x))
    side = layers.Conv2D(8, 1, name="side")(x)
    side = layers.BatchNormalization(center=False, name="side_bn")(side)
    main = layers.SeparableConv2D(8, 3, padding="same", use_bias=True, name="sep")(x)
    main = layers.BatchNormalization(scale=False, center=False, name="sep_bn")(main)
    x = layers.Add()([side, main])
    inner = keras_nets.keras().Sequential(
        [
            keras_nets.keras().Input((9, 9, 8)),
            layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same", name="deep"),
            layers.Conv2D(6, 3, groups=2, dilation_rate=2, padding="same", activation="relu", name="grouped"),
        ],
        name="inner",
    )
    x = layers.MaxPooling2D(3, strides=2, padding="same")(inner(x))
    x = layers.Dropout(0.5)(layers.Flatten()(x))
    x = layers.Dense(7, activation="tanh", name="hidden")(x)
    return keras_nets.randomised(keras_nets.keras().Model(start, layers.Dense(4, name="answer")(x)))


class Blocks(nn.Module):
    """The same in PyTorch, with names of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.norm1 = nn.Conv2d(3, 8, 3, stride=2, bias=False), nn.BatchNorm2d(8, eps=0.01)
        self.short, self.norm2 = nn.Conv2d(8, 8, 1, bias=False), nn.BatchNorm2d(8)
        self.depth, self.point = nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False), nn.Conv2d(8, 8, 1, bias=False)
        self.norm3 = nn.BatchNorm2d(8)
        self.deep = nn.Conv2d(8, 16, 3, padding=1, groups=8)
        self.grouped = nn.Conv2d(16, 6, 3, padding=2, dilation=2, groups=2)
        self.hidden, self.last = nn.Linear(6 * 5 * 5, 7), nn.Linear(7, 4)

    def forward(self, x):
        x = torch.relu(self.norm1(self.one(functional.pad(x, (0, 3, 1, 2)))))
        x = self.norm3(self.point(self.depth(x))) + self.norm2(self.short(x))
        x = functional.max_pool2d(torch.relu(self.grouped(self.deep(x))), 3, 2, 1)
        return self.last(torch.tanh(self.hidden(x.flatten(1))))


class LeNet(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(
            *(nn.Conv2d(1, 20, 5), nn.MaxPool2d(2), nn.Conv2d(20, 50, 5), nn.MaxPool2d(2), nn.Flatten()),
            *(nn.Linear(800, 500), nn.ReLU(), nn.Linear(500, 10)),
        )


def noise(*shape):
    return np.random.default_rng(5).normal(size=shape).astype(np.float32)


def written(model, tmp_path, name):
    """The model in one of Keras' forms; Keras itself writes all of them."""
    path = tmp_path / name
    if name == "published.h5":
        return keras_nets.save_legacy_weights(model, path)
    model.save_weights(path) if name.endswith(".weights.h5") else model.save(path)
    return path


@pytest.mark.parametrize("name", ["net.keras", "net.h5", "net.weights.h5", "published.h5"])
def test_lenet_from_every_form(lenet, tmp_path, name):
    images = noise(3, 1, 28, 28)
    path = written(lenet, tmp_path, name)
    assert KerasImporter().reads(path)
    module = fill(KerasImporter().read(path), LeNet(), (1, 28, 28))
    answers = torch.from_numpy(keras_nets.outputs(lenet, images)).log()  # it ends in a softmax
    with torch.inference_mode():
        assert torch.allclose(module(torch.from_numpy(images)).log_softmax(1), answers, atol=1e-4)


@pytest.mark.parametrize("name", ["net.keras", "net.h5"])
def test_all_kinds_of_layers(blocks, tmp_path, name):
    images = noise(3, 3, 17, 17)
    foreign = KerasImporter().read(written(blocks, tmp_path, name))
    assert foreign.input_shape == (3, 17, 17)
    module = fill(foreign, Blocks(), (3, 17, 17))
    assert relative_difference(module, images, keras_nets.outputs(blocks, images)) < 1e-5


@pytest.mark.parametrize("name", ["net.keras", "net.h5"])
def test_keras_own_forward_pass_is_the_one_of_the_model_that_was_saved(blocks, lenet, tmp_path, name):
    images = noise(2, 3, 17, 17)
    forward = KerasImporter().forward(written(blocks, tmp_path, name))
    assert np.allclose(forward(images), keras_nets.outputs(blocks, images), atol=1e-5)
    digits = noise(2, 1, 28, 28)
    logits = torch.from_numpy(KerasImporter().forward(written(lenet, tmp_path, "lenet" + name[3:]))(digits))
    assert not torch.allclose(logits.sum(1), torch.ones(2))
    assert np.allclose(logits.softmax(1).numpy(), keras_nets.outputs(lenet, digits), atol=1e-5)


def test_weights_alone_have_no_forward_pass(lenet, tmp_path):
    assert KerasImporter().forward(written(lenet, tmp_path, "net.weights.h5")) is None


def test_norms_of_weights_alone_need_their_epsilon(tmp_path):
    layers = keras_nets.keras().layers
    model = keras_nets.randomised(
        keras_nets.keras().Sequential(
            [
                keras_nets.keras().Input((6, 6, 1)),
                *(layers.Conv2D(3, 3), layers.BatchNormalization(epsilon=0.05), layers.Conv2D(2, 3)),
                *(layers.BatchNormalization(epsilon=0.05), layers.Flatten(), layers.Dense(3)),
            ]
        )
    )
    path = written(model, tmp_path, "net.weights.h5")
    with pytest.raises(UserError, match="do not say what the norms add"):
        KerasImporter().read(path)
    module = nn.Sequential(
        *(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3))
    )
    module = fill(KerasImporter(epsilon=0.05).read(path), module, (1, 6, 6))
    images = noise(2, 1, 6, 6)
    assert relative_difference(module, images, keras_nets.outputs(model, images)) < 1e-5


def test_an_epsilon_without_effect_is_refused(lenet, tmp_path):
    for name in ("net.keras", "net.weights.h5"):
        with pytest.raises(UserError, match="epsilon has no effect"):
            KerasImporter(epsilon=0.1).read(written(lenet, tmp_path, name))


def test_keras_two_s_way_to_write_a_graph_and_names_of_weights(blocks, lenet, tmp_path):
    """The same file as TensorFlow's Keras 2 wrote it: nodes as lists, weights as `name/kernel:0`."""
    path = written(keras_nets.lenet(functional=True), tmp_path, "net.h5")
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        for layer in config["config"]["layers"]:
            nodes = layer["inbound_nodes"]
            if nodes:
                name, node, place = nodes[0]["args"][0]["config"]["keras_history"]
                layer["inbound_nodes"] = [[[name, node, place, {}]]]
        for key in ("input_layers", "output_layers"):
            config["config"][key] = [config["config"][key]]
        file.attrs["model_config"] = json.dumps(config)
        for name in ("first", "second", "hidden", "answer"):
            group = file["model_weights"][name]
            for role in ("kernel", "bias"):
                inner = group["functional_9" if "functional_9" in group else name]
                inner[f"{role}:0"] = inner[role]
                del inner[role]
            group.attrs["weight_names"] = [f"{name}/kernel:0".encode(), f"{name}/bias:0".encode()]
    module = fill(KerasImporter().read(path), LeNet(), (1, 28, 28))
    assert module[0].weight.shape == (20, 1, 5, 5)


def changed(path, change):
    """A .keras file with another configuration."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(parts["config.json"])
    change(config)
    parts["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path


def test_a_layer_that_is_not_known_is_named(lenet, tmp_path):
    def to_lambda(config):
        config["config"]["layers"][2]["class_name"] = "Lambda"

    path = changed(written(lenet, tmp_path, "net.keras"), to_lambda)
    with pytest.raises(UserError, match="is a Lambda"):
        KerasImporter().read(path)
    with pytest.raises(UserError, match="is a Lambda"):
        KerasImporter().forward(path)


def test_a_configuration_that_names_code_is_never_built(lenet, tmp_path, monkeypatch):
    """Keras would import the module that `module` names, and call what `class_name` names in it."""
    called = []
    monkeypatch.setattr("json.tool.main", lambda *_, **__: called.append(1), raising=False)
    code = {"module": "json.tool", "class_name": "main", "config": {}, "registered_name": "main"}

    def everywhere(config):
        for layer in config["config"]["layers"][1:]:
            layer["module"] = "json.tool"
            layer["registered_name"] = "main"
            layer["config"]["kernel_initializer"] = code
            layer["config"]["kernel_regularizer"] = code
            layer["build_config"] = code
        config["compile_config"] = code

    path = changed(written(lenet, tmp_path, "net.keras"), everywhere)
    assert KerasImporter().forward(path)(noise(1, 1, 28, 28)).shape == (1, 10)

    def activation(config):
        config["config"]["layers"][1]["config"]["activation"] = code

    with pytest.raises(UserError, match="activation"):
        KerasImporter().forward(changed(path, activation))
    assert called == []


def test_a_layer_that_is_called_twice_is_refused(tmp_path):
    keras = keras_nets.keras()
    start = keras.Input((8, 8, 2))
    shared = keras.layers.Conv2D(2, 1, name="shared")
    model = keras.Model(start, keras.layers.Dense(2)(keras.layers.Flatten()(shared(shared(start)))))
    with pytest.raises(UserError, match="'shared' is called 2 times"):
        KerasImporter().read(written(model, tmp_path, "net.keras"))


def test_values_of_other_layers_are_refused_by_name(tmp_path):
    keras = keras_nets.keras()
    model = keras.Sequential(
        [keras.Input((8, 8, 2)), keras.layers.Conv2D(4, 1), keras.layers.GroupNormalization(2, name="gn")]
    )
    for name in ("net.keras", "net.h5", "net.weights.h5"):
        with pytest.raises(UserError, match=r"gn|group_normalization"):
            KerasImporter().read(written(model, tmp_path, name))


@pytest.mark.parametrize("name", ["net.keras", "net.h5", "net.weights.h5"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.99])
def test_a_torn_file_is_one_clear_error(lenet, tmp_path, name, share):
    path = written(lenet, tmp_path, name)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(UserError, match=r"cannot be read|holds no Keras layers"):
        KerasImporter().read(path)


def test_an_hdf5_file_of_something_else_is_refused(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["data"] = np.zeros(3)
    with pytest.raises(UserError, match="holds no Keras layers"):
        KerasImporter().read(tmp_path / "x.h5")


def test_a_size_that_the_file_cannot_hold_is_not_allocated(tmp_path):
    with h5py.File(tmp_path / "x.weights.h5", "w") as file:
        values = file.create_group("layers/dense/vars")
        values.create_dataset("0", shape=(10**6, 10**6), dtype="f4", chunks=(100, 100))
    with pytest.raises(UserError, match="more than the file can hold"):
        KerasImporter().read(tmp_path / "x.weights.h5")


def test_other_files_are_not_taken_for_keras(tmp_path):
    (tmp_path / "a.h5").write_bytes(b"text")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("data.pkl", b"")
    assert not KerasImporter().reads(tmp_path / "a.h5")
    assert not KerasImporter().reads(tmp_path / "a.zip")
    assert not KerasImporter().reads(tmp_path / "missing.h5")
