"""Networks that differ from their namesakes in what the registry says they differ in, and in nothing else."""

import pytest
import torch
from torch.nn import functional
from zoo_plugins.networks.keras_variants import resnet50_v1, xception_same

from zoo.errors import UserError
from zoo.plugins import load_plugins
from zoo.weights.tracing import trace_layers


@pytest.fixture(scope="module")
def registry():
    return load_plugins().registry


def traced(model, size):
    return {layer.name: layer for layer in trace_layers(model.module, torch.zeros(1, 3, size, size))}


def test_resnet_v1_strides_in_the_first_convolution_of_a_stage(registry):
    ours = traced(resnet50_v1(classes=3, channels=3, image_size=64), 64)
    theirs = traced(registry.get("model", "torchvision/resnet50").build(classes=3, channels=3, image_size=64), 64)
    moved = {name for name in ours if ours[name].stride != theirs[name].stride}
    assert moved == {f"layer{stage}.0.conv{conv}" for stage in (2, 3, 4) for conv in (1, 2)}
    assert {layer.epsilon for layer in ours.values() if layer.kind == "norm"} == {1.001e-5}
    assert [layer.shape for layer in ours.values()] == [layer.shape for layer in theirs.values()]


def test_caffe_s_first_pooling_starts_in_the_corner():
    pool = resnet50_v1(classes=3, channels=3, image_size=64, pool="ceil").module.get_submodule("maxpool")
    image = torch.arange(64.0).reshape(1, 1, 8, 8)
    assert pool(image)[0, 0, 0, 0] == image[0, 0, 2, 2]
    assert pool(image).shape[2:] == (4, 4)


@pytest.mark.parametrize("size", [71, 96])
def test_xception_s_poolings_pad_as_tensorflow_does(size):
    layers = traced(xception_same(classes=3, channels=3, image_size=size), size)
    pools = {pool for layer in layers.values() for pool in layer.pools}
    assert len(pools) >= 3
    for pool in pools:
        image = torch.randn(1, 1, *pool.input_hw)
        total = max((-(-pool.input_hw[0] // 2) - 1) * 2 + 3 - pool.input_hw[0], 0)
        assert pool.reach == (total // 2, total // 2, total - total // 2, total - total // 2)
        padded = functional.pad(image, (pool.reach[1], pool.reach[3], pool.reach[0], pool.reach[2]))
        assert functional.max_pool2d(padded, 3, 2).shape[2] == -(-pool.input_hw[0] // 2)


def test_variants_say_of_what(registry):
    entry = registry.get("model", "resnet50_v1")
    assert entry.full_name == "zoo/resnet50_v1"
    assert {"timm/resnet50", "torchvision/resnet50"} <= set(entry.facts["variant_of"])
    model = entry.build(classes=3, channels=1, image_size=64)
    assert model.spec.weights == ()
    assert model.module(torch.zeros(2, 1, 64, 64)).shape == (2, 3)


@pytest.mark.parametrize("options", [{"pool": "none"}, {"epsilon": 0.0}, {"epsilon": -1.0}])
def test_bad_options_are_refused(options):
    with pytest.raises(UserError, match=next(iter(options))):
        resnet50_v1(classes=3, channels=3, image_size=64, **options)
