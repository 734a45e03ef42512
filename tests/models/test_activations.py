"""Activations are found by what they compute, and replaced: against networks that the libraries build so themselves."""

from typing import get_args

import pytest
import timm
import torch
from torch import nn
from zoo_plugins.networks.dense_networks import build_mlp
from zoo_plugins.networks.lenet import build as build_lenet5

from zoo.contracts.model import Model
from zoo.contracts.network_options import Activation
from zoo.errors import UserError
from zoo.models.activations import (
    ACTIVATIONS,
    ScaledTanh,
    activation_places,
    activations_in_code,
    main_activation,
    make_activation,
    replace_activations,
)
from zoo.models.surgery import change_network
from zoo.plugins import load_plugins

NAMES = get_args(Activation)
BY_HAND = {
    "relu": lambda x: x.clamp(min=0),
    "relu6": lambda x: x.clamp(0, 6),
    "leaky_relu": lambda x: torch.where(x > 0, x, 0.01 * x),
    "elu": lambda x: torch.where(x > 0, x, x.exp() - 1),
    "selu": lambda x: 1.0507009873554805 * torch.where(x > 0, x, 1.6732632423543772 * (x.exp() - 1)),
    "gelu": lambda x: x * 0.5 * (1 + torch.erf(x / 2**0.5)),
    "silu": lambda x: x / (1 + (-x).exp()),
    "mish": lambda x: x * torch.tanh(torch.log(1 + x.exp())),
    "hardswish": lambda x: x * (x + 3).clamp(0, 6) / 6,
    "softplus": lambda x: torch.log(1 + x.exp()),
    "tanh": lambda x: (x.exp() - (-x).exp()) / (x.exp() + (-x).exp()),
    "scaled_tanh": lambda x: 1.7159 * torch.tanh(2 * x / 3),
    "sigmoid": lambda x: 1 / (1 + (-x).exp()),
    "linear": lambda x: x,
}


@pytest.fixture(scope="module")
def registry():
    return load_plugins(only=()).registry


def make(registry, name, *, size=32, **options) -> Model:
    torch.manual_seed(0)
    return registry.get("model", name).build(classes=4, channels=3, image_size=size, **options)


def of(*layers: nn.Module) -> Model:
    """A network of these layers on 4 pixels, as a model of zoo."""
    model = build_mlp(classes=2, channels=1, image_size=2, hidden=(4,))
    model.module.layers.hidden1.add_module("activation", nn.Sequential(*layers))
    return model


def test_names_functions_and_formulas_are_the_same_set():
    assert set(NAMES) == set(ACTIVATIONS) == set(BY_HAND)


@pytest.mark.parametrize("name", NAMES)
def test_activation_is_its_formula(name):
    x = torch.linspace(-5, 5, 101, dtype=torch.float64)
    torch.testing.assert_close(make_activation(name)(x), BY_HAND[name](x), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "linear"])
def test_activation_is_found_by_what_it_computes(name):
    class Own(nn.Module):
        def forward(self, x):
            return BY_HAND[name](x)

    model = of(Own())
    assert activation_places(model) == {"layers.hidden1.activation.0": name}
    assert main_activation(model) == name


@pytest.mark.parametrize(
    "layer",
    [nn.Identity(), nn.Dropout(0.5), nn.Flatten(), nn.Softmax(dim=1), nn.LocalResponseNorm(2), nn.MaxPool2d(3, 1, 1),
     nn.AvgPool2d(3, 1, 1), nn.ChannelShuffle(3), nn.BatchNorm2d(3), nn.Upsample(scale_factor=2), nn.InstanceNorm2d(3)],
    ids=lambda layer: type(layer).__name__,
)  # fmt: skip
def test_what_is_no_elementwise_function_is_no_activation(layer):
    assert activation_places(of(layer)) == {}


def test_prelu_and_functions_without_a_name_are_activations_too():
    class Bent(nn.Module):
        def forward(self, x):
            return x.abs() + x

    model = of(nn.PReLU(), Bent())
    assert set(activation_places(model).values()) == {""}
    assert main_activation(model) == ""
    replaced = change_network(model, {"activation": "tanh"})
    assert set(activation_places(replaced).values()) == {"tanh"}
    assert not any("activation" in name for stage in replaced.spec.stages for name in stage.parameters)


