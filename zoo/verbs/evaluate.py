"""`zoo evaluate`: scores with intervals, for a run on its own test images or on others."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from zoo.errors import UserError
from zoo.plugins import load_plugins
from zoo.verbs.arguments import read_arguments, usage

KEYS = {
    "run": "DIR      a run folder; with data= also a saved model, a published model's name (ZOO_PATH), or hf:ORG/NAME",
    "data": "PATH    other labelled images; without it, the run's own",
    "split": "NAME   test, val or train (test where there is one)",
    "out": "DIR      where the report goes (report/evaluate below the run; for a model alone runs/evaluate-NAME)",
    "device": "auto  auto, cpu, cuda, mps",
}


def main(argv: Sequence[str]) -> int:
    """Prints the scores, and writes them with a confusion matrix."""
    arguments = read_arguments("evaluate", argv, keys=KEYS, required=("run",))
    if arguments is None:
        sys.stdout.write(usage("evaluate", KEYS))
        return 0
    from zoo.assembly.console import Console
    from zoo.assembly.evaluating import evaluate_run
    from zoo.assembly.using import saved_folder
    from zoo.evaluation.report import plain_scores, render_scores, write_report

    console = Console(as_json=arguments.as_json)
    plugins = load_plugins()
    folder = saved_folder(arguments.values["run"], plugins.registry)
    split = arguments.get("split")
    if split not in (None, "train", "val", "test"):
        raise UserError(f"unknown split {split!r}", where=f"split={split}", allowed="test, val, train")
    scores = evaluate_run(
        folder,
        plugins,
        console=console,
        data=arguments.get("data"),
        split=split,
        device=arguments.get("device") or "auto",
    )
    out = Path(arguments.get("out") or _report_folder(folder))
    write_report(out, scores)
    for line in render_scores(scores):
        console.say(line)
    console.say(f"report      {out}")
    if arguments.as_json:
        sys.stdout.write(json.dumps({"run_dir": str(folder), "report": str(out), **plain_scores(scores)}) + "\n")
    return 0


def _report_folder(folder: Path) -> Path:
    """Below the run; nothing is written into a saved or published model."""
    run = folder.parent if folder.name == "model" else folder
    return run / "report" / "evaluate" if (run / "config.yaml").is_file() else Path("runs") / f"evaluate-{folder.name}"
