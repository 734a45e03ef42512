import pytest
import torch
from torch import nn
from zoo_plugins.networks.dense_networks import build_mlp, build_perceptron

from zoo.errors import UserError
from zoo.models.build import features_of, parameter_groups
from zoo.models.freezing import set_train


def mlp(**options):
    return build_mlp(**{"classes": 10, "channels": 1, "image_size": None} | options)


def perceptron(**options):
    return build_perceptron(**{"classes": 10, "channels": 1, "image_size": None} | options)


def test_perceptron_is_one_linear_layer_on_the_pixels():
    torch.manual_seed(0)
    model, x = perceptron(), torch.randn(3, 1, 28, 28)
    assert {name: tuple(p.shape) for name, p in model.module.named_parameters()} == {
        "output.weight": (10, 784),
        "output.bias": (10,),
    }
    weight, bias = model.module.output.weight, model.module.output.bias
    expected = torch.stack([torch.stack([(w.view(1, 28, 28) * image).sum() for w in weight]) for image in x]) + bias
    torch.testing.assert_close(model.module(x), expected, atol=1e-4, rtol=1e-4)
    assert model.spec.stages == ()
    torch.testing.assert_close(features_of(model, x), x.flatten(1))
    assert [group["lr"] for group in parameter_groups(model, 0.1, stage_decay=0.5)] == [0.1, 0.1]


def test_flattening_follows_rows_whatever_the_memory_layout():
    torch.manual_seed(0)
    net, x = mlp(channels=3, image_size=8).module, torch.randn(2, 3, 8, 8)
    torch.testing.assert_close(net(x.to(memory_format=torch.channels_last)), net(x))


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("elu", nn.ELU()),
        ("relu", nn.ReLU()),
        ("gelu", nn.GELU()),
        ("tanh", nn.Tanh()),
        ("sigmoid", nn.Sigmoid()),
        ("selu", nn.SELU()),
        ("linear", nn.Identity()),
    ],
)
def test_mlp_is_dense_layers_with_the_activation_between(name, layer):
    torch.manual_seed(0)
    net, x = mlp(hidden=(7, 5), activation=name).module, torch.randn(3, 1, 28, 28)
    shapes = {key: tuple(p.shape) for key, p in net.named_parameters()}
    assert shapes == {
        "layers.hidden1.dense.weight": (7, 784),
        "layers.hidden1.dense.bias": (7,),
        "layers.hidden2.dense.weight": (5, 7),
        "layers.hidden2.dense.bias": (5,),
        "output.weight": (10, 5),
        "output.bias": (10,),
    }
    first, second = net.layers.hidden1.dense, net.layers.hidden2.dense
    torch.testing.assert_close(net(x), net.output(layer(second(layer(first(x.flatten(1)))))))


def test_elu_is_the_default():
    torch.manual_seed(0)
    net, x = mlp(hidden=(6,)).module, torch.randn(4, 1, 28, 28) * 3
    inner = net.layers.hidden1.dense(x.flatten(1))
    assert bool((inner < 0).any())
    expected = torch.where(inner > 0, inner, inner.exp() - 1)
    torch.testing.assert_close(net.layers(x.flatten(1)), expected)
    assert mlp().spec.args == {
        "hidden": [512, 256],
        "activation": "elu",
        "norm": "none",
        "norm_place": "before",
        "input_norm": False,
        "dropout": 0.0,
        "input_dropout": 0.0,
        "bias": "auto",
    }


def test_weights_start_normal_with_variance_two_by_fan_in():
    torch.manual_seed(0)
    net = mlp(hidden=(500, 400)).module
    for layer, fan_in in ((net.layers.hidden1.dense, 784), (net.layers.hidden2.dense, 500)):
        assert layer.weight.var().item() == pytest.approx(2 / fan_in, rel=0.02)
        assert abs(layer.weight.mean().item()) < 1e-3
        kurtosis = (layer.weight**4).mean() / layer.weight.var() ** 2
        assert kurtosis.item() == pytest.approx(3, abs=0.1)  # 1.8 were it uniform
        assert not layer.bias.any()


