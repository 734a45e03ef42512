"""Claim: `python -m zoo --help` and `zoo plugins` answer in under 0.5 s and import no torch.

    python benchmarks/startup.py [RUNS]

Each is a whole process; the floor is `python -c pass`. Last measured: results/startup.json.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from typing import Any

from measure import keep, row, run

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "zoo --help": ["-m", "zoo", "--help"],
    "zoo plugins": ["-m", "zoo", "plugins"],
    "zoo finetune --help": ["-m", "zoo", "finetune", "--help"],
}


def main(runs: str = "9") -> None:
    """Times each command in turn, the first round uncounted."""
    rows: list[dict[str, Any]] = []
    for count in range(int(runs) + 1):
        for name, words in COMMANDS.items():
            measured = run([sys.executable, *words])
            if count:
                rows.append(row(name, count, measured))
    for name, words in COMMANDS.items():
        own = [r["seconds"] for r in rows if r["side"] == name]
        memory = max(r["peak_gb"] for r in rows if r["side"] == name) * 1024
        heavy = imports_torch(words) if words[0] == "-m" else False
        print(
            f"{name:<20} {statistics.median(own):.3f} s ({min(own):.3f} to {max(own):.3f})  {memory:.0f} MB"
            f"{'  IMPORTS TORCH' if heavy else ''}"
        )
    keep("startup", rows)


def imports_torch(words: list[str]) -> bool:
    """Whether the command imports torch, by Python's own list of imports."""
    shown = subprocess.run([sys.executable, "-X", "importtime", *words], capture_output=True, text=True, check=True)
    return any(line.rsplit("|", 1)[-1].strip() == "torch" for line in shown.stderr.splitlines())


if __name__ == "__main__":
    main(*sys.argv[1:])
