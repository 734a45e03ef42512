"""The textbook by hand: backpropagation through our MLP in numpy, the perceptron's rule, and exclusive or."""

import itertools

import numpy as np
import pytest
import torch
from zoo_plugins.loss_modules import CrossEntropy
from zoo_plugins.networks.dense_networks import build_mlp, build_perceptron
from zoo_plugins.perceptron_loss import Perceptron
from zoo_plugins.torch_optimizers import sgd

from zoo.models.build import parameter_groups

XOR = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]).reshape(4, 2, 1, 1)
ANSWERS = torch.tensor([0, 1, 1, 0])

SLOPES = {
    "elu": (lambda z: np.where(z > 0, z, np.exp(z) - 1), lambda z: np.where(z > 0, 1, np.exp(z))),
    "relu": (lambda z: np.maximum(z, 0), lambda z: (z > 0).astype(float)),
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    "sigmoid": (lambda z: 1 / (1 + np.exp(-z)), lambda z: np.exp(-z) / (1 + np.exp(-z)) ** 2),
}


def by_hand(values, x, y, *, activation):
    """Gradients of the mean cross entropy: the chain rule, layer by layer from the output to the input."""
    act, slope = SLOPES[activation]
    w1, b1, w2, b2, w3, b3 = values
    z1 = x @ w1.T + b1
    a1 = act(z1)
    z2 = a1 @ w2.T + b2
    a2 = act(z2)
    z3 = a2 @ w3.T + b3
    p = np.exp(z3) / np.exp(z3).sum(axis=1, keepdims=True)
    loss = -np.log(p[np.arange(len(y)), y]).mean()
    d3 = (p - np.eye(p.shape[1])[y]) / len(y)
    d2 = (d3 @ w3) * slope(z2)
    d1 = (d2 @ w2) * slope(z1)
    return loss, [d1.T @ x, d1.sum(0), d2.T @ a1, d2.sum(0), d3.T @ a2, d3.sum(0)]


@pytest.mark.parametrize("activation", SLOPES)
def test_steps_of_our_mlp_are_backpropagation_by_hand(activation):
    """Two steps with Nesterov's momentum: v = m v + g, w = w - lr (g + m v)."""
    torch.manual_seed(0)
    model = build_mlp(classes=3, channels=2, image_size=2, hidden=(5, 4), activation=activation)
    x, y = torch.randn(6, 2, 2, 2), torch.tensor([0, 1, 2, 1, 0, 2])
    values = [p.detach().double().numpy().copy() for p in model.module.parameters()]
    velocity = [np.zeros_like(value) for value in values]
    lr, momentum = 0.1, 0.9
    optimizer = sgd(parameter_groups(model, lr), lr=lr, momentum=momentum, nesterov=True)
    for _ in range(2):
        loss = CrossEntropy()(model.module(x), y).mean()
        optimizer.zero_grad()
        loss.backward()
        expected_loss, gradients = by_hand(values, x.flatten(1).double().numpy(), y.numpy(), activation=activation)
        assert loss.item() == pytest.approx(expected_loss, abs=1e-6)
        for parameter, gradient in zip(model.module.parameters(), gradients, strict=True):
            np.testing.assert_allclose(parameter.grad.numpy(), gradient, atol=1e-6)
        optimizer.step()
        velocity = [momentum * v + g for v, g in zip(velocity, gradients, strict=True)]
        values = [w - lr * (g + momentum * v) for w, g, v in zip(values, gradients, velocity, strict=True)]
        for parameter, value in zip(model.module.parameters(), values, strict=True):
            np.testing.assert_allclose(parameter.detach().numpy(), value, atol=1e-6)


def test_a_step_on_the_perceptrons_loss_is_the_perceptrons_rule():
    """w_truth += eta x and w_answer -= eta x where the answer is wrong, nothing where it is right."""
    torch.manual_seed(0)
    model = build_perceptron(classes=3, channels=2, image_size=1)
    weight = model.module.output.weight.detach().double().numpy().copy()
    bias = model.module.output.bias.detach().double().numpy().copy()
    points, labels, eta = torch.randn(60, 2, 1, 1), torch.randint(3, (60,)), 0.5
    optimizer = sgd(parameter_groups(model, eta), lr=eta, momentum=0.0, nesterov=False)
    mistakes = 0
    for x, y in zip(points.split(1), labels.split(1), strict=True):
        vector, truth = x.flatten().double().numpy(), int(y)
        answer = int((weight @ vector + bias).argmax())
        if answer != truth:
            mistakes += 1
            weight[truth] += eta * vector
            bias[truth] += eta
            weight[answer] -= eta * vector
            bias[answer] -= eta
        optimizer.zero_grad()
        Perceptron()(model.module(x), y).mean().backward()
        optimizer.step()
        np.testing.assert_allclose(model.module.output.weight.detach().numpy(), weight, atol=1e-5)
        np.testing.assert_allclose(model.module.output.bias.detach().numpy(), bias, atol=1e-5)
    assert 10 < mistakes < 60


def trained(model, loss, *, steps=400, lr=0.5):
    """How many of exclusive or's four points a network has right at the best of its steps."""
    optimizer, best = torch.optim.SGD(model.module.parameters(), lr=lr), 0
    for _ in range(steps):
        logits = model.module(XOR)
        best = max(best, int((logits.argmax(1) == ANSWERS).sum()))
        optimizer.zero_grad()
        loss(logits, ANSWERS).mean().backward()
        optimizer.step()
    return best


def test_no_perceptron_has_more_than_three_points_of_exclusive_or_right():
    """Whatever the weights: every sign pattern of a line is tried on a grid, and none is exclusive or."""
    grid = np.linspace(-2, 2, 17)
    points = XOR.flatten(1).numpy()
    most = max(
        int(((points @ np.array([a, b]) + c > 0) == ANSWERS.numpy().astype(bool)).sum())
        for a, b, c in itertools.product(grid, grid, grid)
    )
    assert most == 3


@pytest.mark.parametrize("loss", [CrossEntropy(), Perceptron()], ids=lambda loss: type(loss).__name__)
def test_perceptron_cannot_learn_exclusive_or_and_an_mlp_can(loss):
    torch.manual_seed(0)
    assert trained(build_perceptron(classes=2, channels=2, image_size=1), loss) <= 3
    torch.manual_seed(0)
    assert trained(build_mlp(classes=2, channels=2, image_size=1, hidden=(8,), activation="tanh"), loss, lr=0.1) == 4
