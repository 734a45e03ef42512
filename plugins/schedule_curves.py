"""The built-in schedules: functions of progress, so that a resumed run needs no replay.

`schedule(progress)` is the factor on the learning rate at `progress` in [0, 1] of a phase; values beyond are taken
as 0 or 1, because a phase that is fitted to a time budget may end a step late. Imports no torch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from zoo_plugins.option_checks import check_range, no_effect

from zoo.errors import UserError


class Constant:
    """factor(t) = 1."""

    def __call__(self, progress: float) -> float:
        """The factor: always 1."""
        return 1.0


class Linear:
    """factor(t) = 1 + (end_factor - 1) * t.

    Source: arXiv:1810.04805 (Devlin et al. 2018, appendix A.2).

    Args:
        end_factor: The factor at the end, in [0, 1).
    """

    def __init__(self, *, end_factor: float = 0.0) -> None:
        check_range(end_factor, where="schedule.end_factor", low=0, high=1, below=True)
        self._end = end_factor

    def __call__(self, progress: float) -> float:
        """The factor at `progress`."""
        return 1.0 + (self._end - 1.0) * _within(progress)


class Step:
    """factor(t) = gamma ^ (number of milestones at or before t).

    Source: arXiv:1512.03385 (He et al. 2015, section 3.4).

    Args:
        milestones: Shares of the phase, each in (0, 1), rising.
        gamma: The factor at each milestone, in (0, 1).
    """

    def __init__(self, *, milestones: tuple[float, ...] = (0.5, 0.75), gamma: float = 0.1) -> None:
        _check_rising(milestones, where="schedule.milestones")
        check_range(gamma, where="schedule.gamma", low=0, high=1, above=True, below=True)
        self._milestones, self._gamma = tuple(milestones), gamma

    def __call__(self, progress: float) -> float:
        """The factor at `progress`."""
        return float(self._gamma ** sum(share <= progress for share in self._milestones))


class Piecewise:
    """factor(t) = factors[number of boundaries at or before t]: any staircase, up or down.

    Source: Geron 2022, Hands-on machine learning, chapter 11 ("piecewise constant scheduling"); the same function as
    Keras' PiecewiseConstantDecay, over shares of the phase.

    Args:
        boundaries: Shares of the phase, each in (0, 1), rising.
        factors: One factor more than boundaries, each 0 or more, not all the same.
    """

    def __init__(
        self, *, boundaries: tuple[float, ...] = (0.3, 0.7), factors: tuple[float, ...] = (1.0, 0.3, 0.05)
    ) -> None:
        _check_rising(boundaries, where="schedule.boundaries")
        if len(factors) != len(boundaries) + 1:
            raise UserError(
                f"{len(factors)} factors for {len(boundaries)} boundaries",
                where="schedule.factors",
                allowed=f"{len(boundaries) + 1}: one before the first boundary, and one from each on",
            )
        for factor in factors:
            check_range(factor, where="schedule.factors", low=0, high=math.inf)
        if len(set(factors)) == 1:
            raise no_effect("a staircase with equal steps", where="schedule.factors", do="use schedule=constant")
        self._boundaries, self._factors = tuple(boundaries), tuple(factors)

    def __call__(self, progress: float) -> float:
        """The factor at `progress`."""
        return float(self._factors[sum(share <= progress for share in self._boundaries)])


class Exponential:
    """factor(t) = end_factor ^ t: the same ratio from each step to the next.

    Source: Geron 2022, Hands-on machine learning, chapter 11 ("exponential scheduling", 0.1 ^ (step / s)): here s steps
    are the phase divided by -log10(end_factor). Torch's ExponentialLR with gamma = end_factor ^ (1 / steps).

    Args:
        end_factor: The factor at the end, in (0, 1).
    """

    def __init__(self, *, end_factor: float = 0.01) -> None:
        check_range(end_factor, where="schedule.end_factor", low=0, high=1, above=True, below=True)
        self._end = end_factor

    def __call__(self, progress: float) -> float:
        """The factor at `progress`."""
        return float(self._end ** _within(progress))


class Power:
    """factor(t) = 1 / (1 + t / share) ^ power.

    Source: Geron 2022, Hands-on machine learning, chapter 11 ("power scheduling"), after Robbins and Monro 1951, whose
    conditions a power in (0.5, 1] meets. Keras' InverseTimeDecay is power 1.

    Args:
        share: Share of the phase after which the rate is divided by 2 ^ power, above 0.
        power: Above 0.
    """

    def __init__(self, *, share: float = 0.1, power: float = 1.0) -> None:
        check_range(share, where="schedule.share", low=0, high=math.inf, above=True)
        check_range(power, where="schedule.power", low=0, high=math.inf, above=True)
        self._share, self._power = share, power

    def __call__(self, progress: float) -> float:
        """The factor at `progress`."""
        return float((1 + _within(progress) / self._share) ** -self._power)


class Cosine:
    """factor(t) = min_factor + (1 - min_factor) * (1 + cos(pi * t)) / 2.

    Source: arXiv:1608.03983 (Loshchilov and Hutter 2016, equation 5), without restarts.

    Args:
        min_factor: The factor at the end, in [0, 1).
    """

    def __init__(self, *, min_factor: float = 0.0) -> None:
        check_range(min_factor, where="schedule.min_factor", low=0, high=1, below=True)
        self._end = min_factor

    def __call__(self, progress: float) -> float:
        """The factor at `progress`."""
        return _cosine(1.0, self._end, _within(progress))


class OneCycle:
    """Rises from 1 / div to 1 over `rise_share` of the phase, then falls to 1 / (div * final_div), along cosines.

    Source: arXiv:1708.07120 (Smith and Topin 2017), in the two-phase form of fastai and torch's OneCycleLR.
    It has its own warm-up (`warms_up`), so none is put before it.

    Args:
        rise_share: Share of the phase until the full rate is reached, in (0, 1).
        div: The full rate over the first one, above 1.
        final_div: The first rate over the last one, 1 or more.
        momenta: Smallest and largest momentum, each in [0, 1): falls from the largest to the smallest while the rate
            rises, and back while it falls. None leaves the optimizer's momentum alone.
    """

    warms_up = True

    def __init__(
        self,
        *,
        rise_share: float = 0.3,
        div: float = 25.0,
        final_div: float = 1e4,
        momenta: tuple[float, float] | None = (0.85, 0.95),
    ) -> None:
        check_range(rise_share, where="schedule.rise_share", low=0, high=1, above=True, below=True)
        check_range(div, where="schedule.div", low=1, high=math.inf, above=True)
        check_range(final_div, where="schedule.final_div", low=1, high=math.inf)
        if momenta is not None:
            _check_momenta(momenta)
        self._share, self._first, self._last = rise_share, 1 / div, 1 / (div * final_div)
        self._momenta = momenta

    def __call__(self, progress: float) -> float:
        """The factor at `progress`."""
        return self._through(progress, self._first, 1.0, self._last)

    def momentum(self, progress: float) -> float | None:
        """The momentum itself (no factor) at `progress`, for SGD's `momentum` or Adam's first beta; None: unchanged."""
        if self._momenta is None:
            return None
        low, high = self._momenta
        return self._through(progress, high, low, high)

    def _through(self, progress: float, start: float, peak: float, end: float) -> float:
        """From `start` over `peak`, reached at the warm-up's end, to `end`."""
        t = _within(progress)
        if t < self._share:
            return _cosine(start, peak, t / self._share)
        return _cosine(peak, end, (t - self._share) / (1 - self._share))


