"""Trains in two processes that talk over gloo, as `torchrun --nproc-per-node 2` would start them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from zoo.plugins import load_plugins
from zoo.testing.loading import environment
from zoo.testing.results import BrokenError
from zoo.testing.subject import Subject

PATIENCE_S = 400
"""After so long two processes that should take seconds wait for each other for ever."""


def train_in_two(subject: Subject) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """The parameters of each process after a short run.

    Raises:
        BrokenError: A process crashed, or they wait for each other.
    """
    out = subject.run_dir / "processes"
    out.mkdir(exist_ok=True)
    words = {
        "kind": subject.entry.kind,
        "name": subject.entry.full_name,
        "options": subject.given(),
        "out": str(out),
    }
    port = _free_port()
    started = [_start(words, rank=rank, port=port, out=out) for rank in range(2)]
    try:
        codes = [process.wait(PATIENCE_S) for process in started]
    except subprocess.TimeoutExpired as error:
        raise BrokenError(
            f"two processes were not done with six steps after {PATIENCE_S} s: they wait for each other, or crawl",
            fix="Call collective operations (all_reduce, gather) in all processes alike, or not at all.",
        ) from error
    finally:
        for process in started:
            if process.poll() is None:
                process.kill()
                process.wait()
    if any(codes):
        said = [(out / f"{rank}.txt").read_text(encoding="utf-8", errors="replace") for rank in range(2)]
        lines = [line for text in said for line in text.strip().splitlines()[-1:]]
        raise BrokenError(f"of two processes one crashed: {' / '.join(lines)[:500]}")
    return load_file(out / "0.safetensors"), load_file(out / "1.safetensors")


def _start(words: Mapping[str, Any], *, rank: int, port: int, out: Path) -> subprocess.Popen[bytes]:
    ranks = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    with (out / f"{rank}.txt").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "zoo.testing.processes", json.dumps(words)],
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**environment(sys.path), **ranks, **where},
        )


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def main(words: Mapping[str, Any]) -> None:
    """One of the two processes: trains, and writes its parameters."""
    from zoo.testing.training import train

    registry = load_plugins().registry
    entry = registry.get(words["kind"], words["name"])
    rank = os.environ["RANK"]
    with tempfile.TemporaryDirectory(prefix="zoo-check-") as folder:
        subject = Subject(entry, registry, folder=Path(folder), options=words["options"])
        outcome = train(subject, folder=Path(words["out"]) / "run")
    parameters = {name: outcome.weights[name].contiguous() for name in outcome.parameters}
    save_file(parameters, Path(words["out"]) / f"{rank}.safetensors")
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
