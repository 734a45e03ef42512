"""What docs/contracts.md promises of a component of kind `model`, for a fixed choice from every library."""

import inspect
import subprocess
import sys

import pytest
import torch
from torch import nn

from zoo.contracts.model import Model, WeightsRecord
from zoo.kinds import BY_NAME
from zoo.models.build import features_of, norms_of, parameter_groups, replace_head
from zoo.models.freezing import set_train
from zoo.plugins import load_plugins

NAMES = [
    "zoo/lenet", "zoo/lenet5", "timm/resnet18", "timm/tf_efficientnet_lite0", "timm/mobilenetv3_small_050",
    "timm/vit_tiny_patch16_224", "timm/convnext_atto", "timm/regnety_002", "timm/test_nfnet", "timm/ghostnet_050",
    "torchvision/resnet18", "torchvision/googlenet", "torchvision/mobilenet_v3_small", "torchvision/mnasnet0_5",
    "torchvision/shufflenet_v2_x0_5",
]  # fmt: skip
SIZE = 64


@pytest.fixture(scope="module")
def registry():
    return load_plugins(only=()).registry


def make(registry, name, *, seed=0, classes=5, channels=3, image_size=SIZE) -> Model:
    torch.manual_seed(seed)
    return registry.get("model", name).build(classes=classes, channels=channels, image_size=image_size)


def test_the_choice_has_a_dozen_names_of_every_library(registry):
    assert len(NAMES) >= 12
    assert {name.partition("/")[0] for name in NAMES} == {"zoo", "timm", "torchvision"}
    assert len(registry.names("model")) > 1400


@pytest.mark.parametrize("name", NAMES)
def test_entry_states_what_a_listing_shows(registry, name):
    entry = registry.get("model", name)
    assert entry.full_name == name
    assert entry.summary
    assert entry.source
    assert entry.origin.distribution == "zoo"
    assert entry.facts["library"] == name.partition("/")[0]
    assert all(isinstance(record, WeightsRecord) for record in entry.facts["records"])
    assert 16 <= entry.facts["input_px"] <= 1024


@pytest.mark.parametrize("name", NAMES)
def test_options_are_keywords_with_defaults_and_annotations(registry, name):
    for option in registry.get("model", name).parameters():
        assert option.name not in BY_NAME["model"].supplied
        assert option.kind is inspect.Parameter.KEYWORD_ONLY
        assert option.default is not inspect.Parameter.empty
        assert option.annotation is not inspect.Parameter.empty


def test_options_of_one_library_are_the_same_for_all_its_names(registry):
    for library in ("timm", "torchvision"):
        names = [name for name in NAMES if name.startswith(f"{library}/")]
        schemas = {tuple(option.name for option in registry.get("model", name).parameters()) for name in names}
        assert len(schemas) == 1


@pytest.mark.parametrize("name", NAMES)
def test_build_describes_the_network_that_it_returns(registry, name):
    model = make(registry, name)
    spec = model.spec
    assert spec.name == name
    assert f"{spec.library}/{spec.arch}" == name
    assert spec.preprocess.size == SIZE
    assert spec.preprocess.channels == 3
    assert isinstance(model.head, nn.Module)
    assert spec.weights == tuple(registry.get("model", name).facts["records"])
    parameters = [name for name, _ in model.module.named_parameters()]
    staged = [name for stage in spec.stages for name in stage.parameters]
    assert len(staged) == len(set(staged))
    assert {name for name in parameters if name not in staged} == {
        name for name in parameters if name.startswith(f"{spec.classifier}.")
    }
    assert next(model.module.parameters()).device.type == "cpu"


@pytest.mark.parametrize("name", NAMES)
def test_forward_gives_finite_float_logits_in_both_modes(registry, name):
    model, x = make(registry, name), torch.randn(3, 3, SIZE, SIZE)
    for module in (model.module.train(), model.module.eval()):
        logits = module(x)
        assert logits.shape == (3, 5)
        assert logits.dtype == torch.float32
        assert bool(logits.isfinite().all())
    with torch.no_grad():
        torch.testing.assert_close(model.module(x), model.module(x))
        torch.testing.assert_close(model.head(features_of(model, x)), model.module(x))
        torch.testing.assert_close(model.module(x)[:1], model.module(x[:1]), atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_backward_reaches_every_parameter(registry, name):
    model = make(registry, name)
    nn.functional.cross_entropy(model.module(torch.randn(4, 3, SIZE, SIZE)), torch.tensor([0, 1, 2, 3])).backward()
    missing = [name for name, p in model.module.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert missing == []


@pytest.mark.parametrize("name", NAMES)
def test_build_follows_the_seed(registry, name):
    first, again, other = (make(registry, name, seed=seed).module.state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


@pytest.mark.parametrize("name", NAMES)
def test_state_goes_from_one_network_to_another(registry, name):
    x = torch.randn(2, 3, SIZE, SIZE)
    first, second = make(registry, name, seed=0).module.eval(), make(registry, name, seed=1).module.eval()
    second.load_state_dict(first.state_dict(), strict=True)
    with torch.no_grad():
        assert torch.equal(first(x), second(x))


@pytest.mark.parametrize("name", NAMES)
def test_groups_hold_every_parameter_once_with_rates_that_grow_with_depth(registry, name):
    model = make(registry, name)
    replace_head(model, nn.Linear(model.spec.feature_dim, 2))
    groups = parameter_groups(model, 0.1, stage_decay=0.8, weight_decay=0.05)
    held = [id(p) for group in groups for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in model.module.parameters())
    rates = [group["lr"] for group in groups]
    assert rates == sorted(rates)
    assert rates[-1] == pytest.approx(0.1)
    assert rates[0] == pytest.approx(0.1 * 0.8 ** len(model.spec.stages))
    for group in groups:
        if group["weight_decay"]:
            assert all(p.ndim > 1 for p in group["params"])


@pytest.mark.parametrize("name", NAMES)
def test_frozen_norms_do_not_move_in_training(registry, name):
    model = make(registry, name)
    set_train(model.module, freeze_norm=True)
    before = {key: value.clone() for key, value in model.module.named_buffers()}
    model.module(torch.randn(4, 3, SIZE, SIZE) * 2 + 1)
    assert all(torch.equal(before[key], value) for key, value in model.module.named_buffers())
    if any(True for _ in norms_of(model.module)):
        set_train(model.module)
        model.module(torch.randn(4, 3, SIZE, SIZE) * 2 + 1)
        assert any(not torch.equal(before[key], value) for key, value in model.module.named_buffers())


def test_offering_models_and_weights_imports_nothing_heavy():
    code = (
        "import sys; from zoo.plugins import load_plugins; r = load_plugins(only=()).registry; "
        "assert r.providers('model') and r.entries('weights'); "
        "print([m for m in ('torch', 'timm', 'torchvision', 'numpy', 'PIL', 'huggingface_hub') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "[]", done.stderr
