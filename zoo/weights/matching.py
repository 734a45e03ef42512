"""Which node of one graph is which of another: by colour refinement, or by order; names and nothing else break ties.

Source: Weisfeiler and Lehman, "The reduction of a graph to canonical form", 1968 (colour refinement); McKay and
Piperno, "Practical graph isomorphism, II", arXiv:1301.1493 (individualise and refine).
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass

SHORTCUT = re.compile(r"downsample|shortcut|skip|branch1(?!\d|x)|_0_(?:conv|bn)$|_0_branch1(?:_|$)|residual")
"""How authors name the convolution beside a residual branch: torchvision, timm, Keras, Caffe, Caffe2."""


@dataclass(frozen=True)
class Node:
    """A layer, or a convolution with its norm, as a node of a graph.

    Attributes:
        name: For messages, and to be told apart by where nothing else does it.
        key: Kind and shape: what both sides share.
        position: In its own side's order.
        before: Positions of what it reads.
        pools: The poolings before it, where both sides state them.
    """

    name: str
    key: Hashable
    position: int
    before: frozenset[int]
    pools: Hashable = ()


Match = tuple[dict[int, int], tuple[tuple[str, str], ...], tuple[str, ...]]
"""Source position to network position; what was left open; what names decided."""


def start_colours(left: Sequence[Node], right: Sequence[Node]) -> Mapping[tuple[str, int], Hashable]:
    """Colours by kind, shape and poolings alone, of both sides."""
    return {("L", n.position): (n.key, n.pools) for n in left} | {("R", n.position): (n.key, n.pools) for n in right}


def by_dataflow(left: Sequence[Node], right: Sequence[Node]) -> Iterator[Match]:
    """Assignments under which everything reads the same on both sides."""
    start = start_colours(left, right)
    yield from _individualised(start, left=left, right=right, opened=(), named=())


def _individualised(
    colours: Mapping[tuple[str, int], Hashable],
    *,
    left: Sequence[Node],
    right: Sequence[Node],
    opened: tuple[tuple[str, str], ...],
    named: tuple[str, ...],
) -> Iterator[Match]:
    """Refines; where layers stay alike, singles one of them out in every way that is left."""
    stable = refined(colours, left=left, right=right)
    groups: dict[Hashable, tuple[list[int], list[int]]] = {}
    for (side, position), colour in stable.items():
        groups.setdefault(colour, ([], []))[side == "R"].append(position)
    if any(len(theirs) != len(ours) for theirs, ours in groups.values()):
        return
    tied = [group for group in groups.values() if len(group[0]) > 1]
    if not tied:
        yield {theirs[0]: ours[0] for theirs, ours in groups.values()}, opened, named
        return
    theirs, ours = min(tied, key=lambda group: min(group[0]))
    first = left[min(theirs)]
    choices = sorted(right[position].position for position in ours)
    agreed = [right[position] for position in choices if _names_agree(first, right[position], left, theirs)]
    if len(agreed) == 1:
        choices, named = [agreed[0].position], (*named, first.name)
    else:
        names = ", ".join(left[position].name for position in sorted(theirs))
        opened = (*opened, (names, ", ".join(right[position].name for position in choices)))
    for position in choices:
        single = dict(stable) | {
            ("L", first.position): ("one", first.position),
            ("R", position): ("one", first.position),
        }
        yield from _individualised(single, left=left, right=right, opened=opened, named=named)


def refined(
    colours: Mapping[tuple[str, int], Hashable], *, left: Sequence[Node], right: Sequence[Node]
) -> dict[tuple[str, int], Hashable]:
    """Colours that also tell apart what is read and who reads it, until they tell no more apart."""
    around: dict[tuple[str, int], tuple[list[tuple[str, int]], list[tuple[str, int]]]] = {
        (side, node.position): ([(side, place) for place in node.before], [])
        for side, nodes in (("L", left), ("R", right))
        for node in nodes
    }
    for place, (before, _) in list(around.items()):
        for other in before:
            around[other][1].append(place)
    current = _numbered(dict(colours))
    while True:
        richer = {
            place: (
                current[place],
                tuple(sorted(current[other] for other in before)),
                tuple(sorted(current[other] for other in behind)),
            )
            for place, (before, behind) in around.items()
        }
        finer = _numbered(richer)
        if len(set(finer.values())) == len(set(current.values())):
            return dict(current)
        current = finer


def _numbered(colours: Mapping[tuple[str, int], Hashable]) -> dict[tuple[str, int], int]:
    numbers: dict[Hashable, int] = {}
    return {place: numbers.setdefault(colour, len(numbers)) for place, colour in colours.items()}


def by_order(left: Sequence[Node], right: Sequence[Node]) -> Iterator[Match]:
    """Assignments that keep the order among layers of one shape, as far as the network has one."""
    ancestors: list[frozenset[int]] = []
    for node in right:
        ancestors.append(node.before.union(*(ancestors[place] for place in node.before)))
    yield from _next_in_order(0, {}, left=left, right=right, ancestors=ancestors, opened=(), named=())


def _next_in_order(
    position: int,
    match: dict[int, int],
    *,
    left: Sequence[Node],
    right: Sequence[Node],
    ancestors: Sequence[frozenset[int]],
    opened: tuple[tuple[str, str], ...],
    named: tuple[str, ...],
) -> Iterator[Match]:
    """Places the source's layers one after the other, each where nothing of its shape is still missing before it."""
    while position < len(left):
        node = left[position]
        free = [n for n in right if n.key == node.key and n.position not in match.values()]
        choices = [n for n in free if not any(other.position in ancestors[n.position] for other in free)]
        agreed = [n for n in choices if _names_agree(node, n, left, [m.position for m in left if m.key == node.key])]
        if len(choices) > 1 and len(agreed) == 1:
            choices, named = agreed, (*named, node.name)
        if len(choices) > 1:
            opened = (*opened, (node.name, ", ".join(n.name for n in choices)))
            for choice in choices:
                yield from _next_in_order(
                    position + 1,
                    match | {position: choice.position},
                    left=left,
                    right=right,
                    ancestors=ancestors,
                    opened=opened,
                    named=named,
                )
            return
        match = match | {position: choices[0].position}
        position += 1
    yield match, opened, named


def _names_agree(source: Node, target: Node, left: Sequence[Node], rivals: Sequence[int]) -> bool:
    """Whether a name says which of several layers it is: the same name, or the shortcut beside a residual branch."""
    if source.name == target.name:
        return True
    marked = [bool(SHORTCUT.search(left[position].name)) for position in rivals]
    if all(marked) or not any(marked):
        return False
    return bool(SHORTCUT.search(source.name)) == bool(SHORTCUT.search(target.name))
