"""What this plugin offers to zoo. Every command reads it, so it imports nothing heavy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.hookspecs import hookimpl

if TYPE_CHECKING:
    from zoo.plugins import Register


@hookimpl
def register_trackers(register: Register) -> None:
    """One tracker; the target is imported when somebody chooses it."""
    register(
        "dvclive",
        "zoo_example_tracker.tracker:DvcLive",
        summary="DVCLive's files in the run's folder: a table a curve, the scores, the settings, a report",
        source="https://dvc.org/doc/dvclive",
    )
