"""Sources of weights: asked about every network, they answer for their own alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from zoo.contracts.model import FoundWeights, ModelSpec, WeightsRecord, WeightsRequest
from zoo.imaging.preprocess import Preprocess
from zoo.testing.building import needs
from zoo.testing.results import BrokenError
from zoo.testing.subject import Subject

_PREPROCESS = Preprocess(32, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def _requests() -> list[WeightsRequest]:
    """A network that nobody has published, with no set of weights and with a set that a hub is said to have."""
    spec = ModelSpec("kit/nobodys_network", "kit", "nobodys_network", "fc", 8, (), _PREPROCESS)
    record = WeightsRecord("made_up_in1k", _PREPROCESS, hub_id="nobody/nobodys_network", classes=10)
    return [
        WeightsRequest(spec, (), allow_network=False),
        WeightsRequest(spec, (record,), allow_network=False),
        WeightsRequest(spec, (record,), allow_network=False, named=True),
    ]


def builds(subject: Subject) -> None:
    """It has `locate`, `find` and `places`, and a whole number as its rank."""
    needs(subject.build(), "locate", "find", "places")
    rank = subject.entry.facts.get("rank", 100)
    if not isinstance(rank, int) or isinstance(rank, bool):
        raise BrokenError(f"the fact rank is {rank!r}", fix="Pass a whole number: sources are asked in rising order.")


def use(subject: Subject) -> None:
    """Asks as a listing and a run do."""
    source = subject.build()
    for request in _requests():
        source.places(request)
        source.locate(request)
        source.find(request)


def shapes(subject: Subject) -> None:
    """Paths, lists of texts, found weights."""
    source = subject.build()
    for request in _requests():
        places = source.places(request)
        if not isinstance(places, list) or not all(isinstance(place, str) for place in places):
            raise BrokenError(f"places() gave {places!r}", fix="Return a list of texts, one for each place.")
        located = source.locate(request)
        if located is not None and not isinstance(located, Path):
            raise BrokenError(f"locate() gave {located!r}", fix="Return a Path, or None.")
        _check_found(source.find(request))


def _check_found(found: Any) -> None:
    if found is None:
        return
    if not isinstance(found, FoundWeights):
        raise BrokenError(f"find() gave a {type(found).__name__}", fix="Return contracts.model.FoundWeights, or None.")
    for name, tensor in found.tensors.items():
        if getattr(getattr(tensor, "device", None), "type", "cpu") != "cpu":
            raise BrokenError(f"find() gave {name!r} on {tensor.device}", fix="Read onto the CPU.")


def refuses(subject: Subject) -> None:
    """A network that nobody knows has no weights, unless the source only stands in."""
    source = subject.build()
    if getattr(source, "stands_in", False):
        return
    for request in _requests():
        located, found = source.locate(request), source.find(request)
        if located is not None or found is not None:
            raise BrokenError(
                f"it found weights of {request.spec.name!r}, which nobody has published",
                fix="Compare request.spec and request.records; return None for what is not there.",
            )
