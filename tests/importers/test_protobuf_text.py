import contextlib

import pytest
from google.protobuf import text_format
from hypothesis import given, settings
from hypothesis import strategies as st
from support.caffe_runtime import PB, lenet
from zoo_plugins.foreign.caffe_schema import SCHEMA
from zoo_plugins.foreign.protobuf_text import parse
from zoo_plugins.foreign.protobuf_wire import Message, decode

from zoo.errors import UserError


def read(text, kind="NetParameter"):
    return parse(text, schema=SCHEMA, kind=kind, where="net.prototxt")


def plain(message):
    """Fields as comparable values."""
    return {
        name: [
            plain(value) if isinstance(value, Message) else value.tolist() if hasattr(value, "tolist") else value
            for value in values
        ]
        for name, values in message.fields.items()
    }


def flat(message):
    """The same, with the chunks of float fields put together: the two forms cut them differently."""
    found = plain(message)
    for name, values in found.items():
        if values and isinstance(values[0], list):
            found[name] = [number for chunk in values for number in chunk]
        elif values and isinstance(values[0], dict):
            found[name] = [flat(value) for value in message.fields[name]]
    return found


def test_both_forms_of_one_net_are_read_alike():
    proto = lenet(classes=2).proto
    for layer in proto.layer:
        del layer.blobs[1:]
        for blob in layer.blobs:
            del blob.data[6:], blob.shape.dim[1:]
    binary = decode(proto.SerializeToString(), schema=SCHEMA, kind="NetParameter", where="net.prototxt")
    assert flat(read(text_format.MessageToString(proto))) == flat(binary)


@settings(max_examples=60)
@given(name=st.text(max_size=20), means=st.lists(st.floats(width=32, allow_nan=False), max_size=4))
def test_any_text_that_the_protobuf_library_prints_is_read_back(name, means):
    proto = PB.NetParameter(name=name)
    proto.layer.add().transform_param.mean_value.extend(means)
    found = read(text_format.MessageToString(proto, as_utf8=True))
    assert found.last("name", "") == name
    assert found.all("layer")[0].last("transform_param", Message("", {})).array("mean_value").tolist() == means


def test_the_ways_in_which_people_write_it():
    text = """
    # a comment with { braces }
    name: 'single' "and double"   input: "a", input: "b";
    input_dim: [1, 0x3, 8]
    layers < name: "c" type: CONVOLUTION convolution_param: { pad: 1 kernel_size: 3 } >
    layer { name: "d\\"q\\n" phase: TEST include { phase: TEST } unknown_param { a: 1 b: "x" c { d: e } f: [1, 2] }
            batch_norm_param { use_global_stats: true eps: 1e-3f } }
    """
    net = read(text)
    assert net.last("name") == "singleand double"
    assert net.all("input") == ["a", "b"]
    assert net.all("input_dim") == [1, 3, 8]
    assert net.all("layers")[0].last("type") == 4
    assert net.all("layers")[0].last("convolution_param").all("kernel_size") == [3]
    layer = net.all("layer")[0]
    assert layer.last("name") == 'd"q\n'
    assert layer.all("include")[0].last("phase") == 1
    assert layer.last("batch_norm_param").last("use_global_stats") is True
    assert layer.last("batch_norm_param").number("eps", 0) == pytest.approx(1e-3)


@pytest.mark.parametrize(
    ("text", "words", "line"),
    [
        ("name: ", "ends too early", 1),
        ('name: "x"\nlayer {', "ends too early", 2),
        ("layer { name 3 }", "follows a colon", 1),
        ("\n\nname: 3", "no value of type text", 3),
        ("input_dim: many", "no value of type int", 1),
        ("input_dim: { a: 1 }", "a message stands where", 1),
        ("layer: 3", "no value of type LayerParameter", 1),
        ('name: "unclosed', "begins no name", 1),
        ("}", "where a field's name belongs", 1),
        ("layer { type: ] }", "where a value belongs", 1),
        ("layer { include { phase: SLEEP } }", "no value of type Phase", 1),
        ("layer { batch_norm_param { use_global_stats: perhaps } }", "no value of type bool", 1),
        ("layers < name: 'x' }", "where a field's name belongs", 1),
        ("a { " * 60, "deep", 1),
        ("\x00\x01", "begins no name", 1),
    ],
)
def test_what_is_no_protobuf_text_is_refused_with_its_line(text, words, line):
    with pytest.raises(UserError, match=words) as caught:
        read(text)
    assert f"net.prototxt, line {line}" in str(caught.value)


@settings(max_examples=150)
@given(st.text(alphabet="ab{}<>:[],;\"'#\n 01.-\\", max_size=40))
def test_any_text_is_a_message_or_a_user_error(text):
    with contextlib.suppress(UserError):
        assert read(text).where == "net.prototxt"
