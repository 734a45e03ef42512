"""Each initialisation against its formula, and against torch.nn.init called by hand under the same seed."""

import math
from typing import get_args

import pytest
import torch
from torch import nn
from zoo_plugins.networks.dense_networks import build_mlp, build_perceptron
from zoo_plugins.networks.lenet import C3_INPUTS

from zoo.contracts.model import Model
from zoo.contracts.network_options import Activation, Initialisation
from zoo.errors import UserError
from zoo.models.activations import ACTIVATIONS
from zoo.models.build import replace_head
from zoo.models.initialise import filler, he_gain, initialise
from zoo.plugins import load_plugins

METHODS = get_args(Initialisation)
VARIANCE = {
    "he_normal": lambda fan_in, fan_out: 2 / fan_in,
    "he_uniform": lambda fan_in, fan_out: 2 / fan_in,
    "xavier_normal": lambda fan_in, fan_out: 2 / (fan_in + fan_out),
    "xavier_uniform": lambda fan_in, fan_out: 2 / (fan_in + fan_out),
    "lecun_normal": lambda fan_in, fan_out: 1 / fan_in,
    "lecun_uniform": lambda fan_in, fan_out: 1 / fan_in,
}
BY_TORCH = {
    "he_normal": lambda w: nn.init.kaiming_normal_(w, nonlinearity="relu"),
    "he_uniform": lambda w: nn.init.kaiming_uniform_(w, nonlinearity="relu"),
    "xavier_normal": nn.init.xavier_normal_,
    "xavier_uniform": nn.init.xavier_uniform_,
    "lecun_normal": lambda w: nn.init.kaiming_normal_(w, nonlinearity="linear"),
    "lecun_uniform": lambda w: nn.init.kaiming_uniform_(w, nonlinearity="linear"),
    "orthogonal": nn.init.orthogonal_,
}


@pytest.fixture(scope="module")
def registry():
    return load_plugins(only=()).registry


def make(registry, name, *, size=32, **options) -> Model:
    torch.manual_seed(0)
    return registry.get("model", name).build(classes=4, channels=3, image_size=size, **options)


def test_every_method_is_tested():
    assert set(METHODS) == set(BY_TORCH) == {*VARIANCE, "orthogonal"}


@pytest.mark.parametrize("method", list(VARIANCE))
@pytest.mark.parametrize("shape", [(300, 500), (64, 48, 3, 3)])
def test_weights_have_the_variance_of_the_formula(method, shape):
    torch.manual_seed(0)
    weight = torch.empty(shape)
    filler(method, gain=math.sqrt(2))(weight)
    places = math.prod(shape[2:])
    expected = VARIANCE[method](shape[1] * places, shape[0] * places)
    count, kurtosis = weight.numel(), (weight**4).mean() / weight.var() ** 2
    normal = method.endswith("normal")
    # The variance of n draws scatters by sqrt((kurtosis - 1) / n), their mean by sqrt(variance / n).
    assert weight.var().item() == pytest.approx(expected, rel=5 * math.sqrt(2 / count))
    assert abs(weight.mean().item()) < 5 * math.sqrt(expected / count)
    assert kurtosis.item() == pytest.approx(3 if normal else 1.8, abs=0.1)
    bound = math.sqrt(3 * expected)
    assert (weight.abs().max() <= bound) == (not normal)


@pytest.mark.parametrize("shape", [(20, 50), (50, 20), (32, 16, 3, 3), (7, 7)])
def test_orthogonal_rows_or_columns(shape):
    torch.manual_seed(0)
    weight = torch.empty(shape)
    filler("orthogonal", gain=1.0)(weight)
    flat = weight.flatten(1)
    product = flat @ flat.T if flat.shape[0] <= flat.shape[1] else flat.T @ flat
    torch.testing.assert_close(product, torch.eye(len(product)), atol=1e-5, rtol=0)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["zoo/mlp", "timm/resnet18", "timm/mobilenetv3_small_050"])
