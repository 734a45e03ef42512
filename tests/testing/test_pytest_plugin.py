"""The pytest plugin in real runs of pytest: its cases, what they say, and that it does nothing unasked."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from support.broken_plugins import GOOD_STRATEGY

from zoo.testing.properties import chosen

BAD_STRATEGY = GOOD_STRATEGY.replace("epochs=3", "epochs=0")


@pytest.fixture
def suite(tmp_path):
    """`suite("-v", ini="...")` runs pytest in a folder with one test of its own."""
    folder = tmp_path / "suite"
    folder.mkdir()
    (folder / "test_own.py").write_text("def test_own():\n    pass\n", encoding="utf-8")

    def run(*words: str, ini: str = "", code: int = 0) -> str:
        (folder / "pytest.ini").write_text(f"[pytest]\n{ini}\n", encoding="utf-8")
        path = os.pathsep.join([str(tmp_path / "site"), os.environ.get("PYTHONPATH", "")])
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "zoo.testing.pytest_plugin", "-p", "no:cacheprovider", *words],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": path, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    return run


def test_unasked_it_does_nothing_and_imports_nothing_heavy(suite, tmp_path):
    (tmp_path / "suite" / "test_own.py").write_text(
        "import sys\ndef test_own():\n    assert 'torch' not in sys.modules and 'zoo.plugins' not in sys.modules\n"
    )
    assert "1 passed" in suite()


def test_one_case_for_each_component_and_property(install, suite):
    install("strategy", GOOD_STRATEGY)
    listed = suite("--collect-only", "-q", ini="zoo_plugins = acme.things").splitlines()
    titles = [one.title for one in chosen("strategy")]
    assert listed[0] == "test_own.py::test_own"
    assert listed[1 : len(titles) + 1] == [f"zoo::strategy acme/thing: {title}" for title in titles]


def test_a_single_file_is_run_alone(install, suite):
    install("strategy", GOOD_STRATEGY)
    assert "1 passed" in suite("test_own.py", ini="zoo_plugins = acme.things")
    listed = suite("test_own.py", "--zoo-plugin", "acme/thing", "--collect-only", "-q")
    assert "zoo::strategy acme/thing: it writes nothing outside the run's folder" in listed


def test_cases_are_chosen_by_their_names_and_fail_with_what_why_and_fix(install, suite):
    install("strategy", BAD_STRATEGY)
    said = suite("--zoo-plugin", "zoo-acme", "-k", "strategy and shapes or test_own", "-v", code=1)
    assert "zoo::strategy acme/thing: shapes, types and ranges are those of its contract FAILED" in said
    assert "1 failed, 1 passed" in said
    assert "epochs is 0" in said
    assert "  why:   What comes next relies on them" in said
    assert "  fix:   Return what the contract" in said
    assert "checking.py" not in said


def test_what_is_not_applicable_is_skipped_with_its_reason(install, suite):
    install("strategy", "import no_such_library_at_all\n")
    said = suite("--zoo-plugin", "acme.things", "-k", "shapes or builds", "-rs", code=1)
    assert "1 failed, 1 skipped" in said
    assert "not applicable: strategy 'acme/thing' cannot be loaded" in said


@pytest.mark.slow  # all libraries are asked, and imported
def test_an_unknown_plugin_is_a_mistake_in_the_settings(suite):
    suite("--zoo-plugin", "no.such", code=4)


@pytest.mark.slow
def test_everything_of_a_plugin_passes_with_the_slow_ones_left_out(install, suite):
    from support.broken_trained import GOOD_OPTIMIZER

    install("optimizer", GOOD_OPTIMIZER, details="lr=0.01")
    count = len(chosen("optimizer"))
    assert f"{count + 1} passed" in suite("--zoo-plugin", "acme.things")
    assert f"{count} passed, 1 deselected" in suite("--zoo-plugin", "acme.things", "-m", "not zoo_slow")


def test_pytest_finds_it_by_itself():
    from importlib.metadata import entry_points

    (point,) = entry_points(group="pytest11", name="zoo")
    assert point.value == "zoo.testing.pytest_plugin"
