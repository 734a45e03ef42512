"""Claim: with 20 plugins `zoo --help` and `zoo plugins` answer in under 0.6 s and 60 MB, the tab key in under 0.3 s.

    python benchmarks/startup.py [RUNS]

None of them imports torch. Each is a whole process; the floor is `python -c pass`. The 20 plugins are fakes as pip
leaves them, each with components of four kinds, a verb, a wrapper and a folder of YAML. Last measured:
results/startup.json.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from measure import keep, row, run

PLUGINS = 20

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "zoo --help": ["-m", "zoo", "--help"],
    "zoo plugins": ["-m", "zoo", "plugins"],
    "zoo finetune --help": ["-m", "zoo", "finetune", "--help"],
    "tab: optimizer=": ["-m", "zoo", "_complete", "bash", "zoo finetune optimizer=", " \t\n\"'><=;|&(:"],
    "tab: model=": ["-m", "zoo", "_complete", "bash", "zoo finetune model=", " \t\n\"'><=;|&(:"],
    "tab: options": ["-m", "zoo", "_complete", "bash", "zoo finetune strategy=lora strategy.", " \t\n\"'><=;|&(:"],
}

LIMITS = {"zoo": (0.6, 60), "tab": (0.3, 60)}
"""First word of a side to seconds and megabytes that it may take."""

HOOKS = '''
"""Hook module of a fake plugin."""

from zoo.hookspecs import hookimpl

@hookimpl
def register_optimizers(register):
    register("opt{n}", "fake{n}.parts:Optimizer", summary="An optimizer", source="none", lr=1e-3)

@hookimpl
def register_heads(register):
    register("head{n}", "fake{n}.parts:Head", summary="A head", source="none")

@hookimpl
def register_augmentations(register):
    register("aug{n}", "fake{n}.parts:Augmentation", summary="An augmentation", source="none")

@hookimpl
def register_callbacks(register):
    register("call{n}", "fake{n}.parts:Callback", summary="A callback", source="none")

@hookimpl
def register_commands(register):
    register("verb{n}", "fake{n}.parts:main", summary="a verb", usage="verb{n} NAME")

@hookimpl
def register_wrappers(register):
    register("optimizer", "torch/sgd", "fake{n}.parts:wrap", summary="A wrapper")

@hookimpl
def register_config_dirs(register):
    register("fake{n}.conf")
'''


def main(runs: str = "9") -> None:
    """Times each command in turn, without plugins and with them, the first round uncounted."""
    with tempfile.TemporaryDirectory() as folder:
        install_fakes(Path(folder))
        sides = {"": {}, f", {PLUGINS} plugins": {"PYTHONPATH": folder}}
        alone = {"ZOO_CONFIG": f"{folder}/none", "ZOO_CACHE": f"{folder}/cache"}
        # pip compiles what it installs; here the first round does, beside the checkout.
        alone |= {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": f"{folder}/compiled"}
        jobs = [
            (f"{name}{more}", words, {**alone, **env})
            for more, env in sides.items()
            for name, words in COMMANDS.items()
        ]
        rows: list[dict[str, Any]] = []
        for count in range(int(runs) + 1):
            for side, words, env in jobs:
                measured = run([sys.executable, *words], env=env)
                if count:
                    rows.append(row(side, count, measured, peak_mb=round(measured.peak_gb * 1024, 1)))
        for side, words, env in jobs:
            heavy = words[0] == "-m" and imports_torch(words, env=env)
            print(verdict(side, [r for r in rows if r["side"] == side], heavy=heavy))
    keep("startup", rows)


def install_fakes(site: Path) -> None:
    """Writes distributions as pip leaves them: a package, and its metadata beside it."""
    for n in range(PLUGINS):
        package, info = site / f"fake{n}", site / f"zoo_fake{n}-1.0.dist-info"
        (package / "conf").mkdir(parents=True)
        info.mkdir()
        (package / "__init__.py").touch()
        (package / "conf" / "__init__.py").touch()
        (package / "hooks.py").write_text(HOOKS.replace("{n}", str(n)))
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: zoo-fake{n}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[zoo.v1]\nfake{n}.hooks = fake{n}.hooks\n")
        (info / "INSTALLER").write_text("pip\n")
        (info / "RECORD").write_text(f"fake{n}/__init__.py,,\nfake{n}/hooks.py,,\n")


def verdict(side: str, rows: list[dict[str, Any]], *, heavy: bool) -> str:
    """One line: median seconds with their range, the largest memory, and what of the claim does not hold."""
    own = [r["seconds"] for r in rows]
    memory = max(r["peak_mb"] for r in rows)
    seconds_limit, memory_limit = LIMITS.get(side.partition(" ")[0].rstrip(":"), (float("inf"), float("inf")))
    broken = ["IMPORTS TORCH"] * heavy + ["TOO SLOW"] * (statistics.median(own) >= seconds_limit)
    broken += ["TOO LARGE"] * (memory >= memory_limit)
    took = f"{statistics.median(own):.3f} s ({min(own):.3f} to {max(own):.3f})"
    return f"{side:<34} {took}  {memory:.0f} MB  {', '.join(broken)}".rstrip()


def imports_torch(words: list[str], *, env: dict[str, str]) -> bool:
    """Whether the command imports torch, by Python's own list of imports."""
    command = [sys.executable, "-X", "importtime", *words]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | env)
    return any(line.rsplit("|", 1)[-1].strip() == "torch" for line in shown.stderr.splitlines())


if __name__ == "__main__":
    main(*sys.argv[1:])
