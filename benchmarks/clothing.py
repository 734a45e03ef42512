"""Claim: on 3,068 photos of clothes, in no more time than three epochs of a plain PyTorch loop take, the default run is
more accurate (0.925 or better over three seeds), and `strategy=probe` is at 0.89 or better in less time than the
script that computes features and calls scikit-learn.

    python benchmarks/clothing.py DATA [--seeds 0 1 2] [--skip-loop] [--skip-default]

DATA holds train/, validation/ and test/ with class folders (the public "clothing dataset (small)"). Every zoo run
starts with an empty cache. Last measured: see results/clothing.json, and the README's table.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from functools import partial
from pathlib import Path
from typing import Any

from measure import finetune, keep, row, run

HERE = Path(__file__).parent / "baselines"


def baseline(script: str, *words: str) -> Any:
    """A script of baselines/ as a process."""
    return run([sys.executable, str(HERE / script), *words])


def main() -> None:
    """Runs all sides in turn for each seed, and prints the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--skip-loop", action="store_true")
    parser.add_argument("--skip-default", action="store_true")
    arguments = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for seed in arguments.seeds:
        sides = {
            "features + scikit-learn": partial(baseline, "features_sklearn.py", arguments.data),
            "zoo probe": partial(finetune, arguments.data, seed, "strategy=probe"),
        }
        if not arguments.skip_loop:
            sides["plain loop, 3 epochs"] = partial(baseline, "plain_loop.py", arguments.data, str(seed))
        if not arguments.skip_default:
            sides["zoo default"] = partial(finetune, arguments.data, seed)
        for side in sides if seed % 2 == 0 else reversed(sides):
            measured = sides[side]()
            rows.append(row(side, seed, measured, accuracy=accuracy_of(measured.answer)))
            print(f"{side}, seed {seed}: {rows[-1]['accuracy']:.4f} in {measured.seconds:.0f} s", flush=True)
            keep("clothing", rows)
    print_table(rows)


def accuracy_of(answer: dict[str, Any]) -> float:
    """Test accuracy, from either side's JSON."""
    return float(answer["scores"]["test"]["accuracy"] if "scores" in answer else answer["accuracy"])


def print_table(rows: list[dict[str, Any]]) -> None:
    """Mean accuracy with its range, median seconds with their range, peak memory."""
    for side in dict.fromkeys(r["side"] for r in rows):
        own = [r for r in rows if r["side"] == side]
        accuracies, seconds = [r["accuracy"] for r in own], [r["seconds"] for r in own]
        print(
            f"{side:<26} accuracy {statistics.mean(accuracies):.4f} ({min(accuracies):.4f} to {max(accuracies):.4f})  "
            f"{statistics.median(seconds):.0f} s ({min(seconds):.0f} to {max(seconds):.0f})  "
            f"peak {max(row['peak_gb'] for row in own):.1f} GB"
        )
    pairs = [
        (a["seconds"], b["seconds"])
        for a in rows
        for b in rows
        if (a["side"], b["side"]) == ("zoo default", "plain loop, 3 epochs") and a["seed"] == b["seed"]
    ]
    if pairs:
        ratios = sorted(ours / theirs for ours, theirs in pairs)
        print(f"seconds, zoo default / plain loop, pair by pair: {', '.join(f'{ratio:.2f}' for ratio in ratios)}")


if __name__ == "__main__":
    main()
