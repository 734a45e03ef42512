"""What is seen of a network in one forward pass, against what its builder says of it."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from zoo.errors import UserError
from zoo.weights.tracing import reach_of, resolve_padding, trace_layers


class Branches(nn.Module):
    """A residual block, a concatenation, a pooling, zeros around, and a dense layer on a flattened map."""

    def __init__(self) -> None:
        super().__init__()
        self.late = nn.Linear(2 * 8 * 4 * 4, 3)
        self.left, self.right = nn.Conv2d(4, 8, 1), nn.Conv2d(4, 8, 3, bias=False)
        self.norm = nn.BatchNorm2d(8, eps=0.5)
        self.stem = nn.Conv2d(1, 4, 3, stride=2, padding=1)

    def forward(self, x):
        x = functional.relu(self.stem(x))
        a = self.left(x)
        b = self.norm(self.right(functional.pad(x, (1, 1, 1, 1))))
        a = a + b
        x = functional.max_pool2d(torch.cat([a, b], dim=1), 2)
        return self.late(functional.dropout(x.flatten(1), training=self.training))


def test_layers_come_in_the_order_of_execution_with_what_they_read():
    layers = trace_layers(Branches(), torch.zeros(1, 1, 16, 16))
    assert [layer.name for layer in layers] == ["stem", "left", "right", "norm", "late"]
    by_name = {layer.name: layer for layer in layers}
    assert by_name["stem"].after == ()
    assert by_name["left"].after == by_name["right"].after == ("stem",)
    assert set(by_name["late"].after) == {"left", "norm"}
    assert by_name["norm"].direct
    assert not by_name["left"].direct
    assert by_name["norm"].epsilon == 0.5


def test_padding_is_what_reaches_the_convolution_whoever_puts_it_there():
    by_name = {layer.name: layer for layer in trace_layers(Branches(), torch.zeros(1, 1, 16, 16))}
    assert by_name["right"].padding == (1, 1, 1, 1)
    assert by_name["right"].input_hw == (8, 8)
    assert by_name["stem"].stride == (2, 2)


def test_a_dense_layer_knows_the_map_that_was_flattened_and_the_pooling_before_it():
    late = trace_layers(Branches(), torch.zeros(1, 1, 16, 16))[-1]
    assert late.flattened == (16, 4, 4)
    assert [(pool.kind, pool.kernel, pool.stride, pool.reach) for pool in late.pools] == [
        ("max", (2, 2), (2, 2), (0, 0, 0, 0))
    ]


def test_the_networks_mode_is_left_as_it_was():
    module = Branches().train()
    trace_layers(module, torch.zeros(1, 1, 16, 16))
    assert module.training
    assert module.norm.training
    assert module.norm.num_batches_tracked == 0


def test_values_outside_of_known_layers_are_named():
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.gain = nn.Conv2d(1, 2, 1), nn.Parameter(torch.ones(1))

        def forward(self, x):
            return self.conv(x) * self.gain

    with pytest.raises(UserError, match=r"1 tensors outside of .*gain \(mul\)"):
        trace_layers(Scaled(), torch.zeros(1, 1, 4, 4))


def test_a_layer_that_is_used_twice_is_refused():
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(2, 2, 1)

        def forward(self, x):
            return self.conv(self.conv(x))

    with pytest.raises(UserError, match="'conv' is used twice"):
        trace_layers(Twice(), torch.zeros(1, 2, 4, 4))


@pytest.mark.parametrize("size", [5, 6, 7, 8, 11])
@pytest.mark.parametrize("kernel", [1, 2, 3, 5])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_same_gives_tensorflows_sizes_with_the_odd_zero_at_the_end(size, kernel, stride):
    top, left, bottom, right = resolve_padding(
        "same", kernel=(kernel, kernel), stride=(stride, stride), dilation=(1, 1), input_hw=(size, size)
    )
    padded = functional.pad(torch.zeros(1, 1, size, size), (left, right, top, bottom))
    got = functional.conv2d(padded, torch.zeros(1, 1, kernel, kernel), stride=stride)
    assert got.shape[2:] == (-(-size // stride), -(-size // stride))
    assert 0 <= bottom - top <= 1
    assert (top, bottom) == (left, right)


def test_stated_paddings():
    same = {"kernel": (3, 3), "stride": (1, 1), "dilation": (2, 2), "input_hw": (9, 9)}
    assert resolve_padding("same", **same) == (2, 2, 2, 2)
    assert resolve_padding("valid", **same) == (0, 0, 0, 0)
    assert resolve_padding(2, **same) == (2, 2, 2, 2)
    assert resolve_padding((1, 2), **same) == (1, 2, 1, 2)
    assert resolve_padding((1, 2, 3, 4), **same) == (1, 2, 3, 4)


@pytest.mark.parametrize("size", range(4, 13))
@pytest.mark.parametrize(("kernel", "stride", "padding"), [(2, 2, 0), (3, 2, 1), (3, 2, 0), (3, 3, 1)])
@pytest.mark.parametrize("ceil", [False, True])
def test_poolings_of_one_reach_see_the_same_pixels(size, kernel, stride, padding, ceil):
    """Padding by just the reach, and pooling over it without any, gives what torch gives."""
    image = torch.arange(float(size * size)).reshape(1, 1, size, size)
    wanted = functional.max_pool2d(image, kernel, stride, padding, ceil_mode=ceil)
    top, left, bottom, right = reach_of(
        (padding,) * 4, kernel=(kernel,) * 2, stride=(stride,) * 2, input_hw=(size, size), ceil=ceil
    )
    padded = functional.pad(image, (left, right, top, bottom), value=-float("inf"))
    assert torch.equal(functional.max_pool2d(padded, kernel, stride), wanted)
