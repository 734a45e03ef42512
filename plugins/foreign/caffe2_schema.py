"""The part of Caffe2's caffe2.proto that its nets need, with the original field numbers.

Source: https://github.com/pytorch/pytorch/blob/v1.0.0/caffe2/proto/caffe2.proto
"""

from __future__ import annotations

from zoo_plugins.foreign.protobuf_wire import Message, Schema

SCHEMA = Schema(
    messages={
        "NetDef": {
            1: ("name", "text"),
            2: ("op", "OperatorDef"),
            7: ("external_input", "text"),
            8: ("external_output", "text"),
        },
        "OperatorDef": {
            1: ("input", "text"),
            2: ("output", "text"),
            3: ("name", "text"),
            4: ("type", "text"),
            5: ("arg", "Argument"),
        },
        "Argument": {
            1: ("name", "text"),
            2: ("f", "float"),
            3: ("i", "int"),
            4: ("s", "bytes"),
            5: ("floats", "float"),
            6: ("ints", "int"),
        },
    },
)


class Arguments:
    """The arguments of one operator by name."""

    def __init__(self, operator: Message) -> None:
        self.found: dict[str, Message] = {item.last("name", ""): item for item in operator.all("arg")}

    def __contains__(self, name: str) -> bool:
        return name in self.found

    def whole(self, name: str, default: int) -> int:
        """An integer."""
        return int(self.found[name].last("i", default)) if name in self.found else default

    def real(self, name: str, default: float) -> float:
        """A floating-point number."""
        return self.found[name].number("f", default) if name in self.found else default

    def wholes(self, name: str) -> list[int]:
        """A list of integers; empty where it is not stated."""
        return [int(value) for value in self.found[name].all("ints")] if name in self.found else []

    def word(self, name: str, default: str) -> str:
        """A text."""
        return bytes(self.found[name].last("s", b"")).decode("latin-1") if name in self.found else default
