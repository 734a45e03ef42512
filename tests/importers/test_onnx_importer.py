"""Graphs that torch exported or onnx's own helper built, against onnxruntime and torch."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from support.importing import fill, relative_difference
from torch import nn
from torch.nn import functional
from zoo_plugins.foreign.onnx_importer import OnnxImporter

from zoo.errors import UserError


class Blocks(nn.Module):
    """Branches of one shape, grouped convolutions, norms, a padding layer, a concatenation."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 8, 3, stride=2, bias=False), nn.BatchNorm2d(8, eps=0.01)
        self.left, self.right = nn.Conv2d(8, 4, 1), nn.Conv2d(8, 4, 3, padding=1)
        self.depth = nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=8)
        self.norm2 = nn.BatchNorm2d(8)
        self.fc1, self.fc2 = nn.Linear(8 * 4 * 4, 6), nn.Linear(6, 3)

    def forward(self, x):
        x = torch.relu(self.norm(self.stem(functional.pad(x, (1, 1, 1, 1)))))
        x = torch.cat([self.left(x), self.right(x)], 1)
        x = functional.max_pool2d(self.norm2(torch.relu(self.depth(x))) + x, 2)
        return self.fc2(torch.relu(self.fc1(x.flatten(1))))


def randomised(module, seed=0):
    torch.manual_seed(seed)
    with torch.no_grad():
        for tensor in module.parameters():
            tensor.uniform_(-0.5, 0.5)
        for layer in module.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.weight.uniform_(0.5, 1.5)
                layer.running_mean.uniform_(-0.5, 0.5)
                layer.running_var.uniform_(0.5, 1.5)
    return module.eval()


def noise(*shape):
    return np.random.default_rng(3).normal(size=shape).astype(np.float32)


@pytest.fixture(scope="module")
def module():
    return randomised(Blocks())


@pytest.fixture(scope="module")
def exported(tmp_path_factory, module):
    """By torch's older exporter, with norms folded and without."""
    folder, image = tmp_path_factory.mktemp("onnx"), torch.zeros(1, 3, 16, 16)
    torch.onnx.export(module, (image,), folder / "folded.onnx", dynamo=False)
    plain = {"training": torch.onnx.TrainingMode.PRESERVE, "do_constant_folding": False}
    torch.onnx.export(module, (image,), folder / "plain.onnx", dynamo=False, **plain)
    return folder


@pytest.fixture(scope="module")
def exported_now(tmp_path_factory, module):
    """By torch's present exporter, with the tensors in one file and in a second one."""
    folder, image = tmp_path_factory.mktemp("onnx"), torch.zeros(1, 3, 16, 16)
    torch.onnx.export(module, (image,), folder / "now.onnx", external_data=False, verbose=False)
    torch.onnx.export(module, (image,), folder / "beside.onnx", external_data=True, verbose=False)
    return folder


def check_comes_back(path, module):
    images = noise(3, 3, 16, 16)
    assert OnnxImporter().reads(path)
    foreign = OnnxImporter().read(path)
    assert foreign.input_shape == (3, 16, 16)
    with torch.inference_mode():
        wanted = module(torch.from_numpy(images)).numpy()
    assert relative_difference(fill(foreign, Blocks(), (3, 16, 16)), images, wanted) < 1e-5
    assert np.allclose(OnnxImporter().forward(path)(images), wanted, atol=1e-5)


@pytest.mark.parametrize("name", ["folded", "plain"])
def test_what_torch_s_older_exporter_writes_comes_back(exported, module, name):
    check_comes_back(exported / f"{name}.onnx", module)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["now", "beside"])
def test_what_torch_s_present_exporter_writes_comes_back(exported_now, module, name):
    check_comes_back(exported_now / f"{name}.onnx", module)


def test_the_exports_differ_in_what_they_fold(exported):
    counts = {
        name: sum(layer.kind == "norm" for layer in OnnxImporter().read(exported / f"{name}.onnx").layers)
        for name in ("folded", "plain")
    }
    assert counts["plain"] == 2
    assert counts["folded"] == 1  # the second norm stands behind an activation


def graph(nodes, values, *, image=(1, 2, 4, 4), outputs=3):
    """A model by hand."""
    return helper.make_model(
        helper.make_graph(
            nodes,
            "by_hand",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, image)],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, outputs))],
            [numpy_helper.from_array(value, name) for name, value in values.items()],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=9,
    )


