"""References that users give, and differences between outputs, by hand."""

import numpy as np
import pytest
import torch
from torch import nn

from zoo.errors import UserError
from zoo.imaging.preprocess import Preprocess
from zoo.weights.parity import Reference, compare, noise_images, read_reference, run_source

SIDE = 4
PREPROCESS = Preprocess(SIDE, (0.5, 0.25, 0.0), (0.5, 1.0, 1 / 255))


def stored(tmp_path, **arrays):
    np.savez(tmp_path / "r.npz", **arrays)
    return tmp_path / "r.npz"


def test_both_layouts_give_the_same_input(tmp_path):
    images = np.random.default_rng(0).normal(size=(2, 3, SIDE, SIDE)).astype(np.float32)
    first = read_reference(stored(tmp_path, input=images, output=np.zeros((2, 5))), PREPROCESS, reverse_input=False)
    turned = stored(tmp_path, input=images.transpose(0, 2, 3, 1), output=np.zeros((2, 5)))
    second = read_reference(turned, PREPROCESS, reverse_input=False)
    assert np.array_equal(first.inputs, images)
    assert np.array_equal(second.inputs, images)
    assert first.against == "r.npz"


def test_input_of_a_source_that_reads_blue_first_is_turned(tmp_path):
    images = np.random.default_rng(0).normal(size=(1, 3, SIDE, SIDE)).astype(np.float32)
    read = read_reference(stored(tmp_path, input=images, output=np.zeros((1, 2))), PREPROCESS, reverse_input=True)
    assert np.array_equal(read.inputs[:, 0], images[:, 2])


@pytest.mark.parametrize("reverse", [False, True])
def test_pixels_go_through_the_preprocessing(tmp_path, reverse):
    pixels = np.random.default_rng(0).integers(0, 256, (1, SIDE, SIDE, 3), dtype=np.uint8)
    read = read_reference(stored(tmp_path, input=pixels, output=np.zeros((1, 2))), PREPROCESS, reverse_input=reverse)
    wanted = (pixels / 255 - np.array(PREPROCESS.mean)) / np.array(PREPROCESS.std)
    assert np.allclose(read.inputs, wanted.transpose(0, 3, 1, 2), atol=1e-4)


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"input": np.zeros((1, 3, 4, 4))}, "does not hold the arrays"),
        ({"input": np.zeros((1, 3, 5, 5)), "output": np.zeros((1, 2))}, "do not fit"),
        ({"input": np.zeros((2, 3, 4, 4)), "output": np.zeros((1, 2))}, "do not fit"),
        ({"input": np.zeros((0, 3, 4, 4)), "output": np.zeros((0, 2))}, "do not fit"),
        ({"input": np.zeros((1, 3, 4, 3)), "output": np.zeros((1, 2))}, "not clearly"),
        ({"input": np.zeros((3, 4, 4)), "output": np.zeros((1, 2))}, "not clearly"),
        ({"input": np.full((1, 3, 4, 4), "a"), "output": np.zeros((1, 2))}, "are not numbers"),
        ({"input": np.array([None]), "output": np.zeros((1, 2))}, "does not hold the arrays"),
    ],
)
def test_what_is_no_reference_is_refused(tmp_path, arrays, said):
    with pytest.raises(UserError, match=said):
        read_reference(stored(tmp_path, **arrays), PREPROCESS, reverse_input=False)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04torn", b"text"])
def test_a_torn_file_is_refused(tmp_path, content):
    (tmp_path / "r.npz").write_bytes(content)
    with pytest.raises(UserError):
        read_reference(tmp_path / "r.npz", PREPROCESS, reverse_input=False)


class Fixed(nn.Module):
    """Answers what it is told, one row an image."""

    def __init__(self, rows):
        super().__init__()
        self.rows, self.place = torch.tensor(rows), 0

    def forward(self, image):
        self.place += 1
        return self.rows[self.place - 1 : self.place]


def reference(rows):
    return Reference("r", np.zeros((len(rows), 3, SIDE, SIDE), np.float32), np.array(rows, np.float32))


def test_the_largest_difference_over_the_largest_output():
    found = compare(Fixed([[1.0, -8.0], [2.0, 3.5]]), reference([[1.0, -8.0], [2.0, 3.0]]))
    assert (found.max_abs, found.max_relative, found.compared) == (0.5, 0.5 / 8, "logits")


def test_probabilities_are_compared_as_such():
    found = compare(Fixed([[0.0, np.log(3.0)]]), reference([[0.25, 0.75]]))
    assert found.compared == "probabilities"
    assert found.max_abs < 1e-7


def test_nan_is_never_near():
    assert compare(Fixed([[float("nan"), 1.0]]), reference([[2.0, 1.0]])).max_relative == float("inf")


def test_other_numbers_of_outputs_are_refused():
    with pytest.raises(UserError, match=r"\[1, 3\] outputs, the network \[1, 2\]"):
        compare(Fixed([[1.0, 2.0]]), reference([[1.0, 2.0, 3.0]]))


def test_the_source_gets_its_own_order_of_colours():
    seen = []

    def forward(images):
        seen.append(images)
        return np.ones((len(images), 2), np.float32)

    taken = run_source(forward, PREPROCESS, reverse_input=True, against="it")
    assert np.array_equal(seen[0][:, ::-1], taken.inputs)
    assert taken.inputs.shape == (4, 3, SIDE, SIDE)


def test_noise_is_the_same_each_time_and_covers_the_range():
    assert np.array_equal(noise_images(PREPROCESS), noise_images(PREPROCESS))
    assert noise_images(PREPROCESS)[:, 2].max() > 200
