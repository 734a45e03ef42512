"""What a run says while it goes: a live bar on a terminal, plain lines elsewhere, one JSON object with `--json`."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TextIO

from zoo.contracts.training import StepView

PLAIN_LINE_EVERY_S = 15.0


class Console:
    """Says things to a person; results on stdout, or on stderr where stdout is kept for JSON.

    Args:
        as_json: Keep stdout for one JSON object at the end.
        speaks: False in all processes but the first.
    """

    def __init__(self, *, as_json: bool = False, speaks: bool = True) -> None:
        self._stream: TextIO = sys.stderr if as_json else sys.stdout
        self._as_json, self._speaks = as_json, speaks
        self._live = self._stream.isatty() and speaks
        self.seconds: dict[str, float] = {}

    def say(self, text: str) -> None:
        """One line, or a few."""
        if self._speaks:
            self._stream.write(text + "\n")
            self._stream.flush()

    def summary(self, values: Mapping[str, Any]) -> None:
        """The machine-readable result, where it was asked for."""
        if self._as_json and self._speaks:
            sys.stdout.write(json.dumps(values) + "\n")

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Times a stage of the run under this name; a name that comes again adds up."""
        start = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - start

    @contextmanager
    def counting(self, what: str, total: int = 0) -> Iterator[Callable[..., None]]:
        """A bar over images.

        The function given is told how many are done, and of how many where that was not known before.
        """
        with self._bar(what) as draw:
            start = time.monotonic()

            def told(done: int, of: int = total) -> None:
                rate = done / max(1e-9, time.monotonic() - start)
                draw(done, of, f"{done}/{of} images  {rate:.0f}/s")

            yield told

    @contextmanager
    def watching(self, what: str) -> Iterator[TrainingView]:
        """A bar over training steps."""
        with self._bar(what) as draw:
            yield TrainingView(draw, self._above)

    @contextmanager
    def _bar(self, what: str) -> Iterator[Callable[[int, int, str], None]]:
        self._progress: Any = None
        if not self._live:
            yield self._plain_bar(what)
            return
        from rich.console import Console as RichConsole
        from rich.progress import BarColumn, Progress, TextColumn

        columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), TextColumn("{task.fields[text]}"))
        with Progress(*columns, console=RichConsole(file=self._stream), transient=True) as progress:
            task = progress.add_task(what, total=None, text="")
            self._progress = progress
            try:
                yield lambda done, total, text: progress.update(task, completed=done, total=total, text=text)
            finally:
                self._progress = None

    def _plain_bar(self, what: str) -> Callable[[int, int, str], None]:
        last = time.monotonic()

        def draw(done: int, total: int, text: str) -> None:
            nonlocal last
            if time.monotonic() - last >= PLAIN_LINE_EVERY_S:
                last = time.monotonic()
                self.say(f"  {what}: {text}")

        return draw

    def _above(self, text: str) -> None:
        """A line that stays, above a live bar."""
        if self._progress is not None:
            self._progress.console.print(text, highlight=False, markup=False)
        else:
            self.say(text)


class TrainingView:
    """Draws what the training loop tells (a `contracts.training.Watcher`)."""

    def __init__(self, draw: Callable[[int, int, str], None], say: Callable[[str], None]) -> None:
        self._draw, self._say = draw, say

    def stepped(self, step: StepView) -> None:
        """One step more on the bar."""
        self._draw(
            step.step,
            step.steps,
            f"epoch {step.epoch:.1f}/{step.epochs:.1f}  loss {step.loss:.3f}  accuracy {step.accuracy:.3f}  "
            f"{step.images_per_s:.0f} images/s  {duration(step.left_s)} left",
        )

    def validated(self, row: Mapping[str, Any]) -> None:
        """A line an epoch."""
        self._say(
            f"  epoch {row['epoch']:.4g}: train loss {row['train_loss']:.3f}, accuracy {row['train_accuracy']:.3f}; "
            f"validation loss {row['val_loss']:.3f}, accuracy {row['val_accuracy']:.3f}{_measure(row)} "
            f"({duration(row['seconds'])})"
        )


def _measure(row: Mapping[str, Any]) -> str:
    """What chose in place of the accuracy: `, balanced accuracy 0.812`."""
    others = [key for key in row if key.startswith("val_") and key not in ("val_loss", "val_accuracy")]
    return "".join(f", {key.removeprefix('val_').replace('_', ' ')} {row[key]:.3f}" for key in others)


def duration(seconds: float) -> str:
    """`8 s`, `1:05 min`, `2:03 h`."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}:{rest:02d} min"
    return f"{minutes // 60}:{minutes % 60:02d} h"
