"""Trackio."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from zoo_plugins.tracking.library_tracker import LibraryTracker

from zoo.contracts.tracking import TrackedRun

if TYPE_CHECKING:
    from accelerate.tracking import GeneralTracker


class Trackio(LibraryTracker):
    """A run of Trackio, in a database in the run's folder by default.

    `TRACKIO_DIR=RUN/trackers/trackio trackio show` shows it. It goes to a Space of the Hugging Face hub where `space`
    names one, and nowhere without: `TRACKIO_SPACE_ID` alone sends nothing.

    Source: https://huggingface.co/docs/trackio, through accelerate's `TrackioTracker`.

    Args:
        space: Space of the hub to which all is sent, `ORG/NAME`; null: none.
        project: The project to which the run belongs.
    """

    LIBRARY = "trackio"
    NAME = "Trackio"

    def __init__(self, *, space: str | None = None, project: str = "zoo") -> None:
        super().__init__()
        self.space, self.project = space, project

    def open(self, run: TrackedRun) -> GeneralTracker:
        """The run in its database; a resumed one by its name there."""
        keep_in(run.folder.absolute())
        from accelerate.tracking import TrackioTracker

        return TrackioTracker(
            self.project, name=run.name, space_id=self.space, resume="allow", embed=False, auto_log_gpu=False
        )


def keep_in(folder: Path) -> None:
    """Points Trackio at a folder; it looks for its own once, when it is imported, and a sweep has a folder a run."""
    os.environ["TRACKIO_DIR"] = str(folder)
    import trackio  # noqa: F401

    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "trackio" and hasattr(module, "TRACKIO_DIR"):
            module.TRACKIO_DIR = folder
            if hasattr(module, "MEDIA_DIR"):
                module.MEDIA_DIR = folder / "media"
