"""The builders of torch's optimizers against their formulas, written out in numpy."""

from __future__ import annotations

import copy
import inspect
from typing import Any

import numpy as np
import pytest
import torch
from zoo_plugins import torch_optimizers as built

from zoo.errors import UserError

ALL = {
    "sgd": (built.sgd, torch.optim.SGD),
    "adam": (built.adam, torch.optim.Adam),
    "adamw": (built.adamw, torch.optim.AdamW),
    "nadam": (built.nadam, torch.optim.NAdam),
    "rmsprop": (built.rmsprop, torch.optim.RMSprop),
    "adagrad": (built.adagrad, torch.optim.Adagrad),
}
LR = 0.1
START = np.array([1.0, -2.0, 0.5])
GRADIENTS = [np.array([0.3, -0.1, 0.0]), np.array([0.2, 0.4, -0.7]), np.array([-0.5, 0.1, 0.6])]


def run(build: Any, **options: Any) -> np.ndarray:
    """The weights after three steps along the fixed gradients, in double precision."""
    weight = torch.nn.Parameter(torch.tensor(START))
    optimizer = build([weight], lr=LR, **options)
    for gradient in GRADIENTS:
        weight.grad = torch.tensor(gradient)
        optimizer.step()
    return weight.detach().numpy()


def sgd_by_hand(momentum: float, nesterov: bool, decay: float) -> np.ndarray:
    weight, velocity = START.copy(), np.zeros(3)
    for gradient in GRADIENTS:
        g = gradient + decay * weight
        velocity = momentum * velocity + g
        weight = weight - LR * (g + momentum * velocity if nesterov else velocity)
    return weight


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize(("momentum", "nesterov"), [(0.9, True), (0.9, False), (0.0, False), (0.5, True)])
def test_sgd_matches_its_formula(momentum, nesterov, decay):
    weight = run(built.sgd, momentum=momentum, nesterov=nesterov, weight_decay=decay)
    np.testing.assert_allclose(weight, sgd_by_hand(momentum, nesterov, decay), rtol=1e-12)


def test_sgd_has_nesterovs_momentum_by_default():
    np.testing.assert_allclose(run(built.sgd), sgd_by_hand(0.9, True, 0.0), rtol=1e-12)


def adam_by_hand(beta1: float, beta2: float, eps: float, *, coupled: float, decoupled: float) -> np.ndarray:
    weight, m, v = START.copy(), np.zeros(3), np.zeros(3)
    for t, gradient in enumerate(GRADIENTS, start=1):
        g = gradient + coupled * weight
        weight = weight - LR * decoupled * weight
        m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2
        weight = weight - LR * (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + eps)
    return weight


def test_adam_matches_its_formula():
    expected = adam_by_hand(0.8, 0.95, 1e-3, coupled=0.1, decoupled=0.0)
    np.testing.assert_allclose(run(built.adam, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.1), expected, rtol=1e-10)
    np.testing.assert_allclose(run(built.adam), adam_by_hand(0.9, 0.999, 1e-8, coupled=0, decoupled=0), rtol=1e-10)


def test_adamw_matches_its_formula():
    np.testing.assert_allclose(run(built.adamw), adam_by_hand(0.9, 0.999, 1e-8, coupled=0, decoupled=0.01), rtol=1e-10)
    expected = adam_by_hand(0.8, 0.95, 1e-3, coupled=0.0, decoupled=0.2)
    np.testing.assert_allclose(run(built.adamw, betas=[0.8, 0.95], eps=1e-3, weight_decay=0.2), expected, rtol=1e-10)


def test_nadam_matches_its_formula():
    beta1, beta2, psi, eps = 0.9, 0.999, 4e-3, 1e-8
    weight, m, v, product = START.copy(), np.zeros(3), np.zeros(3), 1.0
    for t, g in enumerate(GRADIENTS, start=1):
        mu = beta1 * (1 - 0.5 * 0.96 ** (t * psi))
        following = beta1 * (1 - 0.5 * 0.96 ** ((t + 1) * psi))
        product *= mu
        m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2
        ahead = following * m / (1 - product * following) + (1 - mu) * g / (1 - product)
        weight = weight - LR * ahead / (np.sqrt(v / (1 - beta2**t)) + eps)
    np.testing.assert_allclose(run(built.nadam), weight, rtol=1e-6)  # torch keeps the product in float32


def test_rmsprop_matches_its_formula():
    weight, v = START.copy(), np.zeros(3)
    for g in GRADIENTS:
        v = 0.7 * v + 0.3 * g**2
        weight = weight - LR * g / (np.sqrt(v) + 1e-8)
    np.testing.assert_allclose(run(built.rmsprop, alpha=0.7), weight, rtol=1e-10)


