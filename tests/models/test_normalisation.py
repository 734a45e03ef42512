"""Batch norm replaced, against torch by hand and against torchvision's and timm's own ways to build such a network."""

import functools

import pytest
import timm
import torch
import torchvision
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from zoo.contracts.model import Model
from zoo.errors import UserError
from zoo.models.build import norms_of
from zoo.models.normalisation import (
    ChannelNorm,
    GroupNorm,
    NoNorm,
    group_count,
    renew_norms,
    replace_batch_norm,
    set_norm_epsilon,
)
from zoo.models.surgery import change_network
from zoo.plugins import load_plugins


@pytest.fixture(scope="module")
def registry():
    return load_plugins(only=()).registry


def make(registry, name, *, size=32, **options) -> Model:
    torch.manual_seed(0)
    return registry.get("model", name).build(classes=4, channels=3, image_size=size, **options)


def scramble(module: nn.Module) -> nn.Module:
    """Scales, shifts and statistics that are not those of a fresh network."""
    with torch.no_grad():
        for _, value in [*module.named_parameters(), *module.named_buffers()]:
            if value.ndim == 1:
                value.add_(torch.rand_like(value) * 0.5)
    return module


@given(st.integers(1, 4096))
def test_groups_divide_the_channels_and_hold_two_or_more(channels):
    groups = group_count(channels)
    assert channels % groups == 0
    assert 1 <= groups <= 32
    assert channels // groups >= min(2, channels)
    more = [n for n in range(groups + 1, 33) if channels % n == 0 and channels // n >= 2]
    assert not more


def test_groups_of_the_paper_where_the_channels_allow_it():
    assert [group_count(n) for n in (1, 2, 3, 16, 24, 64, 100, 256, 2048)] == [1, 1, 1, 8, 12, 32, 25, 32, 32]


def test_group_norm_is_written_out_by_hand():
    torch.manual_seed(0)
    layer, x = scramble(GroupNorm(3, 6, eps=1e-3)), torch.randn(2, 6, 4, 5)
    groups = x.reshape(2, 3, -1)
    mean, var = groups.mean(2, keepdim=True), groups.var(2, unbiased=False, keepdim=True)
    normal = ((groups - mean) / (var + 1e-3).sqrt()).reshape(x.shape)
    expected = normal * layer.weight[None, :, None, None] + layer.bias[None, :, None, None]
    torch.testing.assert_close(layer(x), expected)


@pytest.mark.parametrize("shape", [(2, 6), (2, 6, 7), (2, 6, 4, 5)])
def test_channel_norm_is_layer_norm_at_each_place(shape):
    torch.manual_seed(0)
    layer, x = scramble(ChannelNorm(6, eps=1e-3)), torch.randn(shape)
    mean, var = x.mean(1, keepdim=True), x.var(1, unbiased=False, keepdim=True)
    along = (1, 6, *(1 for _ in shape[2:]))
    expected = (x - mean) / (var + 1e-3).sqrt() * layer.weight.view(along) + layer.bias.view(along)
    torch.testing.assert_close(layer(x), expected)


def test_resnet_with_group_norm_equals_torchvisions_own(registry):
    model = make(registry, "torchvision/resnet18")
    scramble(model.module)
    values = {name: p.detach().clone() for name, p in model.module.named_parameters()}
    replaced = replace_batch_norm(model, "group").module
    theirs = torchvision.models.resnet18(num_classes=4, norm_layer=functools.partial(nn.GroupNorm, 32))
    theirs.load_state_dict(values, strict=True)
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(replaced.eval()(x), theirs.eval()(x))
    assert {name: p.shape for name, p in replaced.named_parameters()} == {n: v.shape for n, v in values.items()}
    assert not list(replaced.buffers())


def test_layers_inside_of_a_norm_stay_in_it(registry):
    model = make(registry, "timm/mobilenetv3_small_050", size=64)
    old = model.module.get_submodule("conv_stem"), model.module.bn1
    activation = type(model.module.bn1.act)
    replaced = replace_batch_norm(model, "group").module
    x = torch.randn(2, 3, 64, 64)
    stem = old[0](x)
    by_hand = activation()(functional.group_norm(stem, group_count(stem.shape[1]), eps=old[1].eps))
    torch.testing.assert_close(replaced.bn1(stem), by_hand)
    assert not any(isinstance(m, _BatchNorm) for m in replaced.modules())


def test_no_norm_leaves_convolutions_and_activations(registry):
    model = make(registry, "torchvision/mobilenet_v2")
    names = {name for name, _ in model.module.named_parameters()}
    changed = change_network(model, {"norm": "none"})
    left = {name for name, _ in changed.module.named_parameters()}
    assert left < names
    assert any(isinstance(m, NoNorm) for m in changed.module.modules())
    assert not any(isinstance(m, _BatchNorm) for m in changed.module.modules())
    first, x = changed.module.features[0], torch.randn(1, 3, 32, 32)
    torch.testing.assert_close(first(x), functional.relu6(first[0](x)))
    assert {name for stage in changed.spec.stages for name in stage.parameters} == left - {
        "classifier.1.weight",
        "classifier.1.bias",
    }


def test_batch_keeps_what_is_there(registry):
    model = make(registry, "timm/resnet18")
    before = [id(m) for m in model.module.modules()]
    replace_batch_norm(model, "batch")
    assert [id(m) for m in model.module.modules()] == before


def test_a_norm_that_is_more_than_a_norm_is_refused(registry):
    class Twice(nn.BatchNorm2d):
        def forward(self, x):
            return 2 * super().forward(x)

    model = make(registry, "timm/resnet18")
    model.module.bn1 = Twice(64)
    with pytest.raises(UserError, match="bn1 is a Twice, which does more than normalise"):
        replace_batch_norm(model, "group")


@pytest.mark.parametrize("kind", ["batch", "layer", "group", "none"])
@pytest.mark.parametrize("name", ["timm/convnext_atto", "zoo/lenet5", "zoo/perceptron"])
def test_networks_without_batch_norm_are_refused(registry, name, kind):
    with pytest.raises(UserError, match="has no batch norm") as error:
        replace_batch_norm(make(registry, name), kind)
    assert ("LayerNorm" in str(error.value)) == (name == "timm/convnext_atto")


def test_epsilon_equals_timms_own_argument(registry):
    model = set_norm_epsilon(make(registry, "timm/mobilenetv3_small_050", size=64), 0.1)
    theirs = timm.create_model("mobilenetv3_small_050", num_classes=4, bn_eps=0.1)
    theirs.load_state_dict(model.module.state_dict())
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(model.module.eval()(x), theirs.eval()(x))


def test_epsilon_acts_on_the_norm_that_was_put_in(registry):
    model = change_network(make(registry, "timm/resnet18"), {"norm": "group", "norm_epsilon": 0.3})
    assert {m.eps for m in model.module.modules() if isinstance(m, nn.GroupNorm)} == {0.3}


def test_epsilon_without_a_norm_is_refused(registry):
    with pytest.raises(UserError, match="no layer that normalises"):
        set_norm_epsilon(make(registry, "zoo/lenet5"), 1e-3)
    with pytest.raises(UserError, match="no layer that normalises"):
        change_network(make(registry, "timm/resnet18"), {"norm": "none", "norm_epsilon": 1e-3})


@pytest.mark.parametrize("name", ["timm/resnet18", "timm/mobilenetv3_small_050", "timm/convnext_atto"])
def test_renewed_norms_do_what_new_ones_do(registry, name):
    model = make(registry, name, size=64)
    scramble(model.module)
    kept = {n: p.clone() for n, p in model.module.named_parameters() if p.ndim > 1}
    count = renew_norms(model)
    norms = [m for m in model.module.modules() if isinstance(m, _BatchNorm | nn.LayerNorm)]
    assert count == len(norms) > 3
    for norm in norms:
        assert bool((norm.weight == 1).all())
        assert not norm.bias.any()
    for _, norm in norms_of(model.module):
        assert bool((norm.running_var == 1).all())
        assert not norm.running_mean.any()
        assert not norm.num_batches_tracked.any()
    assert all(p.equal(kept[n]) for n, p in model.module.named_parameters() if n in kept)


def test_nothing_to_renew_is_refused(registry):
    with pytest.raises(UserError, match="nothing to start afresh"):
        renew_norms(make(registry, "zoo/lenet5"))
