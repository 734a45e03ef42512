"""L2-SP, DELTA and BSS against written-out formulas in numpy, and what they do to training."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import timm
import torch
from support.regularizing import Feed, images_of, job_of, residual_model, setting
from torch import nn
from zoo_plugins.regularizing.network import Dropout
from zoo_plugins.regularizing.parts import stage_ends
from zoo_plugins.regularizing.transfer_penalties import BSS, L2SP, Delta

from zoo.contracts.model import Model, ModelSpec
from zoo.errors import UserError
from zoo.imaging.preprocess import Preprocess
from zoo.models.build import stages_from
from zoo.models.freezing import set_train
from zoo.training.loop import Loop

TRANSFER = [L2SP, Delta]


def moved(model: Model, by: float = 0.1) -> dict[str, np.ndarray]:
    """Moves every parameter at random; what it was before."""
    before = {name: p.detach().double().numpy().copy() for name, p in model.module.named_parameters()}
    torch.manual_seed(8)
    with torch.no_grad():
        for parameter in model.module.parameters():
            parameter.add_(by * torch.randn_like(parameter))
    return before


def test_l2sp_matches_its_formula(model):
    penalty = L2SP(alpha=0.3, beta=0.07)
    penalty.change_model(model)
    before = moved(model)
    now = {name: p.detach().double().numpy() for name, p in model.module.named_parameters()}
    distance = sum(np.sum((now[name] - before[name]) ** 2) for name in now if not name.startswith("fc."))
    size = sum(np.sum(now[name] ** 2) for name in ("fc.weight", "fc.bias"))
    assert penalty.penalty(model).item() == pytest.approx(0.15 * distance + 0.035 * size, rel=1e-5)


def test_l2sp_gradient_points_back_to_the_start(model):
    penalty = L2SP(alpha=0.5, beta=0.2)
    penalty.change_model(model)
    start = model.module.conv.weight.detach().clone()
    moved(model)
    penalty.penalty(model).backward()
    torch.testing.assert_close(model.module.conv.weight.grad, 0.5 * (model.module.conv.weight.detach() - start))
    torch.testing.assert_close(model.module.fc.weight.grad, 0.2 * model.module.fc.weight.detach())


def test_l2sp_is_nothing_at_the_start_and_leaves_out_what_is_frozen_or_new(model):
    penalty = L2SP(alpha=0.5, beta=0.0)
    penalty.change_model(model)
    assert penalty.penalty(model).item() == 0
    moved(model)
    model.module.requires_grad_(False)
    model.module.fc.requires_grad_(True)
    model.module.adapter = nn.Linear(3, 3)  # was not there at the start
    assert penalty.penalty(model).item() == 0


def test_l2sp_keeps_a_network_nearer_to_its_start(tmp_path):
    distances = {}
    for alpha in (None, 2.0):
        model = residual_model()
        start = {name: p.detach().clone() for name, p in model.module.named_parameters() if not name.startswith("fc")}
        regularizers = {} if alpha is None else {"l2sp": L2SP(alpha=alpha)}
        for regularizer in regularizers.values():
            regularizer.change_model(model)
        Loop(job_of(model, regularizers, tmp_path / str(alpha), epochs=6, lr=0.05)).run()
        end = dict(model.module.named_parameters())
        distances[alpha] = sum(float((end[name].detach() - start[name]).square().sum()) for name in start)
    assert distances[2.0] < distances[None] / 2


@pytest.mark.parametrize("kind", TRANSFER)
def test_penalties_towards_the_start_need_one(kind):
    with pytest.raises(UserError, match="starts from random ones") as caught:
        kind().check(setting(pretrained=False))
    assert "regularizers=[l2]" in str(caught.value)
    kind().check(setting())


@pytest.mark.parametrize("kind", [*TRANSFER, BSS])
@pytest.mark.parametrize("fixed", [{"trainable": "head"}, {"parameters": "none"}])
def test_penalties_on_a_frozen_backbone_are_refused(kind, fixed):
    with pytest.raises(UserError, match="frozen backbone"):
        kind().check(setting(**fixed))


def test_l2sp_beside_adapters_is_refused():
    """The backbone's own values do not move; the adapters' start is zero."""
    with pytest.raises(UserError, match="beside adapters"):
        L2SP().check(setting(parameters="adapters"))
    Delta().check(setting(parameters="adapters"))


# DELTA


def stage_maps(module: nn.Module, images: torch.Tensor) -> list[np.ndarray]:
    """Outputs of the stem's norm and of the block, computed without hooks."""
    stem = module.norm(module.conv(images))
    return [maps.detach().double().numpy() for maps in (stem, module.block(torch.relu(stem)))]


def test_delta_is_0_where_a_process_has_no_image_of_a_batch(model):
    delta = Delta(alpha=1.0, beta=0.0)
    delta.change_model(model)
    set_train(model.module, freeze_norm=True)
    model.module(torch.zeros(0, 1, 8, 8))
    assert delta.penalty(model).item() == 0.0


