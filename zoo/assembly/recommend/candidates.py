"""Which networks are compared: those that were named, or all whose weights are at hand."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

from zoo.assembly.network import weight_sources
from zoo.contracts.model import WeightsSource
from zoo.errors import UserError, raise_all
from zoo.models.catalogue import Row, networks_matching, row_of
from zoo.registry import Entry, Registry

MOST_UNNAMED = 16
"""So many networks at hand are compared where none was named."""

_SHOWN = 5


@dataclass(frozen=True)
class Candidate:
    """A network that may be compared.

    Attributes:
        name: What a user writes after `model=`.
        full_name: Means the same whatever else is installed; with the weight tag, where one was named.
        parameters: Values with the published head; None where they cannot be counted.
        weights: The weight source that has them at hand; "" where the network brings its own (a published model), or
            where they are to be downloaded.
        at_hand: Whether they lie on this machine; otherwise they are downloaded.
        refused: Why it is not tried, or "".
    """

    name: str
    full_name: str
    parameters: int | None
    weights: str
    at_hand: bool
    refused: str = ""


@dataclass(frozen=True)
class Field:
    """All candidates, and a sentence for each kind of network that was left out."""

    candidates: tuple[Candidate, ...]
    notes: tuple[str, ...]


def choose_candidates(
    registry: Registry, names: Sequence[str], *, max_parameters: float | None = None, download: bool = False
) -> Field:
    """The networks to compare.

    Without names: every network whose weights lie on this machine (packages, caches, starter weights) and whose size
    is within the limit; of more than 16, every so many-th in order of size, so that small and large ones are among
    them. A name means that network, and its weights may be downloaded, as `finetune model=NAME` would. A pattern means
    what fits it and is at hand, and with `download` the others that fit, too: `resnet*` alone would be 60 downloads.

    Args:
        registry: All components.
        names: Names and patterns (`resnet*`, `torchvision/vgg*`); empty means all at hand.
        max_parameters: A larger network is a candidate that is refused, where it was named, and left out otherwise.
        download: Whether patterns reach networks whose weights are not at hand.

    Raises:
        UserErrors: Names that mean nothing, all together, each with the nearest ones; a `download` without names; or
            nothing that could be compared.
    """
    sources = weight_sources(registry)
    if not names:
        if download:
            raise UserError(
                "download=yes without models= would fetch every network there is",
                where="download=yes",
                do="say which: 'models=[resnet18,resnet50]', or a pattern: 'models=[resnet*]'",
            )
        return _at_hand(registry, sources, max_parameters=max_parameters)
    found, notes = _named(registry, names, sources=sources, download=download)
    candidates = tuple(_within(row, max_parameters=max_parameters) for row in found)
    if not candidates:
        raise UserError(
            "; ".join(notes),
            where=f"models=[{','.join(names)}]",
            do="download=yes fetches their weights, or name a network that is at hand (`python -m zoo models`)",
        )
    return Field(candidates, tuple(notes))


def _named(
    registry: Registry, names: Sequence[str], *, sources: Sequence[tuple[str, WeightsSource]], download: bool
) -> tuple[list[Row], list[str]]:
    """A row for each network that was named or fits a pattern, each once, and what was left out."""
    rows: dict[str, Row] = {}
    notes: list[str] = []
    errors: list[UserError] = []
    for name in names:
        wild = any(sign in name for sign in "*?[")
        try:
            entries = networks_matching(registry, name) if wild else [(name, registry.get("model", name))]
        except UserError as error:
            errors.append(_in_models(error, name))
            continue
        found = {entry.full_name: row_of(entry, shown, sources=sources, count=False) for shown, entry in entries}
        if wild and not download:
            found = {full_name: _with_stand_in(row) for full_name, row in found.items()}
        absent = [row.name for row in found.values() if row.weights != "at hand"] if wild and not download else []
        if absent:
            notes.append(
                f"{len(absent)} of {len(found)} networks that fit {name} have no weights at hand "
                f"({_first(absent)}); download=yes fetches what is published"
            )
        for full_name, row in found.items():
            if row.name not in absent:
                rows.setdefault(full_name, _counted(registry, row))
    raise_all(errors)
    return list(rows.values()), notes


def _with_stand_in(row: Row) -> Row:
    """Where nothing is to be fetched, weights that stand in for the published ones count as those at hand."""
    return dataclasses.replace(row, weights="at hand") if row.path else row


def _in_models(error: UserError, name: str) -> UserError:
    """The registry's message, with the place where the name stands in this verb."""
    return UserError(error.what, where=f"models={name}", allowed=error.allowed, do=error.do)


def _counted(registry: Registry, row: Row) -> Row:
    """The row with the network's size, which may have to be counted."""
    if row.parameters is not None:
        return row
    entry: Entry = registry.get("model", row.full_name)
    return row_of(entry, row.name, sources=weight_sources(registry), count=True)


def _within(row: Row, *, max_parameters: float | None) -> Candidate:
    refused = ""
    if max_parameters is not None and row.parameters is not None and row.parameters > max_parameters:
        refused = f"over the limit: {row.parameters:,} parameters, max_params={max_parameters:,.0f}"
    elif row.weights == "none":
        refused = "no pretrained weights of it are published or at hand"
    # `published` is no source that could be asked: choosing such a model's name means its weights.
    at_hand = row.weights == "at hand"
    asked = row.source if at_hand and row.source != "published" else ""
    return Candidate(row.name, row.full_name, row.parameters, asked, at_hand, refused)


def _at_hand(
    registry: Registry, sources: Sequence[tuple[str, WeightsSource]], *, max_parameters: float | None
) -> Field:
    rows = [row_of(entry, name, sources=sources, count=False) for name, entry in networks_matching(registry, "*")]
    files = {row.path: row for row in reversed(rows) if row.path}  # one file may fill networks of two libraries
    there = [_counted(registry, _with_stand_in(row)) for row in rows if row.path and files[row.path] is row]
    candidates = [_within(row, max_parameters=max_parameters) for row in there]
    fit = [candidate for candidate in candidates if not candidate.refused]
    notes = []
    if len(there) < len(rows):
        notes.append(
            f"{len(rows) - len(there)} networks have no weights on this machine; models=[NAME,...] names some of them "
            "to be fetched"
        )
    large = [candidate.name for candidate in candidates if candidate.refused]
    if large:
        notes.append(f"{len(large)} networks at hand are larger than max_params ({_first(large)})")
    if not fit:
        raise UserError(
            "no network that could be compared has its weights on this machine" + (f": {notes[-1]}" if large else ""),
            where="models",
            do=["models=[resnet18,resnet50] names networks whose weights are fetched"]
            + (["or raise max_params"] if large else []),
        )
    chosen = _spread(fit)
    if len(chosen) < len(fit):
        out = [candidate.name for candidate in fit if candidate not in chosen]
        notes.append(f"{len(out)} of {len(fit)} networks at hand are left out ({_first(out)}); models=[...] names them")
    return Field(tuple(chosen), tuple(notes))


def _spread(candidates: Sequence[Candidate]) -> list[Candidate]:
    """At most 16, evenly spread over the order of size, the smallest and the largest among them."""
    if len(candidates) <= MOST_UNNAMED:
        return list(candidates)
    ordered = sorted(candidates, key=lambda c: (c.parameters or math.inf, c.full_name))
    step = (len(ordered) - 1) / (MOST_UNNAMED - 1)
    return [ordered[round(place * step)] for place in range(MOST_UNNAMED)]


def _first(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
