"""Writes .t7 files as Torch7's File.lua does, for tests; nothing here can run Torch7.

Written from https://github.com/torch/torch7 (File.lua `writeObject`, Tensor.c `write`, Storage.c `write`), not from
zoo's reader; test_torch7_file.py compares its bytes with a file that is written down byte by byte. torchfile 0.1.0, a
reader by others, read that file and this writer's tables, tensors, functions and objects with the same values (2026).
"""

import struct

import numpy as np

NAMES = {"float32": "Float", "float64": "Double", "int64": "Long", "uint8": "Byte", "float16": "Half"}


class Module:
    """An nn object: its class and its fields."""

    def __init__(self, class_name, version=1, **fields):
        self.class_name, self.version, self.fields = class_name, version, fields


class Code:
    """A function with what its upvalues are."""

    def __init__(self, dumped, upvalues):
        self.dumped, self.upvalues = dumped, upvalues


def module(class_name, *parts, **fields):
    """A container with parts, numbered from 1."""
    return Module(class_name, modules=dict(enumerate(parts, start=1)), **fields)


def write(path, thing):
    path.write_bytes(dumps(thing))
    return path


def dumps(thing):
    return Writer().thing(thing)


class Writer:
    """Counts objects, and writes each of them once."""

    def __init__(self):
        self.indices, self.kept = {}, []

    def thing(self, thing):
        if thing is None:
            return struct.pack("<i", 0)
        if isinstance(thing, bool):
            return struct.pack("<ii", 5, thing)
        if isinstance(thing, int | float):
            return struct.pack("<id", 1, thing)
        if isinstance(thing, str):
            return struct.pack("<i", 2) + self.string(thing)
        kind = 3 if isinstance(thing, dict) else 8 if isinstance(thing, Code) else 4
        if id(thing) in self.indices:
            return struct.pack("<ii", kind, self.indices[id(thing)])
        self.indices[id(thing)] = len(self.indices) + 1
        self.kept.append(thing)
        return struct.pack("<ii", kind, self.indices[id(thing)]) + self.content(thing)

    def content(self, thing):
        if isinstance(thing, dict):
            entries = [self.thing(part) for pair in thing.items() for part in pair]
            return struct.pack("<i", len(thing)) + b"".join(entries)
        if isinstance(thing, Code):
            return struct.pack("<i", len(thing.dumped)) + thing.dumped + self.thing(thing.upvalues)
        if isinstance(thing, Module):
            return self.string(f"V {thing.version}") + self.string(thing.class_name) + self.thing(thing.fields)
        return self.tensor(thing)

    def tensor(self, array):
        """An array as a view of its base, or of itself where it is contiguous."""
        base = array.base if array.base is not None and array.base.ndim == 1 else np.ascontiguousarray(array).ravel()
        strides, offset = np.array(array.strides) // array.itemsize, 0
        if array.base is base:
            offset = (array.__array_interface__["data"][0] - base.__array_interface__["data"][0]) // array.itemsize
        else:
            strides = np.array(np.ascontiguousarray(array).strides) // array.itemsize
        head = struct.pack(f"<i{2 * array.ndim}qq", array.ndim, *array.shape, *strides, offset + 1)
        name = NAMES[str(array.dtype)]
        return self.string("V 1") + self.string(f"torch.{name}Tensor") + head + self.storage(base, name)

    def storage(self, base, name):
        if id(base) in self.indices:
            return struct.pack("<ii", 4, self.indices[id(base)])
        self.indices[id(base)] = len(self.indices) + 1
        self.kept.append(base)
        head = struct.pack("<ii", 4, self.indices[id(base)]) + self.string("V 1") + self.string(f"torch.{name}Storage")
        return head + struct.pack("<q", base.size) + base.tobytes()

    def string(self, text):
        return struct.pack("<i", len(text)) + text.encode("latin-1")
