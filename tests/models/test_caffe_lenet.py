import pytest
import torch
from torch import nn
from zoo_plugins.networks.caffe_lenet import build

from zoo.errors import UserError
from zoo.models.build import features_of


def make(**options):
    return build(**{"classes": 10, "channels": 1, "image_size": None} | options)


def test_build_has_the_blobs_of_caffes_example():
    shapes = {name: tuple(p.shape) for name, p in make().module.named_parameters()}
    assert shapes == {
        "conv1.weight": (20, 1, 5, 5),
        "conv1.bias": (20,),
        "conv2.weight": (50, 20, 5, 5),
        "conv2.bias": (50,),
        "ip1.weight": (500, 800),
        "ip1.bias": (500,),
        "ip2.weight": (10, 500),
        "ip2.bias": (10,),
    }


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid"])
def test_forward_is_the_prototxts_chain_of_layers(activation):
    torch.manual_seed(0)
    net, x = make(activation=activation).module, torch.randn(2, 1, 28, 28)
    between = {"relu": nn.ReLU(), "tanh": nn.Tanh(), "sigmoid": nn.Sigmoid()}[activation]
    chain = nn.Sequential(
        net.conv1, nn.MaxPool2d(2), net.conv2, nn.MaxPool2d(2), nn.Flatten(), net.ip1, between, net.ip2
    )
    torch.testing.assert_close(net(x), chain(x))


def test_pooling_keeps_an_odd_last_row_as_caffe_does():
    """17 px: 13 behind conv1; Caffe pools that to 7, not to 6."""
    torch.manual_seed(0)
    model, x = make(image_size=17), torch.zeros(1, 1, 17, 17)
    assert model.module.ip1.in_features == 50 * 2 * 2
    x[..., -1, -1] = 100.0
    blank = torch.zeros(1, 1, 17, 17)
    assert not torch.allclose(model.module(x), model.module(blank))


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("size", [13, 14, 20, 27, 28, 33, 64])
def test_build_takes_any_size_and_channels(size, channels):
    model = make(channels=channels, image_size=size, classes=4)
    logits = model.module(torch.randn(3, channels, size, size))
    assert logits.shape == (3, 4)
    logits.square().sum().backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in model.module.parameters())
    assert (model.spec.preprocess.size, model.spec.preprocess.channels) == (size, channels)


def test_build_refuses_what_it_cannot_take():
    with pytest.raises(UserError, match="12 px"):
        make(image_size=12)
    with pytest.raises(UserError, match="activation 'rleu'"):
        make(activation="rleu")


def test_build_starts_as_caffes_xavier_filler_does():
    torch.manual_seed(0)
    net = make().module
    for layer, fan_in in [(net.conv1, 25), (net.conv2, 500), (net.ip1, 800), (net.ip2, 500)]:
        bound = (3 / fan_in) ** 0.5
        assert 0.95 * bound < layer.weight.abs().max() <= bound
        assert not layer.bias.any()
    assert net.ip1.weight.var().item() == pytest.approx(1 / 800, rel=0.02)


def test_preprocess_multiplies_bytes_by_one_256th():
    pixels = torch.tensor([0, 128, 255], dtype=torch.uint8).reshape(1, 1, 3, 1)
    expected = torch.tensor([0.0, 0.5, 255 / 256])
    torch.testing.assert_close(make().spec.preprocess.normalise(pixels).flatten(), expected)


def test_spec_has_three_stages_and_ip2_as_classifier():
    model = make()
    assert [stage.name for stage in model.spec.stages] == ["conv1", "conv2", "ip1"]
    assert model.spec.classifier == "ip2"
    assert features_of(model, torch.randn(2, 1, 28, 28)).shape == (2, model.spec.feature_dim) == (2, 500)
    assert model.spec.args == {"activation": "relu"}


def test_weights_for_gray_answer_the_same_on_equal_colours():
    torch.manual_seed(0)
    gray, colour, x = make(), make(channels=3), torch.randn(2, 1, 28, 28)
    converted = colour.convert(gray.module.state_dict(), None)
    colour.module.load_state_dict(converted)
    torch.testing.assert_close(colour.module(x.repeat(1, 3, 1, 1)), gray.module(x))
