"""What each regularizer alone does to a small job: accuracy on the training images, on held-out ones, and the gap.

    python benchmarks/regularizers.py [--seeds 0 1 2 3 4] [--jobs scratch transfer] [--only dropout l2]

Two jobs on 500 training images of scikit-learn's digits (1,110 test images, which choose nothing): `scratch` trains
LeNet-5 from random values for 20 epochs, `transfer` fine-tunes zoo's starter ResNet-18 at 32 px for 3 epochs. The
recipe has no smoothing, average or crops of its own here. Each regularizer has its default options in both, so a row
shows the default's effect on these jobs and no more; `none` is the run without any. Where one can have no effect (it
needs pretrained values, residual branches or BatchNorm) the run is refused and the row is left out. All runs are in one
process, and take 3 to 15 s each on one core. Last measured: results/regularizers.json.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from measure import keep

from zoo.errors import UserError
from zoo.plugins import Plugins, load_plugins

RECIPE = ("strategy.ema=false", "strategy.label_smoothing=0", "strategy.crop_scale=null")
DATA = ("data=digits", "data.val_fraction=0.1", "data.test_fraction=0.6177", "train.threads=1", "train.precision=fp32")
JOBS = {
    "scratch": ("model=lenet5", "weights=none", "strategy=scratch", "train.epochs=20", "train.validate_every=20"),
    "transfer": ("model=timm/resnet18", "model.image_size=32", "strategy=full", "train.epochs=3"),
}
SCORES = ("train", "val", "test")


def main() -> None:
    """All regularizers on each job; a table of means with standard deviations over seeds."""
    plugins = load_plugins()
    names = sorted(entry.name for entry in plugins.registry.entries("regularizer"))
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--jobs", nargs="+", choices=JOBS, default=list(JOBS))
    parser.add_argument("--only", nargs="+", choices=names, default=names)
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as cache:
        for job in options.jobs:
            for name in (None, *options.only):
                rows += measured(job, name, seeds=options.seeds, plugins=plugins, cache=cache)
                keep("regularizers", rows)
    print_effects(rows)


def measured(job: str, name: str | None, *, seeds: list[int], plugins: Plugins, cache: str) -> list[dict[str, Any]]:
    """One row a seed; none where the regularizer is refused on this job."""
    rows = []
    for seed in seeds:
        words = [*JOBS[job], *DATA, *RECIPE, f"train.seed={seed}", f"data.split_seed={seed}", f"data.cache_dir={cache}"]
        try:
            scores, seconds = one_run([*words, f"regularizers=[{name or ''}]"], plugins)
        except UserError as error:
            print(f"{job} {name}: refused: {error.what}", flush=True)
            return []
        rows.append({"job": job, "side": name or "none", "seed": seed, "seconds": round(seconds, 2), **scores})
        shown = "  ".join(f"{split} {scores[split]:.3f}" for split in SCORES)
        print(f"{job:<9} {rows[-1]['side']:<18} seed {seed}: {shown}  ({seconds:.1f} s)", flush=True)
    return rows


def one_run(words: list[str], plugins: Plugins) -> tuple[dict[str, float], float]:
    """Accuracies of the saved model on its three splits, and the seconds of training it."""
    from zoo.assembly.console import Console
    from zoo.assembly.evaluating import evaluate_run
    from zoo.verbs.finetune import finetune

    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        started = time.monotonic()
        run = finetune([*words, f"run.dir={folder}/run"], plugins=plugins)
        seconds = time.monotonic() - started
        console = Console(as_json=True, speaks=False)
        train = evaluate_run(Path(run.dir), plugins, console=console, data=None, split="train", device="cpu")
    return {
        "train": train.accuracy.value,
        **{split: run.scores[split]["accuracy"] for split in ("val", "test")},
    }, seconds


def print_effects(rows: list[dict[str, Any]]) -> None:
    """Means over seeds, standard deviations in brackets; the last column is the test accuracy against `none`."""
    for job in dict.fromkeys(row["job"] for row in rows):
        print(f"\n{job:<18}  {'train':>15}  {'test':>15}  {'gap':>8}  {'against none':>15}")
        plain = {row["seed"]: row["test"] for row in rows if (row["job"], row["side"]) == (job, "none")}
        for side in dict.fromkeys(row["side"] for row in rows if row["job"] == job):
            mine = [row for row in rows if (row["job"], row["side"]) == (job, side)]
            train, test = [row["train"] for row in mine], [row["test"] for row in mine]
            gap = statistics.mean(train) - statistics.mean(test)
            against = [row["test"] - plain[row["seed"]] for row in mine]
            print(f"{side:<18}  {spread(train):>15}  {spread(test):>15}  {gap:8.3f}  {spread(against, sign='+'):>15}")


def spread(values: list[float], *, sign: str = "") -> str:
    """`0.912 (0.004)`."""
    deviation = statistics.stdev(values) if len(values) > 1 else float("nan")
    return f"{statistics.mean(values):{sign}.3f} ({deviation:.3f})"


if __name__ == "__main__":
    main()
