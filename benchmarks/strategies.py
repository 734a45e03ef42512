"""Claim: `strategy=auto` chooses what validates best, or nearly, with 5, 20 and 100 images a class (the tables and the
rule are in strategies.md).

    python benchmarks/strategies.py [--models tf_efficientnet_lite0 resnet18] [--per-class 5 20 100] [--seeds 0 1]
    python benchmarks/strategies.py --data PHOTOS --models tf_efficientnet_lite0

PHOTOS holds train/ and validation/ with class folders; without it scikit-learn's digits of 8 x 8 px are drawn. Each
seed draws other training images; 30 images a class validate. No test image is looked at. Rows are added to
results/strategies.json; rows of the same case are replaced. Last measured on an AMD EPYC, one core a run.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from measure import RESULTS, finetune, keep, row
from PIL import Image
from sklearn.datasets import load_digits

STRATEGIES = {
    "auto": ("strategy=auto",),
    "probe": ("strategy=probe",),
    "full": ("strategy=full", "train.epochs=4"),
    "lpft": ("strategy=lpft", "train.epochs=4"),
    "lpft, 10 epochs": ("strategy=lpft", "train.epochs=10"),
    "lpft, 40 epochs": ("strategy=lpft", "train.epochs=40", "train.validate_every=4"),
    "gradual": ("strategy=gradual", "train.epochs=6"),
    "surgical first": ("strategy=surgical", "strategy.which=first", "train.epochs=4"),
    "surgical last": ("strategy=surgical", "strategy.which=last", "train.epochs=4"),
    "bitfit": ("strategy=bitfit", "train.epochs=4"),
    "norm": ("strategy=norm", "train.epochs=4"),
    "lora": ("strategy=lora", "strategy.layers=all", "train.epochs=4"),
    "scratch": ("strategy=scratch", "weights=none"),
}
"""Word for word what was asked for; numbers of epochs are those of the tables."""

VALIDATION = 30
"""Images a class that validate."""

KEYS = ("data", "model", "per_class", "side", "seed")


def main() -> None:
    """One run for each case."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", default="digits")
    parser.add_argument("--models", nargs="+", default=["tf_efficientnet_lite0", "resnet18"])
    parser.add_argument("--per-class", type=int, nargs="+", default=[5, 20, 100])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--strategies", nargs="+", default=list(STRATEGIES), choices=list(STRATEGIES))
    parser.add_argument("--words", nargs="*", default=[], help="further words of the command line")
    given = parser.parse_args()
    name = Path(given.data).name
    for count, seed in itertools.product(given.per_class, given.seeds):
        with tempfile.TemporaryDirectory() as folder:
            draw(given.data, Path(folder) / "images", count=count, seed=seed)
            for model, side in itertools.product(given.models, given.strategies):
                words = (f"model={model}", "train.precision=fp32", *STRATEGIES[side], *given.words)
                measured = finetune(f"{folder}/images", seed, *words, cache=f"{folder}/cache")
                accuracy = measured.answer["scores"]["val"]["accuracy"]
                case = {"data": name, "model": model, "per_class": count}
                add(row(" ".join((side, *given.words)), seed, measured, accuracy=accuracy, **case))
                print(f"{name} {count:>3} {model} {side}, seed {seed}: {accuracy:.4f}", flush=True)
    print_table(rows_so_far())


def draw(data: str, folder: Path, *, count: int, seed: int) -> None:
    """Writes `count` training images and 30 validation images a class, as class folders."""
    rng = np.random.default_rng(seed)
    if data == "digits":
        digits = load_digits()
        pixels = np.clip(digits.images * 255 / 16, 0, 255).astype(np.uint8)
        for label in range(10):
            chosen = rng.permutation(np.flatnonzero(digits.target == label))[: count + VALIDATION]
            for number, index in enumerate(chosen):
                split = "train" if number >= VALIDATION else "validation"
                file = folder / split / str(label) / f"{index}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels[index]).save(file)
        return
    for split, number in (("train", count), ("validation", VALIDATION)):
        for label in sorted(path for path in (Path(data) / split).iterdir() if path.is_dir()):
            (folder / split / label.name).mkdir(parents=True)
            files = sorted(label.iterdir())
            for index in rng.permutation(len(files))[:number]:
                (folder / split / label.name / files[index].name).symlink_to(files[index].resolve())


def rows_so_far() -> list[dict[str, Any]]:
    """Rows of earlier calls."""
    file = RESULTS / "strategies.json"
    return list(json.loads(file.read_text())["rows"]) if file.exists() else []


def add(new: dict[str, Any]) -> None:
    """Keeps a row in the place of an earlier one of the same case."""
    case = [new[key] for key in KEYS]
    keep("strategies", [*(r for r in rows_so_far() if [r[key] for key in KEYS] != case), new])


def print_table(rows: list[dict[str, Any]]) -> None:
    """Mean validation accuracy and median seconds of each strategy, a table for each set and network."""
    for data, model in dict.fromkeys((r["data"], r["model"]) for r in rows):
        own = [r for r in rows if (r["data"], r["model"]) == (data, model)]
        counts = sorted({r["per_class"] for r in own})
        print(f"\n| {data}, {model} | {' | '.join(f'{count} a class' for count in counts)} |")
        print("|---|" + "---|" * len(counts))
        for side in dict.fromkeys(r["side"] for r in own):
            cells = [[r for r in own if (r["side"], r["per_class"]) == (side, count)] for count in counts]
            print(f"| {side} | {' | '.join(_cell(cell) for cell in cells)} |")


def _cell(rows: list[dict[str, Any]]) -> str:
    if not rows:
        return ""
    accuracies = [r["accuracy"] for r in rows]
    spread = f" ({min(accuracies):.3f} to {max(accuracies):.3f})" if len(rows) > 1 else ""
    return f"{statistics.mean(accuracies):.3f}{spread}, {statistics.median(r['seconds'] for r in rows):.0f} s"


if __name__ == "__main__":
    main()