def test_replaced_resnet_equals_timms_own_with_that_activation(registry):
    model = replace_activations(make(registry, "timm/resnet18"), "elu")
    theirs = timm.create_model("resnet18", num_classes=4, act_layer=nn.ELU)
    theirs.load_state_dict(model.module.state_dict())
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(model.module.eval()(x), theirs.eval()(x))
        assert not torch.allclose(model.module(x), make(registry, "timm/resnet18").module.eval()(x), atol=1e-3)


def test_activations_inside_of_norms_are_replaced_and_gates_are_not(registry):
    model = make(registry, "timm/mobilenetv3_small_050", size=64)
    assert {"relu", "hardswish"} <= set(activation_places(model).values())
    replaced = replace_activations(model, "silu")
    theirs = timm.create_model("mobilenetv3_small_050", num_classes=4, act_layer=nn.SiLU)
    assert set(activation_places(replaced).values()) == {"silu"}
    gates = [m for m in replaced.module.modules() if "hardsigmoid" in type(m).__name__.lower()]
    assert len(gates) == len([m for m in theirs.modules() if "hardsigmoid" in type(m).__name__.lower()]) > 0


def test_a_network_of_sigmoids_alone_has_them_replaced():
    torch.manual_seed(0)
    model, x = (
        build_mlp(classes=2, channels=1, image_size=4, hidden=(5,), activation="sigmoid"),
        torch.randn(3, 1, 4, 4),
    )
    net = replace_activations(model, "gelu").module
    torch.testing.assert_close(net(x), net.output(nn.functional.gelu(net.layers.hidden1.dense(x.flatten(1)))))


def test_shared_module_is_replaced_wherever_it_is_used():
    torch.manual_seed(0)
    model, x = build_lenet5(classes=3, channels=1, image_size=16), torch.randn(2, 1, 16, 16)
    expected = build_lenet5(classes=3, channels=1, image_size=16, activation="relu")
    expected.module.load_state_dict(model.module.state_dict())
    torch.testing.assert_close(replace_activations(model, "relu").module(x), expected.module(x))


def test_head_keeps_its_own_activation():
    model = build_mlp(classes=2, channels=1, image_size=2, hidden=(4,))
    model.module.output = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    replace_activations(model, "tanh")
    assert isinstance(model.module.output[1], nn.ReLU)
    assert isinstance(model.module.layers.hidden1.activation, nn.Tanh)


def test_functions_in_a_networks_code_are_seen_and_refused(registry):
    model = make(registry, "torchvision/googlenet", size=64)
    assert activations_in_code(model)["relu"] > 50
    assert main_activation(model) == "relu"
    with pytest.raises(UserError, match=r"in its code \(relu"):
        replace_activations(model, "elu")


def test_functions_inside_of_activation_modules_are_not_counted(registry):
    assert not activations_in_code(make(registry, "timm/mobilenetv3_small_050", size=64))
    assert not activations_in_code(make(registry, "timm/resnet18"))


def test_watching_leaves_the_network_as_it_was(registry):
    model = make(registry, "timm/resnet18")
    before = {name: value.clone() for name, value in model.module.state_dict().items()}
    model.module.train()
    model.module.layer1.eval()
    activations_in_code(model)
    assert all(value.equal(before[name]) for name, value in model.module.state_dict().items())
    assert model.module.training
    assert not model.module.layer1.training
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.module.modules())


def test_network_without_an_activation_is_refused(registry):
    perceptron = registry.get("model", "perceptron").build(classes=2, channels=1, image_size=4)
    assert main_activation(perceptron) == "linear"
    with pytest.raises(UserError, match="no activation between its layers"):
        replace_activations(perceptron, "relu")


def test_unknown_name_is_refused_with_the_nearest_first():
    with pytest.raises(UserError, match="allowed: relu"):
        make_activation("rellu")


def test_scaled_tanh_keeps_one_and_minus_one():
    torch.testing.assert_close(ScaledTanh()(torch.tensor([1.0, -1.0])), torch.tensor([1.0, -1.0]), atol=1e-4, rtol=0)
