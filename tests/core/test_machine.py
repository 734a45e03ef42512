"""Cores that may be used: affinity, and the quotas of control groups as the kernel writes them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from zoo.machine import usable_cores


@pytest.fixture
def many(monkeypatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_usable_cores_are_those_of_the_affinity():
    """A real process that may run on one core."""
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("no affinity on this system")
    code = "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]); import zoo.machine as m; "
    code += "import sys; print(m.usable_cores(), 'torch' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "False", "False"]


def test_usable_cores_where_the_system_does_not_say_which(monkeypatch, tmp_path):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert usable_cores(tmp_path) == 7
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_cores(tmp_path) == 1


@pytest.mark.parametrize(
    ("quota", "cores"),
    [("max 100000", 64), ("200000 100000", 2), ("150000 100000", 2), ("10000 100000", 1), ("9900000 100000", 64)],
)
def test_usable_cores_keep_to_the_quota_of_version_two(many, tmp_path, quota, cores):
    root = tree(tmp_path, {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": quota + "\n"})
    assert usable_cores(root) == cores


def test_usable_cores_take_the_least_quota_of_the_groups_around(many, tmp_path):
    files = {
        "proc/self/cgroup": "0::/a.slice/b.scope\n",
        "sys/fs/cgroup/a.slice/cpu.max": "300000 100000\n",
        "sys/fs/cgroup/a.slice/b.scope/cpu.max": "800000 100000\n",
    }
    assert usable_cores(tree(tmp_path, files)) == 3


@pytest.mark.parametrize(("quota", "cores"), [("-1", 64), ("400000", 4), ("50000", 1)])
@pytest.mark.parametrize("group", ["/", "/docker/0123abcd"])  # in a container, a path of the host's
def test_usable_cores_keep_to_the_quota_of_version_one(many, tmp_path, quota, cores, group):
    files = {
        "proc/self/cgroup": f"5:devices:/\n3:cpu,cpuacct:{group}\n2:cpuset:{group}\n",
        "sys/fs/cgroup/cpu/cpu.cfs_quota_us": quota + "\n",
        "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
    }
    assert usable_cores(tree(tmp_path, files)) == cores


@pytest.mark.parametrize("text", ["", "nonsense", "100000", "100000 0", "a b"])
def test_usable_cores_pass_over_what_cannot_be_read(many, tmp_path, text):
    root = tree(tmp_path, {"proc/self/cgroup": "0::/\nnonsense\n", "sys/fs/cgroup/cpu.max": text})
    assert usable_cores(root) == 64
