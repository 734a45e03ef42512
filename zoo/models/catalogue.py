"""What can be said of a network before it is trained: its size, its input, its published weights and where they are."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from zoo.contracts.model import Model, ModelSpec, WeightsRecord, WeightsRequest, WeightsSource
from zoo.errors import UserError, name_list
from zoo.imaging.preprocess import Preprocess
from zoo.registry import Entry, Registry

Availability = Literal["at hand", "download", "none"]


@dataclass(frozen=True)
class Row:
    """One network as a listing shows it.

    Attributes:
        name: What a user writes after `model=`: the bare name, or the full one where another network owns the bare.
        parameters: Trainable values with the published head; None where they were not counted.
        input_px: Side of the published weights' input, or None where there are none and the network has no own.
        weights: Whether the default weights lie on this machine, would be downloaded, or are not published.
        source: The weight source that has them, or one whose weights would stand in for them; "" where there is none.
        path: Where these lie, or None.
        record: The default set of weights.
        reference: What to read of this network as it is built here.
        paper: What introduced the architecture, `arXiv:1409.1556`; None where its plugin does not say.
        title: Of that paper, or None.
        year: In which that appeared.
        multiply_adds: For one image at the published size, or None where the plugin does not state it.
        classic: Place in the history of the field's classic networks, None for all others.
    """

    name: str
    full_name: str
    summary: str
    reference: str | None
    year: int | None
    parameters: int | None
    input_px: int | None
    weights: Availability
    source: str
    path: Path | None
    record: WeightsRecord | None
    paper: str | None = None
    title: str | None = None
    multiply_adds: int | None = None
    classic: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "name": self.name,
            "full_name": self.full_name,
            "summary": self.summary,
            "reference": self.reference,
            "paper": self.paper,
            "title": self.title,
            "year": self.year,
            "classic": self.classic is not None,
            "parameters": self.parameters,
            "multiply_adds": self.multiply_adds,
            "input_px": self.input_px,
            "weights": self.weights,
            "source": self.source or None,
            "path": str(self.path) if self.path else None,
            "tag": self.record.tag if self.record else None,
            "license": self.record.license if self.record else None,
        }


def matching(pattern: str, names: Iterable[str]) -> list[str]:
    """Names that a shell pattern fits (`resnet*`); a pattern without wildcards fits names that contain it.

    Raises:
        UserError: It fits none; the nearest names are listed.
    """
    known = list(names)
    found = _fitting(pattern, known)
    if not found:
        bare = pattern.strip("*?")
        raise UserError(
            f"no model fits {pattern!r}",
            allowed=name_list(bare, known),
            do="`python -m zoo models` lists all; quote a pattern: 'resnet*'",
        )
    return found


def _fitting(pattern: str, names: Iterable[str]) -> list[str]:
    wild = pattern if any(sign in pattern for sign in "*?[") else f"*{pattern}*"
    return [name for name in names if fnmatch.fnmatchcase(name.lower(), wild.lower())]


def networks_matching(registry: Registry, pattern: str) -> list[tuple[str, Entry]]:
    """(what a user writes, network): the bare name for its owner, full names for the others of that name.

    Args:
        registry: All components.
        pattern: `resnet*`, `vit`, `torchvision/vgg*`, `resnet18.*` (its sets of weights).

    Raises:
        UserError: It fits none; the nearest names are listed.
    """
    namespace, slash, bare = pattern.rpartition("/")
    names = registry.names("model")
    whole = _fitting(bare, names)  # a dot may be part of a name
    wanted, dot, tag = bare.partition(".") if not whole else (bare, "", "")
    found: list[tuple[str, Entry]] = []
    for name in sorted(whole or matching(wanted, names), key=_natural):
        for place, entry in enumerate(registry.owners("model", name)):
            if slash and entry.origin.namespace != namespace:
                continue
            shown = name if place == 0 else entry.full_name
            found += _tagged(registry, entry, shown=shown, tag=tag) if dot else [(shown, entry)]
    if not found:
        raise UserError(f"no model fits {pattern!r}", do="leave out what stands before the slash")
    return found


def _natural(name: str) -> list[tuple[int, str]]:
    """Sorts resnet18 before resnet101."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", name)]


def _tagged(registry: Registry, entry: Entry, *, shown: str, tag: str) -> list[tuple[str, Entry]]:
    """A network once for each of its sets of weights whose tag the pattern fits."""
    tags = [record.tag for record in entry.facts.get("records", ()) if record.tag]
    wanted = [each for each in tags if fnmatch.fnmatchcase(each, tag or "*")]
    return [(f"{shown}.{each}", registry.get("model", f"{entry.full_name}.{each}")) for each in wanted]


def row_of(entry: Entry, name: str, *, sources: Sequence[tuple[str, WeightsSource]], count: bool) -> Row:
    """What a listing says of a network.

    Args:
        entry: The network.
        name: What a user writes for it.
        sources: Weight sources in their order; they are asked by name alone, never the network.
        count: Build a network whose plugin does not state its parameters, without values, and count them.
    """
    records: tuple[WeightsRecord, ...] = tuple(entry.facts.get("records", ()))
    source, path = locate(entry, records, sources=sources)
    stand_in = bool(records) and any(name == source and getattr(each, "stands_in", False) for name, each in sources)
    known = entry.facts.get("parameters")
    return Row(
        name=name,
        full_name=entry.full_name,
        summary=entry.summary,
        reference=entry.source,
        year=entry.facts.get("year"),
        parameters=known if known is not None or not count else _parameters(entry),
        input_px=records[0].preprocess.size if records else entry.facts.get("input_px"),
        weights="at hand" if path and not stand_in else "download" if records else "none",
        source=source,
        path=path,
        record=records[0] if records else None,
        paper=entry.facts.get("paper"),
        title=entry.facts.get("title") or None,
        multiply_adds=entry.facts.get("multiply_adds"),
        classic=entry.facts.get("classic"),
    )


