"""`preview`, from a command line of `finetune` to the images that its training would see."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from zoo.artifacts.run_folder import RunFolder
from zoo.assembly.augmentation_check import check_augmentations, first_training, name_of
from zoo.assembly.console import Console
from zoo.assembly.data import eval_feed, open_data, pack_data, train_feed
from zoo.assembly.label_warnings import AugmentationCheck, said_options
from zoo.assembly.network import build_backbone, finish_network
from zoo.assembly.numbers import refuse_arrays
from zoo.assembly.pinned import say_acting
from zoo.assembly.planning import make_plan
from zoo.assembly.session import Session
from zoo.assembly.start import open_scratch
from zoo.config.run_config import FinetuneConfig
from zoo.contracts.data import DataBundle
from zoo.contracts.training import Batch, Phase, Plan
from zoo.data.batches import Batches
from zoo.errors import UserError, name_list
from zoo.evaluation.preview_picture import PreviewRow, draw_preview
from zoo.imaging.preprocess import Preprocess
from zoo.plugins import Plugins

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TRIES = 8
"""Draws after which a regularizer that left a batch of images alone is taken for one that always does."""


@dataclass(frozen=True)
class Preview:
    """What training would see.

    Attributes:
        rows: Images and their draws; draw k is that of epoch k of the first phase of training.
        keys: The sample key of each row.
        title: What acts on the images, a line each.
        strategy: Whose recipe it is.
        check: What the check found; None where it was not asked for.
    """

    rows: tuple[PreviewRow, ...]
    keys: tuple[str, ...]
    title: tuple[str, ...]
    strategy: str
    check: AugmentationCheck | None

    def picture(self) -> bytes:
        """A PNG."""
        return draw_preview(self.rows, title=self.title)

    def plain(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "strategy": self.strategy,
            "images": [{"key": key, "class": row.name} for key, row in zip(self.keys, self.rows, strict=True)],
            "draws": len(self.rows[0].draws),
            "shown": list(self.title),
            "check": None if self.check is None else self.check.plain(),
        }


def preview(
    config: FinetuneConfig, plugins: Plugins, *, console: Console, images: int, draws: int, check: bool
) -> Preview:
    """Draws training images as the run of this configuration would.

    Args:
        config: What `finetune` would be asked.
        plugins: What is installed.
        console: Told what happens.
        images: Rows, at most.
        draws: Epochs that are drawn.
        check: Also look whether an augmentation moves one class into another.

    Raises:
        UserError: Nothing would change the images, or they are no images.
    """
    session = open_scratch(config, plugins, console=console, folder=RunFolder(Path()), verb="preview")
    source, listing, facts = open_data(session)
    refuse_arrays(facts, listing.location, why="there is nothing to draw, and augmentations act on images")
    session.seed_everything()
    model, found = build_backbone(config, session.registry, facts=facts, say=console.say)
    plan = make_plan(session, facts, model=model, pretrained=found is not None)
    console.say(f"plan    {plan.strategy}: {plan.reason}")
    say_acting(session, plan, task=facts.task)
    phase = shown_phase(session, plan)
    preprocess = model.spec.preprocess
    bundle = pack_data(session, source, listing=listing, preprocess=preprocess)
    chosen = choose_images(bundle, images)
    rows = draw_rows(session, bundle, preprocess=preprocess, phase=phase, chosen=chosen, draws=draws)
    checked = None
    if check or config.train.check_augmentations:
        model, report = finish_network(
            model, found, config=config, registry=session.registry, classes=len(bundle.classes)
        )
        checked = check_augmentations(session, model, bundle=bundle, report=report, plan=plan)
    return Preview(
        rows=rows,
        keys=tuple(bundle.keys[i] for i in chosen),
        title=titles(session, plan, phase=phase, bundle=bundle),
        strategy=plan.strategy,
        check=checked,
    )


def shown_phase(session: Session, plan: Plan) -> Phase:
    """The phase whose images are shown: the first in which the network is trained.

    Raises:
        UserError: Nothing changes the images.
    """
    phase = first_training(plan)
    if phase is not None and (session.config.augmentations or phase.crop_scale is not None or phase.flip):
        return phase
    why = "fits only the head, on images as they are" if phase is None else "takes images as they are"
    raise UserError(
        f"there is nothing to show: no augmentations are chosen, and strategy {plan.strategy!r} {why}",
        where="augmentations",
        allowed=name_list("", [entry.name for entry in session.registry.entries("augmentation")]),
        do=["'augmentations=[flip,rotate]'", "or a strategy with crops: strategy=full strategy.crop_scale=[0.4,1]"],
    )


def choose_images(bundle: DataBundle, count: int) -> NDArray[np.int64]:
    """Positions of training images of different classes: the first of each, then the second of each...

    Where there are more classes than rows, the classes are spread evenly over their order.

    Args:
        bundle: The data.
        count: Rows, at most.

    Returns:
        int64[M], class by class.
    """
    positions, classes = bundle.splits["train"], len(bundle.classes)
    has = bundle.targets[positions] > 0.5 if bundle.targets.ndim == 2 else np.eye(classes)[bundle.targets[positions]]
    present = np.flatnonzero(has.any(axis=0))
    if len(present) > count:
        present = present[np.linspace(0, len(present) - 1, count).round().astype(np.int64)]
    queues = [list(positions[has[:, c] > 0]) for c in present]
    chosen: dict[int, int] = {}
    while len(chosen) < count and any(queues):
        for place, queue in enumerate(queues):
            while queue and queue[0] in chosen:
                queue.pop(0)
            if queue and len(chosen) < count:
                chosen[int(queue.pop(0))] = place
    return np.array(sorted(chosen, key=lambda position: (chosen[position], position)), np.int64)


def draw_rows(
    session: Session,
    bundle: DataBundle,
    *,
    preprocess: Preprocess,
    phase: Phase,
    chosen: NDArray[np.int64],
    draws: int,
) -> tuple[PreviewRow, ...]:
    """The images as validation sees them, and as the first epochs of a phase would draw them, to the pixel.

    Args:
        session: Its configuration lists the augmentations.
        bundle: The data.
        preprocess: The network's own.
        phase: The stretch of training.
        chosen: int64[M] positions of training images.
        draws: How many epochs.
    """
    count = len(chosen)
    still = eval_feed(session, bundle, indices=chosen, preprocess=preprocess, batch_size=count)
    moving = train_feed(session, bundle, preprocess=preprocess, batch_size=count, phase=phase, indices=chosen)
    originals = _images(still, 0)
    epochs = [_images(moving, epoch) for epoch in range(draws)]
    return tuple(
        PreviewRow(_labels(bundle, int(position)), originals[k], tuple(epoch[k] for epoch in epochs))
        for k, position in enumerate(chosen)
    )


def _images(feed: Batches, epoch: int) -> NDArray[np.uint8]:
    return np.concatenate([batch.images for batch in feed.epoch(epoch)])


def _labels(bundle: DataBundle, position: int) -> str:
    target = bundle.targets[position]
    if bundle.targets.ndim == 1:
        return bundle.classes[int(target)]
    return ", ".join(name for name, share in zip(bundle.classes, target, strict=True) if share > 0.5) or "(no label)"


def titles(session: Session, plan: Plan, *, phase: Phase, bundle: DataBundle) -> tuple[str, ...]:
    """What acts on the images, in its order, and what is not shown."""
    lines = [
        f"left: as validation sees it; right: as training draws it, epoch by epoch (seed {session.config.train.seed})"
    ]
    if phase.crop_scale is not None:
        low, high = phase.crop_scale
        lines.append(f"recipe of {plan.strategy}: crops of {100 * low:g} to {100 * high:g} % of the area")
    if phase.flip:
        lines.append(f"recipe of {plan.strategy}: half of the images mirrored")
    lines += [f"{name_of(c)}: {said_options(c.own)}" if c.own else name_of(c) for c in session.config.augmentations]
    mixing = _mixing(session, phase, bundle=bundle)
    if mixing:
        lines.append(f"not shown: {', '.join(mixing)}, which mixes or changes whole batches")
    return tuple(lines)


def _mixing(session: Session, phase: Phase, *, bundle: DataBundle) -> list[str]:
    """Regularizers that change the images of a batch, the recipe's and the user's."""
    own = {component.name: component.own for component in session.config.regularizers}
    return [
        name.rpartition("/")[2]
        for name, options in {**phase.regularizers, **own}.items()
        if _changes_images(session.registry.get("regularizer", name).build(**options), bundle)
    ]


def _changes_images(regularizer: Any, bundle: DataBundle) -> bool:
    """Whether a regularizer changes a batch's images, tried on noise."""
    if not hasattr(regularizer, "change_batch"):
        return False
    classes = len(bundle.classes)
    images = torch.randn(4, bundle.channels, 16, 16, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(4) % classes
    targets = labels if bundle.targets.ndim == 1 else torch.nn.functional.one_hot(labels, classes).float()
    for seed in range(_TRIES):
        generator = torch.Generator().manual_seed(seed)
        changed: Batch = regularizer.change_batch(Batch(images.clone(), targets), generator, classes)
        if not torch.equal(changed.images, images):
            return True
    return False
