"""Claim: fine-tuning resnet18 from the starter weights that zoo carries beats training it from random values by at
least 10 points of test accuracy, on 3,068 photos of clothes at 128 px, in the same time, over three seeds.

    python benchmarks/starter.py DATA [--seeds 0 1 2] [--budget 120s] [--px 128] [--split test]

DATA holds train/, validation/ and test/ with class folders (the public "clothing dataset (small)"). Both sides get the
same budget of time (`train.max_time`), to which each fits its schedule; the side that goes first alternates with the
seed. Last measured: see results/starter.json, and docs/starter-weights.md.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from typing import Any

from measure import finetune, keep, row

SIDES = {"starter weights": ("weights=starter",), "from scratch": ("weights=none",)}
CACHE = f"{tempfile.gettempdir()}/zoo-benchmark-starter"
"""Decoded images are kept, so that both sides spend their time on training."""


def main() -> None:
    """Runs both sides in turn for each seed, and prints means, ranges and differences."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--budget", default="120s")
    parser.add_argument("--px", type=int, default=128)
    parser.add_argument("--split", choices=("val", "test"), default="test")
    given = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for seed in given.seeds:
        for side in SIDES if seed % 2 == 0 else reversed(SIDES):
            words = (*SIDES[side], f"model.image_size={given.px}", f"train.max_time={given.budget}")
            measured = finetune(given.data, seed, "model=resnet18", *words, cache=CACHE)
            accuracy = float(measured.answer["scores"][given.split]["accuracy"])
            rows.append(row(side, seed, measured, accuracy=accuracy) | {"budget": given.budget, "px": given.px})
            print(f"{side}, seed {seed}: {accuracy:.4f} in {measured.seconds:.0f} s", flush=True)
            keep("starter", rows)
    for side in SIDES:
        own = [r for r in rows if r["side"] == side]
        accuracies, seconds = [r["accuracy"] for r in own], [r["seconds"] for r in own]
        print(
            f"{side:<16} {given.split} accuracy {statistics.mean(accuracies):.4f} "
            f"({min(accuracies):.4f} to {max(accuracies):.4f})  {statistics.median(seconds):.0f} s"
        )
    by_seed = {(r["side"], r["seed"]): r["accuracy"] for r in rows}
    gains = [by_seed["starter weights", seed] - by_seed["from scratch", seed] for seed in given.seeds]
    print(f"points gained, seed by seed: {', '.join(f'{100 * gain:.1f}' for gain in gains)}")


if __name__ == "__main__":
    main()
