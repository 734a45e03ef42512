import contextlib
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.torch7_writer import Code, Module, dumps
from zoo_plugins.foreign.torch7_file import LuaFunction, TorchObject, load

from zoo.errors import UserError


def read(content, tmp_path):
    path = tmp_path / "net.t7"
    path.write_bytes(content)
    return load(path)


BY_HAND = b"".join(
    [
        # the network: an object of the class nn.Sequential
        b"\x04\x00\x00\x00",  # int 4: a Torch object
        b"\x01\x00\x00\x00",  # int 1: its index among all objects of this file
        b"\x03\x00\x00\x00" + b"V 1",  # int 3, 3 characters: version 1 of its class
        b"\x0d\x00\x00\x00" + b"nn.Sequential",  # int 13, 13 characters: its class
        # its fields: a table with one entry
        b"\x03\x00\x00\x00",  # int 3: a table
        b"\x02\x00\x00\x00",  # int 2: index
        b"\x01\x00\x00\x00",  # int 1: number of entries
        b"\x02\x00\x00\x00" + b"\x07\x00\x00\x00" + b"modules",  # key: int 2, a string, of int 7 characters
        # value: a table of the modules, with one entry
        b"\x03\x00\x00\x00" + b"\x03\x00\x00\x00" + b"\x01\x00\x00\x00",  # a table, index 3, one entry
        b"\x01\x00\x00\x00" + b"\x00\x00\x00\x00\x00\x00\xf0\x3f",  # key: int 1, a number: the double 1.0
        # value: an object of the class nn.Linear
        b"\x04\x00\x00\x00" + b"\x04\x00\x00\x00",  # a Torch object, index 4
        b"\x03\x00\x00\x00" + b"V 1",
        b"\x09\x00\x00\x00" + b"nn.Linear",
        # its fields: a table of three entries
        b"\x03\x00\x00\x00" + b"\x05\x00\x00\x00" + b"\x03\x00\x00\x00",
        # weight = torch.FloatTensor, 2 x 3
        b"\x02\x00\x00\x00" + b"\x06\x00\x00\x00" + b"weight",
        b"\x04\x00\x00\x00" + b"\x06\x00\x00\x00",  # a Torch object, index 6
        b"\x03\x00\x00\x00" + b"V 1",
        b"\x11\x00\x00\x00" + b"torch.FloatTensor",  # int 17
        b"\x02\x00\x00\x00",  # int 2: dimensions
        b"\x02\x00\x00\x00\x00\x00\x00\x00" + b"\x03\x00\x00\x00\x00\x00\x00\x00",  # longs 2, 3: sizes
        b"\x03\x00\x00\x00\x00\x00\x00\x00" + b"\x01\x00\x00\x00\x00\x00\x00\x00",  # longs 3, 1: strides
        b"\x01\x00\x00\x00\x00\x00\x00\x00",  # long 1: where it begins in its storage, counted from 1
        # its storage, which both tensors share: 8 floats
        b"\x04\x00\x00\x00" + b"\x07\x00\x00\x00",  # a Torch object, index 7
        b"\x03\x00\x00\x00" + b"V 1",
        b"\x12\x00\x00\x00" + b"torch.FloatStorage",  # int 18
        b"\x08\x00\x00\x00\x00\x00\x00\x00",  # long 8: number of values
        b"\x00\x00\x80\x3f" + b"\x00\x00\x00\x40" + b"\x00\x00\x40\x40",  # 1.0, 2.0, 3.0
        b"\x00\x00\x80\xbf" + b"\x00\x00\x00\xc0" + b"\x00\x00\x40\xc0",  # -1.0, -2.0, -3.0
        b"\x00\x00\x00\x3f" + b"\x00\x00\x80\xbe",  # 0.5, -0.25
        # bias = torch.FloatTensor, the last two values of the same storage
        b"\x02\x00\x00\x00" + b"\x04\x00\x00\x00" + b"bias",
        b"\x04\x00\x00\x00" + b"\x08\x00\x00\x00",  # a Torch object, index 8
        b"\x03\x00\x00\x00" + b"V 1",
        b"\x11\x00\x00\x00" + b"torch.FloatTensor",
        b"\x01\x00\x00\x00",  # int 1: dimensions
        b"\x02\x00\x00\x00\x00\x00\x00\x00",  # long 2: size
        b"\x01\x00\x00\x00\x00\x00\x00\x00",  # long 1: stride
        b"\x07\x00\x00\x00\x00\x00\x00\x00",  # long 7: it begins at the seventh value
        b"\x04\x00\x00\x00" + b"\x07\x00\x00\x00",  # its storage: the object of index 7, which is known
        # train = false
        b"\x02\x00\x00\x00" + b"\x05\x00\x00\x00" + b"train",
        b"\x05\x00\x00\x00" + b"\x00\x00\x00\x00",  # int 5: a boolean; int 0: false
    ]
)


