"""Finds pretrained values and puts them into a network, strictly: what does not fit is an error, never left out."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from zoo.contracts.model import FoundWeights, LoadReport, Model, ModelSpec, WeightsRequest, WeightsSource
from zoo.errors import UserError
from zoo.files import sha256_of
from zoo.weights.caches import hub_cache_folder, hub_files, split_hub_id, torch_cache_file
from zoo.weights.files import read_path

COUNTER = r"(?:.*\.)?num_batches_tracked$"
"""BatchNorm's step counters: files of before 2018 lack them, and nothing here reads them."""


def find_weights(
    request: WeightsRequest,
    sources: Sequence[tuple[str, WeightsSource]],
    *,
    choice: str = "auto",
    say: Callable[[str], None],
) -> FoundWeights | None:
    """The pretrained values that `weights=` means; None only for `none`.

    Of the published sets only the first is taken, the one that was named or the library's default: what another one
    in some cache would give must not depend on the cache.

    Args:
        request: The network and its published sets.
        sources: (name, source) in the order in which they are asked.
        choice: `auto` or the name of a source asks `sources`; `none` leaves the network as it is; anything else is a
            path.
        say: Is told every place that is tried, one line each.

    Raises:
        UserError: There are none; it names all places that were tried and the ways on.
    """
    if choice == "none":
        say("weights none: random values, as asked")
        return None
    if choice != "auto" and choice not in [name for name, _ in sources]:
        found = read_path(Path(choice).expanduser(), request.spec)
        say(f"weights {found.path}" + (f" ({found.note})" if found.note else ""))
        return found
    wanted = dataclasses.replace(request, records=request.records[:1])
    tried: list[str] = []
    for name, source in sources:
        places = source.places(wanted)
        if places:
            say(f"weights looking in {name}: {', '.join(places)}")
        hit = source.find(wanted)
        if hit is not None:
            tag = f" {hit.record.tag}" if hit.record.tag else ""
            say(f"weights found in {name}:{tag} {hit.path}" + (f" ({hit.note})" if hit.note else ""))
            if hit.warning:
                say(f"warning: {hit.warning}")
            return hit
        tried += [f"{name}: {place}" for place in source.places(wanted)]
    raise _nothing_found(request, tried, others=_others_at_hand(request, sources), choice=choice)


def _others_at_hand(request: WeightsRequest, sources: Sequence[tuple[str, WeightsSource]]) -> list[str]:
    """Tags of this network's other published sets that lie on this machine."""
    others = [(record, dataclasses.replace(request, records=(record,))) for record in request.records[1:]]
    return [record.tag for record, alone in others if any(source.locate(alone) for _, source in sources)]


def _nothing_found(request: WeightsRequest, tried: Sequence[str], *, others: Sequence[str], choice: str) -> UserError:
    """That there are no weights, with every place tried and the ways on."""
    spec = request.spec
    tag = f" ({request.records[0].tag})" if request.records and request.records[0].tag else ""
    known = f"no pretrained weights of {spec.name}{tag} can be had here"
    if not request.records:
        known = f"no pretrained weights of {spec.name} are published in a form that zoo reads"
    ways = [f"model={spec.arch}.{other}: these weights of the same network are at hand" for other in others[:3]]
    ways.append("weights=PATH: a weight file or a saved model's folder that you have")
    ways += _download_ways(request)
    ways.append("weights=none: start from random values (needs far more images and time)")
    return UserError(
        known + ("; tried:\n" + "\n".join(f"    {place}" for place in tried) if tried else ""),
        where=f"weights={choice}",
        do=ways,
    )


def _download_ways(request: WeightsRequest) -> list[str]:
    """What to fetch on a machine that has the network, and where to put it on this one."""
    if not request.records:
        return []
    record = request.records[0]
    ways = []
    if record.url:
        ways.append(f"where there is a network, fetch {record.url} and put it here: {torch_cache_file(record.url)}")
    elif record.hub_id:
        repository, revision = split_hub_id(record.hub_id)
        address = f"https://huggingface.co/{repository}/resolve/{revision or 'main'}/{hub_files(record)[0]}"
        ways.append(
            f"where there is a network, fetch {address} and give its path as weights=, or run "
            f"`hf download {repository}` there and copy its cache folder here: {hub_cache_folder(record.hub_id)}"
        )
    return ways


