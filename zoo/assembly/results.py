"""What a run leaves: scores with intervals, a calibrated saved model, a report, a record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from zoo.artifacts.model_folder import Part, save_model
from zoo.assembly.objective import make_loss
from zoo.assembly.session import Session, rounded
from zoo.assembly.start import now
from zoo.assembly.training import Trainer
from zoo.contracts.data import DataBundle
from zoo.contracts.evaluation import Outputs, Scores
from zoo.contracts.model import Model
from zoo.evaluation.calibration import calibrate, reliability
from zoo.evaluation.metrics import score
from zoo.evaluation.report import plain_scores, render_scores, write_curves, write_report


def score_splits(
    session: Session, trainer: Trainer, *, bundle: DataBundle
) -> tuple[dict[str, Scores], dict[str, Outputs]]:
    """Scores on validation and, where there is one, on test: each image once, in the weights' own preprocessing."""
    loss = make_loss(session, bundle).to(session.accelerator.device)
    outputs = {split: trainer.outputs(split, loss) for split in ("val", "test") if split in bundle.splits}
    scores = {
        split: score(found, split=split, classes=bundle.classes, task=bundle.task) for split, found in outputs.items()
    }
    return scores, outputs


def leave_results(
    session: Session, model: Model, *, bundle: DataBundle, scores: dict[str, Scores], outputs: dict[str, Outputs]
) -> None:
    """Writes model/, report/ and record.json."""
    calibration = calibrate(outputs["val"], task=bundle.task)
    plain = {split: plain_scores(found) for split, found in scores.items()}
    if session.main:
        _save_model(session, model, bundle=bundle, plain=plain, temperature=calibration.temperature)
        for split, found in scores.items():
            curve = reliability(outputs[split], task=bundle.task, temperature=calibration.temperature)
            write_report(session.folder.report / split, found, reliability=curve)
        write_curves(session.folder.metrics.rows(), session.folder.report / "curves.png")
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
        console.say(
            f"{name:<10}  accuracy {accuracy.value:.3f}  (95 % interval {accuracy.low:.3f} to {accuracy.high:.3f}, "
            f"{found.count} images)  macro F1 {found.macro_f1.value:.3f}"
        )
    if "test" not in scores:
        console.say("no test images: the validation score chose among epochs and is a little too good")
    console.say(f"run         {session.folder.path}")


def _save_model(
    session: Session, model: Model, *, bundle: DataBundle, plain: dict[str, Any], temperature: float
) -> None:
    config, record = session.config, session.record
    weights = record.weights
    save_model(
        session.folder.model,
        model,
        classes=bundle.classes,
        preprocess=model.spec.preprocess,
        task=bundle.task,
        temperature=temperature,
        model_options=config.model.own,
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
        },
    )


def _headline(scores: Scores) -> dict[str, Any]:
    """The scores that a script wants first."""
    found: dict[str, Any] = {"count": scores.count, "loss": scores.loss}
    for name in ("accuracy", "macro_f1", "top5"):
        interval = getattr(scores, name)
        if interval is not None:
            found[name] = interval.value
            found[f"{name}_interval"] = [interval.low, interval.high]
    return found


def _headline_plain(values: dict[str, Any]) -> dict[str, Any]:
    return {key: values[key] for key in ("count", "accuracy", "macro_f1", "loss") if key in values}
