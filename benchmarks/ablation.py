"""Claim: each part of the default recipe earns its place, or costs nothing, on validation images.

    python benchmarks/ablation.py DATA [--name clothing] [--seeds 0 1 2] [--image-size 128] [--sides default full ...]

DATA is a path or the name of an embedded set. Every side is the default run with one part taken away; compared are
validation accuracies of the same seeds. No test split is read here. Last measured: see results/ablation-NAME.json.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from typing import Any

from measure import finetune, keep, row

SIDES: dict[str, tuple[str, ...]] = {
    "default": (),
    "no probe first": ("strategy=full",),
    "no moving average": ("strategy=lpft", "strategy.ema=false"),
    "no label smoothing": ("strategy=lpft", "strategy.label_smoothing=0"),
    "no random crops": ("strategy=lpft", "strategy.crop_scale=null"),
    "one rate for all stages": ("strategy=lpft", "strategy.stage_decay=1"),
    "BatchNorm moves": ("strategy=lpft", "strategy.freeze_norm=false"),
    "mirrored too": ("strategy=lpft", "strategy.flip=true"),
    "constant rate": ("strategy=lpft", "schedule=constant"),
}
"""What is taken away, and the words that do it."""


def main() -> None:
    """Runs all sides for each seed, and prints the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data")
    parser.add_argument("--name", default="data")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--image-size", default="128")
    parser.add_argument("--sides", nargs="+", choices=list(SIDES), default=list(SIDES))
    arguments = parser.parse_args()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as cache:
        for seed in arguments.seeds:
            for side in arguments.sides:
                words = (*SIDES[side], f"model.image_size={arguments.image_size}")
                measured = finetune(arguments.data, seed, *words, cache=cache)
                rows.append(row(side, seed, measured, val=float(measured.answer["scores"]["val"]["accuracy"])))
                print(f"{side}, seed {seed}: {rows[-1]['val']:.4f} in {measured.seconds:.0f} s", flush=True)
                keep(f"ablation-{arguments.name}", rows)
    print_table(rows)


def print_table(rows: list[dict[str, Any]]) -> None:
    """Mean validation accuracy, and the mean difference from the default over the seeds, in points."""
    by_side = {side: {r["seed"]: r["val"] for r in rows if r["side"] == side} for side in SIDES}
    for side, found in by_side.items():
        if not found:
            continue
        pairs = [100 * (found[seed] - by_side["default"][seed]) for seed in found if seed in by_side["default"]]
        spread = f"({min(pairs):+.1f} to {max(pairs):+.1f})" if pairs else ""
        mean = f"{statistics.mean(pairs):+.1f}" if pairs else "-"
        print(f"{side:<26} {statistics.mean(found.values()):.4f}   {mean} points {spread}")


if __name__ == "__main__":
    main()
