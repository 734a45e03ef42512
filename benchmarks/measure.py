"""Runs a command as a whole process and reads its seconds, its peak memory, and the JSON on its last line."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Measured:
    """One finished process."""

    seconds: float
    peak_gb: float
    cpu_s: float
    answer: dict[str, Any]


def run(command: list[str], *, env: dict[str, str] | None = None) -> Measured:
    """Runs a command to its end; its stdout must close with one JSON line (or be empty).

    Raises:
        RuntimeError: It failed; the end of what it said is shown.
    """
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        start = time.monotonic()
        process = subprocess.Popen(command, stdout=out, stderr=err, env=os.environ | (env or {}))
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.monotonic() - start
        out.seek(0)
        err.seek(0)
        said = out.read().strip()
        if process.returncode:
            raise RuntimeError(f"{command} ended with {process.returncode}: {err.read()[-2000:]}")
    last = said.splitlines()[-1] if said else "{}"
    answer = json.loads(last) if last.startswith("{") else {}
    return Measured(seconds, usage.ru_maxrss / 2**20, usage.ru_utime + usage.ru_stime, answer)


def zoo(*words: str, cache: str) -> Measured:
    """One `zoo` command line with a cache folder of its own."""
    return run([sys.executable, "-m", "zoo", *words], env={"ZOO_CACHE": cache})


def finetune(data: str, seed: int, *words: str, cache: str | None = None) -> Measured:
    """A fine-tuning in a folder that is thrown away; its cache is empty where none is given."""
    with tempfile.TemporaryDirectory() as folder:
        fixed = (f"data={data}", f"train.seed={seed}", f"run.dir={folder}/run", "--json")
        return zoo("finetune", *fixed, *words, cache=cache or f"{folder}/cache")


def keep(name: str, rows: list[dict[str, Any]]) -> Path:
    """Writes results/NAME.json with the machine they were measured on."""
    import torch

    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"{name}.json"
    machine = {"cpu": _cpu(), "cores": os.cpu_count(), "python": platform.python_version(), "torch": torch.__version__}
    file.write_text(json.dumps({"machine": machine, "date": time.strftime("%Y-%m-%d"), "rows": rows}, indent=1) + "\n")
    return file


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def row(side: str, seed: int, measured: Measured, **more: Any) -> dict[str, Any]:
    """One row of results."""
    stages = measured.answer.get("seconds") if isinstance(measured.answer.get("seconds"), dict) else {}
    figures = {"seconds": measured.seconds, "cpu_s": measured.cpu_s, "peak_gb": measured.peak_gb}
    return {"side": side, "seed": seed, **{k: round(v, 2) for k, v in figures.items()}, "stages": stages, **more}
