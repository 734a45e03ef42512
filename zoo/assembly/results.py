"""What a run leaves: scores with intervals, a calibrated saved model, a report, a record."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from zoo.artifacts.model_folder import Part, save_model
from zoo.assembly.listening import write_sections
from zoo.assembly.pinned import made_of
from zoo.assembly.session import Session, rounded
from zoo.assembly.start import now
from zoo.assembly.training import Trainer
from zoo.contracts.data import DataBundle, Task
from zoo.contracts.evaluation import Interval, Outputs, Scores
from zoo.contracts.model import Model
from zoo.evaluation.calibration import calibrate, reliability
from zoo.evaluation.intervals import wilson_of
from zoo.evaluation.metrics import score
from zoo.evaluation.report import plain_scores, render_scores, write_curves, write_report
from zoo.evaluation.thresholds import Thresholds, choose_thresholds
from zoo.models.surgery import structural

OWN_FOLDS = "labels given at thresholds chosen on the other four fifths of these images"
CHOSEN = "labels given at thresholds chosen on the validation images"

VAGUE = 0.2
"""An interval of the accuracy wider than this is spelled out."""

FEW = 30
"""So is every interval that rests on fewer images than this."""


@dataclass(frozen=True)
class Scored:
    """The network's scores, and what validation fixed for its use.

    Attributes:
        scores: By split.
        outputs: By split.
        temperature: What logits are divided by before they become probabilities.
        thresholds: Of each label of a multi-label task; None where they are 0.5.
    """

    scores: dict[str, Scores]
    outputs: dict[str, Outputs]
    temperature: float
    thresholds: tuple[float, ...] | None


def score_splits(session: Session, trainer: Trainer, *, bundle: DataBundle) -> Scored:
    """Scores on validation and, where there is one, on test: each image once, in the weights' own preprocessing.

    In a multi-label task validation chooses the thresholds at which labels are given. It is itself scored in folds,
    each at thresholds of the others; test images at those that are saved.
    """
    outputs = {split: trainer.outputs(split) for split in ("val", "test") if split in bundle.splits}
    temperature = calibrate(outputs["val"], task=bundle.task).temperature
    chosen = None
    if bundle.task is Task.MULTI_LABEL:
        chosen = choose_thresholds(outputs["val"], temperature=temperature)
        session.console.say(_say_thresholds(chosen))
    values = None if chosen is None else chosen.values
    scores = {
        split: score(
            found,
            split=split,
            classes=bundle.classes,
            task=bundle.task,
            thresholds=values,
            temperature=temperature,
            given=chosen.given if chosen is not None and values is not None and split == "val" else None,
            note="" if values is None else OWN_FOLDS if split == "val" else CHOSEN,
        )
        for split, found in outputs.items()
    }
    return Scored(scores, outputs, temperature, values)


def _say_thresholds(chosen: Thresholds) -> str:
    if chosen.values is None:
        return f"labels  given at 0.5: no other thresholds had a higher macro F1 on validation ({chosen.half_f1:.3f})"
    return (
        f"labels  given at thresholds from {min(chosen.values):.3f} to {max(chosen.values):.3f}: macro F1 "
        f"{chosen.chosen_f1:.3f} on validation, in five folds, instead of {chosen.half_f1:.3f} at 0.5"
    )


def leave_results(session: Session, model: Model, *, bundle: DataBundle, scored: Scored) -> None:
    """Writes model/, report/ and record.json."""
    plain = {split: plain_scores(found) for split, found in scored.scores.items()}
    if session.main:
        _save_model(session, model, bundle=bundle, plain=plain, scored=scored)
        for split, found in scored.scores.items():
            curve = reliability(scored.outputs[split], task=bundle.task, temperature=scored.temperature)
            write_report(session.folder.report / split, found, reliability=curve)
        write_curves(session.folder.metrics.rows(), session.folder.report / "curves.png")
        write_sections(
            session,
            bundle,
            preprocess=model.spec.preprocess,
            outputs=scored.outputs,
            scores={split: _headline(found) for split, found in scored.scores.items()},
            temperature=scored.temperature,
            thresholds=scored.thresholds,
        )
    session.update(status="finished", finished=now(), scores=plain)


def summary_of(session: Session, scores: dict[str, Scores], *, classes: Sequence[str]) -> dict[str, Any]:
    """What `--json` prints."""
    return {
        "run_dir": str(session.folder.path),
        "classes": list(classes),
        "model": session.config.model.name,
        "scores": {split: _headline(found) for split, found in scores.items()},
        "seconds": rounded(session.console.seconds),
    }


def say_results(session: Session, scores: dict[str, Scores]) -> None:
    """The last lines of a run: scores with intervals, then where everything lies."""
    console = session.console
    last = "test" if "test" in scores else "val"
    for line in render_scores(scores[last]):
        console.say(line)
    for split, found in scores.items():
        accuracy = found.accuracy
        name = {"val": "validation", "test": "test"}[split]
        what = "accuracy" if found.micro_f1 is None else "all labels right"
        console.say(
            f"{name:<10}  {what} {accuracy.value:.3f}  (95 % interval {accuracy.low:.3f} to {accuracy.high:.3f}, "
            f"{found.count} images)  macro F1 {found.macro_f1.value:.3f}"
        )
    for line in say_uncertain(scores[last]):
        console.say(line)
    if "test" not in scores:
        console.say("no test images: the validation score chose among epochs and is a little too good")
    console.say(f"run         {session.folder.path}")


def say_uncertain(scores: Scores) -> list[str]:
    """What so few images leave open, a sentence each, where that is much.

    Beside the interval itself: how many images would narrow it to `VAGUE` whatever share in it is the true one, and
    which classes nothing is known of.
    """
    accuracy, count = scores.accuracy, scores.count
    lines = []
    if count < FEW or accuracy.high - accuracy.low > VAGUE:
        what = "one image says" if count == 1 else f"{count} images say"
        low, high = math.floor(100 * accuracy.low), math.ceil(100 * accuracy.high)
        lines.append(f"{what} little: on many more the accuracy may be anything from {low} to {high} %")
    if accuracy.high - accuracy.low > VAGUE:
        lines[0] += f"; {_enough(accuracy)} would narrow that to {100 * VAGUE:.0f} points"
    unseen = [entry.name for entry in scores.per_class if not entry.support]
    if unseen:
        named = ", ".join(map(repr, unseen[:5])) + (f" and {len(unseen) - 5} more" if len(unseen) > 5 else "")
        split = {"val": "validation"}.get(scores.split, scores.split)
        lines.append(f"no {split} image of class {named}: the score says nothing of it")
    return lines


def _enough(accuracy: Interval) -> int:
    """Images whose interval is no wider than `VAGUE`, whatever share within this one is true."""
    hardest = min(max(0.5, accuracy.low), accuracy.high)

    def width(count: int) -> float:
        found = wilson_of(hardest, trials=count)
        return found.high - found.low

    return next(count for count in itertools.count(1) if width(count) <= VAGUE)


def _save_model(session: Session, model: Model, *, bundle: DataBundle, plain: dict[str, Any], scored: Scored) -> None:
    config, record = session.config, session.record
    weights = record.weights
    save_model(
        session.folder.model,
        model,
        classes=bundle.classes,
        preprocess=model.spec.preprocess,
        task=bundle.task,
        temperature=scored.temperature,
        thresholds=scored.thresholds,
        model_options=config.model.own | structural(config.model.common),
        model_name=config.model.name,
        head=Part(config.head.name, config.head.own),
        origin={
            "run": session.folder.path.name,
            "finished": now(),
            "data": {"name": bundle.name, "fingerprint": bundle.fingerprint},
            "weights": None
            if weights is None
            else {"source": weights.source, "sha256": weights.sha256, "tag": weights.tag},
            "scores": {split: _headline_plain(values) for split, values in plain.items()},
            **made_of([session.registry.get(part.kind, part.name) for part in (config.model, config.head)]),
        },
    )


def _headline(scores: Scores) -> dict[str, Any]:
    """The scores that a script wants first."""
    found: dict[str, Any] = {"count": scores.count, "loss": scores.loss}
    for name in ("accuracy", "macro_f1", "top5", "balanced_accuracy", "micro_f1", "mean_average_precision"):
        interval = getattr(scores, name)
        if interval is not None:
            found[name] = interval.value
            found[f"{name}_interval"] = [interval.low, interval.high]
    return found


def _headline_plain(values: dict[str, Any]) -> dict[str, Any]:
    return {key: values[key] for key in ("count", "accuracy", "macro_f1", "micro_f1", "loss") if key in values}
