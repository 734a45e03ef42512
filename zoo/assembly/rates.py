"""The learning rate of a phase: a number, the rate that a plugin registered, or one that is measured."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zoo.assembly.session import Session
from zoo.contracts.training import Phase
from zoo.errors import UserError
from zoo.evaluation.rate_picture import draw_rate_curve
from zoo.files import write_bytes, write_text
from zoo.training.loop import Loop
from zoo.training.range_test import STEPS, RangeCurve, range_test

UNKNOWN_LR = 1e-3
"""What groups are built with where the rate is still to be measured."""


SHARE = 0.1
"""Of a phase's steps, so many again are spent on measuring, up to the range test's usual number."""

FEWEST_STEPS = 20
"""With fewer steps a range test jumps over what it looks for; `auto` does without one in shorter phases."""


def measures_rate(options: Mapping[str, Any], facts: Mapping[str, Any], *, pretrained: bool, steps: int) -> bool:
    """Whether the rate is measured.

    `measure` always is. `auto` is where nothing is known and the phase is long enough to pay for it: the optimizer's
    author registered no rate, or the network starts from random values, to which the registered rates (of fine-tuning)
    do not apply.
    """
    unknown = not pretrained or "lr" not in facts
    return bool(options["lr"] == "measure" or (options["lr"] == "auto" and unknown and SHARE * steps >= FEWEST_STEPS))


def settle_rate(session: Session, loop: Loop, *, phase: Phase, index: int) -> None:
    """Gives the loop the measured rate, where it is one; a resumed run takes the one that it began with.

    It is taken as it is: the test ran with the phase's own parameters, so that the strategy's factor is in it.

    Raises:
        UserError: The test found none, and none is registered.
    """
    component = session.config.optimizer
    facts = session.facts(component)
    planned = loop.counters.planned_steps
    key = f"lr {index} {phase.name}"
    if key not in session.measured:
        if not measures_rate(component.options, facts, pretrained=loop.job.pretrained, steps=planned):
            return
        with session.console.stage("learning rate"):
            steps = min(STEPS, max(FEWEST_STEPS, int(SHARE * planned)))
            curve = range_test(loop.job, loop.passes, steps=steps)
        session.measured[key] = _chosen(session, curve, registered=facts.get("lr"), phase=phase)
        if session.main and curve.rates:
            _write_curve(curve, session.folder.report / f"learning-rate-{phase.name}", chosen=session.measured[key])
    loop.scale_rates(float(session.measured[key]) / max(loop.base_lrs))


def _write_curve(curve: RangeCurve, stem: Path, *, chosen: float) -> None:
    """The curve as a picture and as numbers."""
    write_bytes(stem.with_suffix(".png"), draw_rate_curve(curve.rates, curve.losses, chosen=chosen))
    rows = [f"{rate:.6g},{loss:.6g}" for rate, loss in zip(curve.rates, curve.losses, strict=True)]
    write_text(stem.with_suffix(".csv"), "\n".join(["rate,smoothed_loss", *rows]) + "\n")


def _chosen(session: Session, curve: RangeCurve, *, registered: float | None, phase: Phase) -> float:
    """The rate, said in a line; the registered one times the strategy's factor where the test found none."""
    if curve.chosen is not None:
        session.console.say(
            f"lr      {curve.chosen:.2g} for {phase.name}, measured over {len(curve.rates)} steps: {curve.rule} "
            f"(report/learning-rate-{phase.name}.png)"
        )
        if session.config.asked("strategy.lr_factor"):
            session.console.say("        strategy.lr_factor does not act on it: it is for the registered rate")
        return curve.chosen
    if registered is None:
        raise UserError(
            f"no learning rate could be measured: {curve.rule}",
            where="optimizer.lr",
            do=["give one: optimizer.lr=0.001", "scale the inputs, or add normalisation to the network"],
        )
    rate = registered * phase.lr_factor
    session.console.say(
        f"lr      {rate:.2g}, the registered one times {phase.lr_factor:g}: measuring failed, {curve.rule}"
    )
    return rate