def test_delta_matches_its_formula(model, images):
    start = copy.deepcopy(model.module).eval()
    delta = Delta(alpha=0.6, beta=0.05)
    delta.change_model(model)
    moved(model)
    model.module.train()
    model.module(images)
    value = delta.penalty(model)
    twin = copy.deepcopy(model.module).train()
    pairs = zip(stage_maps(twin, images), stage_maps(start, images), strict=True)
    distance = sum(np.mean((now - then) ** 2) for now, then in pairs)
    size = sum(p.detach().double().square().sum().item() for p in model.head.parameters())
    assert value.item() == pytest.approx(0.3 * distance + 0.025 * size, rel=1e-4)
    value.backward()
    assert model.module.conv.weight.grad.abs().sum() > 0


def test_delta_is_nothing_while_the_network_is_its_old_self(model, images):
    delta = Delta(beta=0.0)
    delta.change_model(model)
    model.module.train()
    for norm in (model.module.norm, model.module.block.norm):
        norm.eval()  # as with a frozen norm; else the batch's statistics stand against the moving ones
    model.module(images)
    assert delta.penalty(model).item() == 0


def test_delta_looks_at_training_passes_alone_and_lets_go(model, images):
    delta = Delta()
    delta.change_model(model)
    model.module.eval()
    model.module(images)
    with pytest.raises(RuntimeError, match="no forward pass"):
        delta.penalty(model)
    model.module.train()
    model.module(images)
    twin = pickle.loads(pickle.dumps(copy.deepcopy(model.module)))
    torch.testing.assert_close(twin.eval()(images), model.module.eval()(images), rtol=0, atol=0)
    delta.restore_model(model)
    assert not model.module._forward_pre_hooks
    assert not any(child._forward_hooks for child in model.module.modules())


def test_delta_keeps_names_and_draws_nothing(model, images):
    names = list(model.module.state_dict())
    Delta().change_model(model)
    assert list(model.module.state_dict()) == names
    model.module.train()
    torch.manual_seed(1)
    model.module(images)
    after = torch.rand(())
    torch.manual_seed(1)
    assert torch.rand(()) == after


def test_delta_is_refused_without_stages(model):
    spec = ModelSpec("test/flat", "zoo", "flat", "fc", 4, (), Preprocess(8, (0.5,), (0.5,)))
    with pytest.raises(UserError, match="no stages"):
        Delta().change_model(Model(model.module, spec))


def test_stages_end_where_their_last_layer_does(model):
    assert stage_ends(model) == {"stem": "norm", "block": "block"}
    network = timm.create_model("resnet18")
    pairs = [
        (name.split(".")[0].replace("conv1", "stem").replace("bn1", "stem"), name)
        for name, _ in network.named_parameters()
        if not name.startswith("fc.")
    ]
    spec = ModelSpec("timm/resnet18", "timm", "resnet18", "fc", 512, stages_from(pairs), Preprocess(64, (0,), (1,)))
    expected = {"stem": "bn1", **{f"layer{i}": f"layer{i}" for i in (1, 2, 3, 4)}}
    assert stage_ends(Model(network, spec)) == expected


# BSS


@pytest.mark.parametrize("k", [1, 2, 4, 9])
def test_bss_matches_numpys_singular_values(model, images, k):
    bss = BSS(eta=0.2, k=k)
    bss.change_model(model)
    model.module.train()
    model.module(images)
    value = bss.penalty(model)
    with torch.no_grad():
        features = model.module.features(images).double().numpy()
    smallest = np.sort(np.linalg.svd(features, compute_uv=False))[:k]
    assert value.item() == pytest.approx(0.2 * np.sum(smallest**2), rel=1e-3, abs=1e-9)


def test_bss_gradient_matches_finite_differences():
    features = nn.Parameter(torch.randn(5, 3, dtype=torch.float64))
    assert torch.autograd.gradcheck(lambda f: torch.linalg.svdvals(f)[-2:].square().sum(), features)


def test_bss_shrinks_the_smallest_directions_and_not_the_largest(model):
    images = images_of(12)
    optimizer = torch.optim.SGD(model.module.parameters(), lr=0.05)
    bss = BSS(eta=1.0, k=1)
    bss.change_model(model)
    model.module.train()
    with torch.no_grad():
        before = torch.linalg.svdvals(model.module.features(images))
    for _ in range(30):
        optimizer.zero_grad()
        model.module(images)
        bss.penalty(model).backward()
        optimizer.step()
    with torch.no_grad():
        after = torch.linalg.svdvals(model.module.features(images))
    assert after[-1] < before[-1] / 2
    assert after[0] > before[0] / 2


def test_bss_sees_the_features_ahead_of_dropout(model, images):
    Dropout(p=0.9).change_model(model)
    bss = BSS(eta=1.0)
    bss.change_model(model)
    model.module.train()
    model.module(images)
    with torch.no_grad():
        expected = torch.linalg.svdvals(model.module.features(images))[-1] ** 2
    assert bss.penalty(model).item() == pytest.approx(expected.item(), rel=1e-3, abs=1e-8)


def test_feed_of_these_tests_can_be_learned(tmp_path):
    model = residual_model()
    feed = Feed()
    counters = Loop(job_of(model, {}, tmp_path / "run", feed=feed, epochs=10)).run()
    assert counters.best_accuracy > 0.6