def load_weights(model: Model, found: FoundWeights | None, *, head_is_new: bool) -> LoadReport:
    """Copies found values into a network, in place; every tensor of both sides is accounted for.

    Args:
        model: The network; the module in its head's slot may be any when `head_is_new`.
        found: What a source found, or None for random values that the user asked for.
        head_is_new: Leave the head as it is, and the file's head out.

    Raises:
        UserError: Names or shapes differ otherwise than by the declared patterns, or a value is not a number.
    """
    own = model.module.state_dict()
    if found is None:
        return LoadReport("none", "", "", "", 0, tuple(own), ())
    head = f"{model.spec.classifier}."
    wanted = {name: value for name, value in own.items() if not (head_is_new and name.startswith(head))}
    file, unused = _without_ignored(found.tensors, model.spec, head=head if head_is_new else None)
    fresh_by_rule = re.compile("|".join((COUNTER, *model.spec.fresh_keys)))
    fit = _compare(wanted, file, fresh=fresh_by_rule)
    fitted = file
    if not fit.good and model.convert is not None:
        converted = model.convert(found.tensors, found.record)
        fitted, _ = _without_ignored(converted, model.spec, head=head if head_is_new else None)
        fit = _compare(wanted, fitted, fresh=fresh_by_rule)
    if not fit.good:
        raise _misfit(model.spec, found, fit=fit)
    _check_numbers(fitted, found)
    model.module.load_state_dict({name: fitted[name] for name in wanted if name in fitted}, strict=False)
    fresh = [name for name in own if name not in wanted] + fit.fresh
    adapted = [name for name in wanted if name in file and name in fitted and file[name].shape != fitted[name].shape]
    return LoadReport(
        source=found.source,
        location=str(found.path),
        sha256=sha256_of(found.path),
        tag=found.record.tag,
        loaded=sum(name in fitted for name in wanted),
        reinitialised=tuple(fresh),
        unused=tuple(unused),
        adapted=tuple(adapted),
        license=found.record.license,
    )


def _without_ignored(
    tensors: Mapping[str, torch.Tensor], spec: ModelSpec, *, head: str | None
) -> tuple[dict[str, torch.Tensor], list[str]]:
    """The tensors that count, and the names left out by declared pattern."""
    patterns = [re.compile(pattern) for pattern in spec.ignored_keys]
    unused = [
        name
        for name in tensors
        if any(pattern.match(name) for pattern in patterns) or (head is not None and name.startswith(head))
    ]
    return {name: value for name, value in tensors.items() if name not in set(unused)}, unused


@dataclass(frozen=True)
class _Fit:
    """How two sets of tensors differ."""

    missing: list[str]
    extra: list[str]
    misshapen: list[str]
    fresh: list[str]

    @property
    def good(self) -> bool:
        return not (self.missing or self.extra or self.misshapen)


def _compare(wanted: Mapping[str, torch.Tensor], file: Mapping[str, torch.Tensor], *, fresh: re.Pattern[str]) -> _Fit:
    """Names and shapes, side by side; names that may start fresh are no difference."""
    absent = [name for name in wanted if name not in file]
    return _Fit(
        missing=[name for name in absent if not fresh.match(name)],
        extra=[name for name in file if name not in wanted],
        misshapen=[
            f"{name} (file {_shape(file[name])}, network {_shape(value)})"
            for name, value in wanted.items()
            if name in file and file[name].shape != value.shape
        ],
        fresh=[name for name in absent if fresh.match(name)],
    )


def _shape(tensor: torch.Tensor) -> str:
    return "x".join(str(size) for size in tensor.shape) or "scalar"


def _misfit(spec: ModelSpec, found: FoundWeights, *, fit: _Fit) -> UserError:
    """Counts and first names of what differs."""
    parts = [
        f"{len(names)} {what} ({_first(names)})"
        for what, names in (
            ("missing in the file", fit.missing),
            ("unknown to the network", fit.extra),
            ("of another shape", fit.misshapen),
        )
        if names
    ]
    return UserError(
        f"these weights do not fit {spec.name}: {'; '.join(parts)}",
        where=str(found.path),
        do=["check that the file belongs to this network and its options", "weights=auto takes the published ones"],
    )


def _first(names: Iterable[str], *, most: int = 3) -> str:
    listed = list(names)
    return ", ".join(listed[:most]) + (", ..." if len(listed) > most else "")


def _check_numbers(tensors: Mapping[str, torch.Tensor], found: FoundWeights) -> None:
    """Raises UserError where a value is NaN: a file that was torn, or of a training run that broke."""
    broken = [name for name, value in tensors.items() if value.is_floating_point() and bool(value.isnan().any())]
    if broken:
        raise UserError(
            f"{len(broken)} tensors of these weights hold values that are no numbers ({_first(broken)})",
            where=str(found.path),
            do="take other weights",
        )