def test_network_starts_as_torch_would_fill_it(registry, name, method):
    options = {"activation": "relu"} if name == "zoo/mlp" else {}
    model, by_hand = make(registry, name, **options), make(registry, name, **options)
    if name == "timm/mobilenetv3_small_050" and method.startswith("he"):
        assert he_gain("hardswish") == math.sqrt(2)
    torch.manual_seed(7)
    initialise(model, method)
    torch.manual_seed(7)
    for layer in by_hand.module.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            BY_TORCH[method](layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    mine, theirs = model.module.state_dict(), by_hand.module.state_dict()
    assert all(mine[key].equal(theirs[key]) for key in theirs)


@pytest.mark.parametrize("activation", get_args(Activation))
def test_he_has_the_gain_of_the_networks_activation(activation):
    expected = {
        "leaky_relu": nn.init.calculate_gain("leaky_relu", 0.01),
        "tanh": nn.init.calculate_gain("tanh"),
        "sigmoid": nn.init.calculate_gain("sigmoid"),
        "linear": nn.init.calculate_gain("linear"),
        "selu": 1.0,
        "scaled_tanh": 1.0,
    }.get(activation, nn.init.calculate_gain("relu"))
    assert he_gain(activation) == pytest.approx(expected)
    model = build_mlp(classes=2, channels=1, image_size=28, hidden=(400,), activation=activation)
    torch.manual_seed(0)
    said = initialise(model, "he_normal")
    assert f"gain {expected:.3g} ({activation})" in said
    measured = model.module.layers.hidden1.dense.weight.var().item() * 784
    assert measured == pytest.approx(expected**2, rel=0.02)


def test_every_gain_belongs_to_a_known_activation():
    assert {name for name in ACTIVATIONS if he_gain(name) != math.sqrt(2)} == {
        "leaky_relu", "linear", "scaled_tanh", "selu", "sigmoid", "tanh",
    }  # fmt: skip
    assert he_gain("") == math.sqrt(2)


def test_head_starts_so_too_and_norms_keep_their_values(registry):
    model = make(registry, "timm/resnet18")
    replace_head(model, nn.Linear(512, 3))
    norms = {n: p.clone() for n, p in model.module.named_parameters() if p.ndim == 1 and not n.startswith("fc")}
    said = initialise(model, "lecun_uniform")
    assert said == "lecun_uniform: 21 layers"
    assert model.head.weight.abs().max() <= math.sqrt(3 / 512)
    assert not model.head.bias.any()
    assert len(norms) == 40
    assert all(p.equal(norms[n]) for n, p in model.module.named_parameters() if n in norms)


def test_start_follows_the_seed(registry):
    values = []
    for seed in (1, 1, 2):
        model = make(registry, "zoo/lenet5")
        torch.manual_seed(seed)
        initialise(model, "orthogonal")
        values.append(torch.cat([p.flatten() for p in model.module.parameters()]))
    assert values[0].equal(values[1])
    assert not values[0].equal(values[2])


def test_lenet5_fills_each_map_of_its_partial_convolution_by_its_own_fan_in(registry):
    model = make(registry, "zoo/lenet5", activation="relu")
    torch.manual_seed(0)
    initialise(model, "he_uniform")
    start = 0
    for sources in C3_INPUTS:
        bound = math.sqrt(6 / (25 * len(sources)))
        kernels = model.module.c3.weight[start : start + len(sources)]
        assert 0.9 * bound < kernels.abs().max() <= bound
        start += len(sources)
    assert not model.module.c3.bias.any()
    assert bool((model.module.s2.coefficient == 1).all())


def test_transposed_convolution_counts_what_one_output_reads():
    model = build_perceptron(classes=2, channels=1, image_size=4)
    model.module.add_module("up", nn.ConvTranspose2d(64, 32, 3))
    torch.manual_seed(0)
    initialise(model, "lecun_normal")
    assert model.module.up.weight.var().item() == pytest.approx(1 / (64 * 9), rel=0.05)


@pytest.mark.parametrize("width", [16, 12])
def test_attention_has_three_matrices_of_its_own(width):
    attention = nn.MultiheadAttention(16, 2, kdim=width, vdim=width)
    model = build_perceptron(classes=2, channels=1, image_size=4)
    model.module.add_module("attention", attention)
    torch.manual_seed(0)
    initialise(model, "orthogonal")
    parts = [attention.q_proj_weight, attention.k_proj_weight, attention.v_proj_weight]
    parts = list(attention.in_proj_weight.chunk(3)) if width == 16 else parts
    for part in [*parts, attention.out_proj.weight]:
        square = part @ part.T if part.shape[0] <= part.shape[1] else part.T @ part
        torch.testing.assert_close(square, torch.eye(len(square)), atol=1e-5, rtol=0)
    assert not attention.in_proj_bias.any()


def test_he_keeps_the_signal_through_ten_layers_where_too_small_a_start_loses_it():
    x, spread = torch.randn(64, 1, 28, 28), {}
    for method in ("he_normal", "lecun_normal"):
        model = build_mlp(classes=2, channels=1, image_size=28, hidden=(400,) * 10, activation="relu")
        torch.manual_seed(0)
        initialise(model, method)
        with torch.no_grad():
            spread[method] = model.module.layers(x.flatten(1)).std().item()
    assert 0.3 < spread["he_normal"] < 2
    assert spread["lecun_normal"] < 0.1 * spread["he_normal"]


def test_weights_of_an_unknown_layer_are_refused(registry):
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(4, 4))

    model = make(registry, "zoo/perceptron")
    model.module.add_module("own", Own())
    before = model.head.weight.clone()
    with pytest.raises(UserError, match=r"own \(Own\)"):
        initialise(model, "he_normal")
    assert model.head.weight.equal(before)


def test_weights_that_are_computed_from_others_are_refused(registry):
    model = make(registry, "zoo/mlp")
    nn.utils.parametrizations.weight_norm(model.module.layers.hidden1.dense)
    with pytest.raises(UserError, match=r"hidden1\.dense"):
        initialise(model, "he_normal")


def test_unknown_method_is_refused():
    with pytest.raises(UserError, match="allowed: he_normal"):
        filler("he_norml", gain=1.0)
