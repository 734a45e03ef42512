"""Checkpoints: whole or not at all."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from zoo.errors import UserError
from zoo.training import checkpoints as module
from zoo.training.checkpoints import Checkpoints


def save(kept: Checkpoints, value: float, name: str = "last") -> None:
    kept.save(name, tensors={"model.w": torch.full((3,), value)}, optimizer={"v": value}, state={"value": value})


def value_of(kept: Checkpoints, name: str = "last") -> tuple[float, float, float]:
    return (
        kept.state(name)["value"],
        float(kept.tensors(name, "model.")["w"][0]),
        kept.optimizer(name)["v"],
    )


def test_checkpoints_round_trip_and_replace(tmp_path):
    kept = Checkpoints(tmp_path / "checkpoints")
    assert kept.state("last") is None
    save(kept, 1.0)
    save(kept, 2.0)
    assert value_of(kept) == (2.0, 2.0, 2.0)
    assert sorted(p.name for p in kept.folder.iterdir()) == ["last"]


def test_checkpoints_keep_floats_to_the_bit(tmp_path):
    kept = Checkpoints(tmp_path)
    odd = 0.1 + 0.2
    tensor = torch.tensor([odd, 1e-40, float("inf")], dtype=torch.float64)
    kept.save("last", tensors={"model.x": tensor}, optimizer={"x": tensor}, state={"x": odd})
    assert kept.state("last")["x"] == odd
    assert torch.equal(kept.tensors("last", "model.")["x"], tensor)
    assert torch.equal(kept.optimizer("last")["x"], tensor)


def test_checkpoints_full_disk_leaves_the_last_good_one(tmp_path, monkeypatch):
    kept = Checkpoints(tmp_path)
    save(kept, 1.0)

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, "save_file", full)
    with pytest.raises(UserError, match="disk is full"):
        save(kept, 2.0)
    assert value_of(kept) == (1.0, 1.0, 1.0)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["last"]


@pytest.mark.skipif(sys.platform == "win32", reason="a limit of POSIX")
@pytest.mark.parametrize(("model", "optimizer"), [(9000, 1), (1, 9000), (1, 300)])
def test_checkpoints_beyond_the_room_there_is_leave_the_last_good_one(tmp_path, model, optimizer):
    """Real writes that fail in a process with a limit: safetensors and torch each have errors of their own for it."""
    code = f"""
import resource, sys, torch
from pathlib import Path
from zoo.errors import UserError
from zoo.training.checkpoints import Checkpoints
kept = Checkpoints(Path(sys.argv[1]))
def save(value, model, optimizer):
    kept.save("last", tensors={{"model.w": torch.full((model,), value)}},
              optimizer={{"v": torch.full((optimizer,), value)}}, state={{"value": value}})
save(1.0, 3, 3)
resource.setrlimit(resource.RLIMIT_FSIZE, (2048, resource.RLIM_INFINITY))
try:
    save(2.0, {model}, {optimizer})
except UserError as error:
    print(error)
print(kept.state("last")["value"], kept.tensors("last", "model.")["w"].tolist(), kept.optimizer("last")["v"].tolist())
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert "the disk is full" in done.stdout
    assert done.stdout.splitlines()[-1] == "1.0 [1.0, 1.0, 1.0] [1.0, 1.0, 1.0]"
    assert [p.name for p in tmp_path.iterdir()] == ["last"]


def test_checkpoints_that_no_disk_refused_are_a_defect_and_leave_the_last_good_one(tmp_path, monkeypatch):
    kept = Checkpoints(tmp_path)
    save(kept, 1.0)

    def broken(*args, **kwargs):
        raise RuntimeError("no storage to write from")

    monkeypatch.setattr(module.torch, "save", broken)
    with pytest.raises(RuntimeError, match="no storage"):
        save(kept, 2.0)
    assert value_of(kept) == (1.0, 1.0, 1.0)
    assert [p.name for p in tmp_path.iterdir()] == ["last"]


def test_checkpoints_other_defects_are_not_called_a_full_disk(tmp_path):
    with pytest.raises(TypeError):
        Checkpoints(tmp_path).save("last", tensors={}, optimizer={}, state={"x": object()})


@pytest.mark.parametrize("left", ["between", "before"])
def test_checkpoints_found_after_a_kill_between_renames(tmp_path, left):
    kept = Checkpoints(tmp_path)
    save(kept, 1.0)
    if left == "between":  # the old one stepped aside, the new one is not in place yet
        (tmp_path / "last").rename(tmp_path / ".last.old")
    (tmp_path / ".last.new").mkdir()
    assert value_of(kept) == (1.0, 1.0, 1.0)
    save(kept, 2.0)
    assert value_of(kept) == (2.0, 2.0, 2.0)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["last"]


def test_checkpoints_torn_tensors_are_an_error_that_names_the_file(tmp_path):
    kept = Checkpoints(tmp_path)
    save(kept, 1.0)
    file = tmp_path / "last" / "tensors.safetensors"
    file.write_bytes(file.read_bytes()[:20])
    with pytest.raises(UserError, match="cannot be read"):
        kept.tensors("last", "model.")


def test_checkpoints_never_unpickle(tmp_path):
    kept = Checkpoints(tmp_path)
    save(kept, 1.0)
    torch.save({"x": os.system}, tmp_path / "last" / "optimizer.pt")
    with pytest.raises(Exception, match=r"[Ww]eights.only|Unsupported"):
        kept.optimizer("last")


def _save_for_ever(folder: str) -> None:
    kept, value = Checkpoints(module.Path(folder)), 0.0
    while True:
        value += 1.0
        save(kept, value)


@pytest.mark.slow
def test_checkpoints_survive_kill_at_any_moment(tmp_path):
    context = multiprocessing.get_context("spawn")
    for count in range(12):
        process = context.Process(target=_save_for_ever, args=(str(tmp_path),))
        process.start()
        deadline = time.monotonic() + 60
        while Checkpoints(tmp_path).state("last") is None and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.013 * count)
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        state, tensor, optimizer = value_of(Checkpoints(tmp_path))
        assert state == tensor == optimizer