def test_the_file_written_by_hand(tmp_path):
    network = read(BY_HAND, tmp_path)
    assert isinstance(network, TorchObject)
    assert (network.class_name, network.version) == ("nn.Sequential", 1)
    linear = network.fields["modules"][1.0]
    assert linear.class_name == "nn.Linear"
    assert linear.fields["weight"].tolist() == [[1, 2, 3], [-1, -2, -3]]
    assert linear.fields["weight"].dtype == np.float32
    assert linear.fields["bias"].tolist() == [0.5, -0.25]
    assert linear.fields["train"] is False


def test_the_writer_of_these_tests_writes_the_same_bytes():
    storage = np.array([1, 2, 3, -1, -2, -3, 0.5, -0.25], np.float32)
    linear = Module("nn.Linear", weight=storage[:6].reshape(2, 3), bias=storage[6:], train=False)
    linear.fields["weight"] = np.lib.stride_tricks.as_strided(storage, (2, 3), (12, 4))
    linear.fields["weight"] = _view(storage, 0, (2, 3), (12, 4))
    linear.fields["bias"] = _view(storage, 6, (2,), (4,))
    assert dumps(Module("nn.Sequential", modules={1: linear})) == BY_HAND


def _view(storage, offset, shape, strides):
    return np.ndarray(shape, storage.dtype, storage, offset * storage.itemsize, strides)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "uint8", "float16"])
def test_tensors_of_all_types_and_shapes(tmp_path, dtype):
    values = np.arange(24).reshape(2, 3, 4).astype(dtype)
    found = read(dumps(values), tmp_path)
    assert found.dtype == np.dtype(dtype)
    assert np.array_equal(found, values)


def test_strides_offsets_and_shared_storages(tmp_path):
    storage = np.arange(20, dtype=np.float64)
    turned = _view(storage, 2, (3, 2), (8, 32))
    found = read(dumps({"a": turned, "b": storage.reshape(4, 5)}), tmp_path)
    assert np.array_equal(found["a"], turned)
    assert found["a"].tolist() == [[2, 6], [3, 7], [4, 8]]
    assert np.array_equal(found["b"], storage.reshape(4, 5))
    assert not found["a"].flags.writeable


def test_cuda_tensors_are_float32(tmp_path):
    content = dumps(np.float32([1, 2]))
    cuda = content.replace(b"\x11\0\0\0torch.FloatTensor", b"\x10\0\0\0torch.CudaTensor")
    cuda = cuda.replace(b"\x12\0\0\0torch.FloatStorage", b"\x11\0\0\0torch.CudaStorage")
    assert read(cuda, tmp_path).tolist() == [1, 2]


def test_numbers_words_and_nothing(tmp_path):
    thing = {"a": 1.5, "b": "wört", "c": True, "d": None, 1: "x", 2.5: {}}
    assert read(dumps(thing), tmp_path) == {"a": 1.5, "b": "wört", "c": True, "d": None, 1.0: "x", 2.5: {}}
    assert read(dumps({False: "left out", "a": 1.0}), tmp_path) == {"a": 1.0}


def test_an_object_may_contain_itself(tmp_path):
    node = Module("nn.Node", name="n")
    node.fields["self"] = node
    found = read(dumps(node), tmp_path)
    assert found.fields["self"] is found
    table = {"x": 1.0}
    table["me"] = table
    found = read(dumps(table), tmp_path)
    assert found["me"] is found


def test_functions_are_skipped_with_what_they_hold_on_to(tmp_path):
    code = Code(b"\x1bLJ\x02 os.execute('touch burst')", {1: {"name": "x", "value": 3.0}})
    found = read(dumps({"f": code, "g": code, "after": 7.0}), tmp_path)
    assert found == {"f": LuaFunction(), "g": LuaFunction(), "after": 7.0}
    old = struct.pack("<ii", 6, 4) + b"code" + dumps(None)
    assert read(old, tmp_path) == LuaFunction()


def test_a_class_without_a_version(tmp_path):
    content = struct.pack("<iii", 4, 1, 9) + b"nn.Linear" + dumps({}).replace(b"\x01\0\0\0", b"\x02\0\0\0")
    found = read(content, tmp_path)
    assert (found.class_name, found.version) == ("nn.Linear", 0)


