"""Assignments of layers against ones that are known: a network's own layers, shuffled and renamed."""

import dataclasses
import itertools
import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from zoo.contracts.importing import ForeignLayer, ForeignModel, ForeignPool
from zoo.errors import UserError
from zoo.weights.aligning import align
from zoo.weights.tracing import trace_layers


class Residual(nn.Module):
    """The first block of a bottleneck ResNet: its last convolution and its shortcut have one shape."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1, bias=False)
        self.conv1, self.bn1 = nn.Conv2d(4, 4, 1, bias=False), nn.BatchNorm2d(4)
        self.conv3, self.bn3 = nn.Conv2d(4, 8, 1, bias=False), nn.BatchNorm2d(8)
        self.downsample = nn.Sequential(nn.Conv2d(4, 8, 1, bias=False), nn.BatchNorm2d(8))
        self.fc = nn.Linear(8, 2)

    def forward(self, x):
        x = torch.relu(self.stem(x))
        y = self.bn3(self.conv3(torch.relu(self.bn1(self.conv1(x)))))
        return self.fc(torch.relu(y + self.downsample(x)).mean((2, 3)))


class Twins(nn.Module):
    """Two branches that nothing tells apart but their order in the concatenation."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.fc = nn.Conv2d(1, 2, 1), nn.Conv2d(1, 2, 1), nn.Linear(4, 2)

    def forward(self, x):
        return self.fc(torch.cat([self.a(x), self.b(x)], 1).mean((2, 3)))


def foreign(module, *, size=8, connected=True, rename="{}".format, order=None):
    """The network's own layers as a reader would hand them over, each with values of its own."""
    state = module.state_dict()
    layers = []
    for layer in trace_layers(module, torch.zeros(1, 3 if isinstance(module, Residual) else 1, size, size)):
        tensors = {role: state[name].numpy() for role, name in layer.tensors.items()}
        facts = {"epsilon": layer.epsilon} if layer.kind == "norm" else {}
        after = tuple(rename(name) for name in layer.after) if connected else None
        layers.append(ForeignLayer(rename(layer.name), layer.kind, tensors, facts, after))
    if order is not None:
        layers = [layers[place] for place in order]
    return ForeignModel("test", tuple(layers), "execution")


def assigned(alignment):
    """Source name to network name, of convolutions and dense layers."""
    found = {pair.core[0].name: pair.core[1].name for pair in alignment.pairs if pair.core is not None}
    norms = {pair.norm[0].name: pair.norm[1].name for pair in alignment.pairs if pair.norm[0] and pair.norm[1]}
    return found | norms


def target(module):
    return trace_layers(module, torch.zeros(1, 3 if isinstance(module, Residual) else 1, 8, 8))


@given(seed=st.integers(0, 10_000))
@settings(max_examples=25)
def test_dataflow_finds_every_layer_whatever_the_order_and_the_names(seed):
    module = Residual()
    names = [layer.name for layer in target(module)]
    secret = {name: f"layer_{number}" for number, name in enumerate(random.Random(seed).sample(names, len(names)))}
    order = random.Random(seed + 1).sample(range(len(names)), len(names))
    source = foreign(module, rename=secret.__getitem__, order=order)
    found = list(align(source, target(module)))
    assert len(found) == 1
    assert found[0].open == ()
    assert assigned(found[0]) == {secret[name]: name for name in names}


def test_without_dataflow_parallel_branches_of_one_shape_stay_open():
    module = Residual()
    found = list(
        align(foreign(module, connected=False, rename=lambda name: name.replace(".", "_") + "x"), target(module))
    )
    # The convolution of the shortcut says `downsample`, which decides.
    assert len(found) == 1
    assert found[0].by_name
    secret = {layer.name: f"l{number}" for number, layer in enumerate(target(module))}
    found = list(align(foreign(module, connected=False, rename=secret.__getitem__), target(module)))
    assert len(found) == 2
    assert found[0].open
    assert assigned(found[0]) == {secret[name]: name for name in secret}
    assert {frozenset(assigned(each).items()) for each in found} != {frozenset(assigned(found[0]).items())}


def test_without_dataflow_a_chain_has_one_assignment():
    chain = nn.Sequential(nn.Conv2d(1, 1, 1), nn.Conv2d(1, 1, 1), nn.Conv2d(1, 1, 1), nn.Flatten(), nn.Linear(64, 2))
    found = list(align(foreign(chain, connected=False, rename=lambda name: f"x{name}"), target(chain)))
    assert len(found) == 1
    assert assigned(found[0]) == {"x0": "0", "x1": "1", "x2": "2", "x4": "4"}


def test_twin_branches_are_never_guessed():
    module = Twins()
    secret = {"a": "p", "b": "q", "fc": "r"}
    found = list(align(foreign(module, rename=secret.__getitem__), target(module)))
    assert len(found) == 2
    assert all(each.open == (("p, q", "a, b"),) for each in found)
    assert {assigned(each)["p"] for each in found} == {"a", "b"}