def saved(model, tmp_path):
    onnx.save(model, tmp_path / "net.onnx")
    return tmp_path / "net.onnx"


def run(path, images):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(None, {"x": images[i : i + 1]})[0] for i in range(len(images))])


def dense_nodes(kind):
    if kind == "matmul":
        return [helper.make_node("MatMul", ["f", "w"], ["m"]), helper.make_node("Add", ["m", "b"], ["y"])]
    return [helper.make_node("Gemm", ["f", "w", "b"], ["y"], transB=int(kind == "gemm_t"))]


@pytest.mark.parametrize("kind", ["matmul", "gemm", "gemm_t"])
def test_dense_layers_in_each_of_their_forms(tmp_path, kind):
    values = {"w": noise(3, 32) if kind == "gemm_t" else noise(32, 3), "b": noise(3)}
    path = saved(graph([helper.make_node("Flatten", ["x"], ["f"]), *dense_nodes(kind)], values), tmp_path)
    images = noise(2, 2, 4, 4)
    module = fill(OnnxImporter().read(path), nn.Sequential(nn.Flatten(), nn.Linear(32, 3)), (2, 4, 4))
    assert relative_difference(module, images, run(path, images)) < 1e-5


def test_a_map_that_was_turned_before_it_was_flattened(tmp_path):
    """As exporters of TensorFlow write it: channels last, then flat."""
    nodes = [
        helper.make_node("Conv", ["x", "k"], ["c"]),
        helper.make_node("Transpose", ["c"], ["t"], perm=[0, 2, 3, 1]),
        helper.make_node("Flatten", ["t"], ["f"]),
        *dense_nodes("matmul"),
    ]
    path = saved(graph(nodes, {"k": noise(5, 2, 1, 1), "w": noise(80, 3), "b": noise(3)}), tmp_path)
    module = nn.Sequential(nn.Conv2d(2, 5, 1, bias=False), nn.Flatten(), nn.Linear(80, 3))
    images = noise(2, 2, 4, 4)
    assert relative_difference(fill(OnnxImporter().read(path), module, (2, 4, 4)), images, run(path, images)) < 1e-5


def test_same_padding_and_a_softmax_at_the_end(tmp_path):
    nodes = [
        helper.make_node("Conv", ["x", "k", "kb"], ["c"], auto_pad="SAME_UPPER", strides=[2, 2]),
        helper.make_node("Flatten", ["c"], ["f"]),
        helper.make_node("MatMul", ["f", "w"], ["m"]),
        helper.make_node("Softmax", ["m"], ["y"], axis=1),
    ]
    values = {"k": noise(5, 2, 3, 3), "kb": noise(5), "w": noise(20, 3)}
    path = saved(graph(nodes, values), tmp_path)
    module = nn.Sequential(
        nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(2, 5, 3, stride=2), nn.Flatten(), nn.Linear(20, 3, bias=False)
    )
    module = fill(OnnxImporter().read(path), module, (2, 4, 4))
    images = noise(2, 2, 4, 4)
    logits = OnnxImporter().forward(path)(images)
    assert relative_difference(module, images, logits) < 1e-5
    assert np.allclose(torch.from_numpy(logits).softmax(1).numpy(), run(path, images), atol=1e-6)


