import contextlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.protobuf_schemas import compile_proto
from zoo_plugins.foreign.caffe_schema import SCHEMA
from zoo_plugins.foreign.protobuf_wire import Schema, decode

from zoo.errors import UserError

PB = compile_proto(Path(__file__).parent / "protos" / "caffe.proto")
NUMBERS = Schema({"M": {1: ("i", "int"), 2: ("f", "float"), 3: ("t", "text"), 4: ("m", "M"), 5: ("d", "double")}})


def read(data, kind="M", schema=NUMBERS):
    return decode(data, schema=schema, kind=kind, where="file.bin")


def net(**values):
    return read(PB.NetParameter(**values).SerializeToString(), "NetParameter", SCHEMA)


def test_numbers_texts_and_messages_by_hand():
    # Field 1 varint 150 is the example of protobuf's own page; 3 is "zoo"; 4 holds a message with field 1 = 1.
    message = read(b"\x08\x96\x01" + b"\x1a\x03zoo" + b"\x22\x02\x08\x01")
    assert message.last("i") == 150
    assert message.last("t") == "zoo"
    assert message.last("m").last("i") == 1
    assert message.last("d", 7.0) == 7.0
    assert message.array("d").size == 0


def test_negative_numbers_are_ten_bytes_of_two_s_complement():
    assert read(b"\x08" + b"\xff" * 9 + b"\x01").last("i") == -1


def test_floats_packed_and_one_by_one_are_the_same():
    values = np.array([1.5, -2.0, 3.25], "<f4")
    packed = b"\x12\x0c" + values.tobytes()
    single = b"".join(b"\x15" + value.tobytes() for value in values)
    assert read(packed).array("f").tolist() == read(single).array("f").tolist() == values.tolist()


def test_fields_that_nobody_asks_for_are_skipped():
    assert read(b"\x50\x01" + b"\x5a\x02ab" + b"\x61" + b"\0" * 8 + b"\x08\x07").last("i") == 7


@settings(max_examples=60)
@given(
    name=st.text(max_size=20),
    dims=st.lists(st.integers(-(2**31), 2**31 - 1), max_size=6),
    data=st.lists(st.floats(width=32, allow_nan=False), max_size=30),
)
def test_what_the_protobuf_library_writes_is_read_back(name, dims, data):
    written = PB.NetParameter(name=name, input_dim=dims)
    blob = written.layer.add(name=name, type="Convolution").blobs.add(data=data, double_data=data)
    blob.shape.dim.extend(dims)
    found = read(written.SerializeToString(), "NetParameter", SCHEMA)
    layer = found.all("layer")[0]
    assert found.last("name", "") == layer.last("name", "") == name
    assert found.all("input_dim") == layer.all("blobs")[0].last("shape").all("dim") == dims
    assert layer.all("blobs")[0].array("data").tolist() == data
    assert layer.all("blobs")[0].array("double_data").tolist() == data


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\x08", "ends in the middle"),
        (b"\x08\x96", "ends in the middle"),
        (b"\x1a\xff\xff\xff\xff\x0fzoo", r"says 4294967295 bytes where 3 are left"),
        (b"\x12\x80\x80\x80\x80\x80\x80\x80\x80\x7f", "are left"),
        (b"\x15\x00\x00", "says 4 bytes where 2 are left"),
        (b"\x08" + b"\xff" * 11, "longer than 10 bytes"),
        (b"\x0b", "unknown wire type 3"),
        (b"\x00\x01", "number 0"),
        (b"\x0a\x01\x80", "ends in the middle"),
        (b"\x12\x03abc", "form of another"),
        (b"\x18\x03", "form of another"),
        (b"\x22\x01\x08", "ends in the middle"),
        (b"\x0d\0\0\0\0", "form of another"),
    ],
)
def test_torn_and_wrong_bytes_are_one_clear_error(data, words):
    with pytest.raises(UserError, match=words) as caught:
        read(data)
    assert "file.bin" in str(caught.value)


@settings(max_examples=200)
@given(st.binary(max_size=80))
def test_any_bytes_are_a_message_or_a_user_error(data):
    with contextlib.suppress(UserError):
        assert read(data, "NetParameter", SCHEMA).where == "file.bin"


def test_the_table_has_the_numbers_of_the_proto_file():
    """Every field that the reader knows and the tests write has the same number, and scalars the same family."""
    checked = 0
    for name, table in SCHEMA.messages.items():
        descriptor = getattr(PB, name).DESCRIPTOR if hasattr(PB, name) else None
        for number, (field, type_) in table.items():
            theirs = descriptor.fields_by_number.get(number) if descriptor else None
            if theirs is not None:
                assert theirs.name == field
                assert (theirs.message_type is not None) == (type_ in SCHEMA.messages), field
                assert (theirs.type == theirs.TYPE_STRING) == (type_ == "text"), field
                checked += 1
    assert checked > 60
