import io
import pickle
import zipfile

import numpy as np
import pytest
from scipy.signal import convolve2d, correlate2d
from support.importing import fill, relative_difference
from torch import nn
from zoo_plugins.foreign.lasagne_importer import LasagneImporter

from zoo.errors import UserError


def net(seed=0, *, bias_and_norm=False):
    """A convolution of 5 with a norm, one of 4 with a bias, dense 6, dense 3, as get_all_param_values lists them."""
    rng = np.random.default_rng(seed)
    norm = [rng.normal(0, 0.3, 5), rng.uniform(0.5, 1.5, 5), rng.normal(0, 0.3, 5), rng.uniform(0.7, 1.4, 5)]
    return [
        rng.normal(0, 0.4, (5, 2, 3, 3)),
        *([rng.normal(0, 0.3, 5)] if bias_and_norm else []),
        *norm,
        rng.normal(0, 0.2, (4, 5, 3, 3)),
        rng.normal(0, 0.2, 4),
        rng.normal(0, 0.1, (4 * 4 * 4, 6)),
        rng.normal(0, 0.2, 6),
        rng.normal(0, 0.4, (6, 3)),
        rng.normal(0, 0.2, 3),
    ]


def module(*, bias=False):
    return nn.Sequential(
        nn.Conv2d(2, 5, 3, bias=bias),
        nn.BatchNorm2d(5),
        nn.ReLU(),
        nn.Conv2d(5, 4, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(64, 6),
        nn.ReLU(),
        nn.Linear(6, 3),
    )


def run(values, images, *, filters=convolve2d, bias_and_norm=False):
    """What Theano computes: true convolutions plane by plane (scipy), (x - mean) * inv_std * gamma + beta, x W + b."""

    def planes(maps, weight):
        return np.stack(
            [
                np.stack([sum(filters(one, kernel, "valid") for one, kernel in zip(x, k, strict=True)) for k in weight])
                for x in maps
            ]
        )

    left = [np.float64(np.float32(value)) for value in values]
    maps = planes(images, left.pop(0))
    if bias_and_norm:
        maps = maps + left.pop(0)[:, None, None]
    beta, gamma, mean, inverse = (left.pop(0)[:, None, None] for _ in range(4))
    maps = np.maximum((maps - mean) * inverse * gamma + beta, 0)
    maps = np.maximum(planes(maps, left.pop(0)) + left.pop(0)[:, None, None], 0)
    hidden = np.maximum(maps.reshape(len(images), -1) @ left.pop(0) + left.pop(0), 0)
    return hidden @ left.pop(0) + left.pop(0)


def write(tmp_path, values, *, name="model.npz", save=np.savez):
    path = tmp_path / name
    save(path, *[np.float32(value) for value in values])
    return path


IMAGES = np.random.default_rng(5).normal(0, 1, (3, 2, 8, 8))


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_net_gives_theano_s_outputs(tmp_path, save):
    foreign = LasagneImporter().read(write(tmp_path, net(), save=save))
    assert relative_difference(fill(foreign, module(), (2, 8, 8)), IMAGES, run(net(), IMAGES)) < 1e-5
    assert "turned by 180 degrees" in " ".join(foreign.notes)


def test_filters_may_be_left_as_they_are(tmp_path):
    path, expected = write(tmp_path, net()), run(net(), IMAGES, filters=correlate2d)
    left = fill(LasagneImporter(flip_filters=False).read(path), module(), (2, 8, 8))
    assert relative_difference(left, IMAGES, expected) < 1e-5
    turned = fill(LasagneImporter().read(path), module(), (2, 8, 8))
    assert relative_difference(turned, IMAGES, expected) > 1e-2


def test_a_bias_may_stand_before_a_norm(tmp_path):
    values = net(bias_and_norm=True)
    foreign = LasagneImporter().read(write(tmp_path, values))
    found = fill(foreign, module(bias=True), (2, 8, 8))
    assert relative_difference(found, IMAGES, run(values, IMAGES, bias_and_norm=True)) < 1e-5


def test_layers_are_named_by_their_arrays(tmp_path):
    foreign = LasagneImporter().read(write(tmp_path, net()))
    assert [(layer.name, layer.kind, sorted(layer.tensors)) for layer in foreign.layers] == [
        ("arr_0", "conv", ["weight"]),
        ("arr_1", "norm", ["bias", "running_mean", "running_var", "weight"]),
        ("arr_5", "conv", ["bias", "weight"]),
        ("arr_7", "dense", ["bias", "weight"]),
        ("arr_9", "dense", ["bias", "weight"]),
    ]
    assert foreign.layers[3].tensors["weight"].shape == (6, 64)
    assert all(layer.after is None for layer in foreign.layers)


def test_an_inverse_deviation_says_all_that_there_is(tmp_path):
    norm = LasagneImporter().read(write(tmp_path, net())).layers[1]
    inverse = 1 / np.sqrt(norm.tensors["running_var"].astype(np.float64) + norm.facts["epsilon"])
    assert np.allclose(inverse, net()[4], rtol=1e-6)


def test_other_orders_of_a_norm(tmp_path):
    values = net()
    beta, gamma, mean, inverse = values[1:5]
    values[1:5] = [mean, inverse**-2 - 1e-3, gamma]
    path = write(tmp_path, values)
    norm = LasagneImporter(norm=("mean", "var", "gamma"), epsilon=1e-3).read(path).layers[1]
    assert norm.facts == {"epsilon": 1e-3}
    assert np.allclose(norm.tensors["running_var"], inverse**-2 - 1e-3, atol=1e-6)
    assert np.allclose(norm.tensors["weight"], gamma)
    assert not norm.tensors["bias"].any()
    assert LasagneImporter(norm=("mean", "var", "gamma")).read(path).layers[1].facts == {"epsilon": 1e-4}
    assert beta.shape == (5,)
    dense = write(tmp_path, [np.ones((2, 3))], name="dense.npz")
    with pytest.raises(UserError, match="epsilon has no effect"):
        LasagneImporter(norm=("mean", "var", "gamma"), epsilon=1e-3).read(dense)


def test_a_norm_on_the_image_comes_first(tmp_path):
    values = [np.ones(2), np.ones(2), np.zeros(2), np.ones(2), *net()]
    assert LasagneImporter().read(write(tmp_path, values)).layers[0].kind == "norm"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda values: values[:3], r"arr_0 \[5, 2, 3, 3\] and 2 vectors"),
        (lambda values: [*values, np.ones(3)], r"arr_9 \[6, 3\] and 2 vectors"),
        (lambda values: [*values, np.ones(7)], r"arr_11 \[7\] and 1 vectors"),
        (lambda values: [np.ones((2, 2, 3)), *values], r"arr_0 \[2, 2, 3\]"),
        (lambda values: [np.ones(()), *values], r"arr_0 \[\]"),
        (lambda values: [np.ones((0, 2, 3, 3)), *values], r"arr_0 \[0, 2, 3, 3\]"),
        (lambda values: [*values[:4], -values[4], *values[5:]], "not all above 0"),
        (lambda values: [], "it has nothing"),
    ],
)
def test_arrays_that_make_no_layers_are_refused(tmp_path, change, words):
    with pytest.raises(UserError, match=words) as caught:
        LasagneImporter().read(write(tmp_path, change(net())))
    assert "model.npz" in str(caught.value)


