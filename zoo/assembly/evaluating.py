"""Scores a saved run again, on its own data or on others."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from zoo.artifacts.record import RunRecord
from zoo.artifacts.run_folder import RunFolder
from zoo.artifacts.saved_model import SavedModel
from zoo.assembly.console import Console
from zoo.assembly.outputs import log_loss, outputs_over
from zoo.assembly.pinned import check_installed, recorded_wrappers
from zoo.assembly.sources import build_source, list_configured, refuse_idle
from zoo.assembly.using import load_saved
from zoo.config.compose import configure_data, from_plain
from zoo.contracts.data import DataSource
from zoo.contracts.evaluation import Scores
from zoo.contracts.importing import Provenance
from zoo.data.arrays import holds_arrays
from zoo.data.batches import Batches
from zoo.data.listing import Listing
from zoo.data.pack import pack
from zoo.data.shorthand import source_name_for
from zoo.errors import UserError, name_list
from zoo.evaluation.metrics import score
from zoo.plugins import Plugins
from zoo.training.devices import keep_freed_memory, make_accelerator


def evaluate_run(
    folder: Path, plugins: Plugins, *, console: Console, data: Sequence[str] = (), split: str | None, device: str
) -> Scores:
    """Scores of a run's saved model.

    Args:
        folder: The run.
        plugins: What is installed.
        console: Says what is read.
        data: Other labelled images, in the words of `finetune` (`data=PATH`, `data.KEY=VALUE`); none: the run's own.
        split: Which split; None takes `test`, or all images of other data that have no splits.
        device: Where to compute.

    Raises:
        UserError: No run, no such split, labels that the run does not know, or a changed model.
    """
    keep_freed_memory()
    saved, model = load_saved(folder, plugins, say=console.say)
    imported = Provenance.from_origin(saved.origin)
    if imported is not None:
        console.say(imported.line())
    record = None if data else _record_of(folder, saved=saved)
    if record is not None:
        listing, source, options = _own_data(record, plugins, saved=saved, console=console)
    else:
        listing, source, options = _other_data(data, plugins, saved=saved, console=console)
        _warn_of_own_images(folder, source, console=console)
    chosen = split or ("test" if "test" in listing.splits else "val")
    if chosen not in listing.splits:
        raise UserError(f"the data have no {chosen} images", where=f"split={chosen}", allowed=", ".join(listing.splits))
    bundle = pack(
        listing,
        source,
        preprocess=saved.preprocess,
        cache="none" if data else options["cache"],
        cache_dir=options.get("cache_dir"),
        max_bad_fraction=1.0,
    )
    for bad in bundle.quarantined:
        console.say(f"left out: {bad.key}: {bad.reason}")
    if record is not None and record.data is not None and record.data.fingerprint != bundle.fingerprint:
        console.say("warning: the data are not what this run was trained on: a file, a label or a split changed since")
    accelerator = make_accelerator(device)
    model.module.to(accelerator.device)
    feed = Batches(bundle, bundle.splits[chosen], preprocess=saved.preprocess, batch_size=64, seed=0)
    console.say(f"evaluate    {len(bundle.splits[chosen])} {chosen} images of {bundle.location}")
    return score(
        outputs_over(model, feed, targets=bundle.targets, mean_loss=log_loss, accelerator=accelerator),
        split=chosen,
        classes=saved.classes,
        task=saved.task,
        thresholds=saved.thresholds,
        temperature=saved.temperature,
        note=_how_given(saved, own_split=chosen if record is not None else ""),
    )


def _how_given(saved: SavedModel, *, own_split: str) -> str:
    """How labels are given, where it is not at 0.5 for all."""
    if saved.thresholds is None:
        return ""
    if own_split == "val":
        return "at thresholds that were chosen on these images: their scores are too good"
    return "at thresholds chosen on validation images"


def _own_data(
    record: RunRecord, plugins: Plugins, *, saved: SavedModel, console: Console
) -> tuple[Listing, DataSource, dict[str, Any]]:
    """The data and splits that the run was trained on, read as they were then, in the run's own classes.

    Raises:
        UserError: A plugin that the run used is missing (the message says what to install), or the data now have
            classes that the run does not know.
    """
    around_data = [use for use in record.wrappers or () if use.kind == "dataset"]
    check_installed((*record.components, *around_data), plugins, made="the run", say=console.say)
    config = from_plain(record.config, plugins, origins=record.origins)
    source, listing = list_configured(config.data, recorded_wrappers(around_data, plugins.registry, made="the run"))
    _refuse_unknown(listing.classes, saved=saved, where=listing.location)
    return dataclasses.replace(listing, classes=saved.classes), source, dict(config.data.options)


def _refuse_unknown(labels: Iterable[str], *, saved: SavedModel, where: str) -> None:
    """Refuses labels that the saved model has no output for.

    Raises:
        UserError: There are some.
    """
    unknown = sorted(set(labels) - set(saved.classes))
    if unknown:
        raise UserError(
            f"{len(unknown)} labels that the run does not know: {', '.join(unknown[:5])}",
            where=where,
            allowed=name_list(unknown[0], saved.classes),
        )


def _record_of(folder: Path, *, saved: SavedModel) -> RunRecord:
    """The record of the run that a model was saved by.

    Raises:
        UserError: It was published without one that says where its data lie.
    """
    if "published" in saved.origin:
        raise UserError(
            "a published model does not say where its data lie",
            where=f"run={folder}",
            do=["give labelled images: data=PATH", f"the scores of its own data are in {folder / 'README.md'}"],
        )
    return RunRecord.load(RunFolder.open(folder).record)


def _warn_of_own_images(folder: Path, source: DataSource, *, console: Console) -> None:
    """Warns where the run was trained on some of these images: they have no splits, and lie where its own did."""
    record = RunFolder(folder).record
    used = RunRecord.load(record).data if record.is_file() else None
    same = used is not None and Path(used.location).resolve() == Path(source.location).resolve()
    if same and not any(sample.split for sample in source.samples()):
        console.say(
            "warning: the run was trained on some of these images, and its scores on them are too good; without data= "
            "its own test images alone are scored"
        )


def _other_data(
    words: Sequence[str], plugins: Plugins, *, saved: SavedModel, console: Console
) -> tuple[Listing, DataSource, dict[str, Any]]:
    """All labelled images that the words mean, in the run's own classes; those without a split count as test."""
    component, notes = configure_data(words, plugins, source_for=source_name_for)
    for note in notes:
        console.say(note)
    entry, where = plugins.registry.get(component.kind, component.name), words[0]
    why = "all images are scored, as the run's own were seen"
    refuse_idle(words, component.common, source=entry, why=why)
    source = build_source(component, plugins.registry)
    if holds_arrays(source) != saved.preprocess.takes_numbers:
        kinds = ("images", "arrays of numbers")
        has, takes = kinds[holds_arrays(source)], kinds[saved.preprocess.takes_numbers]
        raise UserError(f"the data are {has}; the run was trained on {takes}", where=where)
    samples = tuple(sorted(source.samples(), key=lambda sample: sample.key))
    if not samples:
        raise UserError(f"there is nothing in {source.location}", where=where)
    _refuse_unknown((label for sample in samples for label in sample.labels), saved=saved, where=where)
    if source.task is not saved.task:
        raise UserError(f"the data are {source.task.value}, the run is {saved.task.value}", where=where)
    placed = tuple(dataclasses.replace(sample, split=sample.split or "test") for sample in samples)
    listing = Listing(
        name=source.name,
        location=source.location,
        task=source.task,
        samples=placed,
        classes=saved.classes,
        channels=saved.preprocess.channels,
        median_side_px=saved.preprocess.size,
        arrays=holds_arrays(source),
    )
    return listing, source, {"cache": "none"}
