"""What is frozen stays as it is to the bit: weights, statistics, and what dropout would change."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from zoo.contracts.model import Model, ModelSpec, Stage
from zoo.imaging.preprocess import Preprocess
from zoo.models.build import parameter_groups
from zoo.models.freezing import frozen_parts, set_train, share_trained


class Net(nn.Module):
    """Two convolutions, a norm, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3)
        self.bn = nn.BatchNorm2d(4)
        self.conv2 = nn.Conv2d(4, 6, 3, bias=False)
        self.fc = nn.Linear(6, 5)

    def forward(self, x):
        return self.fc(self.conv2(self.bn(self.conv1(x))).mean((2, 3)))


STAGES = (
    Stage("stem", ("conv1.weight", "conv1.bias", "bn.weight", "bn.bias")),
    Stage("deep", ("conv2.weight",)),
)


def model_of(net: nn.Module, stages=STAGES) -> Model:
    blank = Preprocess(9, (0.5,) * 3, (0.5,) * 3)
    return Model(net, ModelSpec("x/net", "x", "net", "fc", 6, tuple(stages), blank))


@pytest.mark.parametrize("freeze_norm", [True, False])
def test_set_train_freezes_statistics_and_survives_further_calls(freeze_norm):
    net = Net().eval()
    net.train()
    for _ in range(2):
        set_train(net, freeze_norm=freeze_norm)
        before = net.bn.running_mean.clone()
        net(torch.randn(4, 3, 9, 9) + 3)
        assert torch.equal(before, net.bn.running_mean) is freeze_norm
        assert net.training
        assert net.bn.training is not freeze_norm
    assert net.bn.weight.requires_grad


def test_frozen_parts_get_no_gradients_no_optimizer_state_and_no_new_statistics():
    net = Net()
    model = model_of(net)
    with frozen_parts(model, stages=[0]):
        groups = parameter_groups(model, 0.1)
        held = {id(p) for group in groups for p in group["params"]}
        assert held == {id(net.conv2.weight), id(net.fc.weight), id(net.fc.bias)}
        set_train(net)
        assert not net.bn.training
        assert net.training
        before = {key: value.clone() for key, value in net.state_dict().items()}
        optimizer = torch.optim.AdamW(groups, weight_decay=0.1)
        for _ in range(2):
            net(torch.randn(4, 3, 9, 9) + 3).square().sum().backward()
            optimizer.step()
        assert net.conv1.weight.grad is None
        assert net.bn.bias.grad is None
        changed = {key for key, value in net.state_dict().items() if not torch.equal(before[key], value)}
        assert changed == {"conv2.weight", "fc.weight", "fc.bias"}
        assert len(optimizer.state) == 3
    assert all(parameter.requires_grad for parameter in net.parameters())
    set_train(net)
    assert net.bn.training


def test_frozen_parts_leaves_alone_what_the_network_itself_froze():
    net = Net()
    net.conv1.bias.requires_grad_(False)
    with frozen_parts(model_of(net), stages=[0, 1]):
        assert [name for name, p in net.named_parameters() if p.requires_grad] == ["fc.weight", "fc.bias"]
    assert [name for name, p in net.named_parameters() if not p.requires_grad] == ["conv1.bias"]


def test_frozen_parts_lets_go_when_training_breaks_off():
    net = Net()
    with pytest.raises(KeyboardInterrupt), frozen_parts(model_of(net), stages=[0]):
        raise KeyboardInterrupt
    assert net.conv1.weight.requires_grad


def test_frozen_dropout_drops_nothing():
    net = Net()
    net.conv2 = nn.Sequential(nn.Conv2d(4, 6, 3, bias=False), nn.Dropout(0.5))
    stages = (STAGES[0], Stage("deep", ("conv2.0.weight",)))
    with frozen_parts(model_of(net, stages), stages=[0, 1]):
        set_train(net)
        x = torch.randn(2, 3, 9, 9)
        torch.testing.assert_close(net(x), net(x))


@pytest.mark.parametrize("stages", [[-1], [2], [0, 5]])
def test_frozen_parts_refuses_numbers_that_the_network_does_not_have(stages):
    with pytest.raises(ValueError, match="has 2 stages"), frozen_parts(model_of(Net()), stages=stages):
        pass


def trained(net: nn.Module) -> list[str]:
    return [name for name, p in net.named_parameters() if p.requires_grad]


def test_chosen_stages_need_not_be_the_first_ones():
    net = Net()
    with frozen_parts(model_of(net), stages=[1]):
        assert trained(net) == ["conv1.weight", "conv1.bias", "bn.weight", "bn.bias", "fc.weight", "fc.bias"]


@pytest.mark.parametrize(
    ("parameters", "left"), [("norm", ["bn.weight", "bn.bias"]), ("bias", ["conv1.bias", "bn.bias"])]
)
def test_chosen_parameters_are_trained_in_open_stages_alone_and_the_head_always(parameters, left):
    net = Net()
    with frozen_parts(model_of(net), parameters=parameters):
        assert trained(net) == [*left, "fc.weight", "fc.bias"]
        assert share_trained(model_of(net)) == (8, 3 * 4 * 9 + 4 + 8 + 4 * 6 * 9)
    with frozen_parts(model_of(net), stages=[0], parameters=parameters):
        assert trained(net) == ["fc.weight", "fc.bias"]


def in_a_row(*layers: nn.Module, frozen: int) -> nn.Sequential:
    net = nn.Sequential(*layers)
    for layer in layers[:frozen]:
        layer.requires_grad_(False)
    return net


def test_dropout_between_two_frozen_layers_of_a_row_is_off_and_before_a_trained_one_on():
    layers = [nn.Dropout(), nn.Linear(4, 4), nn.Dropout(), nn.Linear(4, 4), nn.Dropout(), nn.Linear(4, 4), nn.Dropout()]
    net = in_a_row(*layers, frozen=4)
    set_train(net)
    assert [layer.training for layer in layers if isinstance(layer, nn.Dropout)] == [False, False, True, True]
    net.requires_grad_(True)
    set_train(net)
    assert all(layer.training for layer in layers)


def test_statistics_without_scales_between_frozen_layers_do_not_move():
    net = in_a_row(
        nn.Linear(4, 4), nn.BatchNorm1d(4, affine=False), nn.Linear(4, 4), nn.BatchNorm1d(4, affine=False),
        nn.Linear(4, 4), frozen=3,
    )  # fmt: skip
    set_train(net)
    net(torch.randn(8, 4))
    assert not net[1].running_mean.any()
    assert net[3].running_mean.any()
