import pytest
import torch
from timm.models._manipulate import adapt_input_conv
from torch import nn

from zoo.contracts.model import Model, ModelSpec, Stage
from zoo.errors import UserError
from zoo.imaging.preprocess import Preprocess
from zoo.models.build import (
    channels_last,
    check_forward,
    check_stages,
    features_of,
    norms_of,
    parameter_groups,
    replace_head,
    stages_from,
    widen_input,
)


class Net(nn.Module):
    """Two convolutions, a norm, and a head."""

    def __init__(self, *, conv_head: bool = False, pooled: bool = True) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3)
        self.bn = nn.BatchNorm2d(4)
        self.conv2 = nn.Conv2d(4, 6, 3, bias=False)
        self.fc = nn.Conv2d(6, 5, 1) if conv_head else nn.Linear(6, 5)
        self.pooled = pooled

    def no_weight_decay(self):
        return {"conv2.weight"}

    def forward(self, x):
        x = self.conv2(self.bn(self.conv1(x)))
        if self.pooled:
            x = x.mean((2, 3), keepdim=isinstance(self.fc, nn.Conv2d) or getattr(self, "keep", False))
        return self.fc(x).flatten(1)


STAGES = (
    Stage("stem", ("conv1.weight", "conv1.bias", "bn.weight", "bn.bias")),
    Stage("deep", ("conv2.weight",)),
)


def model_of(net: nn.Module, stages=STAGES, size: int = 9) -> Model:
    blank = Preprocess(size, (0.5,) * 3, (0.5,) * 3)
    return Model(net, ModelSpec("x/net", "x", "net", "fc", 6, tuple(stages), blank))


def test_replace_head_puts_the_module_into_the_slot():
    model, head = model_of(Net()), nn.Linear(6, 2)
    assert replace_head(model, head).head is head
    assert model.module(torch.randn(3, 3, 9, 9)).shape == (3, 2)


def test_replace_head_flattens_where_the_library_had_a_convolution():
    net = Net(conv_head=True)
    net.keep = True
    x = torch.randn(3, 3, 9, 9)
    features = features_of(model_of(net), x)
    head = nn.Linear(6, 2)
    names = set(head.state_dict())
    model = replace_head(model_of(net), head)
    torch.testing.assert_close(model.module(x), nn.functional.linear(features, head.weight, head.bias))
    torch.testing.assert_close(head(features), model.module(x))
    assert set(head.state_dict()) == names


def test_features_of_gives_what_the_classifier_is_fed():
    model, x = model_of(Net()), torch.randn(2, 3, 9, 9)
    features = features_of(model, x)
    assert features.shape == (2, 6)
    torch.testing.assert_close(model.head(features), model.module(x))


def test_features_of_does_not_run_the_head_and_leaves_no_hook():
    class Refuses(nn.Module):
        def forward(self, x):
            raise AssertionError("the head was run")

    model = replace_head(model_of(Net()), Refuses())
    assert features_of(model, torch.randn(2, 3, 9, 9)).shape == (2, 6)
    with pytest.raises(AssertionError, match="was run"):
        model.module(torch.randn(2, 3, 9, 9))


def test_features_of_keeps_gradients():
    model = model_of(Net())
    features_of(model, torch.randn(2, 3, 9, 9)).sum().backward()
    assert model.module.conv1.weight.grad is not None
    assert model.module.fc.weight.grad is None


def test_features_of_refuses_features_that_are_not_pooled():
    with pytest.raises(ValueError, match="not one vector an image"):
        features_of(model_of(Net(conv_head=True, pooled=False)), torch.randn(2, 3, 9, 9))


def test_features_of_says_when_the_classifier_is_never_called():
    net = Net()
    net.forward = lambda x: x
    with pytest.raises(ValueError, match="never calls"):
        features_of(model_of(net), torch.randn(2, 3, 9, 9))


def test_norms_of_finds_every_batchnorm_and_nothing_else():
    net = nn.Sequential(
        nn.BatchNorm1d(2), nn.SyncBatchNorm(2), nn.LayerNorm(2), nn.GroupNorm(1, 2), nn.InstanceNorm2d(2),
        nn.BatchNorm2d(2, track_running_stats=False),
    )  # fmt: skip
    assert [name for name, _ in norms_of(net)] == ["0", "1"]


def test_channels_last_changes_the_layout_and_no_value():
    net = Net()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    channels_last(net)
    assert net.conv1.weight.is_contiguous(memory_format=torch.channels_last)
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


def test_parameter_groups_give_the_head_the_full_rate_and_earlier_stages_less():
    groups = parameter_groups(model_of(Net()), 0.1, stage_decay=0.5, weight_decay=0.01)
    rates = {group["name"]: (group["lr"], group["weight_decay"]) for group in groups}
    assert rates == {
        "stem": (pytest.approx(0.025), 0.01),
        "stem (no decay)": (pytest.approx(0.025), 0.0),
        "deep (no decay)": (pytest.approx(0.05), 0.0),
        "head": (pytest.approx(0.1), 0.01),
        "head (no decay)": (pytest.approx(0.1), 0.0),
    }


def test_parameter_groups_hold_every_trainable_parameter_once():
    model = replace_head(model_of(Net()), nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2)))
    model.module.conv1.requires_grad_(False)
    held = [id(p) for group in parameter_groups(model, 1.0) for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in model.module.parameters() if p.requires_grad)
    torch.optim.AdamW(parameter_groups(model, 1.0)).step()


def test_parameter_groups_refuse_a_parameter_without_a_stage():
    with pytest.raises(ValueError, match=r"conv2\.weight' is in no stage"):
        parameter_groups(model_of(Net(), STAGES[:1]), 1.0)


def test_check_stages_refuses_parameters_in_two_stages_or_in_the_head_too():
    with pytest.raises(ValueError, match="two stages"):
        check_stages(model_of(Net(), (*STAGES, Stage("again", ("conv2.weight",)))))
    with pytest.raises(ValueError, match="head and in a stage"):
        check_stages(model_of(Net(), (*STAGES, Stage("again", ("fc.weight",)))))
    with pytest.raises(ValueError, match="not in the network"):
        check_stages(model_of(Net(), (*STAGES, Stage("again", ("gone.weight",)))))
    assert check_stages(model_of(Net())).spec.stages == STAGES


def test_stages_from_keeps_the_order_of_first_meeting():
    stages = stages_from([("a", "x"), ("b", "y"), ("a", "z")])
    assert stages == (Stage("a", ("x", "z")), Stage("b", ("y",)))


def test_check_forward_names_the_size_that_is_too_small_and_restores_the_mode():
    net = Net().train()
    with pytest.raises(UserError, match="4 x 4 px") as caught:
        check_forward(model_of(net, size=4))
    assert "model.image_size=4" in str(caught.value)
    assert net.training
    mean = net.bn.running_mean.clone()
    check_forward(model_of(net, size=9))
    assert torch.equal(mean, net.bn.running_mean)


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 7])
def test_widen_input_follows_timm(channels):
    weight = torch.randn(5, 3, 3, 3)
    torch.testing.assert_close(widen_input(weight, channels), adapt_input_conv(channels, weight.clone()))


def test_widen_input_lets_gray_give_what_equal_colours_gave():
    weight, gray = torch.randn(5, 3, 3, 3), torch.randn(1, 1, 8, 8)
    torch.testing.assert_close(
        nn.functional.conv2d(gray, widen_input(weight, 1)), nn.functional.conv2d(gray.expand(1, 3, 8, 8), weight)
    )