def test_names_and_types_that_are_no_list_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", weight=np.ones((2, 2)))
    with pytest.raises(UserError, match="it has weight"):
        LasagneImporter().read(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", arr_0=np.ones((2, 2)), arr_2=np.ones(2))
    with pytest.raises(UserError, match="no list of arrays"):
        LasagneImporter().read(tmp_path / "b.npz")
    np.savez(tmp_path / "c.npz", np.ones((2, 2), np.int64))
    with pytest.raises(UserError, match="int64"):
        LasagneImporter().read(tmp_path / "c.npz")


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (self.path, "w"))


def test_no_pickle_is_run(tmp_path):
    burst = str(tmp_path / "burst")
    np.savez(tmp_path / "objects.npz", np.array([Bomb(burst), np.ones(2)], dtype=object))
    with pytest.raises(UserError, match="would run code"):
        LasagneImporter().read(tmp_path / "objects.npz")
    (tmp_path / "vgg.pkl").write_bytes(pickle.dumps({"param values": Bomb(burst)}))
    assert LasagneImporter().reads(tmp_path / "vgg.pkl")
    with pytest.raises(UserError, match="a pickle runs the code") as caught:
        LasagneImporter().read(tmp_path / "vgg.pkl")
    assert "get_all_param_values" in str(caught.value)
    assert not (tmp_path / "burst").exists()


def npy(header, content=b""):
    text = header.encode() + b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + content


def zipped(path, content, *, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("arr_0.npy", content)
    return path


def test_sizes_that_the_file_does_not_hold_are_not_asked_for(tmp_path):
    huge = npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1099511627776, 1099511627776), }", b"\0" * 8)
    with pytest.raises(UserError, match="says it has 1099511627776"):
        LasagneImporter().read(zipped(tmp_path / "huge.npz", huge))
    zeros = io.BytesIO()
    np.save(zeros, np.zeros(30_000_000, np.float32))
    bomb = zipped(tmp_path / "bomb.npz", zeros.getvalue(), compression=zipfile.ZIP_DEFLATED)
    assert bomb.stat().st_size < 1_000_000
    with pytest.raises(UserError, match="says it holds"):
        LasagneImporter().read(bomb)


def test_torn_files_are_refused(tmp_path):
    whole = write(tmp_path, net()).read_bytes()
    path = tmp_path / "torn.npz"
    damaged = bytearray(whole)
    damaged[200] ^= 255
    for content in (b"", whole[:-30], whole[: len(whole) // 2], b"\x93NUMPY\x01\x00", bytes(damaged)):
        path.write_bytes(content)
        with pytest.raises(UserError) as caught:
            LasagneImporter().read(path)
        assert "torn.npz" in str(caught.value)
    with pytest.raises(UserError, match=r"unknown .npy version|cannot be read"):
        LasagneImporter().read(zipped(path, b"\x93NUMPY\x09\x00" + b"\0" * 20))
    with pytest.raises(UserError, match="cannot be read"):
        LasagneImporter().read(tmp_path / "missing.npz")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"norm": ("beta", "gama", "mean", "var")}, "'gama'"),
        ({"norm": ("beta", "gamma", "inv_std")}, "is no normalisation"),
        ({"norm": ("mean", "mean", "var")}, "is no normalisation"),
        ({"norm": ("mean", "var", "inv_std")}, "is no normalisation"),
        ({"epsilon": 1e-3}, "epsilon has no effect"),
        ({"norm": ("mean", "var"), "epsilon": -1.0}, "epsilon"),
    ],
)
def test_options_that_cannot_be_are_refused(options, words):
    with pytest.raises(UserError, match=words):
        LasagneImporter(**options)


def test_it_knows_its_files(tmp_path):
    importer = LasagneImporter()
    assert importer.reads(tmp_path / "a.npz")
    assert not importer.reads(tmp_path / "a.npy")
    assert importer.forward(tmp_path / "a.npz") is None
    with pytest.raises(UserError, match="has no effect"):
        importer.read(write(tmp_path, net()), definition=tmp_path / "x")