def test_he_start_keeps_the_size_of_the_signal_through_rectifiers():
    torch.manual_seed(0)
    net = mlp(hidden=(400,) * 8, activation="relu").module
    x = torch.randn(64, 1, 28, 28)
    with torch.no_grad():
        before = net.layers.hidden1.dense(x.flatten(1)).var()
        after = net.layers[-1].dense(net.layers[:-1](x.flatten(1))).var()
    assert 0.4 < (after / before).item() < 2.5


def test_batch_norm_normalises_each_hidden_layer_and_takes_the_place_of_its_bias():
    torch.manual_seed(0)
    model, x = mlp(hidden=(6, 4), norm="batch"), torch.randn(32, 1, 28, 28) + 2
    names = [name for name, _ in model.module.named_parameters()]
    assert "layers.hidden1.norm.weight" in names
    assert "layers.hidden1.dense.bias" not in names
    set_train(model.module)
    hidden = model.module.layers.hidden1
    normed = hidden.norm(hidden.dense(x.flatten(1)))
    torch.testing.assert_close(normed.mean(0), torch.zeros(6), atol=1e-5, rtol=0)
    torch.testing.assert_close(normed.var(0, unbiased=False), torch.ones(6), atol=1e-3, rtol=0)
    assert [stage.name for stage in model.spec.stages] == ["hidden1", "hidden2"]
    held = [id(p) for group in parameter_groups(model, 0.1) for p in group["params"]]
    assert len(held) == len(set(held)) == len(names)


def test_dropout_leaves_out_its_share_of_hidden_units_in_training_only():
    torch.manual_seed(0)
    model, x = mlp(hidden=(2000,), dropout=0.3, activation="sigmoid"), torch.randn(8, 1, 28, 28)
    flat = x.flatten(1)
    set_train(model.module)
    zeros = (model.module.layers(flat) == 0).float().mean().item()
    assert zeros == pytest.approx(0.3, abs=0.02)
    model.module.eval()
    assert bool((model.module.layers(flat) > 0).all())
    assert not any(isinstance(m, nn.Dropout) for m in mlp().module.modules())


def test_norm_behind_the_activation_keeps_the_bias():
    torch.manual_seed(0)
    net, x = mlp(hidden=(8,), norm="batch", norm_place="after", dropout=0.5).module, torch.randn(16, 1, 28, 28)
    layer = net.layers.hidden1
    assert [name for name, _ in layer.named_children()] == ["dense", "activation", "norm", "dropout"]
    assert layer.dense.bias is not None
    net.eval()
    expected = layer.norm(nn.functional.elu(layer.dense(x.flatten(1))))
    torch.testing.assert_close(net.layers(x.flatten(1)), expected)


def test_bias_stays_before_a_norm_where_it_is_asked_for():
    assert mlp(hidden=(8,), norm="batch").module.layers.hidden1.dense.bias is None
    assert mlp(hidden=(8,), norm="batch", bias="always").module.layers.hidden1.dense.bias is not None


@pytest.mark.parametrize(
    ("norm", "by_hand"),
    [
        ("layer", lambda z: nn.functional.layer_norm(z, (8,))),
        ("group", lambda z: nn.functional.group_norm(z, 4)),
    ],
)
def test_layer_and_group_norm_look_at_one_image_alone(norm, by_hand):
    torch.manual_seed(0)
    net, x = mlp(hidden=(8,), norm=norm).module, torch.randn(5, 1, 28, 28)
    layer = net.layers.hidden1
    torch.testing.assert_close(net.layers(x.flatten(1)), nn.functional.elu(by_hand(layer.dense(x.flatten(1)))))
    torch.testing.assert_close(net(x)[:1], net(x[:1]))


