"""Looks whether augmentations move one class into another, before training or for `preview`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from zoo.assembly.data import eval_feed, train_feed
from zoo.assembly.featuring import bank_of, is_kept
from zoo.assembly.label_warnings import AugmentationCheck, Seen
from zoo.assembly.precision import PrecisionChoice
from zoo.assembly.session import Session
from zoo.config.run_config import Component
from zoo.contracts.data import DataBundle, Task
from zoo.contracts.model import LoadReport, Model
from zoo.contracts.training import Feed, Phase, Plan, RawBatch
from zoo.data.batches import Batches
from zoo.errors import UserError
from zoo.features.crossval import balanced_order
from zoo.features.label_moves import Judge
from zoo.features.probe import Labelled
from zoo.models.build import features_of
from zoo.training.inference import run_over

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_TRAIN, MOST_VAL = 2000, 1000
"""Training images that a probe is fitted on, and validation images that are augmented, at most; balanced by class."""

MOST_DRAWS = 8
"""Times that a validation image is augmented, at most; fewer where there are more than 125 of them."""

PIXELS_SIDE = 16
"""Side to which a network without pretrained values has its images averaged: they are the probe's features."""

PIXELS_SLACK = 1.5
"""Factor on the distance within which pixels are typical. No flipped 6 of the digits is as near to a 9 as 9s are to
each other; of 28, 27 are taken for one, and 15 lie within 1.5 times that distance. Of crops, shifts and turns none."""

_BATCH = 64


@dataclass(frozen=True)
class Look:
    """One augmentation on its own, or all together, ready to be judged.

    Attributes:
        name: As the user calls it: `flip`, `rotate@2`.
        options: What it was checked with.
        advice: How to weaken it.
        feed: The validation images in order, augmented.
        together: Whether these are all augmentations, of which only what none does alone is news.
    """

    name: str
    options: Mapping[str, Any]
    advice: str
    feed: Feed
    together: bool = False


def warn_of_label_moves(session: Session, model: Model, *, bundle: DataBundle, report: LoadReport, plan: Plan) -> None:
    """The check of a run: once, before it trains, where `train.check_augmentations` asks for it.

    Raises:
        UserError: There is nothing to check.
    """
    if not session.config.train.check_augmentations or "check_augmentations" in session.measured:
        return
    with session.console.stage("check"):
        fits_head = any(phase.kind == "fit_head" for phase in plan.phases)
        found = check_augmentations(session, model, bundle=bundle, report=report, plan=plan, use_bank=fits_head)
    session.measured["check_augmentations"] = found.plain()
    for line in found.lines():
        session.console.say(line)


def first_training(plan: Plan) -> Phase | None:
    """The first phase of gradient descent; None where only a head is fitted."""
    return next((phase for phase in plan.phases if phase.kind == "train"), None)