def in_order_of_history(rows: Iterable[Row]) -> list[Row]:
    """The classic networks alone, the oldest first; those of one paper by their size."""
    classic = [row for row in rows if row.classic is not None]
    return sorted(classic, key=lambda row: (row.classic, row.parameters or 0, row.name))


def locate(
    entry: Entry,
    records: Sequence[WeightsRecord],
    *,
    sources: Sequence[tuple[str, WeightsSource]],
    named: bool = False,
) -> tuple[str, Path | None]:
    """Name of the first source that has the default weights on this machine, and their path; ("", None) otherwise.

    Args:
        named: Whether only these records count; a network named with a weight tag names them anyway.
    """
    if entry.facts.get("saved_in"):  # a published model carries its own
        return ("published", Path(entry.facts["saved_in"])) if records else ("", None)
    named = named or bool(_named_tag(entry))
    request = WeightsRequest(_outline(entry), tuple(records[:1]), allow_network=False, named=named)
    for name, source in sources:
        path = source.locate(request)
        if path is not None:
            return name, path
    return "", None


def _outline(entry: Entry) -> ModelSpec:
    """A description that is enough to look weights up by name, without building the network."""
    full_name = entry.full_name.removesuffix(f".{_named_tag(entry)}")
    library, _, arch = full_name.partition("/")
    blank = Preprocess(1, (0.0,), (1.0,))
    return ModelSpec(full_name, library, arch, "", 0, (), blank)


def _named_tag(entry: Entry) -> str:
    """The set of weights that the name of a network ends with, or "": any other dot is a part of the name."""
    tag = next((record.tag for record in entry.facts.get("records", ())), "")
    return tag if tag and entry.full_name.endswith(f".{tag}") else ""


def _parameters(entry: Entry) -> int | None:
    """Parameters of a network with its published head, or None where it refuses to be built."""
    try:
        module = outline_network(entry).module
    except UserError:
        return None
    return sum(parameter.numel() for parameter in module.parameters())


def outline_network(entry: Entry) -> Model:
    """A network with its published head and no values: on torch's meta device, so it takes neither memory nor time.

    Networks that compute with values while they are built have to be built for real.

    Raises:
        UserError: The network cannot be built with one head.
    """
    facts = entry.facts
    records = facts.get("records", ())
    classes = (records[0].classes if records else facts.get("classes")) or 1000
    supplied = {"classes": classes, "channels": facts.get("channels", 3), "image_size": None}
    try:
        with torch.device("meta"):
            model: Model = entry.build(**supplied)
    except (NotImplementedError, RuntimeError):
        model = entry.build(**supplied)
    return model


def multiply_adds(module: nn.Module, *, size: int, channels: int) -> int:
    """Multiplications with additions in one forward pass of one image, as torch counts them (products of matrices)."""
    from torch.utils.flop_counter import FlopCounterMode

    reference = next(module.parameters())
    mode = module.training
    try:
        # Gradients stay on: the counter follows them to tell modules apart, and fails on some networks without.
        with FlopCounterMode(display=False) as counter:
            module.eval()(reference.new_zeros(1, channels, size, size))
    finally:
        module.train(mode)
    return int(counter.get_total_flops()) // 2


@dataclass(frozen=True)
class Card:
    """All that is known of one network.

    Attributes:
        multiply_adds: Of one image at the published size.
        stages: Names and parameters of the depths that get their own learning rate, from the input.
        options: Name and default of each option.
        records: Each published set of weights with the source that has it on this machine, or "".
    """

    row: Row
    multiply_adds: int
    classifier: str
    feature_dim: int
    stages: tuple[tuple[str, int], ...]
    options: tuple[tuple[str, Any], ...]
    records: tuple[tuple[WeightsRecord, str], ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            **self.row.to_dict(),
            "multiply_adds": self.multiply_adds,
            "classifier": self.classifier,
            "feature_dim": self.feature_dim,
            "stages": [{"name": name, "parameters": parameters} for name, parameters in self.stages],
            "options": dict(self.options),
            "published": [
                {
                    "tag": record.tag,
                    "license": record.license,
                    "classes": record.classes,
                    "hub_id": record.hub_id,
                    "url": record.url,
                    "preprocess": record.preprocess.to_dict(),
                    "at_hand": source or None,
                }
                for record, source in self.records
            ],
        }


def card_of(entry: Entry, name: str, *, sources: Sequence[tuple[str, WeightsSource]]) -> Card:
    """Builds a network without values and says all that is known of it.

    Raises:
        UserError: The network cannot be built with one head.
    """
    model = outline_network(entry)
    numel = {name: parameter.numel() for name, parameter in model.module.named_parameters()}
    preprocess = model.spec.preprocess
    return Card(
        row=row_of(entry, name, sources=sources, count=True),
        multiply_adds=entry.facts.get("multiply_adds")
        or multiply_adds(model.module, size=preprocess.size, channels=preprocess.channels),
        classifier=model.spec.classifier,
        feature_dim=model.spec.feature_dim,
        stages=tuple((stage.name, sum(numel[name] for name in stage.parameters)) for stage in model.spec.stages),
        options=tuple((option.name, option.default) for option in entry.parameters()),
        records=tuple(
            (record, locate(entry, (record,), sources=sources, named=True)[0]) for record in model.spec.weights
        ),
    )
