"""Where and how to compute: device, processes, precision, threads, memory."""

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list, gather_object
from torch import nn

from zoo.errors import UserError
from zoo.machine import usable_cores

Precision = Literal["fp32", "bf16"]

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8


@dataclass(frozen=True)
class Speeds:
    """Seconds a step (the least of a few) in both precisions; None for bf16 where it was not measured."""

    fp32_s: float
    bf16_s: float | None

    @property
    def best(self) -> Precision:
        """bf16 must win by a tenth: it costs digits."""
        return "bf16" if self.bf16_s is not None and self.bf16_s < 0.9 * self.fp32_s else "fp32"


def make_accelerator(device: str) -> Accelerator:
    """The one object that knows of processes and devices.

    Its mixed precision is off: it would replace the network's own `forward`, and whether bf16 pays is measured
    later, on the network; the loop then uses `torch.autocast`, which is what accelerate would do.

    Args:
        device: `auto`, `cpu`, `cuda` or `mps`.

    Raises:
        UserError: The device is not there, or the processes that were started do not see each other.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("no CUDA device is available here", where="train.device=cuda", allowed="cpu, auto")
    if device == "mps" and not torch.backends.mps.is_available():
        raise UserError("no Apple GPU is available here", where="train.device=mps", allowed="cpu, auto")
    on_gpu = torch.cuda.is_available() or torch.backends.mps.is_available()
    # A plain Accelerator() under torchrun on a machine without a GPU runs independent copies without a word.
    on_cpu = device == "cpu" or (device == "auto" and not on_gpu)
    started = int(os.environ.get("WORLD_SIZE", "1"))
    try:
        accelerator = Accelerator(cpu=on_cpu)
    except ValueError as error:
        raise UserError(
            f"{started} processes are announced, but they cannot find each other: {error}",
            where="WORLD_SIZE",
            do=["start them with `torchrun --nproc-per-node N -m zoo finetune ...`", "or unset WORLD_SIZE"],
        ) from error
    if accelerator.num_processes != started:
        raise UserError(
            f"{started} processes were started, but this one sees {accelerator.num_processes}",
            where="WORLD_SIZE",
            do="start them with `torchrun --nproc-per-node N -m zoo finetune ...`",
        )
    return accelerator


def all_agree(values: Sequence[Any], accelerator: Accelerator) -> list[Any]:
    """The first process's values, in every process."""
    shared = list(values)
    if accelerator.num_processes > 1:
        broadcast_object_list(shared, from_process=0)
    return shared


def true_everywhere(value: bool, accelerator: Accelerator) -> bool:
    """Whether it is true in every process; all of them must ask."""
    if accelerator.num_processes == 1:
        return value
    return all(gather_object([value]))


def keep_freed_memory() -> bool:
    """Tells the C library to keep freed memory instead of giving it back, on Linux with glibc; once a process.

    A convolution's buffers (tens of MB) otherwise go back to the kernel after every layer, which zeroes and maps
    them anew: measured on two cores, a training step of EfficientNet-Lite0 at 224 px took 60 ms an image without
    and 29 ms with this. One arena for all threads, so that what one thread freed another can use: 4.2 GiB at the peak
    of a full fine-tune at batch 32 instead of 4.3 to 4.9.

    Returns:
        Whether it took effect.
    """
    if sys.platform != "linux" or os.environ.get("ZOO_KEEP_MEMORY", "1") == "0":
        return False
    try:
        libc = ctypes.CDLL("libc.so.6")
        largest = 2**31 - 1
        settings = ((_M_MMAP_THRESHOLD, 1 << 30), (_M_TRIM_THRESHOLD, largest), (_M_ARENA_MAX, 1))
        return all([libc.mallopt(name, value) for name, value in settings])  # noqa: C419 (each must be called)
    except (OSError, AttributeError):
        return False


def set_threads(threads: int | Literal["auto"]) -> int:
    """Sets how many threads compute; `auto` shares the cores among the processes of this machine."""
    if threads == "auto":
        count = max(1, usable_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
    else:
        count = threads
    torch.set_num_threads(count)
    return count


def has_bf16(device: torch.device) -> bool:
    """Whether a device computes in bfloat16 itself; a GPU before Ampere only emulates it."""
    return device.type != "cuda" or bool(torch.cuda.is_bf16_supported(including_emulation=False))


def finish(device: torch.device) -> None:
    """Waits for what was only handed to an accelerator."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def measure_speeds(
    module: nn.Module, images: torch.Tensor, *, train: bool, bf16: bool = True, repeats: int = 3
) -> Speeds:
    """Times a few steps in both precisions on this network and machine.

    Args:
        module: The network on its device; its parameters and statistics are not changed.
        images: float32[B, C, S, S].
        train: Whether a backward pass belongs to the step.
        bf16: Whether to time bfloat16 too.
        repeats: Timed steps of each; one more goes first, uncounted.
    """
    device = images.device

    def step(dtype: torch.dtype) -> None:
        with torch.set_grad_enabled(train), torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            out = module(images)
        if train:
            out.float().square().mean().backward()
            module.zero_grad(set_to_none=True)

    kept = {name: buffer.clone() for name, buffer in module.named_buffers()}
    fp32_s = _least_s(lambda: step(torch.float32), repeats, device)
    bf16_s = _least_s(lambda: step(torch.bfloat16), repeats, device) if bf16 else None
    with torch.no_grad():
        for name, buffer in module.named_buffers():
            buffer.copy_(kept[name])
    return Speeds(fp32_s, bf16_s)


def _least_s(step: Callable[[], None], repeats: int, device: torch.device) -> float:
    times = []
    for count in range(repeats + 1):
        start = time.perf_counter()
        step()
        finish(device)
        if count:
            times.append(time.perf_counter() - start)
    return min(times)  # other work on the machine only ever adds
