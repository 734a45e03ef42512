"""Folds against torch: the folded network answers as the source's own layers do, computed in float64."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from zoo.contracts.importing import ForeignLayer, ForeignModel, ForeignPool
from zoo.errors import UserError
from zoo.weights.aligning import align
from zoo.weights.folding import differences, fold
from zoo.weights.tracing import trace_layers


def source_block(*, bias, norm, epsilon, seed=0, inputs=3):
    """A convolution 3 -> 4 with or without bias and norm, as a foreign model and as a function in float64."""
    draw = np.random.default_rng(seed)
    weight = draw.normal(size=(4, inputs, 3, 3)).astype(np.float32)
    tensors = {"weight": weight} | ({"bias": draw.normal(size=4).astype(np.float32)} if bias else {})
    layers = [ForeignLayer("c", "conv", tensors, {"stride": 1, "padding": "same"}, ())]
    if norm:
        values = {
            "weight": draw.uniform(0.5, 2, 4),
            "bias": draw.normal(size=4),
            "running_mean": draw.normal(size=4),
            "running_var": draw.uniform(0.001, 2, 4),
        }
        values = {role: value.astype(np.float32) for role, value in values.items()}
        layers.append(ForeignLayer("n", "norm", values, {"epsilon": epsilon}, ("c",)))

    def compute(images):
        kernel = torch.from_numpy(weight).double()
        shift = torch.from_numpy(tensors["bias"]).double() if bias else None
        maps = torch.nn.functional.conv2d(images.double(), kernel, shift, padding=1)
        if not norm:
            return maps
        part = {role: torch.from_numpy(value).double()[:, None, None] for role, value in values.items()}
        scaled = (maps - part["running_mean"]) / (part["running_var"] + epsilon).sqrt()
        return scaled * part["weight"] + part["bias"]

    return ForeignModel("test", tuple(layers), "execution"), compute


def filled(source, module, image, **options):
    """The module with the source's values, and what was noted."""
    alignment = next(align(source, trace_layers(module, image)))
    folded = fold(alignment.pairs, **options)
    state = module.state_dict()
    assert set(folded.tensors) == {name for name in state if not name.endswith("num_batches_tracked")}
    module.load_state_dict(state | folded.tensors)
    return module.eval(), folded.notes


@given(
    bias=st.booleans(),
    norm=st.booleans(),
    own_bias=st.booleans(),
    own_norm=st.booleans(),
    epsilons=st.tuples(st.sampled_from([1e-5, 1e-3, 0.1]), st.sampled_from([1e-5, 1e-3, 0.1])),
    seed=st.integers(0, 99),
)
@settings(max_examples=60)
def test_every_combination_of_bias_norm_and_epsilon_is_exact(bias, norm, own_bias, own_norm, epsilons, seed):
    source, compute = source_block(bias=bias, norm=norm, epsilon=epsilons[0], seed=seed)
    layers = [nn.Conv2d(3, 4, 3, padding=1, bias=own_bias)]
    layers += [nn.BatchNorm2d(4, eps=epsilons[1])] if own_norm else []
    image = torch.randn(2, 3, 5, 5, generator=torch.Generator().manual_seed(seed))
    if (bias or norm) and not own_bias and not own_norm:
        with pytest.raises(UserError, match="adds a bias"):
            filled(source, nn.Sequential(*layers), image[:1])
        return
    module, _ = filled(source, nn.Sequential(*layers), image[:1])
    wanted = compute(image)
    with torch.no_grad():
        distance = (module(image).double() - wanted).abs().max() / wanted.abs().max()
    assert distance < 1e-5


def test_what_was_folded_is_said():
    source, _ = source_block(bias=True, norm=True, epsilon=1e-3)
    module = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4))
    _, notes = filled(source, module, torch.zeros(1, 3, 5, 5))
    assert notes[0] == "1 layers: the convolution's bias was folded into the mean of the norm behind it"
    assert "epsilon 0.001 became 1e-05" in notes[1]


def test_statistics_are_taken_as_they_are_where_nothing_differs():
    source, _ = source_block(bias=False, norm=True, epsilon=1e-5)
    module, notes = filled(
        source, nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)), torch.zeros(1, 3, 5, 5)
    )
    for role, values in source.layers[1].tensors.items():
        assert np.array_equal(getattr(module[1], role).detach().numpy(), values)
    assert notes == ()


def test_blue_green_red_is_turned_in_the_first_layer_alone():
    source, compute = source_block(bias=True, norm=False, epsilon=0)
    image = torch.randn(1, 3, 5, 5)
    module, _ = filled(source, nn.Sequential(nn.Conv2d(3, 4, 3, padding=1)), image, reverse_input=True)
    with torch.no_grad():
        assert torch.allclose(module(image).double(), compute(image.flip(1)), atol=1e-5)


def test_blue_green_red_of_another_number_of_channels_is_refused():
    source, _ = source_block(bias=True, norm=False, epsilon=0, inputs=1)
    with pytest.raises(UserError, match="three alone"):
        filled(source, nn.Sequential(nn.Conv2d(1, 4, 3, padding=1)), torch.zeros(1, 1, 5, 5), reverse_input=True)


