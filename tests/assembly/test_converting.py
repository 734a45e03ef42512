"""`convert` as a whole: what is saved, what is said, and what is refused with nothing left behind."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support.importing import relative_difference
from torch import nn

from zoo.artifacts.model_folder import load_model_folder
from zoo.assembly.console import Console
from zoo.assembly.converting import Request, convert
from zoo.assembly.evaluating import evaluate_run
from zoo.assembly.import_inputs import choose_classes, choose_preprocess
from zoo.assembly.using import load_saved
from zoo.contracts.importing import ForeignLayer, ForeignModel, Provenance
from zoo.contracts.model import Model, ModelSpec, Stage
from zoo.errors import UserError
from zoo.imaging.preprocess import Preprocess
from zoo.plugins import load_plugins
from zoo.registry import Entry, Offer, Origin
from zoo.weights.files import read_path


@pytest.fixture(scope="module")
def plugins():
    return load_plugins()


@pytest.fixture(scope="module")
def lenet(plugins):
    torch.manual_seed(1)
    return plugins.registry.get("model", "lenet").build(classes=10, channels=1, image_size=None).module.eval()


def exported(module, path, image):
    torch.onnx.export(module, (image,), path, dynamo=False)
    return path


@pytest.fixture(scope="module")
def source(lenet, tmp_path_factory):
    return exported(lenet, tmp_path_factory.mktemp("onnx") / "lenet.onnx", torch.zeros(1, 1, 28, 28))


def request(source, tmp_path, **options):
    return Request(source=source, model=options.pop("model", "lenet"), out=tmp_path / "out", **options)


def quietly(_: str) -> None:
    """Says nothing."""


def refused(asked, plugins, said):
    """The conversion is refused with this, and leaves neither the folder nor a part of it."""
    before = sorted(asked.out.parent.iterdir())
    with pytest.raises(UserError, match=said) as caught:
        convert(asked, plugins, say=quietly)
    assert sorted(asked.out.parent.iterdir()) == before
    return caught.value


def test_a_converted_model_is_a_saved_model_that_answers_as_its_source(source, lenet, plugins, tmp_path):
    done = convert(request(source, tmp_path), plugins, say=quietly)
    saved, model = load_saved(tmp_path / "out", plugins)
    images = np.random.default_rng(0).normal(size=(3, 1, 28, 28)).astype(np.float32)
    with torch.inference_mode():
        wanted = lenet(torch.from_numpy(images)).numpy()
    assert relative_difference(model.module, images, wanted) < 1e-5
    assert saved.classes == tuple(f"class{number}" for number in range(10))
    assert done.provenance.against == "onnxruntime"
    assert done.provenance.inputs == 4
    assert done.provenance.max_relative < 1e-4
    assert Provenance.from_origin(saved.origin) == done.provenance


def test_the_card_holds_the_measured_differences_as_json(source, plugins, tmp_path):
    convert(request(source, tmp_path), plugins, say=quietly)
    card = json.loads((tmp_path / "out" / "zoo.json").read_text())
    imported = card["origin"]["import"]
    assert imported["framework"] == "onnx"
    assert 0 <= imported["max_abs"] < 1e-3
    assert imported["reader"] == "zoo/onnx"
    assert len(imported["sha256"]) == 64


def test_what_starts_from_the_model_or_scores_it_says_where_it_comes_from(source, lenet, plugins, tmp_path):
    convert(request(source, tmp_path), plugins, say=quietly)
    _, model = load_saved(tmp_path / "out", plugins)
    assert read_path(tmp_path / "out", model.spec).note.startswith("imported from onnx (lenet.onnx): logits differ")
    for number in range(2):
        (tmp_path / "data" / f"class{number}").mkdir(parents=True)
        Image.fromarray(np.full((28, 28), number * 90, np.uint8)).save(tmp_path / "data" / f"class{number}" / "a.png")
    said = []
    console = Console()
    console.say = said.append
    scores = evaluate_run(
        tmp_path / "out", plugins, console=console, data=[f"data={tmp_path / 'data'}"], split=None, device="cpu"
    )
    assert scores.count == 2
    assert any(line.startswith("imported from onnx (lenet.onnx)") for line in said)


def test_a_reference_of_the_user_s_goes_before_the_framework(source, lenet, plugins, tmp_path):
    images = np.random.default_rng(0).normal(size=(2, 28, 28, 1)).astype(np.float32)
    with torch.inference_mode():
        answers = lenet(torch.from_numpy(images.transpose(0, 3, 1, 2))).numpy()
    np.savez(tmp_path / "seen.npz", input=images, output=answers)
    done = convert(request(source, tmp_path, reference=tmp_path / "seen.npz"), plugins, say=quietly)
    assert (done.provenance.against, done.provenance.inputs) == ("seen.npz", 2)


def test_other_outputs_are_refused_unless_the_tolerance_allows_them(source, plugins, tmp_path):
    images = np.zeros((1, 1, 28, 28), np.float32)
    np.savez(tmp_path / "other.npz", input=images, output=np.full((1, 10), 5.0))
    asked = request(source, tmp_path, reference=tmp_path / "other.npz")
    refused(asked, plugins, r"outputs differ from other.npz by .* relative")
    done = convert(dataclasses.replace(asked, tolerance=1e6), plugins, say=quietly)
    assert done.provenance.max_relative > 0.1
    assert "differ by at most" in done.provenance.line()


def test_another_activation_is_found_by_the_comparison(source, plugins, tmp_path):
    refused(request(source, tmp_path, model_options={"activation": "tanh"}), plugins, "outputs differ from onnxruntime")


def test_without_a_runtime_it_says_unverified(source, plugins, tmp_path, monkeypatch):
    monkeypatch.setattr("zoo_plugins.foreign.onnx_importer.OnnxImporter.forward", lambda *_, **__: None)
    done = convert(request(source, tmp_path), plugins, say=quietly)
    assert "unverified" in done.provenance.line()
    assert not Provenance.from_origin(load_model_folder(tmp_path / "out").origin).verified


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"model": "resnet18"}, "layers do not fit"),
        ({"model": "no_such_net"}, "unknown model"),
        ({"model": "vit_tiny_patch16_224"}, "cannot take|tensors outside of"),
        ({"reader": "no_such_reader"}, "unknown importer"),
        ({"reader": "keras"}, "cannot be read"),
        ({"preprocess": "torchy"}, "unknown preprocessing"),
        ({"preprocess": "caffe"}, "3 colours, the network reads 1"),
        ({"model_options": {"activatoin": "tanh"}}, "has no option 'activatoin'"),
        ({"model_options": {"activation": "cosine"}}, "does not fit model.activation"),
        ({"reader_options": {"epsilon": "1e-3"}}, "has no option 'epsilon'"),
        ({"reference": Path("/nowhere/r.npz")}, "there is no file"),
        ({"definition": Path(__file__)}, "describes its network itself"),
        ({"classes": "/nowhere/names.txt"}, "cannot be read"),
    ],
)
def test_bad_input_is_refused_and_leaves_nothing(source, plugins, tmp_path, options, said):
    refused(request(source, tmp_path, **options), plugins, said)


def test_a_folder_that_is_there_already_is_left_as_it_is(source, plugins, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    refused(request(source, tmp_path), plugins, "is there already")
    assert (tmp_path / "out" / "mine.txt").read_text() == "mine"


def test_an_empty_folder_is_taken(source, plugins, tmp_path):
    (tmp_path / "out").mkdir()
    convert(request(source, tmp_path), plugins, say=quietly)
    assert (tmp_path / "out" / "zoo.json").is_file()


def test_a_missing_source_and_one_that_no_reader_knows(plugins, tmp_path):
    (tmp_path / "notes.txt").write_text("no weights")
    refused(request(tmp_path / "gone.onnx", tmp_path), plugins, "there is no file")
    assert ".onnx" in str(refused(request(tmp_path / "notes.txt", tmp_path), plugins, "no reader knows this file"))


@pytest.mark.slow
def test_a_variant_is_named_where_the_geometry_differs(plugins, tmp_path):
    """A ResNet that strides first has the same shapes everywhere; only strides tell."""
    torch.manual_seed(0)
    module = plugins.registry.get("model", "resnet50_v1").build(classes=4, channels=3, image_size=64).module.eval()
    path = exported(module, tmp_path / "v1.onnx", torch.zeros(1, 3, 64, 64))
    error = refused(request(path, tmp_path, model="resnet50"), plugins, "computes otherwise: .* has stride 2")
    assert "model=resnet50_v1" in str(error)


class Twins(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.fc = nn.Conv2d(3, 2, 1), nn.Conv2d(3, 2, 1), nn.Linear(4, 2)

    def forward(self, x):
        return self.fc(torch.cat([self.a(x), self.b(x)], 1).mean((2, 3)))


class Twin:
    """A reader whose file is such a network, its branches in the other order and under other names."""

    runtime = "itself"

    def __init__(self, module, *, runs):
        self.module, self.runs = module, runs

    def read(self, path, *, definition=None):
        def values(layer):
            return {"weight": layer.weight.detach().numpy(), "bias": layer.bias.detach().numpy()}

        branches = [
            ForeignLayer(n, "conv", values(layer), {}, ()) for n, layer in (("y", self.module.b), ("x", self.module.a))
        ]
        last = ForeignLayer("z", "dense", values(self.module.fc), {}, ("x", "y"))
        return ForeignModel("test", (*branches, last), "execution", input_shape=(3, 8, 8))

    def forward(self, path, *, definition=None):
        def run(images):
            with torch.inference_mode():
                return self.module(torch.from_numpy(images)).numpy()

        return run if self.runs else None


def build_twins(*, classes, channels, image_size):
    """The network that is to take the values."""
    module = Twins()
    spec = ModelSpec(
        name="zoo/twins",
        library="zoo",
        arch="twins",
        classifier="fc",
        feature_dim=4,
        stages=(Stage("all", ("a.weight", "a.bias", "b.weight", "b.bias")),),
        preprocess=Preprocess(8, (0.5,) * 3, (0.5,) * 3),
    )
    return Model(module, spec)


@pytest.mark.parametrize("runs", [True, False])
def test_of_two_assignments_a_comparison_chooses_and_without_one_neither_is_taken(tmp_path, monkeypatch, runs):
    torch.manual_seed(3)
    module = Twins().eval()
    plugins = load_plugins()
    offer = Offer("support:none", "two branches that nothing tells apart")
    entry = Entry("model", "twins", offer, Origin("zoo.test", "zoo", "0"))
    plugins.registry.add([entry])
    monkeypatch.setattr(Entry, "load", lambda self: build_twins)
    reader = Twin(module, runs=runs)
    monkeypatch.setattr("zoo.assembly.converting.find_reader", lambda request, registry: (entry, reader))
    (tmp_path / "file").write_bytes(b"values")
    asked = request(tmp_path / "file", tmp_path, model="zoo/twins")
    if not runs:
        refused(asked, plugins, "more than one assignment .*: y, x could be a, b")
        return
    done = convert(asked, plugins, say=quietly)
    assert done.provenance.max_relative < 1e-5
    assert "the comparison of outputs chose" in " ".join(done.provenance.notes)
    tensors = load_model_folder(tmp_path / "out").tensors()
    assert torch.equal(tensors["a.weight"], module.a.weight)


def spec_of(plugins, name="lenet", channels=1):
    return plugins.registry.get("model", name).build(classes=10, channels=channels, image_size=None)


def test_preprocessing_by_name_by_file_and_assumed(plugins):
    model = spec_of(plugins, channels=3)
    nothing = ForeignModel("keras", (), "file")
    caffe = choose_preprocess("caffe", nothing, model=model)
    assert caffe.reverse_input
    pixel = torch.tensor([[[[10, 20, 30]]]], dtype=torch.uint8)  # R, G, B
    wanted = torch.tensor([10 - 123.68, 20 - 116.779, 30 - 103.939])
    assert torch.allclose(caffe.preprocess.normalise(pixel).flatten(), wanted, atol=1e-4)
    scaled = choose_preprocess("tf", nothing, model=model).preprocess.normalise(pixel).flatten()
    assert torch.allclose(scaled, torch.tensor([10.0, 20, 30]) / 127.5 - 1, atol=1e-6)
    assert choose_preprocess(None, nothing, model=model).how.startswith("assumed")
    stated = dataclasses.replace(nothing, preprocess=caffe.preprocess, channel_order="bgr")
    assert choose_preprocess(None, stated, model=model).reverse_input
    assert not choose_preprocess("unit", stated, model=model).reverse_input


def test_class_names(plugins, tmp_path):
    model = spec_of(plugins)
    (tmp_path / "names.txt").write_text("cat\n dog \n\n")
    assert choose_classes(str(tmp_path / "names.txt"), count=2, model=model)[0] == ("cat", "dog")
    with pytest.raises(UserError, match="2 class names for 3 outputs"):
        choose_classes(str(tmp_path / "names.txt"), count=3, model=model)
    (tmp_path / "names.txt").write_text("cat\ncat\n")
    with pytest.raises(UserError, match="'cat' stands twice"):
        choose_classes(str(tmp_path / "names.txt"), count=2, model=model)
    assert choose_classes(None, count=11, model=model)[0][:2] == ("class00", "class01")
    names, how = choose_classes(None, count=1000, model=model)
    assert len(set(names)) == 1000
    assert names[0].startswith("tench")
    assert "ImageNet" in how
