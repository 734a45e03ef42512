"""What every network promises of `model.init`, `activation`, `norm` and `norm_epsilon`: each acts, or is refused."""

import pytest
import torch
from torch import nn

from zoo.contracts.model import Model
from zoo.errors import UserError
from zoo.models.build import check_stages, parameter_groups
from zoo.models.initialise import initialise
from zoo.models.surgery import change_network, structural
from zoo.plugins import load_plugins

SIZE = 64
ACTS = {
    # network: (init, activation, norm, norm_epsilon)
    "timm/resnet18": (True, True, True, True),
    "torchvision/vgg11_bn": (True, True, True, True),
    "timm/mobilenetv3_small_050": (True, True, True, True),
    "torchvision/mobilenet_v2": (True, True, True, True),
    "timm/tf_efficientnet_lite0": (True, True, True, True),
    "torchvision/googlenet": (True, False, True, True),  # calls relu in its code
    "timm/convnext_atto": (True, True, False, True),  # layer norms
    "timm/vit_tiny_patch16_224": (True, True, False, True),
    "torchvision/alexnet": (True, True, False, False),
    "zoo/lenet5": (True, True, False, False),
    "zoo/lenet": (True, True, False, False),
    "zoo/mlp": (True, True, False, False),  # its own option norm puts one in
    "zoo/perceptron": (True, False, False, False),
}
OPTIONS = {"activation": "softplus", "norm": "group", "norm_epsilon": 0.5}


@pytest.fixture(scope="module")
def registry():
    return load_plugins(only=()).registry


def make(registry, name: str) -> Model:
    """A network whose scales are not near 0, so that everything in it can be seen at its end."""
    torch.manual_seed(0)
    model = registry.get("model", name).build(classes=3, channels=3, image_size=SIZE)
    with torch.no_grad():
        for parameter in model.module.parameters():
            if parameter.ndim == 1:
                parameter.add_(torch.rand_like(parameter))
    return model


def logits(model: Model) -> torch.Tensor:
    x = torch.rand(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return model.module.eval()(x)


@pytest.mark.parametrize("name", ACTS)
def test_init_acts(registry, name):
    model = make(registry, name)
    before = logits(model)
    initialise(model, "he_uniform")
    after = logits(model)
    assert after.isfinite().all()
    assert not torch.allclose(before, after, rtol=1e-4, atol=0)


@pytest.mark.parametrize("name", ACTS)
@pytest.mark.parametrize("key", OPTIONS)
def test_option_acts_or_is_refused(registry, name, key):
    acts = dict(zip(("init", *OPTIONS), ACTS[name], strict=True))[key]
    model = make(registry, name)
    before, names = logits(model), {n for n, _ in model.module.named_parameters()}
    if not acts:
        with pytest.raises(UserError, match=model.spec.name) as error:
            change_network(model, {key: OPTIONS[key]})
        assert f"model.{key}" in str(error.value)
        return
    changed = change_network(model, {key: OPTIONS[key]})
    after = logits(changed)
    assert after.isfinite().all()
    assert not torch.allclose(before, after, rtol=1e-4, atol=0)
    assert {n for n, _ in changed.module.named_parameters()} == names
    assert check_stages(changed) is changed
    assert changed.spec.stages == model.spec.stages


@pytest.mark.parametrize("name", [name for name, acts in ACTS.items() if acts[2]])
@pytest.mark.parametrize("norm", ["layer", "none"])
def test_other_norms_train(registry, name, norm):
    model = change_network(make(registry, name), {"norm": norm, "activation": "auto"})
    held = [id(p) for group in parameter_groups(model, 0.1) for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in model.module.parameters())
    nn.functional.cross_entropy(model.module.train()(torch.randn(2, 3, SIZE, SIZE)), torch.tensor([0, 1])).backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in model.module.parameters())


def test_a_stage_without_parameters_is_left_out(registry):
    model = make(registry, "torchvision/vgg11_bn")
    lone = next(n for n, m in model.module.named_modules() if isinstance(m, nn.BatchNorm2d))
    changed = change_network(model, {"norm": "none"})
    assert all(stage.parameters for stage in changed.spec.stages)
    assert not any(name.startswith(f"{lone}.") for stage in changed.spec.stages for name in stage.parameters)


def test_auto_and_other_options_change_nothing(registry):
    model = make(registry, "timm/resnet18")
    options = {"activation": "auto", "norm": "fresh", "norm_epsilon": "auto", "init": "he_normal", "image_size": 32}
    assert change_network(model, options) is model
    assert structural(options) == {}
    assert structural({"norm": "none", "norm_epsilon": 0.1, "pixels": "raw"}) == {"norm": "none", "norm_epsilon": 0.1}
