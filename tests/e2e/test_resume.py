"""Stopping and going on: after Ctrl-C, after `kill -9` at any moment, after a full disk, to the same bits."""

from __future__ import annotations

import contextlib
import json
import random
import resource
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from support.e2e import TINY, assert_same, run, start, step_of, wait_for_step

WORDS = (*TINY, "train.epochs=6", "train.batch_size=8", "regularizers=[dropout]", "augmentations=[rotate]")


@pytest.fixture(scope="module")
def whole(tmp_path_factory, photos) -> Path:
    """The run that was never stopped."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    run("finetune", f"data={photos}", *WORDS, f"run.dir={folder}")
    return folder


def kill_and_resume(folder: Path, photos: Path, *, after_step: int) -> None:
    process = start("finetune", f"data={photos}", *WORDS, "train.save_every_steps=1", f"run.dir={folder}")
    wait_for_step(process, folder, after_step)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stderr.close()
    run("finetune", f"resume={folder}")


@pytest.mark.parametrize("after_step", [3, 13])
def test_resume_after_kill_ends_in_the_same_bits(tmp_path, photos, whole, after_step):
    kill_and_resume(tmp_path / "run", photos, after_step=after_step)
    assert_same(tmp_path / "run", whole)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_resume_after_kills_at_random_steps_ends_in_the_same_bits(tmp_path, photos, whole, seed):
    kill_and_resume(tmp_path / "run", photos, after_step=random.Random(seed).randint(1, 23))
    assert_same(tmp_path / "run", whole)


@pytest.mark.slow
def test_resume_of_a_pretrained_network_killed_in_the_second_phase(tmp_path):
    words = ("strategy=lpft", "train.epochs=1", "train.threads=1", "train.save_every_steps=5", "train.precision=fp32")
    run("finetune", *words, f"run.dir={tmp_path}/whole")
    process = start("finetune", *words, f"run.dir={tmp_path}/run")
    wait_for_step(process, tmp_path / "run", 10)
    process.kill()
    process.wait()
    process.stderr.close()
    run("finetune", f"resume={tmp_path}/run")
    assert_same(tmp_path / "run", tmp_path / "whole")


def test_interrupt_saves_exits_130_and_resumes_to_the_same_bits(tmp_path, photos, whole):
    folder = tmp_path / "run"
    process = start("finetune", f"data={photos}", *WORDS, "train.save_every_steps=1", f"run.dir={folder}")
    wait_for_step(process, folder, 4)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"resume={folder}" in said
    assert json.loads((folder / "record.json").read_text())["status"] == "interrupted"
    run("finetune", f"resume={folder}")
    assert_same(folder, whole)


def assert_told_of_a_full_disk(folder: Path, said: str, *, step: int) -> None:
    """A message with the way on, and no Traceback; the last good checkpoint, and nothing half-written."""
    assert "the disk is full" in said
    assert f"resume={folder}" in said or "resume=RUN_DIR" in said
    assert "Traceback" not in said
    assert step <= step_of(folder) < 24
    assert sorted(file.name for file in (folder / "checkpoints").iterdir()) in (["best", "last"], ["last"])
    assert not list(folder.glob("**/.*"))


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux limits a process that runs")
def test_full_disk_stops_the_run_which_goes_on_to_the_same_bits(tmp_path, photos, whole):
    """From some step on no file may grow beyond 2 KiB, where a checkpoint needs hundreds."""
    folder = tmp_path / "run"
    process = start("finetune", f"data={photos}", *WORDS, "train.save_every_steps=1", f"run.dir={folder}")
    wait_for_step(process, folder, 7)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (2048, resource.RLIM_INFINITY))
    _, said = process.communicate(timeout=120)
    assert process.returncode == 2, said
    assert_told_of_a_full_disk(folder, said, step=7)
    run("finetune", f"resume={folder}")
    assert_same(folder, whole)


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 16 MiB, where this user may mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    options = ["-t", "tmpfs", "-o", "size=16m", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(["mount", *options], capture_output=True).returncode:
        pytest.skip("no disk can be mounted here")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def fill(file: Path) -> None:
    """Takes all the room that a disk has left."""
    with contextlib.suppress(OSError), file.open("wb", buffering=0) as stream:
        while True:
            stream.write(bytes(65536))


@pytest.mark.slow
def test_full_disk_that_is_a_real_one(small_disk, photos, whole):
    folder = small_disk / "run"
    process = start("finetune", f"data={photos}", *WORDS, "train.save_every_steps=1", f"run.dir={folder}")
    wait_for_step(process, folder, 7)
    filler = small_disk / "filler"
    fill(filler)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 2, said
    assert_told_of_a_full_disk(folder, said, step=7)
    filler.unlink()
    run("finetune", f"resume={folder}")
    assert_same(folder, whole)


def test_resume_refuses_what_it_cannot_continue(tmp_path, photos, whole):
    assert "finished" in run("finetune", f"resume={whole}", code=2).stderr
    assert "does not exist" in run("finetune", f"resume={tmp_path}/nowhere", code=2).stderr
    assert "model=DIR" in run("finetune", f"resume={whole}", "train.epochs=9", code=2).stderr


def test_resume_refuses_data_that_changed(tmp_path, photos):
    copied, folder = tmp_path / "copied", tmp_path / "run"
    shutil.copytree(photos, copied)
    process = start("finetune", f"data={copied}", *WORDS, "train.save_every_steps=1", f"run.dir={folder}")
    wait_for_step(process, folder, 2)
    process.kill()
    process.wait()
    process.stderr.close()
    (copied / "red" / "0.png").write_bytes((copied / "blue" / "0.png").read_bytes())
    assert "data are not what they were" in run("finetune", f"resume={folder}", code=2).stderr
