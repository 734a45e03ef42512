"""Caffe's nets as its files hold them: layers in one form, the phase of testing, and who reads what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from zoo_plugins.foreign.caffe_schema import SCHEMA, V1_TYPES
from zoo_plugins.foreign.foreign_graphs import Trail, pass_on, start_trail
from zoo_plugins.foreign.protobuf_text import parse_file
from zoo_plugins.foreign.protobuf_wire import Message, broken, decode

from zoo.contracts.importing import ForeignPool
from zoo.errors import UserError

TEXT_SUFFIXES = (".prototxt", ".pbtxt", ".pt", ".txt")
INPUT = -1
"""Stands for the net's own input where a layer's number is asked for."""

_TEST = SCHEMA.enums["Phase"]["TEST"]
_TRANSPARENT = ("Split", "Dropout")
"""Layers that hand on what they read when a net is tested."""


@dataclass(frozen=True)
class CaffeLayer:
    """One layer.

    Attributes:
        name: Its name.
        type: As the newer form (V2) spells it: `Convolution`, `InnerProduct`...
        bottoms: Names of what it reads.
        tops: Names of what it writes; one of its bottoms where it works in place.
        message: All that the file says of it.
        blobs: Its values.
    """

    name: str
    type: str
    bottoms: tuple[str, ...]
    tops: tuple[str, ...]
    message: Message
    blobs: tuple[Message, ...]

    def param(self, name: str) -> Message:
        """Its parameters of one kind, empty where the file states none."""
        found: Message = self.message.last(name, Message(self.message.where, {}))
        return found


@dataclass(frozen=True)
class Flow:
    """Who reads what, by the numbers of layers; names of blobs that are written anew in place are told apart.

    Attributes:
        reads: For each layer the layers whose results it reads, `INPUT` for the net's input.
        readers: For each layer the layers that read its result.
    """

    reads: tuple[tuple[int, ...], ...]
    readers: tuple[tuple[int, ...], ...]


def read_net(path: Path) -> Message:
    """A NetParameter, binary or text by the file's ending.

    Raises:
        UserError: The file is missing, torn, or of another kind.
    """
    if path.suffix.lower() in TEXT_SUFFIXES:
        return parse_file(path, schema=SCHEMA, kind="NetParameter")
    return decode(read_file(path), schema=SCHEMA, kind="NetParameter", where=str(path))


def read_file(path: Path) -> bytes:
    """All bytes of a file.

    Raises:
        UserError: It cannot be read, or is empty.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"this file cannot be read: {error.strerror or error}", where=str(path)) from error
    if not content:
        raise broken(str(path), "it is empty")
    return content


def net_layers(net: Message, *, testing: bool) -> list[CaffeLayer]:
    """The layers of a net in order.

    Args:
        net: The NetParameter.
        testing: Whether to leave out what is not there when the net is tested; a prototxt may describe both phases.

    Raises:
        UserError: It has none, has them in both forms, or in the oldest form (V0).
    """
    old, new = net.all("layers"), net.all("layer")
    if old and new:
        raise UserError("this net has its layers in both of Caffe's forms, `layers` and `layer`", where=net.where)
    if not old and not new:
        raise broken(net.where, "it holds no layers of Caffe")
    if any("layer" in message for message in old):
        raise UserError(
            "this net is in Caffe's oldest form (V0)",
            where=net.where,
            allowed="the forms of 2014 (V1) and 2015 (V2)",
            do="bring it up to date with Caffe's tool upgrade_net_proto_binary or upgrade_net_proto_text",
        )
    messages = [message for message in (new or old) if not testing or _is_tested(message)]
    return [_layer(message, number) for number, message in enumerate(messages)]


