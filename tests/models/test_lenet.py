import math

import pytest
import torch
from torch import nn
from zoo_plugins.networks.lenet import C3_INPUTS, LeNet5, PartialConv2d, TrainablePool, build

from zoo.errors import UserError
from zoo.models.build import features_of, parameter_groups

TABLE_I = [  # rows: maps of S2; columns: maps of C3, as printed in the paper
    "X...XXX..XXXX.XX",
    "XX...XXX..XXXX.X",
    "XXX...XXX..X.XXX",
    ".XXX..XXXX..X.XX",
    "..XXX..XXXX.XX.X",
    "...XXX..XXXX.XXX",
]


def make(**options):
    return build(**{"classes": 10, "channels": 1, "image_size": None} | options)


def test_build_has_the_parameters_of_the_paper():
    module = make().module
    counts = {
        name: sum(p.numel() for p in getattr(module, name).parameters())
        for name in ("c1", "s2", "c3", "s4", "c5", "f6")
    }
    assert counts == {"c1": 156, "s2": 12, "c3": 1516, "s4": 32, "c5": 48120, "f6": 10164}
    assert sum(counts.values()) == 60_000


def test_c3_reads_the_maps_of_table_i():
    for column, sources in enumerate(C3_INPUTS):
        assert [row for row in range(6) if TABLE_I[row][column] == "X"] == sorted(sources)
    assert len(C3_INPUTS) == 16


def test_partial_convolution_equals_a_masked_full_one():
    torch.manual_seed(0)
    layer, x = PartialConv2d(6, C3_INPUTS, kernel=5), torch.randn(2, 6, 14, 14)
    full = torch.zeros(16, 6, 5, 5)
    place = 0
    for out, sources in enumerate(C3_INPUTS):
        for source in sources:
            full[out, source] = layer.weight.detach()[place]
            place += 1
    expected = nn.functional.conv2d(x, full, layer.bias)
    torch.testing.assert_close(layer(x), expected)
    assert layer(x).shape == (2, 16, 10, 10)
    assert list(layer.state_dict()) == ["weight", "bias"]


def test_pool_scales_and_shifts_each_map():
    pool = TrainablePool(2)
    with torch.no_grad():
        pool.coefficient.copy_(torch.tensor([2.0, -1.0]))
        pool.bias.copy_(torch.tensor([0.5, 1.0]))
    x = torch.tensor([[[[1.0, 2.0], [3.0, 6.0]], [[0.0, 0.0], [4.0, 4.0]]]])
    assert pool(x).flatten().tolist() == [2 * 3.0 + 0.5, -1 * 2.0 + 1.0]


def test_squash_is_the_papers():
    net = LeNet5(10, channels=1, size=32, activation="scaled_tanh")
    ends = net.squash(torch.tensor([1.0, -1.0, 0.0, 50.0]))
    torch.testing.assert_close(ends, torch.tensor([1.0, -1.0, 0.0, 1.7159]), atol=1e-4, rtol=0)
    plain = LeNet5(10, channels=1, size=32, activation="tanh")
    assert plain.squash(torch.tensor(1.0)).item() == pytest.approx(math.tanh(1))


def test_forward_follows_the_layers():
    torch.manual_seed(0)
    net, x = make().module, torch.randn(2, 1, 32, 32)
    f = net.squash
    s2 = f(net.s2(f(net.c1(x))))
    assert s2.shape == (2, 6, 14, 14)
    s4 = f(net.s4(f(net.c3(s2))))
    assert s4.shape == (2, 16, 5, 5)
    c5 = f(net.c5(s4))
    assert c5.shape == (2, 120, 1, 1)
    torch.testing.assert_close(net(x), net.output(f(net.f6(c5.flatten(1)))))


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("size", [16, 17, 20, 28, 32, 33, 64])
def test_build_takes_any_size_and_channels(size, channels):
    model = make(channels=channels, image_size=size, classes=4)
    logits = model.module(torch.randn(3, channels, size, size))
    assert logits.shape == (3, 4)
    logits.square().sum().backward()
    grads = {name: p.grad for name, p in model.module.named_parameters()}
    assert all(g is not None and bool(g.isfinite().all()) for g in grads.values())
    assert all(bool(g.any()) for name, g in grads.items())
    assert (model.spec.preprocess.size, model.spec.preprocess.channels) == (size, channels)


def test_build_refuses_what_it_cannot_take():
    with pytest.raises(UserError, match="15 px"):
        make(image_size=15)
    with pytest.raises(UserError, match="activation"):
        make(activation="rleu")


def test_fill_weights_gives_each_map_of_c3_the_fan_in_of_what_it_reads():
    seen = []
    make().module.c3.fill_weights(lambda weight: seen.append(tuple(weight.shape)))
    assert seen == [(1, len(sources), 5, 5) for sources in C3_INPUTS]


def test_another_activation_takes_the_place_of_every_squash():
    torch.manual_seed(0)
    net, x = make(activation="elu").module, torch.randn(2, 1, 32, 32)
    f = nn.ELU()
    maps = f(net.s4(f(net.c3(f(net.s2(f(net.c1(x))))))))
    torch.testing.assert_close(net(x), net.output(f(net.f6(f(net.c5(maps)).flatten(1)))))


def test_build_starts_in_the_papers_range_with_zero_biases():
    torch.manual_seed(0)
    net = make().module
    for layer, fan_in in [(net.c1, 25), (net.c5, 400), (net.f6, 120), (net.output, 84)]:
        assert layer.weight.abs().max() <= 2.4 / fan_in
        assert layer.weight.abs().max() > 0.9 * 2.4 / fan_in
        assert not layer.bias.any()
    assert net.c3.weight[:3].abs().max() <= 2.4 / 75
    assert net.c3.weight[-6:].abs().max() <= 2.4 / 150


def test_spec_has_four_stages_and_an_output_slot():
    model = make()
    assert [stage.name for stage in model.spec.stages] == ["c1", "c3", "c5", "f6"]
    assert features_of(model, torch.randn(2, 1, 32, 32)).shape == (2, model.spec.feature_dim) == (2, 84)
    assert sum(len(group["params"]) for group in parameter_groups(model, 0.1)) == len(list(model.module.parameters()))
    assert model.spec.args == {"activation": "scaled_tanh"}


def test_lenet_learns_to_tell_two_patterns_apart():
    torch.manual_seed(0)
    model = make(classes=2)
    x = torch.zeros(8, 1, 32, 32)
    x[::2, :, :, 10:14] = 1
    x[1::2, :, 10:14, :] = 1
    y = torch.tensor([0, 1] * 4)
    optimizer = torch.optim.SGD(model.module.parameters(), lr=0.1, momentum=0.9)
    for _ in range(60):
        loss = nn.functional.cross_entropy(model.module(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1
