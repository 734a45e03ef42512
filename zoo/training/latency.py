"""How long one image takes, and on what machine that was measured."""

from __future__ import annotations

import platform
import statistics
import time
from pathlib import Path

import torch
from torch import nn

from zoo.training.devices import finish

WARM_UP = 3
LEAST_RUNS, MOST_RUNS = 10, 50
ENOUGH_S = 1.0


def median_latency_ms(module: nn.Module, image: torch.Tensor) -> float:
    """Median time of a forward pass of one image, in float32, as a single prediction costs.

    Three passes go first, uncounted. At least ten are timed, then as many as fit into a second, at most fifty. The
    median: other work on the machine makes some passes slow, and none quick.

    Args:
        module: On the image's device; put into eval mode.
        image: float32[1, C, S, S].
    """
    module.eval()
    times: list[float] = []
    start = time.perf_counter()
    with torch.inference_mode():
        for count in range(WARM_UP + MOST_RUNS):
            before = time.perf_counter()
            module(image)
            finish(image.device)
            after = time.perf_counter()
            if count >= WARM_UP:
                times.append(after - before)
            if len(times) >= LEAST_RUNS and after - start > ENOUGH_S:
                break
    return 1000 * statistics.median(times)


def machine_name(device: torch.device) -> str:
    """`NVIDIA H100`, or `AMD EPYC 9R14, 2 threads`."""
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    count = torch.get_num_threads()
    threads = f"{count} thread" if count == 1 else f"{count} threads"
    return f"{'Apple GPU' if device.type == 'mps' else _cpu_name()}, {threads}"


def _cpu_name(path: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's name as the system gives it; its architecture where it gives none."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine() or "CPU"
