"""Runs the tests that come with a plugin, in this process."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest


def run_own_tests(folder: Path, *kinds: str) -> int:
    """Exit code of pytest on `tests/test_KIND.py` of a plugin's folder, whose package is on the import path."""
    files = [str(folder / "tests" / f"test_{kind}.py") for kind in kinds]
    words = ["-c", str(folder / "pyproject.toml"), "--rootdir", str(folder), "--import-mode=importlib", "-q"]
    try:
        return int(pytest.main([*words, "-p", "no:cacheprovider", "-p", "no:xdist", *files]))
    finally:
        for name, module in list(sys.modules.items()):  # the next plugin's tests have the same names
            if (getattr(module, "__file__", None) or "").startswith(str(folder)):
                del sys.modules[name]
