"""The strategies' plans: pure functions of what is known of the data.

What belongs to a recipe (crops, label smoothing, the moving average) is an option of its strategy; lists such as
`augmentations` and `regularizers` hold only what the user adds.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, Literal

from annotated_types import Ge

from zoo.contracts.data import DataFacts, Task
from zoo.contracts.model import NetworkFacts
from zoo.contracts.training import Phase, Plan

FEW_IMAGES = 10
"""Below this many training images a class (median), moving the backbone costs more than it gives."""

_HEAD = Phase(name="probe", kind="fit_head")


def _recipe(facts: DataFacts, *, smoothing: float, ema: bool, ema_decay: float) -> dict[str, Mapping[str, Any]]:
    """The recipe's regularizers: label smoothing where it is defined (one label an image), and a moving average."""
    found: dict[str, Mapping[str, Any]] = {}
    if smoothing and facts.task is not Task.MULTI_LABEL:
        found["zoo/label_smoothing"] = {"share": smoothing}
    if ema:
        found["zoo/ema"] = {"decay": ema_decay}
    return found


class LinearProbe:
    """Fits the head on features of the frozen backbone, which are computed once."""

    def plan(self, facts: DataFacts, *, network: NetworkFacts, pretrained: bool, must_train: bool = False) -> Plan:
        """One phase."""
        return Plan("probe", (_HEAD,), "the backbone stays as it is; only the head is fitted")


class FullFineTune:
    """Trains the whole network from the start, with a fresh head.

    BatchNorm keeps the pretrained statistics: batches of a small data set are worse estimates.

    Source: Yosinski et al., "How transferable are features in deep neural networks?", arXiv:1411.1792. The moving
    average, crops, smoothing and decay by stage are additions (benchmarks/).

    Args:
        epochs: Passes over the training images.
        lr_factor: Multiplies the optimizer's own rate.
        stage_decay: Each stage further from the head trains this much slower, in (0, 1].
        freeze_stages: So many of the network's stages from the input are frozen; `zoo models show` lists them. Saves
            time and memory where the early features fit.
        freeze_norm: Keep BatchNorm's statistics.
        label_smoothing: Share of the target spread over all classes, in [0, 1).
        ema: Keep and validate a moving average of the weights.
        ema_decay: Its decay once ramped, in (0, 1).
        crop_scale: Range of the area share of random crops; null: the centre, as in validation.
        flip: Mirror half of the images; off, because mirrored letters and digits are others.
    """

    def __init__(
        self,
        *,
        epochs: float = 4,
        lr_factor: float = 1.0,
        stage_decay: float = 0.8,
        freeze_stages: Annotated[int, Ge(0)] = 0,
        freeze_norm: bool = True,
        label_smoothing: float = 0.1,
        ema: bool = True,
        ema_decay: float = 0.98,
        crop_scale: tuple[float, float] | None = (0.4, 1.0),
        flip: bool = False,
    ) -> None:
        self._recipe = partial(_recipe, smoothing=label_smoothing, ema=ema, ema_decay=ema_decay)
        self._phase = Phase(
            name="finetune",
            kind="train",
            epochs=epochs,
            lr_factor=lr_factor,
            stage_decay=stage_decay,
            freeze_stages=freeze_stages,
            freeze_norm=freeze_norm,
            crop_scale=crop_scale,
            flip=flip,
        )

    def training(self, facts: DataFacts) -> Phase:
        """The phase in which everything is trained."""
        return dataclasses.replace(self._phase, regularizers=self._recipe(facts))

    def plan(self, facts: DataFacts, *, network: NetworkFacts, pretrained: bool, must_train: bool = False) -> Plan:
        """One phase."""
        return Plan("full", (self.training(facts),), "everything is trained from the start, with a fresh head")


class ProbeThenFineTune(FullFineTune):
    """Fits the head on frozen features, then trains everything from there.

    A fresh head sends large, wrong gradients through the network and distorts what it knows; a fitted one does not. The
    options are those of the second phase, the same as `full` has.

    Source: Kumar et al., "Fine-Tuning can Distort Pretrained Features", arXiv:2202.10054.
    """

    def plan(self, facts: DataFacts, *, network: NetworkFacts, pretrained: bool, must_train: bool = False) -> Plan:
        """Two phases."""
        reason = "the head is fitted on frozen features, then everything is trained"
        return Plan("lpft", (_HEAD, self.training(facts)), reason)


class FromScratch:
    """Trains all values from random ones.

    Source: He et al., "Delving deep into rectifiers", arXiv:1502.01852, for the starting values; Tan and Le,
    "EfficientNetV2", arXiv:2104.00298, section 4, for images that grow in the course of training (`start_px`).
    Regularization does not grow with them here.

    Args:
        epochs: Passes over the training images.
        lr_factor: Multiplies the optimizer's own rate.
        label_smoothing: Share of the target spread over all classes, in [0, 1).
        ema: Keep and validate a moving average of the weights.
        ema_decay: Its decay once ramped, in (0, 1).
        crop_scale: Range of the area share of random crops; null: the centre, as in validation.
        flip: Mirror half of the images.
        start_px: Side of the training images in the first epochs, below the network's own input; it grows to that in
            equal steps. Small images are quicker. null: full size from the start.
    """

    def __init__(
        self,
        *,
        epochs: float = 30,
        lr_factor: float = 1.0,
        label_smoothing: float = 0.1,
        ema: bool = True,
        ema_decay: float = 0.99,
        crop_scale: tuple[float, float] | None = (0.5, 1.0),
        flip: bool = False,
        start_px: int | None = None,
    ) -> None:
        self._recipe = partial(_recipe, smoothing=label_smoothing, ema=ema, ema_decay=ema_decay)
        self._phase = Phase(
            name="scratch",
            kind="train",
            epochs=epochs,
            lr_factor=lr_factor,
            crop_scale=crop_scale,
            flip=flip,
            start_px=start_px,
        )

    def plan(self, facts: DataFacts, *, network: NetworkFacts, pretrained: bool, must_train: bool = False) -> Plan:
        """One phase."""
        phase = dataclasses.replace(self._phase, regularizers=self._recipe(facts))
        return Plan("scratch", (phase,), "all values start at random")


class Auto:
    """Chooses a strategy: random weights, `scratch`; few images a class, `probe`; else `lpft`.

    Args:
        few_images: Median number of training images a class below which only the head is fitted.
    """

    def __init__(self, *, few_images: int = FEW_IMAGES) -> None:
        self._few_images = few_images

    def plan(self, facts: DataFacts, *, network: NetworkFacts, pretrained: bool, must_train: bool = False) -> Plan:
        """The plan of the chosen strategy, with the rule as its reason."""
        chosen, reason = self._choose(facts, pretrained=pretrained, must_train=must_train)
        plans: dict[str, Any] = {"scratch": FromScratch, "probe": LinearProbe, "lpft": ProbeThenFineTune}
        plan: Plan = plans[chosen]().plan(facts, network=network, pretrained=pretrained)
        return dataclasses.replace(plan, reason=reason)

    def _choose(
        self, facts: DataFacts, *, pretrained: bool, must_train: bool
    ) -> tuple[Literal["scratch", "probe", "lpft"], str]:
        per_class = facts.median_class
        if not pretrained:
            return "scratch", "weights=none: there is nothing to transfer"
        if per_class < self._few_images and must_train:
            return "lpft", "something was asked for that acts only in training"
        if per_class < self._few_images:
            return "probe", f"{per_class} training images a class (median), fewer than {self._few_images}"
        return "lpft", f"{per_class} training images a class (median), {self._few_images} or more"
