"""A run's settings, curves and scores as DVCLive keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from dvclive import Live

    from zoo.contracts.tracking import TrackedRun


class DvcLive:
    """Files in `trackers/dvclive` of the run's folder, which DVC, its extension for VS Code, and any table can read.

    `params.yaml` holds the settings, `plots/metrics/train/loss.tsv` and its like a curve each, and `metrics.json` the
    last values and the scores. No repository is made or changed, and nothing is sent anywhere.

    Source: https://dvc.org/doc/dvclive/live

    Args:
        report: A report with all curves, written at the end: `html`, `md`, or null for none.
    """

    def __init__(self, *, report: Literal["html", "md"] | None = None) -> None:
        self._report = report
        self._live: Live | None = None

    def start(self, run: TrackedRun) -> None:
        """Opens the files; those of a resumed run are gone on with, from its last checkpoint on."""
        from dvclive import Live

        if run.resumed:
            _cut_back(run.folder, run.step)
        self._live = Live(
            dir=str(run.folder), resume=run.resumed, report=self._report, save_dvc_exp=False, dvcyaml=False
        )
        self._live.log_params(_nested(run.config))

    def log(self, values: Mapping[str, float], step: int) -> None:
        """One row in the table of each curve; `metrics.json` says how far the run is."""
        live = self._opened()
        live.step = step
        for name, value in values.items():
            live.log_metric(name, value)
        live.make_summary()

    def finish(self, scores: Mapping[str, float], error: BaseException | None = None) -> None:
        """The scores, which are no curves; of a run that broke, why."""
        live = self._opened()
        for name, value in scores.items():
            live.log_metric(name, value, plot=False)
        if error is not None:
            live.log_metric("error", f"{type(error).__name__}: {error}", plot=False)
        live.end()

    def _opened(self) -> Live:
        if self._live is None:
            raise RuntimeError("start() comes first")
        return self._live


def _nested(config: Mapping[str, Any]) -> dict[str, Any]:
    """`{"optimizer.lr": 0.1}` as `{"optimizer": {"lr": 0.1}}`, the form of a YAML file."""
    nested: dict[str, Any] = {}
    for key, value in config.items():
        *groups, name = key.split(".")
        inside = nested
        for group in groups:
            inside = inside.setdefault(group, {})
        inside[name] = value
    return nested


def _cut_back(folder: Path, step: int) -> None:
    """Takes rows after a step out of all curves: a resumed run computes them again, to the same values."""
    for table in (folder / "plots" / "metrics").rglob("*.tsv"):
        head, *rows = table.read_text(encoding="utf-8").splitlines(keepends=True)
        column = head.rstrip("\n").split("\t").index("step")
        kept = [row for row in rows if row.endswith("\n") and int(row.rstrip("\n").split("\t")[column]) <= step]
        table.write_text("".join([head, *kept]), encoding="utf-8")
