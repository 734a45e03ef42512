# zoo_lines.py; in pyproject.toml: [project.entry-points."zoo.v1"]  lines = "zoo_lines"
import json

from zoo.hookspecs import hookimpl


@hookimpl
def register_trackers(register):
    register("lines", "zoo_lines:Lines", summary="One line of JSON for each thing that is logged")


class Lines:
    def start(self, run):
        run.folder.mkdir(parents=True, exist_ok=True)
        self.file = run.folder / "lines.jsonl"

    def log(self, values, step):
        with self.file.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")

    def finish(self, scores, error=None):
        self.log(scores, -1)
