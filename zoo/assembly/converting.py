"""Another framework's weights as a saved model, with a proof where one can be had."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from zoo.artifacts.model_folder import save_model
from zoo.artifacts.saved_model import SavedModel
from zoo.assembly.import_inputs import Prepared, choose_classes, choose_preprocess, component_options
from zoo.assembly.network_options import refuse_for_imports
from zoo.assembly.pinned import made_of
from zoo.contracts.data import Task
from zoo.contracts.importing import ForeignModel, Importer, Provenance
from zoo.contracts.model import Model
from zoo.errors import UserError
from zoo.files import sha256_of
from zoo.models.surgery import change_network, structural
from zoo.plugins import Plugins
from zoo.registry import Entry, Registry
from zoo.weights.aligning import Alignment, align
from zoo.weights.folding import Folded, differences, fold
from zoo.weights.parity import Difference, Reference, compare, read_reference, run_source
from zoo.weights.tracing import trace_layers

MOST_ASSIGNMENTS = 64
"""How many assignments a comparison of outputs may choose from."""

TOLERANCE = 1e-3
"""Largest relative difference of the outputs that counts as the same network."""


@dataclass(frozen=True)
class Request:
    """What is to be converted.

    Attributes:
        source: The file.
        model: The network's name.
        out: Folder of the saved model to write.
        definition: A file that describes the network, where the framework keeps it apart.
        reader: Name of the importer; None finds it by the file.
        reference: An .npz with inputs and outputs to compare with.
        classes: A file of class names.
        preprocess: Name of a convention.
        tolerance: Largest relative difference that is accepted.
        model_options: As typed, without `model.`.
        reader_options: As typed, without `importer.`.
    """

    source: Path
    model: str
    out: Path
    definition: Path | None = None
    reader: str | None = None
    reference: Path | None = None
    classes: str | None = None
    preprocess: str | None = None
    tolerance: float = TOLERANCE
    model_options: Mapping[str, str] = field(default_factory=dict)
    reader_options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Converted:
    """The saved model and what is known of it."""

    saved: SavedModel
    provenance: Provenance


@dataclass(frozen=True)
class _Fit:
    """An assignment with its values, and what a comparison said of them."""

    alignment: Alignment
    folded: Folded
    difference: Difference | None = None


def convert(request: Request, plugins: Plugins, *, say: Callable[[str], None]) -> Converted:
    """Reads, aligns, folds, compares and saves; nothing is left where one of them fails.

    Raises:
        UserError: The file cannot be read, does not fit the network in one way, or gives other outputs.
    """
    _check_paths(request)
    registry = plugins.registry
    reader_entry, reader = find_reader(request, registry)
    foreign = reader.read(request.source, definition=request.definition)
    say(f"source  {request.source}: {foreign.framework}, {len(foreign.layers)} layers with values")
    entry, options, model = build_target(request, foreign, registry=registry)
    prepared = choose_preprocess(request.preprocess, foreign, model=model)
    model = dataclasses.replace(model, spec=dataclasses.replace(model.spec, preprocess=prepared.preprocess))
    say(f"model   {model.spec.name}, input {prepared.preprocess.size} px; {prepared.how}")
    reference = _reference(request, reader, prepared=prepared)
    fit = _fit(request, foreign, model=model, reference=reference, prepared=prepared, registry=registry, entry=entry)
    classes, named_by = choose_classes(request.classes, count=outputs_of(foreign), model=model)
    provenance = _provenance(
        request, foreign, reader=reader_entry, fit=fit, reference=reference, prepared=prepared, named_by=named_by
    )
    saved = save_model(
        request.out,
        model,
        classes=classes,
        preprocess=prepared.preprocess,
        task=Task.SINGLE_LABEL,
        origin={"import": dataclasses.asdict(provenance), **made_of([entry])},
        model_options=options,
        model_name=entry.full_name,
    )
    return Converted(saved, provenance)


def _check_paths(request: Request) -> None:
    """Raises UserError before anything is read where the result could not be written, or a file is missing."""
    for key, path in (("source", request.source), ("definition", request.definition), ("reference", request.reference)):
        if path is not None and not path.is_file():
            raise UserError(f"there is no file {str(path)!r}", where=f"{key}={path}")
    out = request.out
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(
            f"{str(out)!r} is there already; it was left as it is",
            where=f"out={out}",
            do="name a new or an empty folder",
        )


def find_reader(request: Request, registry: Registry) -> tuple[Entry, Importer]:
    """The importer that the user names, or the one that knows the file.

    Raises:
        UserError: None knows it, or several do.
    """
    if request.reader is not None:
        entry = registry.get("importer", request.reader)
        return entry, entry.build(**component_options(entry, request.reader_options, prefix="importer"))
    found = [entry for entry in registry.entries("importer") if entry.build().reads(request.source)]
    if len(found) != 1:
        known = [
            f"{entry.name} ({', '.join(entry.facts.get('suffixes', ()))})" for entry in registry.entries("importer")
        ]
        raise UserError(
            "no reader knows this file"
            if not found
            else f"{len(found)} readers know this file: {', '.join(entry.full_name for entry in found)}",
            where=f"source={request.source}",
            allowed="; ".join(known),
            do="name the reader: reader=NAME",
        )
    return found[0], found[0].build(**component_options(found[0], request.reader_options, prefix="importer"))


def outputs_of(source: ForeignModel) -> int:
    """Number of outputs: the width of the last layer that is no norm.

    Raises:
        UserError: There is none, or several layers end the network.
    """
    layers = [layer for layer in source.layers if layer.kind != "norm"]
    if not layers:
        raise UserError("this file holds no convolution and no dense layer", where="source")
    if all(layer.after is not None for layer in source.layers):
        read = {name for layer in source.layers for name in layer.after or ()}
        ends = [layer for layer in source.layers if layer.name not in read]
        if len(ends) > 1:
            names = ", ".join(layer.name for layer in ends[:5])
            raise UserError(
                f"this network ends in {len(ends)} layers: {names}", where="source", allowed="one output for each class"
            )
        layers = [layer for layer in ends if layer.kind != "norm"] or layers
    return int(layers[-1].tensors["weight"].shape[0])


def build_target(request: Request, source: ForeignModel, *, registry: Registry) -> tuple[Entry, dict[str, Any], Model]:
    """The network with random values, for the source's outputs, channels and input size.

    Raises:
        UserError: The network does not exist, or cannot be built so.
    """
    entry = registry.get("model", request.model)
    options = component_options(entry, request.model_options, prefix="model")
    asked = options.pop("image_size", None)
    size = asked if isinstance(asked, int) else None
    if size is None and source.input_shape is not None:
        height, width = source.input_shape[1:]
        if height != width:
            raise UserError(f"the source reads images of {height} x {width}", where="source", allowed="square images")
        size = height
    own, common = entry.split(options)
    refuse_for_imports(common)
    model: Model = entry.build(**own, classes=outputs_of(source), channels=channels_of(source), image_size=size)
    return entry, own | structural(common), change_network(model, common)


def channels_of(source: ForeignModel) -> int:
    """Input channels: the file's, or those of the convolution that reads the image; 3 where neither says."""
    if source.input_shape is not None:
        return source.input_shape[0]
    first = next((layer for layer in source.layers if layer.kind == "conv" and not layer.after), None)
    if first is None:
        return 3
    return int(first.tensors["weight"].shape[1]) * int(first.facts.get("groups", 1))


