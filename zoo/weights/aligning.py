"""Which layer of a foreign model is which layer of a network: by dataflow, order, kind and shape, never by a guess.

Where both sides say what reads what, layers are told apart by all that is before and behind them (colour refinement
of the two graphs). Where the source does not, layers of one shape are taken in their order, and only that far as the
network itself fixes it: two that lie on parallel branches have no order. What neither decides may be decided by names;
else every possible assignment is offered, and only a comparison of outputs can choose.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from zoo.contracts.importing import ForeignLayer, ForeignModel
from zoo.errors import UserError
from zoo.weights.matching import Node, by_dataflow, by_order, refined, start_colours
from zoo.weights.tracing import TargetLayer


@dataclass(frozen=True)
class Unit:
    """A convolution or dense layer with the norm right behind it, either of them alone on one side.

    Attributes:
        core: The convolution or dense layer; None for a norm that stands alone.
        norm: The norm, or None.
    """

    core: ForeignLayer | TargetLayer | None
    norm: ForeignLayer | TargetLayer | None

    @property
    def name(self) -> str:
        """Name for messages: the convolution's, or the norm's where there is no other."""
        layer = self.core or self.norm
        return layer.name if layer is not None else ""


@dataclass(frozen=True)
class Pair:
    """Layers of the source and the layers of the network that take their values."""

    core: tuple[ForeignLayer, TargetLayer] | None
    norm: tuple[ForeignLayer | None, TargetLayer | None]


@dataclass(frozen=True)
class Alignment:
    """One assignment.

    Attributes:
        pairs: In the network's order.
        open: Source names that could also have been assigned otherwise: (these names, those layers). Empty where the
            assignment is the only one.
        by_name: Source layers that their names alone told apart.
    """

    pairs: tuple[Pair, ...]
    open: tuple[tuple[str, str], ...] = ()
    by_name: tuple[str, ...] = ()


def align(source: ForeignModel, target: Sequence[TargetLayer]) -> Iterator[Alignment]:
    """Every assignment that fits, the likeliest first.

    Args:
        source: What a reader read.
        target: The network's layers as `trace_layers` saw them.

    Raises:
        UserError: None fits; it names the layers at which they part.
    """
    connected = all(layer.after is not None for layer in source.layers)
    ours, theirs = _units(target), _source_units(source, target, connected=connected)
    if theirs is None:
        ours = [Unit(None, layer) if layer.kind == "norm" else Unit(layer, None) for layer in target]
        theirs = [Unit(None, layer) if layer.kind == "norm" else Unit(layer, None) for layer in source.layers]
    keys = {_source_key(unit) for unit in theirs}
    left = _nodes(theirs, [_source_key(unit) for unit in theirs])
    right = _nodes(ours, [_target_key(unit, keys) for unit in ours])
    _check_counts(left, right)
    if _pools_agree(theirs, ours):
        left, right = _with_pools(left, theirs), _with_pools(right, ours)
    found = by_dataflow(left, right) if connected else by_order(left, right)
    none = True
    for match, open_names, by_name in found:
        none = False
        yield Alignment(_pairs(match, source=theirs, ours=ours, target=target), open_names, by_name)
    if none:
        raise _other_wiring(left, right)


def _units(layers: Sequence[ForeignLayer] | Sequence[TargetLayer]) -> list[Unit]:
    """Layers with the norms right behind them put together, where the dataflow says so."""
    readers = Counter(name for layer in layers for name in layer.after or ())
    by_name = {layer.name: layer for layer in layers}
    owner: dict[str, ForeignLayer | TargetLayer] = {}
    for layer in layers:
        if layer.kind == "norm" and layer.after is not None and len(layer.after) == 1 and _direct(layer):
            core = by_name.get(layer.after[0])
            if core is not None and core.kind != "norm" and readers[core.name] == 1 and _width(core) == _width(layer):
                owner[core.name] = layer
    taken = {norm.name for norm in owner.values()}
    return [
        Unit(None, layer) if layer.kind == "norm" else Unit(layer, owner.get(layer.name))
        for layer in layers
        if layer.name not in taken
    ]


def _source_units(source: ForeignModel, target: Sequence[TargetLayer], *, connected: bool) -> list[Unit] | None:
    """The source's units; None where its file does not say which norm belongs to which convolution."""
    if connected:
        return _units(source.layers)
    units: list[Unit] = []
    for layer in source.layers:
        if layer.kind != "norm":
            units.append(Unit(layer, None))
            continue
        last = units[-1] if units else None
        if last is None or last.core is None or last.norm is not None or _width(last.core) != _width(layer):
            return None
        units[-1] = Unit(last.core, layer)
    post_norm = all(unit.core is not None for unit in _units(target))
    return units if post_norm else None


def _direct(norm: ForeignLayer | TargetLayer) -> bool:
    """Whether a norm reads the result before it as it is; no fold goes through an activation."""
    return norm.direct if isinstance(norm, TargetLayer) else bool(norm.facts.get("direct", True))


def _width(layer: ForeignLayer | TargetLayer) -> int:
    return _shape(layer)[0]


def _shape(layer: ForeignLayer | TargetLayer) -> tuple[int, ...]:
    if isinstance(layer, TargetLayer):
        return layer.shape
    return tuple(layer.tensors["running_mean" if layer.kind == "norm" else "weight"].shape)


def _source_key(unit: Unit) -> Hashable:
    """What two layers must share: kind and shape; a dense layer is a convolution of one place."""
    if unit.core is None:
        return ("norm", _shape(unit.norm)[0]) if unit.norm is not None else ()
    return ("map", *_shape(unit.core), *((1, 1) if unit.core.kind == "dense" else ()))