def _layer(message: Message, number: int) -> CaffeLayer:
    kind = message.last("type", "")
    if isinstance(kind, int):
        words = next((word for word, value in V1_TYPES.items() if value == kind), f"TYPE {kind}")
        kind = "".join(word.capitalize() for word in words.split("_"))
    name = message.last("name", "") or f"layer {number}"
    bottoms, tops = tuple(message.all("bottom")), tuple(message.all("top"))
    return CaffeLayer(name, kind, bottoms, tops, message, tuple(message.all("blobs")))


def _is_tested(layer: Message) -> bool:
    """Caffe's rules for phase TEST, level 0, no stages."""
    if "include" in layer:
        return any(_meets(rule) for rule in layer.all("include"))
    return not any(_meets(rule) for rule in layer.all("exclude"))


def _meets(rule: Message) -> bool:
    return (
        rule.last("phase", _TEST) == _TEST
        and rule.last("min_level", 0) <= 0
        and rule.last("max_level", 0) >= 0
        and "stage" not in rule
    )


def with_blobs(layers: Sequence[CaffeLayer], model: Sequence[CaffeLayer], *, notes: list[str]) -> list[CaffeLayer]:
    """A definition's layers with the values that a model has under the same names, as Caffe copies them.

    Args:
        layers: Of the definition.
        model: Of the file of weights.
        notes: Takes a sentence on values that the definition does not use.
    """
    stored = {layer.name: layer for layer in model if layer.blobs}
    wanted = {layer.name for layer in layers}
    spare = [name for name in stored if name not in wanted]
    if spare:
        notes.append(f"left out, since the definition has no such layers: {', '.join(spare)}")
    return [
        CaffeLayer(item.name, item.type, item.bottoms, item.tops, item.message, stored[item.name].blobs)
        if item.name in stored
        else item
        for item in layers
    ]


def trace_flow(layers: Sequence[CaffeLayer], inputs: Sequence[str], *, where: str) -> Flow | None:
    """Who reads what; None where the file names no blobs at all.

    Args:
        layers: In order.
        inputs: Names of the net's inputs beside what layers without bottoms write.
        where: The file, for messages.

    Raises:
        UserError: A layer reads what nothing before it writes.
    """
    if not any(layer.bottoms for layer in layers):
        return None
    writer: dict[str, int] = dict.fromkeys(inputs, INPUT)
    begins = bool(inputs) or any(layer.tops and not layer.bottoms for layer in layers)
    reads: list[tuple[int, ...]] = []
    readers: list[list[int]] = [[] for _ in layers]
    for number, layer in enumerate(layers):
        for bottom in layer.bottoms:
            if bottom not in writer and begins:
                raise UserError(
                    f"layer {layer.name!r} reads {bottom!r}, which no layer before it writes",
                    where=where,
                    do="give the net's own description: definition=FILE.prototxt",
                )
        numbers = tuple(writer.get(bottom, INPUT) for bottom in layer.bottoms)
        reads.append(numbers)
        for source in set(numbers) - {INPUT}:
            readers[source].append(number)
        writer |= dict.fromkeys(layer.tops, number)
    return Flow(tuple(reads), tuple(tuple(found) for found in readers))


def layer_trails(
    layers: Sequence[CaffeLayer], flow: Flow, *, names: Mapping[int, str], pools: Mapping[int, ForeignPool]
) -> list[Trail]:
    """For each layer what is known of what it reads.

    Args:
        layers: In order.
        flow: Who reads what.
        names: Number of a layer with values to the name that its result goes by.
        pools: Number of a pooling over windows to what it does.
    """
    read: list[Trail] = []
    written: list[Trail] = []
    for number, layer in enumerate(layers):
        inputs = [start_trail() if source == INPUT else written[source] for source in flow.reads[number]]
        trail = inputs[0] if len(inputs) == 1 else pass_on(inputs)
        read.append(trail)
        if number in names:
            trail = Trail((names[number],), direct=True)
        elif number in pools:
            trail = replace(pass_on([trail]), pools=(*trail.pools, (layer.name, pools[number])))
        elif layer.type not in _TRANSPARENT:
            trail = pass_on([trail])
        written.append(trail)
    return read
