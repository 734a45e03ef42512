"""What importing a plugin costs: looked at in a fresh process, for this one has imported much already."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from zoo.load_times import SLOW_S
from zoo.plugins import DISTRIBUTION
from zoo.registry import Entry, Registry
from zoo.testing.results import BrokenError, NotApplicableError
from zoo.testing.subject import Subject

TARGET_S = 5.0
"""Seconds that a component's own module may take beyond torch: albumentations takes two of them on a slow machine."""

_PATIENCE_S = 300


@dataclass(frozen=True)
class Probe:
    """What was seen while a plugin was loaded, and the module of one component imported.

    Attributes:
        hook_s: Seconds that the hook module took.
        heavy: Heavy libraries that it imported.
        target_s: Seconds that the component's module took; torch's own are among them at the first try.
        network: Addresses that were asked for.
        writes: Files that were written.
        printed: What was printed.
        error: Why the module could not be imported, or "".
    """

    hook_s: float
    heavy: tuple[str, ...]
    target_s: float
    network: list[str]
    writes: list[str]
    printed: str
    error: str


def lazy(subject: Subject) -> None:
    """Heavy libraries that the hook module brings in."""
    found = probe(subject.entry, subject.registry)
    if found.heavy:
        raise BrokenError(f"importing the hook module of {subject.entry.origin} imports {', '.join(found.heavy)}")


def import_time(subject: Subject) -> None:
    """Seconds of the hook module, and of the component's own beyond torch; what was slow is timed again.

    The first try imports torch where the component does, so one that takes longer may have waited for that alone.
    """
    found = probe(subject.entry, subject.registry)
    if found.hook_s >= SLOW_S or found.target_s >= TARGET_S:
        again = probe(subject.entry, subject.registry, attempt=1)
        found = replace(found, hook_s=min(found.hook_s, again.hook_s), target_s=min(found.target_s, again.target_s))
    if found.hook_s >= SLOW_S:
        raise BrokenError(
            f"the hook module of {subject.entry.origin} takes {found.hook_s:.2f} s, and every command waits for it; "
            f"allowed are {SLOW_S:g} s"
        )
    if found.target_s >= TARGET_S:
        module = subject.entry.offer.target.partition(":")[0]
        raise BrokenError(f"{module} takes {found.target_s:.1f} s to import beside torch; allowed are {TARGET_S:g} s")


def probe(entry: Entry, registry: Registry, *, attempt: int = 0) -> Probe:
    """Loads the component's plugin, and then its module, in a fresh process; once for all components of a plugin.

    Args:
        entry: The component.
        registry: Knows the others of its plugin.
        attempt: From 1 on another look, with torch imported before.

    Raises:
        NotApplicableError: The process did not end well.
    """
    targets = {entry.offer.target, *(one.offer.target for one in _of_plugin(entry, registry))}
    seen = _probe(entry.origin.plugin, entry.origin.distribution, tuple(sorted(targets)), tuple(sys.path), attempt)
    hook, target = seen["hook"], seen["targets"][entry.offer.target]
    return Probe(
        hook["seconds"],
        tuple(hook["heavy"]),
        target["seconds"],
        network=hook["network"] + target["network"],
        writes=hook["writes"] + target["writes"],
        printed=hook["printed"] + target["printed"],
        error=target["error"],
    )


def _of_plugin(entry: Entry, registry: Registry) -> Iterable[Entry]:
    from zoo.kinds import KINDS

    return [e for kind in KINDS for e in registry.entries(kind.name) if e.origin.plugin == entry.origin.plugin]


@functools.lru_cache(maxsize=64)
def _probe(plugin: str, distribution: str, targets: tuple[str, ...], path: tuple[str, ...], attempt: int) -> Any:
    with tempfile.TemporaryDirectory(prefix="zoo-check-", ignore_cleanup_errors=True) as folder:
        words = {
            "plugin": plugin,
            "built_in": distribution == DISTRIBUTION,
            "targets": targets,
            "folder": folder,
            "torch_first": attempt > 0,
        }
        done = subprocess.run(
            [sys.executable, "-P", "-m", "zoo.testing.probe", json.dumps(words)],
            capture_output=True,
            text=True,
            env=environment(path),
            timeout=_PATIENCE_S,
            check=False,
        )
        answer = Path(folder) / "probe.json"
        if not answer.is_file():
            raise NotApplicableError(f"a fresh process could not load {plugin}: {done.stderr.strip()[-300:]}")
        return json.loads(answer.read_text(encoding="utf-8"))


def environment(path: Iterable[str]) -> dict[str, str]:
    """The environment of a process that finds what this one finds."""
    folders = [os.path.abspath(folder) for folder in path if os.path.isdir(folder or ".")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(dict.fromkeys(folders))}
