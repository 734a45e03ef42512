"""Weights & Biases."""

from __future__ import annotations

import os
import secrets
import shutil
from typing import TYPE_CHECKING, Literal

from zoo_plugins.tracking.library_tracker import LibraryTracker, quiet

from zoo.contracts.tracking import TrackedRun

if TYPE_CHECKING:
    from accelerate.tracking import GeneralTracker


class Wandb(LibraryTracker):
    """A run of Weights & Biases, offline in the run's folder by default.

    `wandb sync RUN/trackers/wandb/wandb/offline-run-*` sends it when you want it sent. W&B cannot go on with a run that
    is offline: a resumed one is written anew, with all that it was told before, in the place of the old.

    Source: https://docs.wandb.ai/ref/python/sdk/functions/init, through accelerate's `WandBTracker`. Deviation: what
        the run prints is not recorded.

    Args:
        mode: `offline` writes files; `online` sends all at once to the server of W&B.
        project: The project to which the run belongs.
        entity: User or team to whom it belongs, where it is sent; null: the one that is logged in.
    """

    LIBRARY = "wandb"
    NAME = "Weights & Biases"

    def __init__(
        self, *, mode: Literal["offline", "online"] = "offline", project: str = "zoo", entity: str | None = None
    ) -> None:
        super().__init__()
        self.mode, self.project, self.entity = mode, project, entity

    def takes_away(self, run: TrackedRun) -> bool:
        """The files of a run that is offline."""
        if self.mode == "online":
            return False
        shutil.rmtree(run.folder / "wandb", ignore_errors=True)
        return True

    def open(self, run: TrackedRun) -> GeneralTracker:
        """A new run, or the one that is resumed, by its number."""
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # it would tell its makers of errors
        import wandb
        from accelerate.tracking import WandBTracker

        number = run.folder / "run_id"
        if not number.exists():
            number.write_text(secrets.token_hex(4))
        online = self.mode == "online"
        return WandBTracker(
            self.project,
            name=run.name,
            id=number.read_text().strip(),
            resume="allow" if online else None,
            entity=self.entity,
            dir=str(run.folder),
            mode=self.mode,
            settings=wandb.Settings(console="off", silent=True, show_errors=True),
        )

    def close(self, error: BaseException | None) -> None:
        """Ends the run; one that broke as failed."""
        with quiet():
            self._tracker.tracker.finish(exit_code=0 if error is None else 1)
