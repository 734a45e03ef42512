"""What all strategies that train have in common: how long, how fast, and what belongs to their recipe.

What belongs to a recipe (crops, label smoothing, the moving average) is an option of its strategy; lists such as
`augmentations` and `regularizers` hold only what the user adds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NoReturn

from annotated_types import Ge, Gt, Le, Lt

from zoo.contracts.data import DataFacts, Task
from zoo.contracts.model import NetworkFacts
from zoo.contracts.training import Phase
from zoo.errors import UserError

FIT_HEAD = Phase(name="probe", kind="fit_head")
"""The phase that fits the head on cached features of the frozen backbone."""

EPOCHS, MOST_EPOCHS, LEAST_STEPS = 4, 40, 200
"""Passes over many images, over few, and the steps for which there are more than of many."""

SMALL_PX = 32
"""Below this median short side pictures, blown up to a network's input, look like nothing that it was trained on."""

_BATCH = 32

Count = Annotated[int, Ge(0)]
Factor = Annotated[float, Gt(0)]
Decay = Annotated[float, Gt(0), Le(1)]
Share = Annotated[float, Ge(0), Lt(1)]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Options of every strategy that trains.

    Args:
        epochs: Passes over the training images in all phases together; `train.epochs` replaces it. auto: 4; of
            few and small pictures as many as come to 200 steps of 32 images, 40 at most.
        lr_factor: Multiplies the rate that is registered for the optimizer; one that is given or measured is taken as
            it is.
        label_smoothing: Share of the target spread over all classes, in [0, 1).
        ema: Keep and validate a moving average of the weights.
        ema_decay: Its decay once ramped, in (0, 1).
        crop_scale: Range of the area share of random crops; null: the centre, as in validation.
        flip: Mirror half of the images; off, because mirrored letters and digits are others.
    """

    epochs: Factor | Literal["auto"] = "auto"
    lr_factor: Factor = 1.0
    label_smoothing: Share = 0.1
    ema: bool = True
    ema_decay: Share = 0.98
    crop_scale: tuple[float, float] | None = (0.4, 1.0)
    flip: bool = False

    def phase(self, facts: DataFacts, name: str, **parts: Any) -> Phase:
        """A phase of gradient descent after this recipe; `parts` are further fields of it, or replace some."""
        fields: dict[str, Any] = {
            "epochs": self.passes(facts),
            "lr_factor": self.lr_factor,
            "regularizers": self._regularizers(facts),
            "crop_scale": self.crop_scale,
            "flip": self.flip,
        }
        return Phase(name=name, kind="train", **{**fields, **parts})

    def passes(self, facts: DataFacts) -> float:
        """Epochs of all phases together.

        A few images make few steps an epoch. Where they are small, so that features fit badly, more steps pay; with
        photos they do not (benchmarks/strategies.md).
        """
        if self.epochs != "auto":
            return self.epochs
        if facts.median_side_px >= SMALL_PX:
            return EPOCHS
        steps = math.ceil(facts.train_images / _BATCH)
        return float(min(MOST_EPOCHS, max(EPOCHS, math.ceil(LEAST_STEPS / steps))))

    def _regularizers(self, facts: DataFacts) -> dict[str, Mapping[str, Any]]:
        """Label smoothing where it is defined (one label an image), and a moving average."""
        found: dict[str, Mapping[str, Any]] = {}
        if self.label_smoothing and facts.task is not Task.MULTI_LABEL:
            found["zoo/label_smoothing"] = {"share": self.label_smoothing}
        if self.ema:
            found["zoo/ema"] = {"decay": self.ema_decay}
        return found


@dataclass(frozen=True, kw_only=True)
class StagedRecipe(Recipe):
    """A recipe for networks that are pretrained and whose stages are trained at rates of their own.

    Args:
        stage_decay: Each stage further from the head trains this much slower, in (0, 1].
    """

    stage_decay: Decay = 0.8

    def phase(self, facts: DataFacts, name: str, **parts: Any) -> Phase:
        """As every recipe's, with rates by stage."""
        return super().phase(facts, name, **{"stage_decay": self.stage_decay, **parts})


@dataclass(frozen=True, kw_only=True)
class NormKeepingRecipe(StagedRecipe):
    """A recipe that trains parts in which there may be BatchNorm.

    Args:
        freeze_norm: Keep BatchNorm's statistics: batches of a small data set are worse estimates. auto: where the
            network is pretrained; from random values it has none to keep.
    """

    freeze_norm: bool | Literal["auto"] = "auto"

    def keeping(self, facts: DataFacts, name: str, *, pretrained: bool, **parts: Any) -> Phase:
        """A phase as of every recipe, with or without the statistics that the network came with."""
        keeps = pretrained if self.freeze_norm == "auto" else self.freeze_norm
        return self.phase(facts, name, freeze_norm=keeps, **parts)


def first_stages(network: NetworkFacts, count: int, *, where: str = "strategy.freeze_stages") -> tuple[int, ...]:
    """Numbers of the first stages of a network.

    Raises:
        UserError: It has fewer.
    """
    stages = network.stages
    if count > len(stages):
        names = f" ({', '.join(stages)})" if stages else ""
        raise UserError(
            f"{count} stages cannot be frozen: {network.name} has {len(stages)}{names}",
            where=f"{where}={count}",
            allowed=f"0 to {len(stages)}",
            do="to train the head alone: strategy=probe",
        )
    return tuple(range(count))


def refuse_network(network: NetworkFacts, strategy: str, *, lacks: str, also: tuple[str, ...] = ()) -> NoReturn:
    """Refuses a network that has nothing of what a strategy trains.

    Args:
        network: What is known of it.
        strategy: Name of the strategy.
        lacks: What there is none of.
        also: Ways out beside other strategies.

    Raises:
        UserError: Always; it names the strategies for which the network has something to train.
    """
    fits = {"norm": network.norm_layers, "bitfit": network.biases, "lora": network.linear_layers}
    others = [name for name, count in fits.items() if count and name != strategy]
    raise UserError(
        f"{network.name} has no {lacks} outside its head: strategy {strategy!r} would train the head alone",
        where=f"strategy={strategy}",
        do=[
            *also,
            f"one of these: strategy={', '.join(('lpft', 'gradual', 'surgical', *others))}",
            "or strategy=probe",
        ],
    )
