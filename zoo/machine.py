"""How many cores this process may use, which in a container is less than the machine has."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath


def usable_cores(root: Path = Path("/")) -> int:
    """Cores that this process may use: those it may run on, and no more than the quota of its control group.

    A container started with `--cpus 2` on 64 cores may run on all of them, 2/64 of the time: 64 threads would wait
    for one another. A quota of 1.5 cores counts as 2.

    Args:
        root: Where `proc` and `sys` are mounted.

    Source: https://docs.kernel.org/admin-guide/cgroup-v2.html (cpu.max), and
        https://docs.kernel.org/scheduler/sched-bwc.html (cpu.cfs_quota_us of version 1).
    """
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return max(1, min([cores, *(math.ceil(quota) for quota in _quotas(root) if quota < math.inf)]))


def _quotas(root: Path) -> Iterator[float]:
    """Quotas, in cores, of this process's control group and of all groups around it; any of them can be the least."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:  # no Linux
        return
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        # In a container the path can be the host's, of which only the mount's own top is seen here.
        inside = (PurePosixPath(group.lstrip("/")), *PurePosixPath(group.lstrip("/")).parents)
        if not controllers:
            yield from (_quota_v2(root / "sys/fs/cgroup" / part) for part in inside)
        elif "cpu" in controllers.split(","):
            yield from (_quota_v1(root / "sys/fs/cgroup/cpu" / part) for part in inside)


def _quota_v2(group: Path) -> float:
    """`cpu.max` holds `150000 100000` (microseconds in a period), or `max 100000`."""
    try:
        quota, period = (group / "cpu.max").read_text().split()
        return math.inf if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return math.inf


def _quota_v1(group: Path) -> float:
    """`cpu.cfs_quota_us` is -1 where there is none."""
    try:
        quota, period = (int((group / f"cpu.cfs_{name}_us").read_text()) for name in ("quota", "period"))
        return quota / period if quota > 0 else math.inf
    except (OSError, ValueError, ZeroDivisionError):
        return math.inf
