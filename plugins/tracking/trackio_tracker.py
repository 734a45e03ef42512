"""Trackio."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from zoo_plugins.tracking.library_tracker import LibraryTracker

from zoo.contracts.tracking import TrackedRun

if TYPE_CHECKING:
    from accelerate.tracking import GeneralTracker


class Trackio(LibraryTracker):
    """A run of Trackio, in a database in the run's folder by default.

    `TRACKIO_DIR=RUN/trackers/trackio trackio show` shows it. It goes to a Space of the Hugging Face hub where `space`
    names one, and nowhere without: `TRACKIO_SPACE_ID` and `TRACKIO_SERVER_URL` alone send nothing.

    Trackio writes half a second after it was told, so that a kill takes what it was told last: the database of a
    resumed run is written anew, with all that it was told before.

    Source: https://huggingface.co/docs/trackio, through accelerate's `TrackioTracker`. Deviation: what the processor
        and the GPU do is not recorded.

    Args:
        space: Space of the hub to which all is sent, `ORG/NAME`; null: none.
        project: The project to which the run belongs.
    """

    LIBRARY = "trackio"
    NAME = "Trackio"

    def __init__(self, *, space: str | None = None, project: str = "zoo") -> None:
        super().__init__()
        self.space, self.project = space, project

    def start(self, run: TrackedRun) -> None:
        """Opens the run.

        Raises:
            UserError: Trackio cannot be started so.
        """
        with contextlib.nullcontext() if self.space is not None else _on_this_machine():
            super().start(run)

    def takes_away(self, run: TrackedRun) -> bool:
        """The database in the run's folder."""
        if self.space is not None:
            return False
        for file in run.folder.glob("*.db*"):
            file.unlink()
        return True

    def open(self, run: TrackedRun) -> GeneralTracker:
        """The run in its database; a resumed one by its name there."""
        _keep_in(run.folder.absolute())
        from accelerate.tracking import TrackioTracker

        return TrackioTracker(
            self.project,
            name=run.name,
            space_id=self.space,
            resume="allow",
            embed=False,
            auto_log_gpu=False,
            auto_log_cpu=False,
        )

    def close(self, error: BaseException | None) -> None:
        """Closes the run so that Trackio knows of none when the program ends, where it would print."""
        import trackio

        trackio.finish()


@contextlib.contextmanager
def _on_this_machine() -> Iterator[None]:
    """Within it Trackio takes no address from the environment, and asks the hub for no name of its user."""
    from huggingface_hub import constants

    addresses = {name: os.environ.pop(name, None) for name in ("TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL")}
    offline, constants.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE, True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = offline
        os.environ.update({name: value for name, value in addresses.items() if value is not None})


def _keep_in(folder: Path) -> None:
    """Points Trackio at a folder; it looks for its own once, when it is imported, and a sweep has a folder a run."""
    os.environ["TRACKIO_DIR"] = str(folder)
    import trackio  # noqa: F401

    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "trackio":
            for attribute, path in (("TRACKIO_DIR", folder), ("MEDIA_DIR", folder / "media")):
                if hasattr(module, attribute):
                    setattr(module, attribute, path)
