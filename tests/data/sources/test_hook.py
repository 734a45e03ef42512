"""The plugin that offers the built-in data sets."""

import inspect
import subprocess
import sys

import pytest

from zoo.config.schema import options
from zoo.data.shorthand import source_name_for
from zoo.plugins import load_plugins

NAMES = ("archive", "blobs", "digits", "folder", "mnist", "mnist5k", "moons", "rings", "table", "xor")


@pytest.fixture(scope="module")
def registry():
    return load_plugins().registry


def test_plugin_offers_the_data_sets(registry):
    entries = {e.name: e for e in registry.entries("dataset") if e.origin.plugin == "zoo.datasets"}
    assert set(entries) == set(NAMES)
    assert all(entry.summary and entry.source for entry in entries.values())


@pytest.mark.parametrize("name", NAMES)
def test_plugin_classes_take_keywords_only(registry, name):
    target = registry.get("dataset", name).load()
    parameters = inspect.signature(target).parameters.values()
    assert all(p.kind is p.KEYWORD_ONLY for p in parameters)
    assert target.__doc__


@pytest.mark.parametrize("name", ["folder", "table", "archive"])
def test_plugin_paths_are_required_and_the_rest_has_defaults(registry, name):
    by_name = {option.name: option for option in options(registry.get("dataset", name))}
    assert by_name["path"].required
    assert all(not option.required for option in by_name.values() if option.name != "path")


def test_plugin_suffixes_agree_with_the_shorthand(registry, tmp_path):
    for name in ("table", "archive"):
        for suffix in registry.get("dataset", name).facts["suffixes"]:
            path = tmp_path / f"x{suffix}"
            path.write_bytes(b"x")
            assert source_name_for(path) == name


def test_plugin_module_imports_nothing_heavy():
    code = (
        "import sys, zoo_plugins.datasets;"
        "heavy = {'torch', 'numpy', 'PIL', 'pandas', 'pyarrow', 'sklearn', 'cv2'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_shorthand_imports_nothing_heavy():
    code = (
        "import sys, zoo.data.shorthand;"
        "heavy = {'torch', 'numpy', 'PIL', 'pandas', 'pyarrow', 'sklearn', 'cv2'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
