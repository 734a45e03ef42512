"""The published architectures at full depth and width, written by Keras and by torch's exporter, through `convert`."""

import numpy as np
import pytest
import torch
from support import keras_nets
from torch import nn

from zoo.assembly.converting import Request, convert
from zoo.assembly.using import load_saved
from zoo.errors import UserError
from zoo.plugins import load_plugins

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def plugins():
    return load_plugins()


def written(model, path):
    """In the form that the name says."""
    if path.name == "published.h5":
        return keras_nets.save_legacy_weights(model, path)
    model.save_weights(path) if path.name.endswith(".weights.h5") else model.save(path)
    return path


def keras_answers(model, pixels, mode):
    """Keras' outputs for R, G, B pixels uint8[N, S, S, 3], prepared by Keras' own `preprocess_input`."""
    prepare = getattr(keras_nets.keras().applications, mode).preprocess_input
    given = prepare(pixels.astype(np.float32).copy(), data_format="channels_last")
    return keras_nets.outputs(model, given.transpose(0, 3, 1, 2))


KERAS = [
    ("ResNet50", "resnet50", "resnet50_v1", 224, "net.keras"),
    ("ResNet50", "resnet50", "resnet50_v1", 224, "published.h5"),
    ("ResNet50", "resnet50", "resnet50_v1", 224, "net.weights.h5"),
    ("Xception", "xception", "xception_same", 299, "net.h5"),
    ("Xception", "xception", "xception_same", 299, "published.h5"),
    ("VGG16", "vgg16", "vgg16", 224, "published.h5"),
]


@pytest.mark.parametrize(("builder", "mode", "target", "side", "name"), KERAS)
def test_keras_networks_answer_alike_from_pixels_on(plugins, tmp_path, builder, mode, target, side, name):
    """From pixels to logits: the preprocessing that was stored, and the values, against Keras' own of both."""
    build = getattr(keras_nets.keras().applications, builder)
    model = keras_nets.randomised(build(weights=None, classes=6, classifier_activation=None))
    done = convert(Request(written(model, tmp_path / name), target, tmp_path / "out"), plugins, say=lambda _: None)
    assert done.provenance.against == "Keras"
    assert done.provenance.max_relative < 1e-4
    saved, ours = load_saved(tmp_path / "out", plugins)
    pixels = np.random.default_rng(0).integers(0, 256, (2, side, side, 3), dtype=np.uint8)
    assert saved.preprocess.size == side
    with torch.inference_mode():
        logits = ours.module.eval()(saved.preprocess.normalise(torch.from_numpy(pixels))).numpy()
    wanted = keras_answers(model, pixels, mode)
    assert np.abs(logits - wanted).max() / np.abs(wanted).max() < 1e-4


@pytest.mark.parametrize(("builder", "target"), [("ResNet50", "resnet50"), ("Xception", "xception")])
def test_the_networks_of_the_same_name_are_never_called_equal(plugins, tmp_path, builder, target):
    build = getattr(keras_nets.keras().applications, builder)
    model = keras_nets.randomised(build(weights=None, classes=4))
    path = written(model, tmp_path / "net.weights.h5")
    with pytest.raises(UserError, match="computes otherwise") as caught:
        convert(Request(path, target, tmp_path / "out"), plugins, say=lambda _: None)
    assert f"model={target}_" in str(caught.value)
    assert not (tmp_path / "out").exists()


def randomised(module):
    """Random scales, shifts and statistics; a fresh ResNet's are such that mistakes do not show."""
    torch.manual_seed(0)
    with torch.no_grad():
        for layer in module.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.weight.uniform_(0.5, 1.5)
                layer.bias.uniform_(-0.2, 0.2)
                layer.running_mean.uniform_(-0.2, 0.2)
                layer.running_var.uniform_(0.5, 1.5)
    return module.eval()


ONNX = [("torchvision/resnet50", 64), ("legacy_xception", 96), ("vgg16", 224)]
ONNX += [("torchvision/googlenet", 64), ("inception_v4", 139), ("torchvision/densenet121", 64)]


@pytest.mark.parametrize("folded", [True, False])
@pytest.mark.parametrize(("name", "side"), ONNX)
def test_onnx_exports_come_back(plugins, tmp_path, name, side, folded):
    module = randomised(plugins.registry.get("model", name).build(classes=5, channels=3, image_size=side).module)
    kept = {"training": torch.onnx.TrainingMode.PRESERVE, "do_constant_folding": False}
    torch.onnx.export(
        module, (torch.zeros(1, 3, side, side),), tmp_path / "net.onnx", dynamo=False, **({} if folded else kept)
    )
    done = convert(Request(tmp_path / "net.onnx", name, tmp_path / "out"), plugins, say=lambda _: None)
    assert done.provenance.against == "onnxruntime"
    assert done.provenance.max_relative < 1e-4
    _, ours = load_saved(tmp_path / "out", plugins)
    images = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        wanted = module(images)
        assert (ours.module.eval()(images) - wanted).abs().max() / wanted.abs().max() < 1e-4


def test_same_poolings_come_back_from_torch_s_present_exporter(plugins, tmp_path):
    """The older one leaves the padding to be computed from the image's size, which is refused."""
    module = randomised(
        plugins.registry.get("model", "xception_same").build(classes=5, channels=3, image_size=96).module
    )
    image = torch.zeros(1, 3, 96, 96)
    torch.onnx.export(module, (image,), tmp_path / "old.onnx", dynamo=False)
    with pytest.raises(UserError, match="not known here"):
        convert(Request(tmp_path / "old.onnx", "xception_same", tmp_path / "out"), plugins, say=lambda _: None)
    torch.onnx.export(module, (image,), tmp_path / "net.onnx", external_data=False, verbose=False)
    done = convert(Request(tmp_path / "net.onnx", "xception_same", tmp_path / "out"), plugins, say=lambda _: None)
    assert done.provenance.max_relative < 1e-4
