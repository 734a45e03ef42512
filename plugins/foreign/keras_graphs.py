"""A Keras configuration as the calls of its layers, nested models opened."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zoo.errors import UserError

MODELS = frozenset({"Functional", "Model", "Sequential"})


@dataclass(frozen=True)
class Call:
    """One call of a layer.

    Attributes:
        path: The layer's name, behind those of the models that it stands in.
        class_name: Keras' class.
        config: The layer's own configuration.
        inputs: Paths of the calls whose results it reads; () is the network's input.
    """

    path: str
    class_name: str
    config: Mapping[str, Any]
    inputs: tuple[str, ...]


def calls_of(config: Mapping[str, Any]) -> tuple[list[Call], str]:
    """All calls in an order in which they can be made, and the path of the last.

    Raises:
        UserError: It is a subclassed model, has several inputs or outputs, or calls a layer twice.
    """
    found = _Opening()
    last = found.model(config, "", ())
    if len(last) != 1:
        raise UserError(f"this network has {len(last)} outputs", where="source", allowed="one row of logits")
    return found.calls, last[0]


class _Opening:
    """Opens models into calls."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    def model(self, item: Mapping[str, Any], prefix: str, inputs: Sequence[str]) -> tuple[str, ...]:
        """Adds all calls of a model that reads `inputs`; returns the paths of its results."""
        name, config = item.get("class_name"), item.get("config")
        if name not in MODELS or isinstance(config, list) or not isinstance(config, Mapping):
            if name == "Sequential" and isinstance(config, list):  # Keras 1 and early 2
                return self._chain(config, prefix, inputs)
            raise UserError(
                f"a {name} is no network whose layers its file lists", where="source", allowed="Functional, Sequential"
            )
        if name == "Sequential":
            return self._chain(config["layers"], prefix, inputs)
        return self._graph(config, prefix, inputs)

    def _chain(self, layers: Sequence[Mapping[str, Any]], prefix: str, inputs: Sequence[str]) -> tuple[str, ...]:
        current = tuple(inputs)
        for layer in layers:
            current = self._call(layer, prefix, current)
        return current

    def _graph(self, config: Mapping[str, Any], prefix: str, inputs: Sequence[str]) -> tuple[str, ...]:
        """A model of named layers; they are taken as soon as all that they read is there."""
        entries = list(_references(config["input_layers"]))
        if prefix == "" and len(entries) != 1:
            raise UserError(f"this network has {len(entries)} inputs", where="source", allowed="one image")
        results: dict[str, tuple[str, ...]] = {}
        waiting = list(config["layers"])
        while waiting:
            ready = [layer for layer in waiting if all(name in results for name, _ in _read_by(layer))]
            if not ready:
                raise UserError("its layers read one another in a circle", where="source")
            for layer in ready:
                name = layer["config"].get("name", layer.get("name"))
                if layer["class_name"] == "InputLayer":
                    given = tuple(inputs[entries.index((name, 0)) : entries.index((name, 0)) + 1]) if inputs else ()
                    results[name] = self._call(layer, prefix, given)
                else:
                    read = _read_by(layer)
                    results[name] = self._call(layer, prefix, tuple(results[n][place] for n, place in read))
            waiting = [layer for layer in waiting if layer not in ready]
        return tuple(results[name][place] for name, place in _references(config["output_layers"]))

    def _call(self, layer: Mapping[str, Any], prefix: str, inputs: tuple[str, ...]) -> tuple[str, ...]:
        """One layer, or a model in a layer's place."""
        config = layer["config"]
        name = config.get("name") if isinstance(config, Mapping) else None
        path = "/".join(part for part in (prefix, name or layer.get("name", layer["class_name"])) if part)
        if layer["class_name"] in MODELS:
            return self.model(layer, path, inputs)
        if any(call.path == path for call in self.calls):
            raise UserError(f"the layer {path!r} is called twice", where="source")
        self.calls.append(Call(path, str(layer["class_name"]), config, inputs))
        return (path,)


def _read_by(layer: Mapping[str, Any]) -> list[tuple[str, int]]:
    """(layer, place among its results) that the one call of a layer reads.

    Raises:
        UserError: It is called more than once.
    """
    nodes = layer.get("inbound_nodes") or []
    if len(nodes) > 1:
        raise UserError(
            f"the layer {layer['config'].get('name')!r} is called {len(nodes)} times: shared values are not known here",
            where="source",
        )
    return list(_histories(nodes[0])) if nodes else []


def _histories(node: Any) -> Iterator[tuple[str, int]]:
    """Results that a node reads, in Keras 3's form (`keras_history`) or in Keras 2's ([name, node, place, ...])."""
    if isinstance(node, Mapping):
        history = node.get("config", {}).get("keras_history") if node.get("class_name") == "__keras_tensor__" else None
        if history is not None:
            yield str(history[0]), int(history[2])
            return
        for value in node.values():
            yield from _histories(value)
    elif isinstance(node, list):
        if len(node) in (3, 4) and isinstance(node[0], str) and isinstance(node[1], int):
            yield node[0], int(node[2])
            return
        for value in node:
            yield from _histories(value)


def _references(layers: Any) -> Iterator[tuple[str, int]]:
    """`input_layers` and `output_layers`: one [name, node, place], or a list of them."""
    if len(layers) == 3 and isinstance(layers[0], str):
        yield layers[0], int(layers[2])
        return
    for name, _, place in layers:
        yield name, int(place)
