"""Who listens to a run, and what they are told of it: the settings at its start, the images behind its report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from zoo.assembly.session import Session
from zoo.assembly.telling import Listener, Told, check_methods
from zoo.assembly.tracking import Curves
from zoo.config.compose import to_plain
from zoo.config.keys import leaves
from zoo.contracts.callbacks import Answers, Reporting, RunStarted, Section
from zoo.contracts.data import DataBundle
from zoo.contracts.evaluation import Outputs
from zoo.contracts.training import Plan
from zoo.errors import PluginError
from zoo.evaluation.calibration import probabilities_of
from zoo.imaging.preprocess import Preprocess
from zoo.training.checkpoints import Checkpoints

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SECTIONS = "sections.md"
"""What callbacks had to say, in the run's report folder; written where one of them said something."""


def listen(session: Session) -> Told:
    """Builds the callbacks and trackers that were listed; on the main process alone.

    Raises:
        PluginError: One has a method for an event that there is not, or lacks what its contract asks for.
        UserError: One cannot be used with these options, or a library that it needs is not installed.
    """
    if not session.main:
        return Told()
    found = []
    for component in (*session.config.callbacks, *session.config.trackers):
        entry = session.registry.get(component.kind, component.name)
        built = session.build(component)
        if component.kind == "tracker":
            lacking = [name for name in ("start", "log", "finish") if not callable(getattr(built, name, None))]
            if lacking:
                raise PluginError(
                    f"tracker {entry.full_name!r} has no method {' and no method '.join(lacking)}\n"
                    f"  allowed: start, log and finish, as zoo.contracts.tracking.Tracker has them\n"
                    f"  plugin:  {entry.origin}"
                )
            key = component.key.rpartition(".")[2]
            built = Curves(built, key=key, every_steps=int(component.options["every_steps"]))
        else:
            check_methods(built, entry)
        found.append(Listener(component.key, built, entry))
    return Told(found)


def begin(session: Session, plan: Plan, *, bundle: DataBundle) -> None:
    """Gives callbacks their saved states back, and tells of the start.

    Raises:
        UserErrors: Some can have no effect in this run.
    """
    state = Checkpoints(session.folder.checkpoints).state("last") if session.resumed else None
    session.told.start(
        RunStarted(
            run_dir=session.folder.path,
            config={key: value for key, value in leaves(to_plain(session.config)) if not isinstance(value, Mapping)},
            classes=bundle.classes,
            data=bundle.facts,
            plan=plan,
            resumed=session.resumed,
            splits={split: len(indices) for split, indices in bundle.splits.items()},
        ),
        states={} if state is None else state.get("callbacks", {}),
    )


def write_sections(
    session: Session,
    bundle: DataBundle,
    *,
    preprocess: Preprocess,
    outputs: Mapping[str, Outputs],
    scores: Mapping[str, Mapping[str, Any]],
    temperature: float,
    thresholds: tuple[float, ...] | None,
) -> None:
    """Asks for sections of the report, and writes them; on the main process alone.

    Args:
        session: With the run's folder.
        bundle: The data.
        preprocess: Makes a stored image the one that the network sees.
        outputs: Split to the network's answers.
        scores: Split to its headline scores.
        temperature: What logits are divided by.
        thresholds: From which probability on a label is given; None for 0.5, or where an image has one label.
    """
    if not session.told.hears(Reporting):
        return
    answers = {
        split: Answers(
            keys=tuple(bundle.keys[int(position)] for position in found.indices),
            targets=found.targets,
            probabilities=probabilities_of(found, task=bundle.task, temperature=temperature),
            thresholds=thresholds,
            image=_Windows(bundle, found.indices, preprocess=preprocess),
        )
        for split, found in outputs.items()
    }
    folder = session.folder.report
    folder.mkdir(parents=True, exist_ok=True)
    sections: list[Section] = session.told.tell(Reporting(folder, scores, answers, bundle.classes))
    if sections:
        text = "\n".join(f"## {section.title}\n\n{section.text.strip()}\n" for section in sections)
        session.folder.write_text(f"{folder.name}/{SECTIONS}", text)
        titles = ", ".join(section.title for section in sections)
        session.console.say(f"report  {folder / SECTIONS}: {titles}")


class _Windows:
    """Place in a split to the image as the network sees it."""

    def __init__(self, bundle: DataBundle, indices: NDArray[np.int64], *, preprocess: Preprocess) -> None:
        self._bundle, self._indices, self._preprocess = bundle, indices, preprocess

    def __call__(self, place: int) -> NDArray[Any]:
        stored = self._bundle.images[int(self._indices[place])]
        return stored if self._preprocess.takes_numbers else self._preprocess.crop(stored)
