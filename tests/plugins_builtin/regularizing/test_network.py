"""Dropout by its formula; drop path against timm's own networks."""

from __future__ import annotations

import copy
import pickle

import pytest
import timm
import torch
import torchvision
from support.regularizing import images_of
from torch import nn
from torchvision.ops import StochasticDepth
from zoo_plugins.regularizing.network import Dropout, DropPath, _DropInput

from zoo.contracts.model import Model, ModelSpec
from zoo.errors import UserError
from zoo.imaging.preprocess import Preprocess


def test_dropout_matches_its_formula_on_the_features_that_enter_the_head(model, images):
    features: list[torch.Tensor] = []
    Dropout(p=0.5).change_model(model)
    model.head.register_forward_hook(lambda _m, inputs, _o: features.append(inputs[0]))
    model.module.train()
    model.module(images)
    model.module.eval()
    torch.manual_seed(3)
    model.head.train()
    model.module(images)
    dropped = features[-1]
    model.head.eval()
    model.module(images)
    whole = features[-1]
    kept = dropped != 0
    assert 0 < kept.float().mean() < 1
    torch.testing.assert_close(dropped[kept], 2 * whole[kept])


def test_dropout_rate_is_p():
    dropped = _DropInput(0.3)(nn.Identity(), (torch.ones(200, 500),))[0]
    assert (dropped == 0).float().mean().item() == pytest.approx(0.3, abs=0.01)
    assert dropped.mean().item() == pytest.approx(1.0, abs=0.01)


def test_dropout_keeps_names_and_is_off_in_evaluation(model, images):
    model.module.eval()
    names, before = list(model.module.state_dict()), model.module(images)
    Dropout(p=0.5).change_model(model)
    assert list(model.module.state_dict()) == names
    torch.testing.assert_close(model.module(images), before)


def test_dropout_repeats_with_torchs_seed_and_survives_copies(model, images):
    Dropout(p=0.5).change_model(model)
    twin = pickle.loads(pickle.dumps(copy.deepcopy(model.module)))
    outputs = []
    for module in (model.module, twin):
        module.train()
        torch.manual_seed(9)
        outputs.append(module(images))
    torch.testing.assert_close(outputs[0], outputs[1], rtol=0, atol=0)


def test_dropout_is_gone_once_the_network_is_restored(model, images):
    model.module.train()
    before = model.module(images)
    dropout = Dropout(p=0.9)
    dropout.change_model(model)
    assert not torch.equal(model.module(images), before)
    dropout.restore_model(model)
    torch.testing.assert_close(model.module(images), before, rtol=0, atol=0)


def wrapped(module: nn.Module, name: str, size: int = 64) -> Model:
    return Model(module, ModelSpec(name, "timm", name, "fc", 4, (), Preprocess(size, (0.5,) * 3, (0.5,) * 3)))


TIMM = {
    "resnet18": {},
    "resnet26": {},
    "convnext_atto": {"depths": (1, 1, 2, 1), "dims": (8, 8, 16, 16)},
    "vit_tiny_patch16_224": {"img_size": 64, "depth": 4},
    "regnetx_002": {},
}


@pytest.mark.parametrize("name", TIMM)
def test_drop_path_gives_timms_own_network(name):
    """The same rates in the same places: with the same seed, the same answers."""
    torch.manual_seed(0)
    theirs = timm.create_model(name, drop_path_rate=0.4, **TIMM[name])
    for scale in (p for p in theirs.parameters() if p.ndim == 1):  # branches start at 0 in some networks
        nn.init.uniform_(scale, 0.5, 1.5)
    ours = timm.create_model(name, **TIMM[name])
    ours.load_state_dict(theirs.state_dict())
    keys = list(ours.state_dict())
    changed = wrapped(ours, name)
    DropPath(p=0.4).change_model(changed)
    assert list(ours.state_dict()) == keys
    images = torch.randn(4, 3, 64, 64)
    outputs = []
    for module in (theirs, ours):
        module.train()
        torch.manual_seed(5)
        outputs.append(module(images))
    torch.testing.assert_close(outputs[1], outputs[0])
    plain = timm.create_model(name, **TIMM[name]).train()
    plain.load_state_dict(theirs.state_dict())
    assert not torch.allclose(outputs[0], plain(images))


def rates(module: nn.Module) -> list[float]:
    return [layer.p for layer in module.modules() if isinstance(layer, StochasticDepth)]


def test_drop_path_counts_only_blocks_with_a_shortcut():
    """EfficientNet's blocks that change the width have none: dropping their branch would drop all."""
    network = timm.create_model("efficientnet_lite0")
    DropPath(p=0.2).change_model(wrapped(network, "efficientnet_lite0"))
    found = rates(network)
    assert found == pytest.approx([0.2 * i / 8 for i in range(9)])
    shortcuts = [block for block in network.modules() if getattr(block, "has_skip", False)]
    assert len(shortcuts) == 9


def test_drop_path_replaces_torchvisions_own_rates():
    network = torchvision.models.efficientnet_b0()
    before = rates(network)
    model = wrapped(network, "efficientnet_b0")
    drop_path = DropPath(p=0.5)
    drop_path.change_model(model)
    used = [block for block in network.modules() if getattr(block, "use_res_connect", False)]
    assert [block.stochastic_depth.p for block in used] == pytest.approx([0.5 * i / 8 for i in range(9)])
    drop_path.restore_model(model)
    assert rates(network) == before


def test_drop_path_leaves_out_whole_branches_of_single_images(model):
    """With p = 1 - tiny, what is left of the block is its shortcut."""
    DropPath(p=0.5).change_model(model)
    seen: list[torch.Tensor] = []
    model.module.block.register_forward_hook(lambda _m, inputs, output: seen.extend([inputs[0], output]))
    branches: list[torch.Tensor] = []
    model.module.block.drop_path.register_forward_hook(lambda _m, inputs, _o: branches.append(inputs[0]))
    model.module.train()
    torch.manual_seed(0)
    model.module(images_of(400))
    (came, left), (branch,) = seen, branches
    added = (left - came).flatten(1)
    dropped = (added == 0).all(dim=1)
    assert dropped.float().mean().item() == pytest.approx(0.5, abs=0.1)
    torch.testing.assert_close(added[~dropped], 2 * branch.flatten(1)[~dropped], rtol=1e-4, atol=1e-5)


def test_drop_path_is_off_in_evaluation_and_gone_once_restored(model, images):
    model.module.eval()
    before = model.module(images)
    drop_path = DropPath(p=0.9)
    drop_path.change_model(model)
    torch.testing.assert_close(model.module(images), before, rtol=0, atol=0)
    drop_path.restore_model(model)
    assert isinstance(model.module.block.drop_path, nn.Identity)


@pytest.mark.parametrize("build", [torchvision.models.squeezenet1_1, torchvision.models.mobilenet_v2])
def test_drop_path_is_refused_where_blocks_keep_no_place_for_it(build):
    with pytest.raises(UserError, match="no residual blocks"):
        DropPath().change_model(wrapped(build(), build.__name__))
