"""What end-to-end tests share: running the command line as a real process, and looking at what it left."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

TINY = (
    "model=lenet5",
    "weights=none",
    "data.channels=3",
    "train.threads=1",
    "train.loader_threads=1",
    "train.precision=fp32",
)


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "zoo", *words]


def run(*words: str, code: int = 0, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """One command line as a real process; its exit code must be `code`."""
    done = subprocess.run(command(*words), capture_output=True, text=True, cwd=cwd, env=dict(os.environ), check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done


def hashes(folder: Path) -> dict[str, str]:
    """Contents of a tree."""
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def metrics(folder: Path) -> list[dict[str, object]]:
    """Rows of metrics.jsonl without their clock."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]
