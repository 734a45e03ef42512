"""Reads protobuf's binary form by a table of fields, without the protobuf library and without copying long arrays.

Source: https://protobuf.dev/programming-guides/encoding/. Groups (wire types 3 and 4), which neither Caffe nor Caffe2
has, are refused. Fields that the table does not name are skipped, as protobuf does it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.errors import UserError

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
_WIDTHS = {FIXED64: 8, FIXED32: 4}
_ARRAYS = {"float": ("<f4", FIXED32), "double": ("<f8", FIXED64)}
_INTEGERS = ("int", "bool")
_LONGEST_VARINT = 10


@dataclass(frozen=True)
class Schema:
    """The part of a .proto file that is read.

    Attributes:
        messages: Message name to field number to (field name, type). A type is `text`, `bytes`, `int`, `bool`, `float`,
            `double`, or the name of an enumeration or message of this schema.
        enums: Enumeration name to the numbers of its words.
    """

    messages: Mapping[str, Mapping[int, tuple[str, str]]]
    enums: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Message:
    """One decoded message.

    Attributes:
        where: The file it stands in, for messages to the user.
        fields: Field name to all its values, in the order of the file. Those of `float` and `double` are arrays.
    """

    where: str
    fields: Mapping[str, list[Any]]

    def __contains__(self, name: str) -> bool:
        return bool(self.fields.get(name))

    def all(self, name: str) -> list[Any]:
        """All values of a repeated field that holds no floating-point numbers."""
        return self.fields.get(name, [])

    def last(self, name: str, default: Any = None) -> Any:
        """The value of a field that stands once; of several the last, as protobuf has it."""
        return self.fields[name][-1] if name in self else default

    def array(self, name: str) -> NDArray[Any]:
        """All values of a `float` or `double` field, [N]."""
        chunks = self.fields.get(name) or [np.empty(0, np.float32)]
        return chunks[0] if len(chunks) == 1 else np.concatenate(chunks)

    def number(self, name: str, default: float) -> float:
        """The value of a `float` or `double` field that stands once."""
        return float(self.fields[name][-1][-1]) if name in self else default


def broken(where: str, why: str) -> UserError:
    """The error for a file that is no message of the expected kind, or a torn one."""
    return UserError(
        f"this file cannot be read: {why}", where=where, do="it may be torn or of another format: fetch it again"
    )


def decode(data: bytes | memoryview, *, schema: Schema, kind: str, where: str) -> Message:
    """One message of the kind named.

    Args:
        data: Its bytes, exactly.
        schema: The fields to read.
        kind: The message's name in the schema.
        where: The file, for messages.

    Raises:
        UserError: The bytes end too early, a length points beyond them, or a field has the wrong form.
    """
    table = schema.messages[kind]
    fields: dict[str, list[Any]] = {}
    for number, wire, value in _records(memoryview(data), where):
        if number in table:
            name, type_ = table[number]
            values = _values(wire, value, schema=schema, type_=type_, where=where)
            fields.setdefault(name, []).extend(values)
    return Message(where, fields)


def _records(data: memoryview, where: str) -> Iterator[tuple[int, int, int | memoryview]]:
    """Field number, wire type and raw value of each record."""
    at = 0
    while at < len(data):
        start = at
        key, at = _varint(data, at, where)
        number, wire = key >> 3, key & 7
        if number == 0:
            raise broken(where, "a field has the number 0, which protobuf does not allow")
        if wire == VARINT:
            value, at = _varint(data, at, where)
            yield number, wire, value
            continue
        if wire == LENGTH:
            length, at = _varint(data, at, where)
        elif wire in _WIDTHS:
            length = _WIDTHS[wire]
        else:
            raise broken(where, f"field {number} has the unknown wire type {wire}")
        if length > len(data) - at:
            raise broken(where, f"field {number} says {length} bytes where {len(data) - at} are left")
        if wire == LENGTH:
            yield number, wire, data[at : at + length]
            at += length
            continue
        run, at = _run(data, start, at, step=at + length - start)
        yield number, wire, run


def _run(data: memoryview, start: int, at: int, *, step: int) -> tuple[memoryview, int]:
    """Values of records of fixed width with one key that follow each other, and where the next record begins.

    Caffe2 writes each number of a tensor as a record of its own; one by one that would be minutes.
    """
    content = np.frombuffer(data, np.uint8)
    width, most = at - start, (len(data) - start) // step
    key, count, window = content[start:at], 1, 64
    while count < most:
        end = min(most, count + window)
        block = content[start + count * step : start + end * step].reshape(-1, step)
        same = (block[:, :width] == key).all(axis=1)
        if not same.all():
            count += int(same.argmin())
            break
        count, window = end, window * 4
    records = content[start : start + count * step].reshape(count, step)
    return memoryview(records[:, width:].tobytes()), start + count * step


def _varint(data: memoryview, at: int, where: str) -> tuple[int, int]:
    """The number that begins at `at`, and where the next begins."""
    number = 0
    for step in range(_LONGEST_VARINT):
        if at + step >= len(data):
            raise broken(where, "it ends in the middle of a number")
        byte = data[at + step]
        number |= (byte & 0x7F) << (7 * step)
        if byte < 0x80:
            return number, at + step + 1
    raise broken(where, f"a number is longer than {_LONGEST_VARINT} bytes")


def _values(wire: int, value: int | memoryview, *, schema: Schema, type_: str, where: str) -> list[Any]:
    """Values of one record; packed ones are several."""
    if isinstance(value, int):
        if type_ in _INTEGERS or type_ in schema.enums:
            return [_signed(value)]
    elif type_ in _ARRAYS:
        form, width = _ARRAYS[type_]
        if wire in (width, LENGTH) and len(value) % _WIDTHS[width] == 0:
            return [np.frombuffer(value, form)]
    elif wire == LENGTH and (type_ in _INTEGERS or type_ in schema.enums):
        return list(_packed(value, where))
    elif wire == LENGTH and type_ == "bytes":
        return [bytes(value)]
    elif wire == LENGTH and type_ == "text":
        return [bytes(value).decode("utf-8", "backslashreplace")]
    elif wire == LENGTH and type_ in schema.messages:
        return [decode(value, schema=schema, kind=type_, where=where)]
    raise broken(where, f"a field of type {type_} has the form of another (wire type {wire})")


def _packed(data: memoryview, where: str) -> Iterator[int]:
    at = 0
    while at < len(data):
        value, at = _varint(data, at, where)
        yield _signed(value)


def _signed(value: int) -> int:
    """protobuf writes negative int32 and int64 as the 64-bit two's complement."""
    return int(struct.unpack("<q", struct.pack("<Q", value & 0xFFFFFFFFFFFFFFFF))[0])