def _reference(request: Request, reader: Importer, *, prepared: Prepared) -> Reference | None:
    """Outputs to compare with: the user's, or the source framework's own."""
    if request.reference is not None:
        return read_reference(request.reference, prepared.preprocess, reverse_input=prepared.reverse_input)
    forward = reader.forward(request.source, definition=request.definition)
    if forward is None:
        return None
    against = getattr(reader, "runtime", "the source framework")
    return run_source(forward, prepared.preprocess, reverse_input=prepared.reverse_input, against=str(against))


def _fit(
    request: Request,
    source: ForeignModel,
    *,
    model: Model,
    reference: Reference | None,
    prepared: Prepared,
    registry: Registry,
    entry: Entry,
) -> _Fit:
    """The one assignment that holds, with its values in the network.

    Raises:
        UserError: The layers differ, several assignments fit and nothing decides, or the outputs differ.
    """
    own = prepared.preprocess
    target = trace_layers(model.module, torch.zeros(1, own.channels, own.size, own.size))
    variants = variants_of(entry, registry)
    try:
        found = list(itertools.islice(align(source, target), MOST_ASSIGNMENTS + 1))
    except UserError as error:
        raise _with_variants(error, variants) from error
    agreeing = [alignment for alignment in found if not differences(alignment.pairs)]
    if not agreeing:
        raise _with_variants(_computes_otherwise(differences(found[0].pairs), model=model), variants)
    if reference is None:
        if len(agreeing) > 1:
            raise _undecided(agreeing[0])
        return _Fit(agreeing[0], _filled(model, agreeing[0], prepared=prepared))
    tried: list[_Fit] = []
    for alignment in agreeing[:MOST_ASSIGNMENTS]:
        folded = _filled(model, alignment, prepared=prepared)
        tried.append(_Fit(alignment, folded, compare(model.module, reference)))
        if _relative(tried[-1]) <= request.tolerance:
            return tried[-1]
    raise _with_variants(
        _other_outputs(request, min(tried, key=_relative), reference=reference, count=len(tried)), variants
    )


