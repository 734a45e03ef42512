"""Warm-up, devices, and passes without gradients."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from torch import nn

from zoo.contracts.training import RawBatch
from zoo.errors import UserError
from zoo.training.devices import (
    Speeds,
    _least_s,
    has_bf16,
    keep_freed_memory,
    make_accelerator,
    measure_speeds,
    set_threads,
)
from zoo.training.inference import frozen_forward, run_over
from zoo.training.warmup import DEFAULT_SHARE, with_warmup


class Flat:
    def __call__(self, progress: float) -> float:
        return 0.5


class Rising(Flat):
    warms_up = True


class Watching(Flat):
    def observe(self, loss: float) -> None:
        self.seen = loss

    def momentum(self, progress: float) -> float:
        return 0.9


def test_warmup_rises_evenly_then_leaves_the_schedule_alone():
    warmed = with_warmup(Flat(), share=0.2, steps=100)
    assert [warmed(p) for p in (0.0, 0.1, 0.2, 0.7, 1.0)] == pytest.approx([0.0, 0.25, 0.5, 0.5, 0.5])


def test_warmup_auto_spares_a_schedule_that_rises_by_itself():
    rising = Rising()
    assert with_warmup(rising, share="auto", steps=100) is rising
    assert with_warmup(Flat(), share="auto", steps=100)(DEFAULT_SHARE / 2) == pytest.approx(0.25)
    flat = Flat()
    assert with_warmup(flat, share=0, steps=100) is flat


@pytest.mark.parametrize(("steps", "first"), [(1, 0.5), (19, 0.5), (20, 0.5), (21, 0.0)])
def test_no_step_is_lost_to_a_warmup_that_would_be_over_with_it(steps, first):
    warmed = with_warmup(Flat(), share=0.05, steps=steps)
    assert (warmed(0.0), warmed(1 / steps)) == pytest.approx((first, 0.5 if steps < 21 else 0.5 / 21 / 0.05))


@pytest.mark.parametrize(("schedule", "share"), [(Rising(), 0.1), (Flat(), 1.0), (Flat(), -0.1)])
def test_warmup_refuses_what_makes_no_sense(schedule, share):
    with pytest.raises(UserError, match="warmup_share"):
        with_warmup(schedule, share=share, steps=100)


def test_warmup_passes_on_what_a_schedule_has_and_nothing_more():
    warmed = with_warmup(Watching(), share=0.1, steps=100)
    warmed.observe(3.0)
    assert warmed.schedule.seen == 3.0
    assert warmed.momentum(0.5) == 0.9
    assert not hasattr(warmed, "state_dict")
    assert not hasattr(with_warmup(Flat(), share=0.1, steps=100), "observe")


def test_measuring_leaves_the_network_as_it_was():
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    module.train()
    before = copy.deepcopy(module.state_dict())
    speeds = measure_speeds(module, torch.randn(2, 3, 16, 16), train=True, repeats=1)
    assert speeds.fp32_s > 0
    assert speeds.bf16_s > 0
    assert all(torch.equal(before[name], tensor) for name, tensor in module.state_dict().items())
    assert all(parameter.grad is None for parameter in module.parameters())


@pytest.mark.parametrize(
    ("fp32", "bf16", "best"), [(1.0, 0.5, "bf16"), (1.0, 0.95, "fp32"), (1.0, 2.0, "fp32"), (1.0, None, "fp32")]
)
def test_bf16_must_win_clearly(fp32, bf16, best):
    assert Speeds(fp32, bf16).best == best


def test_bf16_is_not_timed_where_it_is_not_asked_for():
    assert measure_speeds(nn.Flatten(), torch.zeros(2, 3, 4, 4), train=False, bf16=False, repeats=1).bf16_s is None


@pytest.mark.parametrize("real", [True, False])
def test_bf16_that_a_gpu_only_emulates_does_not_count(monkeypatch, real):
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda including_emulation=True: including_emulation or real)
    assert has_bf16(torch.device("cuda")) is real
    assert has_bf16(torch.device("cpu"))


@pytest.mark.parametrize(("device", "expected"), [("cuda", 3), ("mps", 3), ("cpu", 0)])
def test_a_step_on_an_accelerator_is_waited_for(monkeypatch, device, expected):
    waited = []
    monkeypatch.setattr("torch.cuda.synchronize", waited.append)
    monkeypatch.setattr("torch.mps.synchronize", lambda: waited.append("mps"))
    _least_s(lambda: None, 2, torch.device(device))
    assert len(waited) == expected


def test_devices_that_are_not_there_are_refused():
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match="no CUDA device"):
            make_accelerator("cuda")
    assert make_accelerator("cpu").device.type == "cpu"


def test_processes_that_do_not_see_each_other_are_refused(monkeypatch):
    """What a plain Accelerator() does under torchrun without a GPU: each process believes that it is alone."""

    class Alone:
        num_processes = 1

    monkeypatch.setenv("WORLD_SIZE", "3")
    monkeypatch.setattr("zoo.training.devices.Accelerator", lambda cpu: Alone())
    with pytest.raises(UserError, match="3 processes were started, but this one sees 1"):
        make_accelerator("cpu")


def test_threads_are_set_and_shared_among_processes(monkeypatch):
    before = torch.get_num_threads()
    try:
        assert set_threads(1) == torch.get_num_threads() == 1
        monkeypatch.setenv("LOCAL_WORLD_SIZE", "1000")
        assert set_threads("auto") == 1
        monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
        monkeypatch.setattr("zoo.training.devices.usable_cores", lambda: 7)
        assert set_threads("auto") == torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_keeping_memory_can_be_switched_off(monkeypatch):
    monkeypatch.setenv("ZOO_KEEP_MEMORY", "0")
    assert keep_freed_memory() is False


class Split:
    steps_per_epoch = 2

    def epoch(self, epoch, *, start_step=0):
        for indices in ([4, 0], [2]):
            images = np.full((len(indices), 2, 2, 1), 10, np.uint8) * np.array(indices, np.uint8)[:, None, None, None]
            yield RawBatch(images, np.zeros(len(indices), np.int64), np.array(indices, np.int64), len(indices))


def test_run_over_gives_every_image_once_sorted_by_position():
    told = []
    answers, positions = run_over(
        Split(),
        lambda images: images.mean((2, 3)),
        accelerator=Accelerator(cpu=True),
        normalise=lambda batch: batch.permute(0, 3, 1, 2).float(),
        watch=told.append,
    )
    assert positions.tolist() == [0, 2, 4]
    assert answers[:, 0].tolist() == [0.0, 20.0, 40.0]
    assert told == [2, 3]


def test_frozen_forward_is_in_eval_mode():
    module = nn.Dropout(0.9)
    forward = frozen_forward(module)
    assert torch.equal(forward(torch.ones(4)), torch.ones(4))