def _target_key(unit: Unit, wanted: set[Hashable]) -> Hashable:
    """The same for the network's layer; one that reads a whole map may be a dense layer or a convolution there."""
    key, core = _source_key(unit), unit.core
    if key in wanted or not isinstance(core, TargetLayer):
        return key
    if core.kind == "conv" and core.input_hw == core.shape[2:] and not any(core.padding):
        other = ("map", core.shape[0], core.shape[1] * core.shape[2] * core.shape[3], 1, 1)
        return other if other in wanted else key
    if core.flattened is not None and ("map", core.shape[0], *core.flattened) in wanted:
        return ("map", core.shape[0], *core.flattened)
    return key


def _nodes(units: Sequence[Unit], keys: Sequence[Hashable]) -> list[Node]:
    place = {layer.name: number for number, unit in enumerate(units) for layer in (unit.core, unit.norm) if layer}
    nodes = []
    for number, (unit, key) in enumerate(zip(units, keys, strict=True)):
        first = unit.core or unit.norm
        before = (first.after or ()) if first is not None else ()
        nodes.append(Node(unit.name, key, number, frozenset(place[name] for name in before if name in place)))
    return nodes


def _pools_agree(source: Sequence[Unit], target: Sequence[Unit]) -> bool:
    """Whether the poolings before the layers can tell parallel branches of one shape apart.

    Where they do not agree as a whole they tell nothing apart: `differences` then says in what they differ.
    """
    layers = [unit.core or unit.norm for unit in source]
    if not all(isinstance(layer, ForeignLayer) and "pools" in layer.facts for layer in layers):
        return False
    keys = {_source_key(unit) for unit in source}
    theirs = Counter((_source_key(unit), _outline(unit)) for unit in source)
    return theirs == Counter((_target_key(unit, keys), _outline(unit)) for unit in target)


def _with_pools(nodes: Sequence[Node], units: Sequence[Unit]) -> list[Node]:
    return [replace(node, pools=_outline(unit)) for node, unit in zip(nodes, units, strict=True)]


def _outline(unit: Unit) -> Hashable:
    """Kinds, windows and strides of the poolings before a unit; those before a dense layer may cover its whole map."""
    layer = unit.core or unit.norm
    if layer is None or layer.kind == "dense":
        return ()
    pools = layer.pools if isinstance(layer, TargetLayer) else layer.facts["pools"]
    return tuple(sorted((pool.kind, pool.kernel, pool.stride) for pool in pools))


def _check_counts(left: Sequence[Node], right: Sequence[Node]) -> None:
    """Raises UserError where a kind and shape does not stand equally often on both sides."""
    theirs, ours = Counter(node.key for node in left), Counter(node.key for node in right)
    if theirs == ours:
        return
    spare = [node for node in left if theirs[node.key] > ours[node.key]]
    wanting = [node for node in right if ours[node.key] > theirs[node.key]]
    raise UserError(
        f"the layers do not fit: {len(left)} in the source, {len(right)} in the network"
        + (f"; the source has more of: {_listed(spare)}" if spare else "")
        + (f"; the network has more of: {_listed(wanting)}" if wanting else ""),
        where="source, model",
        do="name the network that the weights belong to (its depth, its width, its number of outputs)",
    )


def _listed(nodes: Sequence[Node], *, most: int = 4) -> str:
    shown = [f"{node.name} {_described(node.key)}" for node in nodes[:most]]
    return ", ".join(shown) + (f" and {len(nodes) - most} more" if len(nodes) > most else "")


def _described(key: Hashable) -> str:
    kind, *numbers = key if isinstance(key, tuple) else ("",)
    return f"[{kind} {' x '.join(str(number) for number in numbers)}]"


def _pairs(
    match: Mapping[int, int], *, source: Sequence[Unit], ours: Sequence[Unit], target: Sequence[TargetLayer]
) -> tuple[Pair, ...]:
    """Source layers by the network's own units, in the network's order."""
    partner: dict[str, Unit] = {}
    for theirs, place in match.items():
        unit = ours[place]
        for layer in (unit.core, unit.norm):
            if layer is not None:
                partner[layer.name] = source[theirs]
    pairs = []
    for unit in _units(target):
        core, norm = unit.core, unit.norm
        source_core = partner[core.name].core if core is not None else None
        owner = partner[norm.name] if norm is not None else partner[core.name] if core is not None else None
        source_norm = owner.norm if owner is not None else None
        pairs.append(
            Pair(
                (source_core, core)
                if isinstance(source_core, ForeignLayer) and isinstance(core, TargetLayer)
                else None,
                (
                    source_norm if isinstance(source_norm, ForeignLayer) else None,
                    norm if isinstance(norm, TargetLayer) else None,
                ),
            )
        )
    return tuple(pairs)


def _other_wiring(left: Sequence[Node], right: Sequence[Node]) -> UserError:
    """Same layers, joined otherwise: names the first whose surroundings the network does not have."""
    start = start_colours(left, right)
    stable = refined(start, left=left, right=right)
    ours = Counter(colour for (side, _), colour in stable.items() if side == "R")
    odd = [node for node in left if not ours[stable[("L", node.position)]]] or list(left)
    return UserError(
        f"the layers have the same shapes but read one another otherwise; the first that differs: {_listed(odd[:1])}",
        where="source, model",
        do="take the network whose branches join as in the source",
    )