def check_augmentations(
    session: Session,
    model: Model,
    *,
    bundle: DataBundle,
    report: LoadReport,
    plan: Plan,
    use_bank: bool = False,
) -> AugmentationCheck:
    """Judges each augmentation on its own, always acting (p=1), and all together as training draws them.

    The probe reads the features of the run's own pretrained network; where it has none, averages of pixels.

    Args:
        session: Its configuration lists the augmentations.
        model: With its first values; put on the session's device and into eval mode.
        bundle: The images.
        report: Which weights the network holds.
        plan: Its first phase of training says what the recipe does to images.
        use_bank: Take clean features from the bank of all images, which the run needs anyway.

    Raises:
        UserError: Images have several labels, or nothing augments them.
    """
    key = "train.check_augmentations" if session.config.train.check_augmentations else "check"
    if bundle.task is not Task.SINGLE_LABEL:
        what = f"{key}=true has no effect: images with several labels have no one class to leave for another"
        raise UserError(what, where=key, do="leave it out")
    val = _some(bundle, "val", most=MOST_VAL, seed=session.config.train.seed)
    looks = _looks(session, bundle, model=model, plan=plan, indices=val)
    if not looks:
        what = f"{key}=true has no effect: nothing changes the training images"
        raise UserError(what, where=key, do=["leave it out", "or choose augmentations: 'augmentations=[...]'"])
    train = _some(bundle, "train", most=MOST_TRAIN, seed=session.config.train.seed)
    eyes = _Eyes(session, model, bundle=bundle, report=report)
    clean = eyes.clean(np.concatenate([train, val]), use_bank=use_bank)
    judge = Judge(
        Labelled(clean[: len(train)], bundle.targets[train]),
        Labelled(clean[len(train) :], bundle.targets[val]),
        classes=len(bundle.classes),
        augmentations=len(looks),
        slack=eyes.slack,
    )
    draws = max(1, min(MOST_DRAWS, MOST_VAL // len(val)))
    with session.console.counting("check", len(looks) * draws * len(val)) as watch:
        seen = _seen(looks, judge, eyes=eyes, draws=draws, images=len(val), watch=watch)
    return AugmentationCheck(
        probe=eyes.name,
        classes=bundle.classes,
        train_images=len(train),
        val_images=len(val),
        accuracy=judge.accuracy,
        chance=float(np.bincount(bundle.targets[val]).max() / len(val)),
        too_small=tuple(bundle.classes[c] for c in judge.too_small),
        fewest_images=judge.fewest_images,
        draws=draws,
        seen=seen,
    )


def _seen(
    looks: Sequence[Look], judge: Judge, *, eyes: _Eyes, draws: int, images: int, watch: Callable[[int], None]
) -> tuple[Seen, ...]:
    """Every augmentation, judged; of all together only what none does alone."""
    seen: list[Seen] = []
    for number, look in enumerate(looks):
        before = number * draws * images
        drawn = [eyes.of(_From(look.feed, k), partial(_told, watch, before + k * images)) for k in range(draws)]
        judged = judge.judge(drawn)
        if look.together:
            judged = judged.without(move for one in seen for move in one.judged.moves)
        seen.append(Seen(look.name, look.options, look.advice, judged))
    return tuple(seen)


def _told(watch: Callable[[int], None], before: int, done: int) -> None:
    watch(before + done)


def _some(bundle: DataBundle, split: str, *, most: int, seed: int) -> NDArray[np.int64]:
    """Positions of so many images of a split, balanced by class, in rising order."""
    positions = bundle.splits[split]
    return np.sort(positions[balanced_order(bundle.targets[positions].astype(np.int64), seed=seed)[:most]])


class _Eyes:
    """What the probe sees: features of the frozen network, or small pictures where it has learnt nothing yet."""

    def __init__(self, session: Session, model: Model, *, bundle: DataBundle, report: LoadReport) -> None:
        self.session, self.model, self.bundle, self.report = session, model, bundle, report
        self.pretrained = report.source != "none"
        model.module.to(session.accelerator.device).eval()
        self.precision = PrecisionChoice(session, model)
        self.slack = 1.0 if self.pretrained else PIXELS_SLACK
        side = min(PIXELS_SIDE, model.spec.preprocess.size)
        self.name = (
            f"a linear probe on features of {session.config.model.name}"
            if self.pretrained
            else f"a linear probe on images of {side} x {side} px (the network has learnt nothing yet)"
        )
        self._forward: Callable[[torch.Tensor], torch.Tensor] = (
            (lambda images: features_of(model, images))
            if self.pretrained
            else (lambda images: torch.nn.functional.adaptive_avg_pool2d(images, side).flatten(1))
        )

    def clean(self, positions: NDArray[np.int64], *, use_bank: bool) -> NDArray[np.float32]:
        """Features of images as validation sees them, in the order of their positions."""
        session, preprocess = self.session, self.model.spec.preprocess
        if use_bank and self.pretrained and is_kept(session, self.report):
            bank = bank_of(session, self.model, bundle=self.bundle, report=self.report, precision=self.precision)
            return bank.features[positions]
        order = np.argsort(positions)
        feed = eval_feed(session, self.bundle, indices=positions[order], preprocess=preprocess, batch_size=_BATCH)
        with session.console.counting("features", len(positions)) as watch:
            found = self.of(feed, watch)
        return found[np.argsort(order)]

    def of(self, feed: Feed, watch: Callable[[int], None]) -> NDArray[np.float32]:
        """Features of a feed's images, by position."""
        return run_over(
            feed,
            self._forward,
            accelerator=self.session.accelerator,
            normalise=self.model.spec.preprocess.normalise,
            bf16=self.pretrained and self.precision.bf16(train=False),
            watch=watch,
        )[0]


def _looks(session: Session, bundle: DataBundle, *, model: Model, plan: Plan, indices: NDArray[np.int64]) -> list[Look]:
    """Each augmentation in effect, then all together where that is something else."""
    config, phase = session.config, first_training(plan)
    if phase is None:
        return []
    phase = dataclasses.replace(phase, start_px=None)
    bare = dataclasses.replace(phase, crop_scale=None, flip=False)

    def feed(recipe: Phase, *components: Component) -> Batches:
        only = dataclasses.replace(session, config=dataclasses.replace(config, augmentations=components))
        preprocess = model.spec.preprocess
        return train_feed(only, bundle, preprocess=preprocess, batch_size=_BATCH, phase=recipe, indices=indices)

    looks: list[Look] = []
    if phase.crop_scale is not None:
        advice = f"strategy={plan.strategy} strategy.crop_scale=null, or a larger least share"
        crop = feed(dataclasses.replace(bare, crop_scale=phase.crop_scale))
        looks.append(Look("crop of the recipe", {"crop_scale": phase.crop_scale}, advice, crop))
    if phase.flip:
        advice = f"strategy={plan.strategy} strategy.flip=false"
        looks.append(Look("flip of the recipe", {}, advice, _Mirrored(feed(bare))))
    for chosen in config.augmentations:
        acting = _always(chosen)
        looks.append(Look(name_of(chosen), acting.own, _advice(chosen), feed(bare, acting)))
    if len(looks) > 1 or phase.flip or any(_always(chosen) != chosen for chosen in config.augmentations):
        together = feed(phase, *config.augmentations)
        advice = "leave one of them out, or weaken it: none of them does it alone"
        looks.append(Look("all as training draws them", {}, advice, together, together=True))
    return looks


@dataclass(frozen=True)
class _From:
    """A feed that begins at a later epoch: other draws of the same images."""

    feed: Feed
    first: int

    @property
    def steps_per_epoch(self) -> int:
        return self.feed.steps_per_epoch

    def epoch(self, epoch: int, *, start_step: int = 0) -> Iterator[RawBatch]:
        return self.feed.epoch(self.first + epoch, start_step=start_step)


@dataclass(frozen=True)
class _Mirrored:
    """A feed with every image mirrored left to right."""

    feed: Feed

    @property
    def steps_per_epoch(self) -> int:
        return self.feed.steps_per_epoch

    def epoch(self, epoch: int, *, start_step: int = 0) -> Iterator[RawBatch]:
        for batch in self.feed.epoch(epoch, start_step=start_step):
            yield dataclasses.replace(batch, images=batch.images[:, :, ::-1])


def _always(component: Component) -> Component:
    """An augmentation that acts on every image, where it has a probability `p` of acting; one of 0 stays 0."""
    share = component.own.get("p")
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share < 1:
        return component
    return dataclasses.replace(component, options={**component.options, "p": 1.0})


def name_of(component: Component) -> str:
    """What the user calls it: `flip`, `rotate@2`."""
    return component.key.rpartition(".")[2]


def _advice(component: Component) -> str:
    """To leave it out, or which of its options weaken it."""
    others = [f"{component.key}.{option}" for option in component.own if option != "p"]
    rarer = f"; a lower {component.key}.p makes it rarer, not right" if "p" in component.own else ""
    weaken = f", or weaken it ({', '.join(others)})" if others else ""
    return f"leave {name_of(component)} out{weaken}{rarer}"
