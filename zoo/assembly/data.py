"""Opens the data that the configuration names, and makes the feeds of training and evaluation."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from zoo.assembly.numbers import refused_for_numbers
from zoo.assembly.session import Session
from zoo.assembly.sources import list_configured
from zoo.config.run_config import FinetuneConfig
from zoo.contracts.data import DataBundle, DataFacts, DataSource, Task
from zoo.contracts.training import Augmentation, Phase
from zoo.data import cache
from zoo.data.audit import content_index, duplicates
from zoo.data.batches import Batches
from zoo.data.crops import growing_side
from zoo.data.listing import Listing
from zoo.data.pack import pack
from zoo.errors import UserError, raise_all
from zoo.imaging.preprocess import Preprocess
from zoo.training.passes import seed_of


def open_data(session: Session) -> tuple[DataSource, Listing, DataFacts]:
    """The images of the configured source, listed and split, and what automatic rules may know of them."""
    source, listing = list_configured(session.config.data, session.registry)
    counts = {split: len(indices) for split, indices in listing.splits.items()}
    shown = ", ".join(f"{count} {split}" for split, count in counts.items())
    session.console.say(f"data    {listing.location}: {len(listing.classes)} classes, {shown} images")
    for note in listing.notes:
        session.console.say(f"        {note}")
    if listing.arrays:
        raise_all(refused_for_numbers(session.config, listing.location))
        session.console.say("        arrays of numbers: the recipe's crops and mirrors do not apply")
    raise_all(_unbalanceable(session.config, listing))
    return source, listing, listing.facts


def _unbalanceable(config: FinetuneConfig, listing: Listing) -> list[UserError]:
    """An error where classes are to be balanced that cannot be, or that are balanced already."""
    if config.train.sampling != "balanced":
        return []
    key = "train.sampling=balanced"
    if listing.task is Task.MULTI_LABEL:
        what = f"{key}: an image with several labels belongs to no one class"
        return [
            UserError(what, where=key, do=["loss=binary_cross_entropy loss.class_weight=inverse", "or leave it out"])
        ]
    facts = listing.facts
    if facts.smallest_class * facts.classes == facts.train_images:
        what = f"{key} has no effect: each class has {facts.smallest_class} training images"
        return [UserError(what, where=key, do="leave train.sampling out")]
    return []


def pack_data(session: Session, source: DataSource, *, listing: Listing, preprocess: Preprocess) -> DataBundle:
    """All images decoded once, at the size that this preprocessing wants; bad files are named."""
    options = session.config.data.options
    with session.console.counting("decode", len(listing.samples)) as watch:
        bundle = pack(
            listing,
            source,
            preprocess=preprocess,
            cache=options["cache"],
            cache_dir=options["cache_dir"],
            max_bad_fraction=options["max_bad_fraction"],
            threads=options["threads"],
            progress=lambda done, total: watch(done),
        )
    for note in bundle.notes[len(listing.notes) :]:
        session.console.say(f"        {note}")
    for bad in bundle.quarantined:
        session.console.say(f"        left out: {bad.key}: {bad.reason}")
    leaks = [group for group in duplicates(listing, content_index(bundle)) if group.leaks]
    if leaks and not listing.arrays:  # rows of few possible values coincide by nature
        shown = ", ".join(leaks[0].keys[:2])
        session.console.say(
            f"        warning: {len(leaks)} images lie in several splits ({shown}): scores will be too good; "
            f"`python -m zoo data check` lists them"
        )
    return bundle


def cache_root(config: FinetuneConfig) -> Path:
    """Folder of everything that is kept between runs."""
    return cache.cache_root(config.data.options["cache_dir"])


def eval_feed(
    session: Session, bundle: DataBundle, *, indices: NDArray[np.int64], preprocess: Preprocess, batch_size: int
) -> Batches:
    """Images in order, as validation, prediction and export see them."""
    return Batches(
        bundle,
        indices,
        preprocess=preprocess,
        batch_size=batch_size,
        seed=0,
        threads=session.config.train.loader_threads,
        rank=session.accelerator.process_index,
        world=session.accelerator.num_processes,
    )


def train_feed(
    session: Session,
    bundle: DataBundle,
    *,
    preprocess: Preprocess,
    batch_size: int,
    phase: Phase,
    trained_before: int = 0,
    indices: NDArray[np.int64] | None = None,
) -> Batches:
    """Shuffled training images: the recipe's crop and mirror, then the user's augmentations in their order.

    A phase that follows another shows them in other orders and with other draws, by a seed of its own.

    Args:
        session: Its configuration lists the augmentations.
        bundle: The data.
        preprocess: The network's own.
        batch_size: Images a step.
        phase: The stretch of training whose recipe it is.
        trained_before: How many of the plan's phases before it train the network.
        indices: These images instead, in their order: each as the same epoch of training would show it.
    """
    return Batches(
        bundle,
        bundle.splits["train"] if indices is None else indices,
        preprocess=preprocess,
        batch_size=batch_size,
        seed=seed_of(session.config.train.seed, trained_before) if trained_before else session.config.train.seed,
        sampling=session.config.train.sampling if indices is None else "none",
        crop_scale=None if bundle.facts.arrays else phase.crop_scale,
        flip=phase.flip and not bundle.facts.arrays,
        side_at=_side_at(phase, size=preprocess.size),
        pipeline=pipeline_factory(session, channels=bundle.channels),
        threads=session.config.train.loader_threads,
        rank=session.accelerator.process_index,
        world=session.accelerator.num_processes,
    )


def _side_at(phase: Phase, *, size: int) -> Callable[[int], int] | None:
    """Side of the training images in each epoch; None where it is always the network's own."""
    if phase.start_px is None:
        return None
    return functools.partial(growing_side, epochs=phase.epochs, first=phase.start_px, last=size)


def pipeline_factory(session: Session, *, channels: int) -> Callable[[], Augmentation] | None:
    """Builds the user's augmentations as one, in their order; None where there are none.

    Raises:
        UserError: One of them could do nothing to images of this many channels.
    """
    chosen = session.config.augmentations
    if not chosen:
        return None

    def build() -> Augmentation:
        steps: list[Augmentation] = [session.build(component) for component in chosen]
        return lambda image, rng: functools.reduce(lambda pixels, step: step(pixels, rng), steps, image)

    for component in chosen:
        step = session.build(component)
        if hasattr(step, "check"):
            step.check(channels)
    return build
