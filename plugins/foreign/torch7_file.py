"""Reads Torch7's binary files (.t7): numbers, strings, tables, tensors and objects; functions are skipped, never run.

Source: https://github.com/torch/torch7, File.lua (objects), generic/Tensor.c and generic/Storage.c, as written on a
64-bit little-endian machine: int 4 bytes, long 8, number a double.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.errors import UserError

NIL, NUMBER, STRING, TABLE, OBJECT, BOOLEAN, FUNCTION, OLD_CLOSURE, CLOSURE = range(9)
"""The types of things, as File.lua numbers them."""

_DTYPES = {
    "Byte": "<u1", "Char": "<i1", "Short": "<i2", "Int": "<i4", "Long": "<i8", "Half": "<f2", "Float": "<f4",
    "Double": "<f8", "Cuda": "<f4", "CudaByte": "<u1", "CudaChar": "<i1", "CudaShort": "<i2", "CudaInt": "<i4",
    "CudaLong": "<i8", "CudaHalf": "<f2", "CudaDouble": "<f8",
}  # fmt: skip
_DEEPEST = 120
_MOST_DIMENSIONS = 16


@dataclass(eq=False)
class TorchObject:
    """An object of a class that is no tensor: its class, the version of its class, and its fields.

    Attributes:
        class_name: Such as `nn.Linear`.
        version: Of the class; 0 where the file does not say.
        fields: Name to value.
    """

    class_name: str
    version: int
    fields: dict[Any, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class LuaFunction:
    """A function; its code was skipped."""


def load(path: Path) -> Any:
    """The thing that a file holds: None, bool, float, str, dict, array, TorchObject or LuaFunction.

    Tables are dicts by their numbers and strings; entries under other keys are left out. Whatever the file
    refers to twice is one object, so there may be cycles. Tensors are views of their storage.

    Raises:
        UserError: The file is missing, torn, in the ASCII form, or holds an object with a form of its own.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"this file cannot be read: {error.strerror or error}", where=str(path)) from error
    if content[:1].isdigit() and content[1:2] == b"\n":
        raise UserError(
            "this file is in Torch7's ASCII form",
            where=str(path),
            allowed="the binary form, which is Torch7's default",
            do="in Torch7: torch.save(FILE, torch.load(OLD, 'ascii'))",
        )
    reader = _Reader(content, str(path))
    thing = reader.thing(0)
    if reader.at != len(content):
        raise reader.broken(f"{len(content) - reader.at} bytes follow its end")
    return thing


class _Reader:
    """Goes through the bytes of one file."""

    def __init__(self, content: bytes, where: str) -> None:
        self.content, self.where, self.at = content, where, 0
        self.known: dict[int, Any] = {}

    def broken(self, why: str) -> UserError:
        return UserError(
            f"this Torch7 file cannot be read: {why}",
            where=f"{self.where}, byte {self.at}",
            do="it may be torn or of another format: fetch it again",
        )

    def take(self, count: int) -> memoryview:
        left = len(self.content) - self.at
        if not 0 <= count <= left:
            raise self.broken(f"it says {count} bytes follow where {left} are left")
        self.at += count
        return memoryview(self.content)[self.at - count : self.at]

    def whole(self) -> int:
        return int(struct.unpack("<i", self.take(4))[0])

    def longs(self, count: int) -> tuple[int, ...]:
        return tuple(struct.unpack(f"<{count}q", self.take(8 * count)))

    def text(self) -> str:
        return bytes(self.take(self.whole())).decode("latin-1")

    def thing(self, depth: int) -> Any:
        """The next thing of any type."""
        if depth > _DEEPEST:
            raise self.broken(f"things stand in one another more than {_DEEPEST} deep")
        kind = self.whole()
        if kind == NIL:
            return None
        if kind == NUMBER:
            return float(struct.unpack("<d", self.take(8))[0])
        if kind == STRING:
            return self.text()
        if kind == BOOLEAN:
            return self.whole() == 1
        if kind == FUNCTION:
            return self._function(depth)
        if kind not in (TABLE, OBJECT, OLD_CLOSURE, CLOSURE):
            raise self.broken(f"there is no type {kind}")
        index = self.whole()
        if index in self.known:
            return self.known[index]
        if kind == TABLE:
            self.known[index] = table = {}
            self._fill(table, depth)
            return table
        if kind == OBJECT:
            return self._object(index, depth)
        self.known[index] = LuaFunction()
        return self._function(depth)

    def _fill(self, table: dict[Any, Any], depth: int) -> None:
        size = self.whole()
        if not 0 <= size <= (len(self.content) - self.at) // 8:
            raise self.broken(f"a table says it has {size} entries where {len(self.content) - self.at} bytes are left")
        for _ in range(size):
            key, value = self.thing(depth + 1), self.thing(depth + 1)
            if isinstance(key, str | float):
                table[key] = value

    def _function(self, depth: int) -> LuaFunction:
        """Code, which is skipped, and the values that it holds on to."""
        self.take(self.whole())
        self.thing(depth + 1)
        return LuaFunction()

    def _object(self, index: int, depth: int) -> Any:
        name, version = self.text(), 0
        if name.startswith("V "):
            number, name = name[2:], self.text()
            if not number.isdigit():
                raise self.broken(f"a class has the version {number!r}")
            version = int(number)
        library, _, kind = name.partition(".")
        for ending, read in (("Storage", self._storage), ("Tensor", self._tensor)):
            dtype = _DTYPES.get(kind.removesuffix(ending)) if kind.endswith(ending) else None
            if library == "torch" and dtype is not None:
                self.known[index] = None
                self.known[index] = read(np.dtype(dtype), depth)
                return self.known[index]
        self.known[index] = found = TorchObject(name, version)
        fields = self.thing(depth + 1)
        if not isinstance(fields, dict):
            raise self.broken(f"an object of the class {name!r} is stored in a form of its own")
        found.fields = fields
        return found

    def _storage(self, dtype: np.dtype[Any], depth: int) -> NDArray[Any]:
        (size,) = self.longs(1)
        return np.frombuffer(self.take(size * dtype.itemsize), dtype)

    def _tensor(self, dtype: np.dtype[Any], depth: int) -> NDArray[Any]:
        dimensions = self.whole()
        if not 0 <= dimensions <= _MOST_DIMENSIONS:
            raise self.broken(f"a tensor says it has {dimensions} dimensions")
        sizes, strides = self.longs(dimensions), self.longs(dimensions)
        (offset,) = self.longs(1)
        storage = self.thing(depth + 1)
        if dimensions == 0 or (storage is None and 0 in sizes):
            return np.empty(0, dtype)
        if not isinstance(storage, np.ndarray) or storage.dtype != dtype or storage.ndim != 1:
            raise self.broken("a tensor has no storage of its own type")
        last = offset - 1 + sum((size - 1) * stride for size, stride in zip(sizes, strides, strict=True))
        count = math.prod(sizes)
        if min((*sizes, *strides)) < 0 or offset < 1 or count > storage.size or (count and last >= storage.size):
            raise self.broken(f"a tensor of {' x '.join(map(str, sizes))} lies beyond its storage of {storage.size}")
        steps = [stride * dtype.itemsize for stride in strides]
        return np.lib.stride_tricks.as_strided(storage[offset - 1 :], sizes, steps, writeable=False)