FLAT = helper.make_node("Flatten", ["a"], ["f"])
REFUSED = {
    "PRelu": [helper.make_node("PRelu", ["x", "s"], ["a"]), FLAT],
    "Mul": [helper.make_node("Mul", ["x", "s"], ["a"]), FLAT],
    "Sub": [helper.make_node("Sub", ["x", "s"], ["a"]), FLAT],
    "ConvTranspose": [helper.make_node("ConvTranspose", ["x", "k"], ["a"]), FLAT],
    "SAME_LOWER": [helper.make_node("Conv", ["x", "k"], ["a"], auto_pad="SAME_LOWER"), FLAT],
    "Pad": [helper.make_node("Pad", ["x", "p"], ["a"], mode="reflect"), FLAT],
    "InstanceNormalization": [helper.make_node("InstanceNormalization", ["x", "g", "g"], ["a"]), FLAT],
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_computes_with_values_in_another_way_is_refused_by_name(tmp_path, name):
    values = {"s": noise(2, 1, 1), "k": noise(2, 2, 1, 1), "g": noise(2), "p": np.array([0, 0, 1, 1, 0, 0, 1, 1])}
    used = {entry for node in REFUSED[name] for entry in node.input} & set(values)
    kept = {key: value for key, value in values.items() if key in used} | {"w": noise(32, 3), "b": noise(3)}
    with pytest.raises(UserError, match=name):
        OnnxImporter().read(saved(graph([*REFUSED[name], *dense_nodes("matmul")], kept), tmp_path))


def test_gemm_with_a_factor_is_refused(tmp_path):
    nodes = [helper.make_node("Flatten", ["x"], ["f"]), helper.make_node("Gemm", ["f", "w", "b"], ["y"], alpha=2.0)]
    with pytest.raises(UserError, match="alpha"):
        OnnxImporter().read(saved(graph(nodes, {"w": noise(32, 3), "b": noise(3)}), tmp_path))


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_torn_file_is_one_clear_error(exported, tmp_path, share):
    content = (exported / "plain.onnx").read_bytes()
    (tmp_path / "torn.onnx").write_bytes(content[: int(len(content) * share)])
    with pytest.raises(UserError, match=r"cannot be used|0 inputs"):
        OnnxImporter().read(tmp_path / "torn.onnx")


def test_tensors_in_a_second_file_are_read_and_missed(tmp_path):
    nodes = [helper.make_node("Flatten", ["x"], ["f"]), *dense_nodes("matmul")]
    model = graph(nodes, {"w": noise(32, 3), "b": noise(3)})
    onnx.save(model, tmp_path / "net.onnx", save_as_external_data=True, location="net.data", size_threshold=0)
    module = fill(OnnxImporter().read(tmp_path / "net.onnx"), nn.Sequential(nn.Flatten(), nn.Linear(32, 3)), (2, 4, 4))
    images = noise(1, 2, 4, 4)
    assert relative_difference(module, images, run(tmp_path / "net.onnx", images)) < 1e-5
    (tmp_path / "net.data").unlink()
    with pytest.raises(UserError, match="cannot be used"):
        OnnxImporter().read(tmp_path / "net.onnx")


def test_a_constant_of_a_billion_numbers_is_not_made(tmp_path):
    nodes = [helper.make_node("ConstantOfShape", ["n"], ["big"]), helper.make_node("Flatten", ["x"], ["f"])]
    values = {"n": np.array([1 << 30]), "w": noise(32, 3), "b": noise(3)}
    with pytest.raises(UserError, match="of 1073741824 numbers"):
        OnnxImporter().read(saved(graph([*nodes, *dense_nodes("matmul")], values), tmp_path))


@pytest.mark.parametrize("op", ["MaxPool", "AveragePool"])
def test_minus_infinity_around_a_map_is_for_poolings_by_the_largest(tmp_path, op):
    """As timm exports its SAME poolings."""
    nodes = [
        helper.make_node("Conv", ["x", "k"], ["c"]),
        helper.make_node("Pad", ["c", "p", "low"], ["d"]),
        helper.make_node(op, ["d"], ["e"], kernel_shape=[3, 3], strides=[2, 2]),
        helper.make_node("Flatten", ["e"], ["f"]),
        *dense_nodes("matmul"),
    ]
    values = {"p": np.array([0, 0, 0, 0, 0, 0, 1, 1]), "low": np.array(-np.inf, np.float32)}
    values |= {"k": noise(5, 2, 1, 1), "w": noise(20, 3), "b": noise(3)}
    path = saved(graph(nodes, values), tmp_path)
    if op == "AveragePool":
        with pytest.raises(UserError, match="minus infinity around its map"):
            OnnxImporter().read(path)
        return
    module = nn.Sequential(
        *(nn.Conv2d(2, 5, 1, bias=False), nn.MaxPool2d(3, 2, ceil_mode=True), nn.Flatten(), nn.Linear(20, 3))
    )
    images = noise(2, 2, 4, 4)
    assert relative_difference(fill(OnnxImporter().read(path), module, (2, 4, 4)), images, run(path, images)) < 1e-5