def _relative(fit: _Fit) -> float:
    return fit.difference.max_relative if fit.difference is not None else float("inf")


def _filled(model: Model, alignment: Alignment, *, prepared: Prepared) -> Folded:
    """Puts an assignment's values into the network, strictly: every tensor but the step counters must come."""
    folded = fold(alignment.pairs, reverse_input=prepared.reverse_input)
    state = model.module.state_dict()
    counters = {name: state[name] for name in state if name.endswith("num_batches_tracked")}
    model.module.load_state_dict({**counters, **folded.tensors}, strict=True)
    return folded


def variants_of(entry: Entry, registry: Registry) -> list[str]:
    """Registered networks that say they are variants of this one (fact `variant_of`), or it of them."""
    relatives = {entry.full_name, entry.name, *entry.facts.get("variant_of", ())}
    found = [
        other.name
        for other in registry.entries("model")
        if other.full_name != entry.full_name and relatives & {other.full_name, *other.facts.get("variant_of", ())}
    ]
    return found + [name for name in entry.facts.get("variant_of", ()) if name not in found]


def _with_variants(error: UserError, variants: list[str]) -> UserError:
    """The same error, with the registered variants of the network."""
    if not variants:
        return error
    ways = [f"model={name}: a variant of this network" for name in variants]
    return UserError(error.what, where=error.where, allowed=error.allowed, do=[*ways, *error.do])


def _computes_otherwise(found: list[str], *, model: Model) -> UserError:
    more = f", and {len(found) - 3} more" if len(found) > 3 else ""
    return UserError(
        f"the values fit {model.spec.name}, but it computes otherwise: {'; '.join(found[:3])}{more}",
        where="model",
        do="take the network that computes as the source does; the same values in another network give other outputs",
    )


def _undecided(alignment: Alignment) -> UserError:
    shown = "; ".join(f"{theirs} could be {ours}" for theirs, ours in alignment.open[:3])
    return UserError(
        f"more than one assignment of the layers fits, and nothing in the file decides: {shown}",
        where="source",
        do=[
            "reference=FILE.npz: arrays input and output of the source, by which one is chosen",
            "convert from a file that holds the whole network",
        ],
    )


def _other_outputs(request: Request, best: _Fit, *, reference: Reference, count: int) -> UserError:
    most = best.difference.max_abs if best.difference is not None else float("inf")
    tried = f" (the best of {count} assignments)" if count > 1 else ""
    return UserError(
        f"the outputs differ from {reference.against} by {_relative(best):.3g} relative, {most:.3g} absolute{tried}; "
        f"accepted is {request.tolerance:g} relative",
        where=f"source={request.source}",
        do=[
            "check the network's name and options, and the preprocessing if the reference holds pixels",
            "tolerance= accepts a larger difference, which is then written into the model",
        ],
    )


def _provenance(
    request: Request,
    source: ForeignModel,
    *,
    reader: Entry,
    fit: _Fit,
    reference: Reference | None,
    prepared: Prepared,
    named_by: str,
) -> Provenance:
    """What is written beside the model."""
    notes = [*source.notes, *fit.folded.notes, f"class names: {named_by}"]
    if prepared.reverse_input:
        notes.append("the source reads B, G, R; its first layer was turned to R, G, B")
    if fit.alignment.by_name:
        notes.append(f"told apart by their names alone: {', '.join(fit.alignment.by_name)}")
    if fit.alignment.open:
        notes.append("several assignments of the layers fitted; the comparison of outputs chose")
    difference = fit.difference
    return Provenance(
        framework=source.framework,
        file=request.source.name,
        sha256=sha256_of(request.source),
        reader=reader.full_name,
        against=reference.against if reference is not None else "",
        inputs=len(reference.inputs) if reference is not None else 0,
        max_abs=None if difference is None else difference.max_abs,
        max_relative=None if difference is None else difference.max_relative,
        compared="" if difference is None else difference.compared,
        preprocess=prepared.how,
        notes=tuple(notes),
    )
