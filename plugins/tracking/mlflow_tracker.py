"""MLflow."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from zoo_plugins.tracking.library_tracker import LibraryTracker

from zoo.contracts.tracking import TrackedRun
from zoo.errors import Interrupted

if TYPE_CHECKING:
    from accelerate.tracking import GeneralTracker


class MLflow(LibraryTracker):
    """A run in MLflow, by default in a database in the run's folder.

    `mlflow ui --backend-store-uri sqlite:///RUN/trackers/mlflow/mlflow.db` shows it. A database, because MLflow keeps
    its plain files only for old data. Nothing is sent anywhere unless `uri` says so: `MLFLOW_TRACKING_URI` alone does
    not.

    Source: https://mlflow.org/docs/latest/ml/tracking, through accelerate's `MLflowTracker`.

    Args:
        uri: Tracking server or database, such as `http://localhost:5000` or `sqlite:////home/me/mlflow.db`; null: a
            database in the run's folder.
        experiment: The experiment to which the run belongs.
    """

    LIBRARY = "mlflow"
    NAME = "MLflow"

    def __init__(self, *, uri: str | None = None, experiment: str = "zoo") -> None:
        super().__init__()
        self.uri, self.experiment = uri, experiment

    def open(self, run: TrackedRun) -> GeneralTracker:
        """The run in its store; a resumed one by its number there."""
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
        import mlflow
        from accelerate.tracking import MLflowTracker

        for name in ("alembic", "mlflow"):
            logging.getLogger(name).setLevel(logging.WARNING)  # they tell of each table that they make
        folder = run.folder.absolute()
        mlflow.set_tracking_uri(self.uri or f"sqlite:///{folder / 'mlflow.db'}")
        number = folder / "run_id"
        return MLflowTracker(
            experiment_name=self.experiment,
            logging_dir=None if self.uri else (folder / "artifacts").as_uri(),
            run_id=number.read_text().strip() if number.exists() else None,
            run_name=run.name,
        )

    def describe(self, run: TrackedRun) -> None:
        """Notes the run's number, then hands over the settings."""
        (run.folder / "run_id").write_text(self._tracker.tracker.info.run_id)
        super().describe(run)

    def close(self, error: BaseException | None) -> None:
        """Ends the run as what it was: finished, failed, or killed by hand."""
        import mlflow

        by_hand = isinstance(error, Interrupted | KeyboardInterrupt)
        mlflow.end_run("FINISHED" if error is None else "KILLED" if by_hand else "FAILED")
