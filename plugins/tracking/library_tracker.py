"""What the trackers over libraries share: a library that is missing is told before the run, nothing is told twice."""

from __future__ import annotations

import contextlib
import importlib.util
import io
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from zoo_plugins.tracking.history import History

from zoo.contracts.tracking import TrackedRun
from zoo.errors import UserError
from zoo.files import write_json

if TYPE_CHECKING:
    from accelerate.tracking import GeneralTracker


SETTINGS = "settings.json"
"""What the library was told of the run's settings; where it lies, it is not told again."""


class LibraryTracker:
    """A tracker over one of accelerate's.

    Attributes:
        LIBRARY: What is imported, and pip's name of it.
        NAME: The library as its makers write it.
    """

    LIBRARY: ClassVar[str] = ""
    NAME: ClassVar[str] = ""

    def __init__(self) -> None:
        """Looks whether the library is there.

        Raises:
            UserError: It is not, with the line that installs it.
        """
        if importlib.util.find_spec(self.LIBRARY) is None:
            raise UserError(
                f"the tracker {self.LIBRARY} needs {self.NAME}, which is not installed",
                where=f"trackers=[{self.LIBRARY}]",
                allowed="without a library: csv, jsonl",
                do=[f"pip install {self.LIBRARY}", f"or pip install 'zoo[{self.LIBRARY}]'"],
            )
        self._step = -1

    def open(self, run: TrackedRun) -> GeneralTracker:
        """accelerate's tracker for this run, not started yet."""
        raise NotImplementedError

    def takes_away(self, run: TrackedRun) -> bool:
        """Removes what the library wrote of a resumed run, where it could not go on without loss.

        Returns:
            Whether it did: then the library is told everything again, from the history.
        """
        return False

    def start(self, run: TrackedRun) -> None:
        """Opens the run in the library, and hands over its settings, where it is new.

        Raises:
            UserError: The library cannot be started so.
        """
        self._history = History(run.folder / "logged.jsonl")
        self._step = run.step
        anew = run.resumed and self.takes_away(run)
        if anew:
            (run.folder / SETTINGS).unlink(missing_ok=True)
            self._history.cut_back(run.step)
        from accelerate import PartialState

        PartialState(cpu=True)  # accelerate's trackers ask it which process they are in; a run has made it long ago
        try:
            with quiet():
                self._tracker = self.open(run)
                self._tracker.start()
                if not (run.folder / SETTINGS).exists():
                    self.describe(run)
                    write_json(run.folder / SETTINGS, settings_of(run))
                for step, values in self._history.calls if anew else ():
                    self._tracker.log(values, step=step)
        except UserError:
            raise
        except Exception as error:
            raise UserError(
                f"{self.NAME} cannot be started: {type(error).__name__}: {error}",
                where=f"trackers=[{self.LIBRARY}]",
                do=f"mend what it says, or leave {self.LIBRARY} out",
            ) from error

    def describe(self, run: TrackedRun) -> None:
        """Hands over the settings."""
        self._tracker.store_init_configuration(settings_of(run))

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Hands on what was not told before."""
        self._step = step
        new = self._history.new(values, step)
        if new:
            self._tracker.log(new, step=step)
            self._history.add(new, step)

    def finish(self, scores: Mapping[str, float], error: BaseException | None = None) -> None:
        """Hands on the scores at the last step, and closes the run in the library."""
        if scores:
            self.log(scores, max(0, self._step))
        with quiet():
            self.close(error)

    def close(self, error: BaseException | None) -> None:
        """Closes the run in the library; `error` is what ended one that broke."""
        self._tracker.finish()


def settings_of(run: TrackedRun) -> dict[str, Any]:
    """The run's settings as every library takes them: a list as text, and so what is not set."""
    return {
        key: value if isinstance(value, bool | int | float | str) else "null" if value is None else str(value)
        for key, value in run.config.items()
    }


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keeps what a library prints out of a run's results."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield
