"""The perceptron's loss against scikit-learn's perceptron and its own formula."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import Perceptron as Reference
from zoo_plugins.perceptron_loss import Perceptron

FLOATS = st.floats(-5, 5, width=32)


@given(st.lists(FLOATS, min_size=2, max_size=6), st.data())
def test_loss_is_the_distance_to_the_best_other_class(logits, data):
    truth = data.draw(st.integers(0, len(logits) - 1))
    others = [value for index, value in enumerate(logits) if index != truth]
    expected = max(0.0, max(others) - logits[truth])
    loss = Perceptron()(torch.tensor([logits]), torch.tensor([truth]))
    assert loss.tolist() == pytest.approx([expected], abs=1e-6)


@given(st.lists(st.tuples(FLOATS, st.booleans()), min_size=1, max_size=6))
def test_loss_with_many_labels_sums_the_wrong_ones(pairs):
    logits, targets = [value for value, _ in pairs], [float(flag) for _, flag in pairs]
    expected = sum(max(0.0, -value if flag else value) for value, flag in pairs)
    loss = Perceptron()(torch.tensor([logits]), torch.tensor([targets]))
    assert loss.tolist() == pytest.approx([expected], abs=1e-5)


def test_gradient_is_minus_one_for_the_truth_and_one_for_the_answer():
    logits = torch.tensor([[1.0, 3.0, 2.0], [5.0, 3.0, 2.0], [0.0, 0.0, 0.0]], requires_grad=True)
    Perceptron()(logits, torch.tensor([0, 0, 1])).sum().backward()
    assert logits.grad.tolist() == [[-1.0, 1.0, 0.0], [0.0, 0.0, 0.0], [1.0, -1.0, 0.0]]


def test_an_epoch_of_steps_equals_scikit_learns_perceptron():
    """One perceptron a label, from zero, one point a step, as it does for several classes."""
    generator = np.random.default_rng(0)
    points = generator.normal(size=(80, 5))
    labels = (points @ generator.normal(size=(5, 3)) + 0.5 * generator.normal(size=(80, 3))).argmax(1)
    reference = Reference(max_iter=1, tol=None, shuffle=False, eta0=1.0).fit(points, labels)

    layer = torch.nn.Linear(5, 3, dtype=torch.float64)
    torch.nn.init.zeros_(layer.weight)
    torch.nn.init.zeros_(layer.bias)
    targets = torch.nn.functional.one_hot(torch.from_numpy(labels), 3).double()
    optimizer = torch.optim.SGD(layer.parameters(), lr=1.0)
    for x, t in zip(torch.from_numpy(points), targets, strict=True):
        optimizer.zero_grad()
        Perceptron()(layer(x[None]), t[None]).sum().backward()
        optimizer.step()
    np.testing.assert_allclose(layer.weight.detach().numpy(), reference.coef_, atol=1e-6)
    np.testing.assert_allclose(layer.bias.detach().numpy(), reference.intercept_, atol=1e-6)


def test_one_class_alone_is_always_right():
    logits = torch.tensor([[2.0], [-1.0]], requires_grad=True)
    loss = Perceptron()(logits, torch.tensor([0, 0]))
    loss.sum().backward()
    assert loss.tolist() == [0.0, 0.0]
    assert not logits.grad.any()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_loss_is_float32_whatever_the_network_computes_in(dtype):
    loss = Perceptron()(torch.tensor([[0.5, 1.5]], dtype=dtype), torch.tensor([0]))
    assert loss.dtype == torch.float32
    assert loss.tolist() == [1.0]
