"""Values of training steps: in order, each once, whenever they are looked at."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from zoo.contracts.training import RawBatch
from zoo.training.tally import LOOK_EVERY, Step, Tally

RAW = RawBatch(np.zeros((2, 1, 1, 1), np.uint8), np.zeros(2, np.int64), np.arange(2), 2)


def add(tally: Tally, number: int) -> bool:
    values = (torch.tensor(number + 0.5, requires_grad=True), torch.tensor(2.0 * number), torch.tensor(number))
    return tally.add(number, RAW, values=values)


@pytest.mark.parametrize(("device", "every"), [("cpu", 1), ("cuda", LOOK_EVERY), ("mps", LOOK_EVERY)])
def test_tally_looks_at_once_on_a_cpu_and_seldom_elsewhere(device, every):
    tally = Tally(torch.device(device))
    assert [add(tally, number) for number in range(every)] == [False] * (every - 1) + [True]


def test_tally_gives_each_step_once_in_order():
    tally = Tally(torch.device("cpu"))
    tally.every = 3
    for number in range(4):
        add(tally, number)
    assert tally.look() == [Step(n, RAW, n + 0.5, 2.0 * n, float(n)) for n in range(4)]
    assert tally.look() == []