def test_input_norm_standardises_raw_pixels_and_belongs_to_the_first_stage():
    torch.manual_seed(0)
    model, x = mlp(hidden=(8, 4), norm="batch", input_norm=True), torch.rand(64, 1, 28, 28) * 255
    set_train(model.module)
    seen = model.module.entrance(x.flatten(1))
    torch.testing.assert_close(seen.mean(0), torch.zeros(784), atol=1e-4, rtol=0)
    torch.testing.assert_close(seen.var(0, unbiased=False), torch.ones(784), atol=1e-3, rtol=0)
    assert "entrance.norm.weight" in model.spec.stages[0].parameters
    assert [stage.name for stage in model.spec.stages] == ["hidden1", "hidden2"]


def test_input_dropout_leaves_out_its_share_of_pixels_in_training_only():
    torch.manual_seed(0)
    net, x = mlp(hidden=(4,), input_dropout=0.2).module, torch.ones(20, 784)
    set_train(net)
    assert (net.entrance(x) == 0).float().mean().item() == pytest.approx(0.2, abs=0.01)
    net.eval()
    assert net.entrance(x).equal(x)


@pytest.mark.parametrize("build", [mlp, perceptron])
def test_networks_take_data_of_two_features(build):
    torch.manual_seed(0)
    model, points = build(channels=2, image_size=1, classes=3), torch.randn(7, 2, 1, 1)
    assert model.module(points).shape == (7, 3)
    first = model.module.layers.hidden1.dense if build is mlp else model.module.output
    assert first.in_features == 2


@pytest.mark.parametrize("build", [mlp, perceptron])
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("size", [1, 8, 28, 33])
def test_networks_take_any_size_and_channels(build, channels, size):
    torch.manual_seed(0)
    model = build(channels=channels, image_size=size, classes=4)
    logits = model.module(torch.randn(3, channels, size, size))
    assert logits.shape == (3, 4)
    logits.square().sum().backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in model.module.parameters())
    assert (model.spec.preprocess.size, model.spec.preprocess.channels) == (size, channels)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden": ()}, "model=perceptron"),
        ({"hidden": (8, 0)}, "hidden layer of 0 units"),
        ({"activation": "elo"}, "allowed: elu"),
        ({"dropout": 1.0}, "0 <= dropout < 1"),
        ({"dropout": -0.1}, "model.dropout"),
        ({"input_dropout": 1.5}, "0 <= input_dropout < 1"),
        ({"norm": "bach"}, "unknown norm 'bach'"),
        ({"norm": "batch", "norm_place": "behind"}, "unknown norm_place"),
        ({"norm": "batch", "bias": "never"}, "unknown bias"),
        ({"norm_place": "after"}, "no effect without a norm"),
        ({"input_norm": True}, "no effect without a norm"),
        ({"bias": "always"}, "no effect without a norm"),
    ],
)
def test_mlp_refuses_options_without_effect_or_sense(options, message):
    with pytest.raises(UserError, match=message):
        mlp(**options)


def test_mlp_learns_what_no_perceptron_can():
    """Exclusive or of two pixels: not linearly separable, so the perceptron stays at chance."""
    x = torch.zeros(4, 1, 2, 2)
    x[1, 0, 0, 0] = x[2, 0, 0, 1] = x[3, 0, 0, 0] = x[3, 0, 0, 1] = 1
    y = torch.tensor([0, 1, 1, 0])
    right = {}
    for build, options in ((perceptron, {}), (mlp, {"hidden": (16,)})):
        torch.manual_seed(0)
        module = build(classes=2, image_size=2, **options).module
        optimizer = torch.optim.Adam(module.parameters(), lr=0.05)
        for _ in range(200):
            loss = nn.functional.cross_entropy(module(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        right[build] = int((module(x).argmax(1) == y).sum())
    assert right[mlp] == 4
    assert right[perceptron] < 4