@pytest.mark.parametrize("as_conv", [False, True])
def test_a_dense_layer_that_reads_rows_of_channels_is_put_right(as_conv):
    draw = np.random.default_rng(0)
    weight = draw.normal(size=(5, 2 * 3 * 3)).astype(np.float32)
    kernel = draw.normal(size=(2, 1, 1, 1)).astype(np.float32)
    layers = (
        ForeignLayer("c", "conv", {"weight": kernel}, {}, ()),
        ForeignLayer("d", "dense", {"weight": weight}, {"flatten_order": "hwc"}, ("c",)),
    )
    last = nn.Conv2d(2, 5, 3, bias=False) if as_conv else nn.Linear(18, 5, bias=False)
    module = nn.Sequential(nn.Conv2d(1, 2, 1, bias=False), *([last] if as_conv else [nn.Flatten(), last]))
    image = torch.randn(1, 1, 3, 3)
    module, _ = filled(ForeignModel("test", layers, "execution"), module, image)
    maps = image.numpy()[0, 0][:, :, None] * kernel[:, 0, 0, 0]  # [H, W, C]
    with torch.no_grad():
        assert np.allclose(module(image).flatten().numpy(), weight @ maps.ravel(), atol=1e-5)


def test_a_norm_that_states_no_epsilon_is_refused():
    source, _ = source_block(bias=False, norm=True, epsilon=1e-3)
    silent = dataclasses.replace(source.layers[1], facts={})
    with pytest.raises(UserError, match="does not say what n adds"):
        filled(
            dataclasses.replace(source, layers=(source.layers[0], silent)),
            nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)),
            torch.zeros(1, 3, 5, 5),
        )


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_no_numbers_are_refused(value):
    source, _ = source_block(bias=True, norm=False, epsilon=0)
    source.layers[0].tensors["bias"][1] = value
    with pytest.raises(UserError, match="c holds values that are no numbers"):
        filled(source, nn.Sequential(nn.Conv2d(3, 4, 3, padding=1)), torch.zeros(1, 3, 5, 5))


def stated(facts, *, size=8, **options):
    """What differs between stated facts and a convolution of torch."""
    kernel = np.zeros((4, 4 // options.get("groups", 1), 3, 3), np.float32)
    source = ForeignModel("test", (ForeignLayer("c", "conv", {"weight": kernel}, facts, ()),), "execution")
    module = nn.Sequential(nn.Conv2d(4, 4, 3, bias=False, **options))
    return differences(next(align(source, trace_layers(module, torch.zeros(1, 4, size, size)))).pairs)


def test_agreeing_geometry_is_silent():
    assert stated({"stride": 2, "padding": 1, "dilation": 1, "groups": 2}, stride=2, padding=1, groups=2) == []
    assert stated({"stride": (1, 1), "padding": "same"}, padding=1) == []
    assert stated({"padding": "valid"}) == []
    assert stated({}, stride=2) == []


def test_differing_geometry_says_both_sides():
    assert stated({"stride": 2, "padding": 1}, padding=1) == ["c has stride 2, 0 1"]
    assert stated({"dilation": 2}) == ["c has dilation 2, 0 1"]
    assert stated({"groups": 2}) == ["c has groups 2, 0 1"]


def test_same_at_a_stride_is_not_one_zero_on_each_side():
    said = stated({"stride": 2, "padding": "same"}, stride=2, padding=1)
    assert said == ["c has padding top 0 left 0 bottom 1 right 1, 0 1"]
    assert stated({"stride": 2, "padding": "same"}, stride=2, padding=1, size=9) == []


def pooled(pool, module, *, size=8):
    layers = (
        ForeignLayer("a", "conv", {"weight": np.zeros((1, 1, 1, 1), np.float32)}, {}, ()),
        ForeignLayer("b", "conv", {"weight": np.zeros((2, 1, 1, 1), np.float32)}, {"pools": pool}, ("a",)),
    )
    network = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), *module, nn.Conv2d(1, 2, 1, bias=False))
    traced = trace_layers(network, torch.zeros(1, 1, size, size))
    return differences(next(align(ForeignModel("test", layers, "execution"), traced)).pairs)


def test_poolings_are_compared_by_what_their_windows_see():
    same = (ForeignPool("max", (3, 3), (2, 2), "same"),)
    assert pooled(same, [nn.ZeroPad2d((0, 1, 0, 1)), nn.MaxPool2d(3, 2)]) == []
    assert "reaches beyond the map by top 0 left 0 bottom 1 right 1" in pooled(same, [nn.MaxPool2d(3, 2, 1)])[0]
    assert pooled(same, [nn.MaxPool2d(3, 2, 1)], size=9) == []
    assert pooled((ForeignPool("max", (3, 3), (2, 2), ceil=True),), [nn.MaxPool2d(3, 2, ceil_mode=True)]) == []


def test_other_poolings_are_named():
    assert "pooling avg 2 / 2" in pooled((ForeignPool("avg", (2, 2), (2, 2)),), [nn.MaxPool2d(2)])[0]
    assert "no pooling" in pooled((), [nn.MaxPool2d(2)])[0]
