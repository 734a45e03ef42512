"""TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from zoo_plugins.tracking.library_tracker import LibraryTracker, settings_of

from zoo.contracts.tracking import TrackedRun

if TYPE_CHECKING:
    from accelerate.tracking import GeneralTracker


class TensorBoard(LibraryTracker):
    """Event files in the run's folder: `tensorboard --logdir runs` shows all runs beside one another.

    The run's settings stand in the tab HParams, beside `val/accuracy` and `test/accuracy`.

    Source: https://www.tensorflow.org/tensorboard, through accelerate's `TensorBoardTracker`. Deviation: that writes
        settings into folders of their own, which TensorBoard takes for more runs; here they are in the run's own.
    """

    LIBRARY = "tensorboard"
    NAME = "TensorBoard"

    def open(self, run: TrackedRun) -> GeneralTracker:
        """One more file of events; of a resumed run TensorBoard leaves out what comes again."""
        from accelerate.tracking import TensorBoardTracker

        purge = {"purge_step": run.step + 1} if run.resumed else {}
        return TensorBoardTracker(run.folder.name, logging_dir=run.folder.parent, **purge)

    def describe(self, run: TrackedRun) -> None:
        """Writes the settings for the tab HParams."""
        from torch.utils.tensorboard.summary import hparams

        writer = self._tracker.tracker
        shown = {"val/accuracy": 0.0, "test/accuracy": 0.0}  # names alone are looked at
        for summary in hparams(settings_of(run), shown):
            writer.file_writer.add_summary(summary)
        writer.flush()

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Writes all: what comes again was left out when the file was opened."""
        self._step = step
        self._tracker.log(dict(values), step=step)
