"""What a tracker offers: a place where a run's settings, curves and scores are written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True)
class TrackedRun:
    """Which run it is.

    Attributes:
        name: Name of the run's folder.
        run_dir: The run's folder.
        config: Dotted key to its value: numbers, text, true, false, null, and lists of them.
        resumed: Whether a run that was stopped goes on: what was written then is kept and gone on from.
        folder: The tracker's own folder in the run's: `trackers/` and its key in the configuration. It is not there
            before a tracker makes it, and no other tracker writes into it.
        step: The last step of what is kept of a resumed run. What was logged at later steps, between the last
            checkpoint and a kill, comes again, and with the same values. -1: everything comes again.
    """

    name: str
    run_dir: Path
    config: Mapping[str, Any]
    resumed: bool = False
    folder: Path = Path()
    step: int = -1


class Tracker(Protocol):
    """What a component of kind `tracker` builds. Told on the main process alone."""

    def start(self, run: TrackedRun) -> None:
        """Once, before anything is trained."""

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Numbers at a step, counted over all phases: `train/loss`, `train/lr`, `val/loss`, `val/accuracy`...

        Steps never fall; values of several calls at one step have different names.
        """

    def finish(self, scores: Mapping[str, float], error: BaseException | None = None) -> None:
        """Once, at the end: `test/accuracy` and the like; `error` is what ended a run that broke."""
