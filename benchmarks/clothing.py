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
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from accuracy.sides import Photos, measure_zoo
from accuracy.tables import ZOO
from measure import keep, row, run

HERE = Path(__file__).parent / "baselines"
LOOP = "plain loop, 3 epochs"


def baseline(side: str, script: str, *words: str, seed: int) -> dict[str, Any]:
    """A script of baselines/ as a process, and its row."""
    measured = run([sys.executable, str(HERE / script), *words])
    return row(side, seed, measured, accuracy=float(measured.answer["accuracy"]))


def sides_of(data: str) -> dict[str, Callable[..., dict[str, Any]]]:
    """Side to what measures it with a seed; zoo's rows are those of accuracy.py, which can take them over."""
    photos = Photos("clothing", Path(data))
    return {
        (frozen := "features + scikit-learn"): partial(baseline, frozen, "features_sklearn.py", data),
        (probe := "zoo probe"): partial(measure_zoo, probe, photos, words=("strategy=probe",)),
        LOOP: lambda seed: baseline(LOOP, "plain_loop.py", data, str(seed), seed=seed),
        ZOO: partial(measure_zoo, ZOO, photos),
    }


def main() -> None:
    """Runs all sides in turn for each seed, and prints the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--skip-loop", action="store_true")
    parser.add_argument("--skip-default", action="store_true")
    arguments = parser.parse_args()
    rows: list[dict[str, Any]] = []
    skipped = {LOOP: arguments.skip_loop, ZOO: arguments.skip_default}
    sides = {side: measured for side, measured in sides_of(arguments.data).items() if not skipped.get(side)}
    for seed in arguments.seeds:
        for side in sides if seed % 2 == 0 else reversed(sides):
            rows.append(sides[side](seed=seed))
            print(f"{side}, seed {seed}: {rows[-1]['accuracy']:.4f} in {rows[-1]['seconds']:.0f} s", flush=True)
            keep("clothing", rows)
    print_table(rows)


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
        if (a["side"], b["side"]) == (ZOO, LOOP) and a["seed"] == b["seed"]
    ]
    if pairs:
        ratios = sorted(ours / theirs for ours, theirs in pairs)
        print(f"seconds, zoo default / plain loop, pair by pair: {', '.join(f'{ratio:.2f}' for ratio in ratios)}")


if __name__ == "__main__":
    main()
