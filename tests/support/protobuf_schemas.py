"""Compiles a .proto file in the test, so that the real protobuf library writes what the readers read.

protoc is not needed: these files use messages, enumerations inside them, and proto2 fields with `packed` alone.
"""

import re
from pathlib import Path
from types import SimpleNamespace

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

SCALARS = {
    "double": 1, "float": 2, "int64": 3, "uint64": 4, "int32": 5, "bool": 8, "string": 9, "bytes": 12, "uint32": 13,
}  # fmt: skip
LABELS = {"optional": 1, "required": 2, "repeated": 3}
LINE = re.compile(
    r"message (?P<message>\w+) \{|enum (?P<enum>\w+) \{|(?P<end>\})|(?P<word>\w+) = (?P<value>-?\d+);"
    r"|(?P<label>optional|required|repeated) (?P<type>\w+) (?P<name>\w+) = (?P<number>\d+)"
    r"(?P<packed> \[packed = true\])?;"
)


def compile_proto(path: Path) -> SimpleNamespace:
    """The message classes of a .proto file by name."""
    text = re.sub(r"//[^\n]*", "", path.read_text())
    package = re.search(r"package (\w+);", text)
    assert package is not None
    file = descriptor_pb2.FileDescriptorProto(name=path.name, package=package.group(1), syntax="proto2")
    open_: list = [file]
    body = text[package.end() :]
    for match in LINE.finditer(body):
        if match["message"]:
            open_.append(file.message_type.add(name=match["message"]))
        elif match["enum"]:
            open_.append(open_[-1].enum_type.add(name=match["enum"]))
        elif match["end"]:
            open_.pop()
        elif match["word"]:
            open_[-1].value.add(name=match["word"], number=int(match["value"]))
        else:
            add_field(open_[-1], match, package.group(1))
    assert len(open_) == 1
    assert not LINE.sub("", body).split(), "a line that this compiler does not know"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found = pool.FindFileByName(path.name).message_types_by_name
    return SimpleNamespace(**{name: message_factory.GetMessageClass(kind) for name, kind in found.items()})


def add_field(message, match, package) -> None:
    field = message.field.add(name=match["name"], number=int(match["number"]), label=LABELS[match["label"]])
    if match["type"] in SCALARS:
        field.type = SCALARS[match["type"]]
    else:
        nested = any(enum.name == match["type"] for enum in message.enum_type)
        field.type_name = f".{package}.{message.name}.{match['type']}" if nested else f".{package}.{match['type']}"
    if match["packed"]:
        field.options.packed = True
