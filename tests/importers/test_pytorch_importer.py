import argparse
from collections import OrderedDict

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from support.importing import fill, relative_difference
from torch import nn
from zoo_plugins.foreign.pytorch_importer import PyTorchImporter

from zoo.errors import UserError
from zoo.plugins import load_plugins
from zoo.weights.files import SUFFIXES


class Foreign(nn.Module):
    """A net as somebody else named it."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            OrderedDict(
                first=nn.Conv2d(3, 6, 3, bias=False), first_bn=nn.BatchNorm2d(6), second=nn.Conv2d(6, 6, 3, groups=2)
            )
        )
        self.head = nn.Linear(6, 4)

    def forward(self, images):
        maps = self.features.first_bn(self.features.first(images)).relu()
        return self.head(self.features.second(maps).relu().mean((2, 3)))


class Ours(nn.Module):
    def __init__(self):
        super().__init__()
        self.c1, self.b1, self.c2, self.fc = nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.Conv2d(6, 6, 3, groups=2), None
        self.fc = nn.Linear(6, 4)

    def forward(self, images):
        return self.fc(self.c2(self.b1(self.c1(images)).relu()).relu().mean((2, 3)))


def foreign_net():
    torch.manual_seed(3)
    net = Foreign()
    norm = net.features.first_bn
    for tensor, (low, high) in (
        (norm.weight, (0.5, 1.5)),
        (norm.bias, (-1, 1)),
        (norm.running_mean, (-1, 1)),
        (norm.running_var, (0.5, 2)),
    ):
        tensor.data.uniform_(low, high)
    return net.eval()


IMAGES = np.random.default_rng(2).normal(0, 1, (3, 3, 9, 9)).astype(np.float32)


def expected():
    with torch.inference_mode():
        return foreign_net()(torch.from_numpy(IMAGES)).numpy()


WRAPPED = {
    "plain": lambda state: state,
    "checkpoint of data-parallel training": lambda state: {
        "epoch": 3,
        "state_dict": {f"module.{name}": value for name, value in state.items()},
    },
    "compiled": lambda state: {"model": {f"_orig_mod.{name}": value for name, value in state.items()}},
    "half precision": lambda state: {
        name: value.half() if value.is_floating_point() else value for name, value in state.items()
    },
}


@pytest.mark.parametrize("kind", WRAPPED)
def test_a_state_dict_under_other_names_gives_the_same_outputs(tmp_path, kind):
    torch.save(WRAPPED[kind](foreign_net().state_dict()), tmp_path / "net.pth")
    foreign = PyTorchImporter().read(tmp_path / "net.pth")
    assert [(layer.name, layer.kind) for layer in foreign.layers] == [
        ("features.first", "conv"),
        ("features.first_bn", "norm"),
        ("features.second", "conv"),
        ("head", "dense"),
    ]
    assert foreign.order == "file"
    assert relative_difference(fill(foreign, Ours(), (3, 9, 9)), IMAGES, expected()) < (
        5e-3 if kind == "half precision" else 1e-5
    )


def test_a_safetensors_file_says_that_it_has_no_order(tmp_path):
    save_file(foreign_net().state_dict(), tmp_path / "net.safetensors")
    foreign = PyTorchImporter().read(tmp_path / "net.safetensors")
    assert "order of their names" in " ".join(foreign.notes)
    assert relative_difference(fill(foreign, Ours(), (3, 9, 9)), IMAGES, expected()) < 1e-5


def test_the_epsilon_is_said_and_can_be_set(tmp_path):
    torch.save(foreign_net().state_dict(), tmp_path / "net.pth")
    foreign = PyTorchImporter(epsilon=1e-3).read(tmp_path / "net.pth")
    assert foreign.layers[1].facts == {"epsilon": 1e-3}
    assert "taken as 0.001" in " ".join(foreign.notes)
    assert PyTorchImporter().read(tmp_path / "net.pth").layers[1].facts == {"epsilon": 1e-5}
    with pytest.raises(UserError, match="epsilon"):
        PyTorchImporter(epsilon=2)
    torch.save(nn.Sequential(nn.Linear(2, 2)).state_dict(), tmp_path / "dense.pth")
    with pytest.raises(UserError, match="epsilon has no effect"):
        PyTorchImporter(epsilon=1e-3).read(tmp_path / "dense.pth")


def test_a_norm_without_scale_and_shift(tmp_path):
    torch.save(nn.Sequential(nn.BatchNorm2d(2, affine=False)).state_dict(), tmp_path / "n.pt")
    tensors = PyTorchImporter().read(tmp_path / "n.pt").layers[0].tensors
    assert tensors["weight"].tolist() == [1, 1]
    assert tensors["bias"].tolist() == [0, 0]


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (nn.Sequential(nn.LayerNorm(3)).state_dict(), r"'0.weight' \[3\]"),
        (nn.Sequential(nn.PReLU()).state_dict(), "'0.weight'"),
        (nn.Sequential(nn.Conv1d(1, 1, 3)).state_dict(), r"'0.weight' \[1, 1, 3\]"),
        ({"pos_embed": torch.ones(1, 4)}, "'pos_embed'"),
        ({"a.weight_g": torch.ones(1), "a.weight_v": torch.ones(1, 1)}, "'a.weight_g'"),
        ({"a.weight": torch.ones(2, 2, dtype=torch.int8)}, "'a.weight'"),
        ({"a.bias": torch.ones(2)}, "'a.bias'"),
        ({"a.weight": torch.ones(2, 2), "a.bias": torch.ones(3)}, "do not belong together"),
        ({"a.weight": torch.ones(2, 2), "a.running_mean": torch.ones(2), "a.running_var": torch.ones(2)}, "together"),
        ({"a.weight": torch.ones(2, 2), "a.running_var": torch.ones(2)}, "together"),
    ],
)
def test_tensors_of_other_layers_are_refused_by_name(tmp_path, state, words):
    torch.save(state, tmp_path / "net.pth")
    with pytest.raises(UserError, match=words) as caught:
        PyTorchImporter().read(tmp_path / "net.pth")
    assert "net.pth" in str(caught.value)


def test_what_would_run_code_and_what_is_torn_is_refused(tmp_path):
    torch.save(foreign_net(), tmp_path / "whole.pth")
    with pytest.raises(UserError, match="run code"):
        PyTorchImporter().read(tmp_path / "whole.pth")
    torch.save({"state_dict": foreign_net().state_dict(), "args": argparse.Namespace()}, tmp_path / "args.pth")
    with pytest.raises(UserError, match="run code"):
        PyTorchImporter().read(tmp_path / "args.pth")
    (tmp_path / "torn.pth").write_bytes((tmp_path / "whole.pth").read_bytes()[:200])
    with pytest.raises(UserError, match="cannot be read"):
        PyTorchImporter().read(tmp_path / "torn.pth")


def test_the_listing_states_the_endings_of_weight_files():
    entry = load_plugins().registry.get("importer", "pytorch")
    assert set(entry.facts["suffixes"]) == set(SUFFIXES)


def test_it_knows_its_files(tmp_path):
    importer = PyTorchImporter()
    assert importer.reads(tmp_path / "a.pth")
    assert importer.reads(tmp_path / "a.safetensors")
    assert not importer.reads(tmp_path / "a.onnx")
    assert importer.forward(tmp_path / "a.pth") is None
    with pytest.raises(UserError, match="has no effect"):
        importer.read(tmp_path / "a.pth", definition=tmp_path / "x")