def test_equal_names_tell_twins_apart():
    found = list(align(foreign(Twins()), target(Twins())))
    assert len(found) == 1
    assert assigned(found[0]) == {"a": "a", "b": "b", "fc": "fc"}
    assert found[0].by_name == ("a",)


def test_norms_in_a_list_of_their_own_are_found_without_dataflow():
    module = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2), nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3))
    source = foreign(module, connected=False, rename=lambda name: f"x{name}", order=[0, 2, 1, 3])
    found = list(align(source, target(module)))
    assert len(found) == 1
    assert assigned(found[0]) == {"x0": "0", "x1": "1", "x2": "2", "x3": "3"}


def test_a_source_without_norms_fits_a_network_with_them():
    module = nn.Sequential(nn.Conv2d(1, 2, 1, bias=False), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(128, 2))
    plain = nn.Sequential(nn.Conv2d(1, 2, 1), nn.Identity(), nn.Flatten(), nn.Linear(128, 2))
    found = list(align(foreign(plain), target(module)))
    assert len(found) == 1
    assert found[0].pairs[0].norm[0] is None
    assert found[0].pairs[0].norm[1].name == "1"


def test_other_counts_name_the_layers_of_both_sides():
    deep = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Conv2d(2, 2, 3), nn.Flatten(), nn.Linear(32, 2))
    wide = nn.Sequential(nn.Conv2d(1, 5, 3), nn.Conv2d(5, 2, 3), nn.Flatten(), nn.Linear(32, 2))
    with pytest.raises(UserError) as caught:
        list(align(foreign(deep), target(wide)))
    assert "0 [map 2 x 1 x 3 x 3]" in str(caught.value)
    assert "0 [map 5 x 1 x 3 x 3]" in str(caught.value)


def test_the_same_layers_joined_otherwise_do_not_fit():
    class Chain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.fc = nn.Conv2d(1, 1, 3, padding=1), nn.Conv2d(1, 1, 3, padding=1), nn.Linear(64, 2)

        def forward(self, x):
            return self.fc(self.b(self.a(x)).flatten(1))

    class Fork(Chain):
        def forward(self, x):
            return self.fc((self.b(x) + self.a(x)).flatten(1))

    with pytest.raises(UserError, match="read one another otherwise"):
        list(align(foreign(Chain()), target(Fork())))


def test_a_convolution_over_a_whole_map_is_a_dense_layer_and_the_other_way_round():
    conv = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Conv2d(2, 5, 6), nn.Flatten(), nn.Linear(5, 2))
    dense = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(72, 5), nn.Linear(5, 2))
    for source, network in itertools.permutations((conv, dense)):
        found = list(align(foreign(source), target(network)))
        assert len(found) == 1
        assert len(found[0].pairs) == 3


def test_a_norm_behind_an_activation_is_no_unit():
    module = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2))
    source = foreign(module)
    far = dataclasses.replace(source.layers[1], facts={"epsilon": 1e-5, "direct": False})
    with pytest.raises(UserError):
        list(align(dataclasses.replace(source, layers=(source.layers[0], far)), target(module)))


def test_no_assignment_is_lost_in_a_net_of_many_equal_chains():
    """A ladder of six equal convolutions in a row: the shapes say nothing, the dataflow all."""
    module = nn.Sequential(*(nn.Conv2d(1, 1, 1) for _ in range(6)))
    order = np.random.default_rng(0).permutation(6).tolist()
    found = list(align(foreign(module, rename=lambda name: f"x{name}", order=order), target(module)))
    assert len(found) == 1
    assert assigned(found[0]) == {f"x{number}": str(number) for number in range(6)}


class Pooled(nn.Module):
    """Twin branches, one of which pools first: what Inception-v4's modules have."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.fc = nn.Conv2d(1, 2, 1), nn.Conv2d(1, 2, 1), nn.Linear(4, 2)

    def forward(self, x):
        pooled = nn.functional.avg_pool2d(x, 3, 1, 1)
        return self.fc(torch.cat([self.a(x), self.b(pooled)], 1).mean((2, 3)))


def test_a_pooling_tells_twin_branches_apart():
    module = Pooled()
    secret = {"a": "q", "b": "p", "fc": "r"}
    source = foreign(module, rename=secret.__getitem__)
    pool = ForeignPool("avg", (3, 3), (1, 1), 1)
    stated = {"q": (), "p": (pool,), "r": ()}
    layers = [dataclasses.replace(layer, facts={"pools": stated[layer.name]}) for layer in source.layers]
    found = list(align(dataclasses.replace(source, layers=tuple(layers)), target(module)))
    assert len(found) == 1
    assert assigned(found[0]) == {"q": "a", "p": "b", "r": "fc"}
    assert len(list(align(source, target(module)))) == 2