def tensor(*, sizes=(2,), strides=(1,), offset=1, count=2, storage="torch.FloatStorage", dimensions=None):
    """A tensor's bytes with anything in them."""
    head = struct.pack("<iii3si17s", 4, 1, 3, b"V 1", 17, b"torch.FloatTensor")
    head += struct.pack("<i", len(sizes) if dimensions is None else dimensions)
    head += struct.pack(f"<{len(sizes) + len(strides) + 1}q", *sizes, *strides, offset)
    if storage is None:
        return head + struct.pack("<i", 0)
    head += struct.pack("<iii3si", 4, 2, 3, b"V 1", len(storage)) + storage.encode()
    return head + struct.pack("<q", count) + b"\0" * 8


def test_an_empty_tensor(tmp_path):
    assert read(tensor(sizes=(), strides=(), count=2), tmp_path).shape == (0,)
    assert read(tensor(sizes=(0,), strides=(1,), storage=None), tmp_path).shape == (0,)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "says 4 bytes follow where 0 are left"),
        (b"\x09\0\0\0", "no type 9"),
        (b"\x02\0\0\0\xff\xff\xff\x7fabc", "says 2147483647 bytes follow where 3 are left"),
        (b"\x02\0\0\0\xff\xff\xff\xff", "says -1 bytes"),
        (b"\x03\0\0\0\x01\0\0\0\xff\xff\xff\x7f", "says it has 2147483647 entries"),
        (b"\x03\0\0\0\x01\0\0\0\xff\xff\xff\xff", "says it has -1 entries"),
        (BY_HAND[:-1], "where 3 are left"),
        (BY_HAND[: len(BY_HAND) // 2], "bytes follow where"),
        (BY_HAND + b"\0", "1 bytes follow its end"),
        (tensor(count=2**61), "bytes follow where 8 are left"),
        (tensor(count=-1), "says -4 bytes"),
        (tensor(sizes=(3,)), "3 lies beyond its storage of 2"),
        (tensor(offset=2), "lies beyond its storage"),
        (tensor(offset=0), "lies beyond its storage"),
        (tensor(sizes=(2**40, 2**40), strides=(0, 0)), "lies beyond its storage"),
        (tensor(sizes=(2,), strides=(-1,), offset=2), "lies beyond its storage"),
        (tensor(sizes=(-2,)), "lies beyond its storage"),
        (tensor(dimensions=2**30, sizes=(), strides=()), "1073741824 dimensions"),
        (tensor(dimensions=-1, sizes=(), strides=()), "-1 dimensions"),
        (tensor(storage=None), "no storage of its own type"),
        (tensor(storage="torch.DoubleStorage", count=1), "no storage of its own type"),
        (struct.pack("<iii3si5s", 4, 1, 3, b"V x", 5, b"nn.No"), "has the version 'x'"),
        (struct.pack("<iii3si8si", 4, 1, 3, b"V 1", 8, b"tds.Hash", 5), "where 0 are left"),
        (
            struct.pack("<iii3si8sii", 4, 1, 3, b"V 1", 8, b"tds.Hash", 5, 0),
            "'tds.Hash' is stored in a form of its own",
        ),
    ],
)
def test_torn_and_wrong_files_are_one_clear_error(tmp_path, content, words):
    with pytest.raises(UserError, match=words) as caught:
        read(content, tmp_path)
    assert "net.t7, byte" in str(caught.value)


def test_things_too_deep_are_refused_before_python_s_own_limit(tmp_path):
    thing = {}
    for _ in range(300):
        thing = {"x": thing}
    with pytest.raises(UserError, match="more than 120 deep"):
        read(dumps(thing), tmp_path)


def test_the_ascii_form_is_named(tmp_path):
    with pytest.raises(UserError, match="ASCII form") as caught:
        read(b"4\n1\n3\nV 1\n13\nnn.Sequential\n", tmp_path)
    assert "torch.save" in str(caught.value)
    with pytest.raises(UserError, match="cannot be read"):
        load(tmp_path / "missing.t7")


@settings(max_examples=200)
@given(place=st.integers(0, len(BY_HAND) - 1), value=st.integers(0, 255), end=st.integers(0, len(BY_HAND)))
def test_any_changed_byte_gives_a_thing_or_a_user_error(tmp_path_factory, place, value, end):
    content = bytearray(BY_HAND)
    content[place] = value
    folder = tmp_path_factory.getbasetemp()
    with contextlib.suppress(UserError):
        read(bytes(content), folder)
    with contextlib.suppress(UserError):
        read(bytes(content[:end]), folder)
