"""Run in a fresh process by `zoo.testing.loading`: loads one plugin and its components' modules, and watches."""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from zoo.errors import ZooError
from zoo.plugins import load_plugins
from zoo.testing.guards import watching


def main(words: Mapping[str, Any]) -> None:
    """Writes what it saw into `probe.json` of the folder."""
    folder = Path(words["folder"])
    targets: dict[str, Any] = {}
    costs: dict[str, Any] = {}

    def load() -> None:
        loaded = load_plugins(only=() if words["built_in"] else (words["plugin"],), strict=False)
        (of,) = [one for one in loaded.plugins if one.origin.plugin == words["plugin"]]
        costs["hook"] = of.cost

    hook = _watched(load, folder=folder / "hook", target=words["targets"][0])
    hook |= {"seconds": costs["hook"].seconds, "heavy": costs["hook"].heavy} if costs else {"heavy": ()}
    if words["torch_first"]:
        importlib.import_module("torch")
    for number, target in enumerate(words["targets"]):
        module = target.partition(":")[0]

        def load_target(module: str = module) -> None:
            importlib.import_module(module)

        targets[target] = _watched(load_target, folder=folder / str(number), target=target)
    answer = {"hook": hook, "targets": targets}
    (folder / "probe.json").write_text(json.dumps(answer), encoding="utf-8")


def _watched(load: Callable[[], None], *, folder: Path, target: str) -> dict[str, Any]:
    temporary, elsewhere = folder / "tmp", folder / "elsewhere"
    temporary.mkdir(parents=True)
    elsewhere.mkdir()
    package = target.partition(":")[0].partition(".")[0]
    error, start = "", time.perf_counter()
    with watching(allowed=(), temporary=temporary, elsewhere=elsewhere, package=package) as found:
        start = time.perf_counter()
        try:
            load()
        except (Exception, SystemExit) as crash:
            error = str(crash) if isinstance(crash, ZooError) else f"{type(crash).__name__}: {crash}"
        seconds = time.perf_counter() - start
    return {
        "seconds": seconds,
        "network": found.network,
        "writes": found.writes,
        "printed": found.printed,
        "error": error,
    }


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
