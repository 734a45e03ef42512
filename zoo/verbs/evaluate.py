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
    "data": "PATH    other labelled images, or a registered name; without it, the run's own",
    "split": "NAME   test, val or train (test where there is one)",
    "out": "DIR      where the report goes (report/evaluate below the run; for a model alone runs/evaluate-NAME)",
    "device": "auto  auto, cpu, cuda, mps",
}


MORE = """
  also read as in finetune, with data=: what the source itself is told (data.label_column=species)
"""


def main(argv: Sequence[str]) -> int:
    """Prints the scores, and writes them with a confusion matrix."""
    about_data = [word for word in argv if word.startswith("data.")]
    ours = [word for word in argv if word not in about_data]
    arguments = read_arguments("evaluate", ours, keys=KEYS, required=("run",))
    if arguments is None:
        sys.stdout.write(usage("evaluate", KEYS) + MORE)
        return 0
    data = arguments.get("data")
    if about_data and data is None:
        what = "the run's own data are read as they were"
        raise UserError(f"{about_data[0]} has no effect: {what}", where=about_data[0], do="leave it out, or add data=")
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
        data=() if data is None else (f"data={data}", *about_data),
        split=split,
        device=arguments.get("device") or "auto",
    )
    out = Path(arguments.get("out") or _report_folder(folder)).expanduser()
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
