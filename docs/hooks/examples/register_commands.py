# zoo_runs.py; in pyproject.toml: [project.entry-points."zoo.v1"]  runs = "zoo_runs"
import sys
from pathlib import Path

from zoo.errors import UserError
from zoo.hookspecs import hookimpl


@hookimpl
def register_commands(register):
    register("runs", "zoo_runs:main", summary="list the runs below a folder", usage="runs FOLDER")


def main(argv: list[str]) -> int:
    if len(argv) != 1 or argv[0].startswith("-"):
        raise UserError("one folder is wanted", where="zoo runs", do="python -m zoo runs runs/")
    for record in sorted(Path(argv[0]).rglob("record.json")):
        sys.stdout.write(f"{record.parent}\n")
    return 0