class Plateau:
    """Multiplies the rate by `factor` after more than `patience` validations in a row without a better loss.

    A loss is better when it is below (1 - threshold) * the best so far, as in torch's ReduceLROnPlateau (mode min,
    relative threshold, no cooldown). The rate does not depend on progress.

    Args:
        patience: Validations in a row without improvement that are borne, 0 or more.
        factor: What the rate is multiplied by, in (0, 1).
        min_factor: The rate never falls below this share of the full one, in [0, 1).
        threshold: Relative improvement that counts, in [0, 1).
    """

    def __init__(
        self, *, patience: int = 1, factor: float = 0.3, min_factor: float = 0.001, threshold: float = 1e-4
    ) -> None:
        check_range(patience, where="schedule.patience", low=0, high=math.inf)
        check_range(factor, where="schedule.factor", low=0, high=1, above=True, below=True)
        check_range(min_factor, where="schedule.min_factor", low=0, high=1, below=True)
        check_range(threshold, where="schedule.threshold", low=0, high=1, below=True)
        self._patience, self._drop, self._floor, self._threshold = patience, factor, min_factor, threshold
        self._best, self._bad, self._factor = math.inf, 0, 1.0

    def __call__(self, progress: float) -> float:
        """The factor that the validations so far have led to."""
        return self._factor

    def observe(self, loss: float) -> None:
        """Takes note of a validation's loss; NaN counts as no improvement."""
        if loss < self._best * (1 - self._threshold):
            self._best, self._bad = loss, 0
            return
        self._bad += 1
        if self._bad > self._patience:
            self._factor, self._bad = max(self._factor * self._drop, self._floor), 0

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint must keep: plain numbers, the best loss None before the first one."""
        return {"best": None if math.isinf(self._best) else self._best, "bad": self._bad, "factor": self._factor}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`."""
        self._best = math.inf if state["best"] is None else float(state["best"])
        self._bad, self._factor = int(state["bad"]), float(state["factor"])


def _check_rising(shares: tuple[float, ...], *, where: str) -> None:
    """Refuses anything but shares of a phase in rising order."""
    name = where.rpartition(".")[2]
    if not shares:
        raise no_effect(f"an empty list of {name}", where=where, do="name shares such as [0.5]")
    for share in shares:
        check_range(share, where=where, low=0, high=1, above=True, below=True)
    if list(shares) != sorted(set(shares)):
        raise UserError(
            f"{name} must rise, and these are {list(shares)}", where=where, allowed=str(sorted(set(shares)))
        )


def _check_momenta(momenta: tuple[float, float]) -> None:
    """Refuses anything but a smaller and a larger momentum."""
    where = "schedule.momenta"
    if len(momenta) != 2:
        raise UserError(f"{momenta!r} is not a pair", where=where, allowed="[smallest, largest], such as [0.85,0.95]")
    for momentum in momenta:
        check_range(momentum, where=where, low=0, high=1, below=True)
    if momenta[0] >= momenta[1]:
        raise UserError(
            f"the smallest momentum {momenta[0]} is not below the largest {momenta[1]}",
            where=where,
            allowed="[smallest, largest], such as [0.85,0.95]; null leaves the momentum alone",
        )


def _within(progress: float) -> float:
    return min(max(progress, 0.0), 1.0)


def _cosine(start: float, end: float, t: float) -> float:
    """From `start` at t = 0 to `end` at t = 1 along half a cosine."""
    return end + (start - end) * (1 + math.cos(math.pi * t)) / 2
