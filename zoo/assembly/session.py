"""What every step of one run shares: configuration, registry, processes, folder, console."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from zoo.artifacts.record import DataUse, RunRecord
from zoo.artifacts.run_folder import RunFolder
from zoo.assembly.console import Console
from zoo.assembly.telling import Told
from zoo.config.run_config import Component, FinetuneConfig
from zoo.contracts.data import DataBundle
from zoo.contracts.model import LoadReport
from zoo.errors import UserError
from zoo.plugins import Plugins
from zoo.registry import Registry

if TYPE_CHECKING:
    from accelerate import Accelerator


@dataclass
class Session:
    """One run, while it lasts.

    Attributes:
        measured: Choices that were measured (precision, threads, a plan fitted to a time budget); they go into the
            record and are reused by resume, so that a resumed run computes what the first one would have.
        resumed: Whether this continues a run that was stopped.
        told: Its callbacks and trackers, once they are built.
    """

    config: FinetuneConfig
    plugins: Plugins
    console: Console
    accelerator: Accelerator
    folder: RunFolder
    record: RunRecord
    measured: dict[str, Any] = field(default_factory=dict)
    resumed: bool = False
    told: Told = field(default_factory=Told)
    started: float = field(default_factory=time.monotonic)

    @property
    def registry(self) -> Registry:
        """All components."""
        return self.plugins.registry

    @property
    def main(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return bool(self.accelerator.is_main_process)

    def build(self, component: Component, **supplied: Any) -> Any:
        """A chosen component with its own options and what the framework supplies."""
        return self.registry.get(component.kind, component.name).build(**component.own, **supplied)

    def facts(self, component: Component) -> Mapping[str, Any]:
        """What the plugin says of a chosen component beside its options."""
        return self.registry.get(component.kind, component.name).facts

    @property
    def weights_choice(self) -> str:
        """What `weights=` means now: a resumed run asks only the source that had them when it began."""
        before = self.record.weights
        asked = self.config.weights
        return before.source if self.resumed and before is not None and asked == "auto" else asked

    def seed_everything(self) -> None:
        """Makes random starting values a function of the seed. (Training seeds itself, at every step.)"""
        torch.manual_seed(self.config.train.seed)

    def check_unchanged(self, bundle: DataBundle, report: LoadReport) -> None:
        """Records which data and weights the run stands on; a resumed run must stand on the same.

        Raises:
            UserError: Files, labels, splits or weights are not what they were when the run began.
        """
        before = self.record
        if self.resumed and before.data is not None and before.data.fingerprint != bundle.fingerprint:
            raise UserError(
                "the data are not what they were when this run began: a file, a label or a split changed",
                where=bundle.location,
                do=["put the data back as they were", "or start a new run; model=DIR goes on from this one's weights"],
            )
        if self.resumed and before.weights is not None and before.weights.sha256 != report.sha256:
            raise UserError(
                f"the pretrained weights differ from those the run began with ({report.source}: {report.location})",
                where="weights",
                allowed=f"{before.weights.source}: {before.weights.location}, sha256 {before.weights.sha256[:12]}",
                do="give back the file that was used",
            )
        self.update(data=DataUse.of(bundle), weights=report)

    def log(self, row: Mapping[str, Any]) -> None:
        """One line into metrics.jsonl."""
        if self.main:
            self.folder.metrics.append(row)

    def update(self, **parts: Any) -> None:
        """Writes the record anew with these parts replaced, and what was measured and timed up to now."""
        self.record = dataclasses.replace(
            self.record, choices=dict(self.measured), timings=rounded(self.console.seconds), **parts
        )
        if self.main:
            self.record.save(self.folder.record)

    @property
    def deadline(self) -> float | None:
        """When the whole run should be over, on the clock of `time.monotonic()`."""
        limit = self.config.train.max_time
        if limit is None:
            return None
        return self.started + seconds_of(limit) - float(self.measured.get("seconds_before", 0.0))


def rounded(seconds: Mapping[str, float]) -> dict[str, float]:
    """Seconds by stage, to the hundredth."""
    return {name: round(value, 2) for name, value in seconds.items()}


def seconds_of(limit: str | float) -> float:
    """`90`, `90s`, `10m`, `1.5h` in seconds.

    Raises:
        UserError: It is none of these, or not positive.
    """
    units = {"s": 1.0, "m": 60.0, "h": 3600.0}
    text = str(limit).strip().lower()
    number, unit = (text[:-1], text[-1]) if text and text[-1] in units else (text, "s")
    try:
        seconds = float(number) * units[unit]
    except ValueError:
        seconds = -1.0
    if not seconds > 0:
        raise UserError(
            f"train.max_time={limit!r} is no time", where="train.max_time", allowed="90s, 10m, 1.5h, or seconds"
        )
    return seconds
