# zoo_flagged.py; in pyproject.toml: [project.entry-points."zoo.v1"]  flagged = "zoo_flagged"
from zoo.contracts.callbacks import Stop
from zoo.hookspecs import hookimpl


@hookimpl
def register_callbacks(register):
    summary = "Ends a phase once the run's folder holds a file named stop"
    register("stop_file", "zoo_flagged:StopFile", summary=summary, needs_training=True)


class StopFile:
    """Looks for the file after each validation.

    Args:
        file: Its name.
    """

    def __init__(self, *, file: str = "stop"):
        self.file = file

    def on_run_start(self, event):
        self.path = event.run_dir / self.file

    def on_validation_end(self, event):
        return Stop(f"{self.path} is there") if self.path.exists() else None
