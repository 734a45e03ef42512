"""Claim: `python -m zoo recommend` puts networks into the order that fine-tuning puts them in, within its budget.

    python benchmarks/recommend.py DATA [--models a,b,c] [--budget 3m] [--max-time 5m] [--seed 0]

DATA is any data set with a test split of its own or one that zoo makes. Each network is then fine-tuned for the same
time (`train.max_time`), and its test accuracy is set beside its probe score: Spearman's rank correlation, and how many
points of test accuracy the advice gives away against the best of them. Every run starts with an empty cache.

Last measured: results/recommend.json, where there is one. It needs two networks or more whose weights are at hand.
"""

from __future__ import annotations

import argparse
import tempfile
from typing import Any

from clothing import accuracy_of, print_table
from measure import keep, row, zoo
from scipy.stats import spearmanr


def main() -> None:
    """Recommends, fine-tunes all that were scored, and compares the two orders."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data")
    parser.add_argument("--models", default="")
    parser.add_argument("--budget", default="3m")
    parser.add_argument("--max-time", default="5m")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    seed = f"train.seed={asked.seed}"
    with tempfile.TemporaryDirectory() as folder:
        words = [f"data={asked.data}", f"budget={asked.budget}", seed, f"out={folder}/out", "--json"]
        words += [f"models=[{asked.models}]"] if asked.models else []
        measured = zoo("recommend", *words, cache=f"{folder}/cache")
    advice = measured.answer
    rows: list[dict[str, Any]] = [row("recommend", asked.seed, measured, take=advice["take"])]
    for found in (each for each in advice["candidates"] if each["status"] == "scored"):
        with tempfile.TemporaryDirectory() as folder:
            words = [f"data={asked.data}", f"model={found['full_name']}", f"train.max_time={asked.max_time}", seed]
            trained = zoo("finetune", *words, f"run.dir={folder}/run", "--json", cache=f"{folder}/cache")
        figures = {"probe": found["score"]["value"], "accuracy": accuracy_of(trained.answer), "images": found["images"]}
        rows.append(row(found["name"], asked.seed, trained, **figures))
        print(f"{found['name']}: probe {figures['probe']:.3f}, fine-tuned {figures['accuracy']:.3f}", flush=True)
    summarise(rows)
    keep("recommend", rows)
    print_table(rows[1:])


def summarise(rows: list[dict[str, Any]]) -> None:
    """Adds the rank correlation and what the advice gives away to the first row, and prints them."""
    first, trained = rows[0], rows[1:]
    taken = next(each["accuracy"] for each in trained if each["side"] == first["take"])
    first["points_given_away"] = 100 * (max(each["accuracy"] for each in trained) - taken)
    if len(trained) > 2:
        order = spearmanr([each["probe"] for each in trained], [each["accuracy"] for each in trained])
        first["spearman"] = float(order.statistic)
    print({key: first.get(key) for key in ("take", "points_given_away", "spearman", "seconds")})


if __name__ == "__main__":
    main()
