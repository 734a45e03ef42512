"""Latency of one image, and the name of the machine."""

from __future__ import annotations

import torch
from torch import nn

from zoo.training import latency
from zoo.training.latency import LEAST_RUNS, MOST_RUNS, WARM_UP, machine_name, median_latency_ms


class Counting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.calls, self.modes = 0, set()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        self.modes.add((self.training, torch.is_grad_enabled(), tuple(images.shape)))
        return images


def clock(monkeypatch, seconds):
    """A clock that gains these seconds between the two looks at it around a pass."""
    now = [0.0]
    steps = iter([0.0, *(step for s in seconds for step in (0.0, s))])

    def tick() -> float:
        now[0] += next(steps)
        return now[0]

    monkeypatch.setattr(latency.time, "perf_counter", tick)


def test_median_latency_leaves_out_the_warm_up_and_takes_the_middle(monkeypatch):
    clock(monkeypatch, [9.0] * WARM_UP + [0.5, 0.1, 0.2, 0.3, 7.0] + [0.2] * 5)
    module = Counting()
    assert abs(median_latency_ms(module, torch.zeros(1, 3, 8, 8)) - 200) < 1e-6
    assert module.calls == WARM_UP + LEAST_RUNS
    assert module.modes == {(False, False, (1, 3, 8, 8))}


def test_median_latency_of_a_quick_network_times_more_passes(monkeypatch):
    clock(monkeypatch, [0.001] * (WARM_UP + MOST_RUNS))
    module = Counting()
    assert abs(median_latency_ms(module, torch.zeros(1, 3, 8, 8)) - 1) < 1e-6
    assert module.calls == WARM_UP + MOST_RUNS


def test_machine_name_says_processor_and_threads(tmp_path):
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        assert machine_name(torch.device("cpu")).endswith(", 1 thread")
    finally:
        torch.set_num_threads(before)
    file = tmp_path / "cpuinfo"
    file.write_text("processor : 0\nmodel name\t: Some CPU @ 2 GHz\nmodel name\t: Other\n")
    assert latency._cpu_name(file) == "Some CPU @ 2 GHz"
    assert latency._cpu_name(tmp_path / "none")
