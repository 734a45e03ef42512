"""What end-to-end tests share: running the command line as a real process, and looking at what it left."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import subprocess
import sys
import time
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


def run_here(*words: str, code: int = 0, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """One command line in this process, for those that compute little: a process takes seconds to import torch."""
    from zoo.cli import main

    out, err = io.StringIO(), io.StringIO()
    place = contextlib.nullcontext() if cwd is None else contextlib.chdir(cwd)
    with place, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        found = main(words)
    assert found == code, out.getvalue() + err.getvalue()
    return subprocess.CompletedProcess(command(*words), found, out.getvalue(), err.getvalue())


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


def start(*words: str) -> subprocess.Popen[str]:
    """One command line that goes on while the test looks at it."""
    return subprocess.Popen(
        command(*words), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=dict(os.environ)
    )


def counters_of(folder: Path) -> dict[str, int]:
    """What the last checkpoint of a run has counted."""
    try:
        state = json.loads((folder / "checkpoints" / "last" / "state.json").read_text())
    except (OSError, ValueError):
        return {"phase": -1, "step": 0}
    return dict(state["counters"])


def step_of(folder: Path) -> int:
    """Step of the last checkpoint."""
    return int(counters_of(folder)["step"])


def wait_for_step(process: subprocess.Popen[str], folder: Path, step: int, *, phase: int | None = None) -> None:
    """Until a checkpoint of that step, of that phase where one is named, or a later one is there."""
    deadline = time.monotonic() + 120
    while True:
        counters = counters_of(folder)
        if counters["step"] >= step and phase in (None, counters["phase"]):
            return
        if phase is not None and counters["phase"] > phase:
            return
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.002)


def assert_same(left: Path, right: Path) -> None:
    assert (left / "model" / "model.safetensors").read_bytes() == (right / "model" / "model.safetensors").read_bytes()
    assert metrics(left) == metrics(right)
    scores = [json.loads((folder / "record.json").read_text())["scores"] for folder in (left, right)]
    assert scores[0] == scores[1]
