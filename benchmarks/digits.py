"""Claim: `python -m zoo finetune` with nothing else (scikit-learn's digits, no network) reaches a test accuracy of 0.93
or better in under 60 s after imports, on two CPU cores.

    python benchmarks/digits.py [--seeds 0 1 2]

Each run starts with an empty cache. Last measured: results/digits.json.
"""

from __future__ import annotations

import argparse
import tempfile
from typing import Any

from clothing import accuracy_of, print_table
from measure import keep, row, zoo


def main() -> None:
    """One run a seed; the seed also draws the split."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    rows: list[dict[str, Any]] = []
    for seed in parser.parse_args().seeds:
        with tempfile.TemporaryDirectory() as folder:
            words = (f"train.seed={seed}", f"data.split_seed={seed}", f"run.dir={folder}/run", "--json")
            measured = zoo("finetune", *words, cache=f"{folder}/cache")
        after_imports = sum(measured.answer["seconds"].values())
        rows.append(
            row("zoo default", seed, measured, accuracy=accuracy_of(measured.answer), after_imports=after_imports)
        )
        print(f"seed {seed}: {rows[-1]['accuracy']:.4f}, {after_imports:.1f} s after imports", flush=True)
    keep("digits", rows)
    print_table(rows)


if __name__ == "__main__":
    main()