def test_adagrad_matches_its_formula():
    weight, total = START.copy(), np.zeros(3)
    for t, g in enumerate(GRADIENTS, start=1):
        total = total + g**2
        weight = weight - LR / (1 + (t - 1) * 0.5) * g / (np.sqrt(total) + 1e-10)
    np.testing.assert_allclose(run(built.adagrad, lr_decay=0.5), weight, rtol=1e-10)


@pytest.mark.parametrize("name", ALL)
def test_builder_passes_every_option_on(name):
    """Each option, set to an unusual value, stands in the parameter groups of torch's own class."""
    build, kind = ALL[name]
    unusual = {bool: True, float: 0.123, tuple: (0.5, 0.6)}
    options = {
        parameter.name: unusual[type(parameter.default)]
        for parameter in inspect.signature(build).parameters.values()
        if parameter.name not in ("params", "lr")
    }
    if name == "sgd":
        options["nesterov"] = False
    optimizer = build([torch.nn.Parameter(torch.ones(2))], lr=0.07, **options)
    assert type(optimizer) is kind
    assert {key: optimizer.param_groups[0][key] for key in options} == options
    assert optimizer.param_groups[0]["lr"] == 0.07
    assert optimizer.param_groups[0].get("foreach") is None


@pytest.mark.parametrize("name", ALL)
def test_builder_has_keyword_options_with_defaults_and_lr_without(name):
    signature = inspect.signature(ALL[name][0], eval_str=True)
    for parameter in list(signature.parameters.values())[1:]:
        assert parameter.kind is parameter.KEYWORD_ONLY
        assert parameter.annotation is not parameter.empty
        assert (parameter.default is parameter.empty) == (parameter.name == "lr")


@pytest.mark.parametrize("name", ALL)
def test_builder_takes_groups_with_rates_of_their_own(name):
    a, b = (torch.nn.Parameter(torch.ones(2)) for _ in range(2))
    optimizer = ALL[name][0](iter([{"params": [a], "lr": 0.5}, {"params": [b]}]), lr=0.1)
    assert [group["lr"] for group in optimizer.param_groups] == [0.5, 0.1]


@pytest.mark.parametrize("name", ALL)
def test_optimizer_goes_on_from_its_state_to_the_bit(name):
    def steps(optimizer, weight, gradients):
        for gradient in gradients:
            weight.grad = torch.tensor(gradient, dtype=torch.float32)
            optimizer.step()

    whole = torch.nn.Parameter(torch.tensor(START, dtype=torch.float32))
    part = torch.nn.Parameter(whole.detach().clone())
    steps(ALL[name][0]([whole], lr=LR), whole, GRADIENTS)
    first = ALL[name][0]([part], lr=LR)
    steps(first, part, GRADIENTS[:1])
    resumed = torch.nn.Parameter(part.detach().clone())
    second = ALL[name][0]([resumed], lr=LR)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    steps(second, resumed, GRADIENTS[1:])
    assert resumed.equal(whole)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("lr", [0, -1, float("nan"), "fast"])
def test_builder_refuses_a_rate_that_is_none(name, lr):
    with pytest.raises(UserError) as caught:
        ALL[name][0]([torch.nn.Parameter(torch.ones(2))], lr=lr)
    assert caught.value.where == "optimizer.lr"


def test_sgd_refuses_nesterov_without_momentum():
    with pytest.raises(UserError, match="nesterov=True with momentum=0 has no effect"):
        built.sgd([torch.nn.Parameter(torch.ones(2))], lr=0.1, momentum=0)
    with pytest.raises(UserError) as caught:
        built.sgd([torch.nn.Parameter(torch.ones(2))], lr=0.1, momentum=1.0)
    assert caught.value.where == "optimizer.momentum"


def test_nadam_refuses_a_decay_mode_without_decay():
    with pytest.raises(UserError, match="has no effect"):
        built.nadam([torch.nn.Parameter(torch.ones(2))], lr=0.1, decoupled_weight_decay=True)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("adam", {"betas": (0.9, 1.5)}, "beta"),
        ("adamw", {"weight_decay": -1}, "weight_decay"),
        ("rmsprop", {"alpha": -1}, "alpha"),
        ("adagrad", {"eps": -1}, "epsilon"),
    ],
)
def test_builder_turns_torchs_refusal_into_a_users_error(name, options, words):
    with pytest.raises(UserError, match=words) as caught:
        ALL[name][0]([torch.nn.Parameter(torch.ones(2))], lr=0.1, **options)
    assert next(iter(options)) in caught.value.where


def test_no_parameters_at_all_is_a_defect_and_not_the_users_error():
    with pytest.raises(ValueError, match="empty parameter list"):
        built.adam([], lr=0.1)
