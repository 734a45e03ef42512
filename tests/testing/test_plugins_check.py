"""`zoo plugins check`: by the name of a plugin, a distribution or a component, and in a source tree."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.broken_plugins import GOOD_STRATEGY

from zoo.errors import PluginError, UserError
from zoo.plugins import load_plugins
from zoo.testing.properties import chosen
from zoo.testing.source_tree import read_tree
from zoo.verbs.plugins_check import USAGE, is_path, main, meant

BAD_STRATEGY = GOOD_STRATEGY.replace("epochs=3", "epochs=0")
PROJECT = """\
[project]
name = "zoo-acme"
version = "2.5"
dependencies = ["numpy>=1", "frobnicate-no-such>=2", 'tomli; python_version < "3.11"']

[project.entry-points."zoo.v1"]
"acme.things" = "acme_hooks"
"""
HOOKS = """\
from zoo.hookspecs import hookimpl
@hookimpl
def register_strategies(register):
    register("thing", "acme_parts:Thing", summary="A thing for tests", source="arXiv:0000.00000")
"""


@pytest.mark.parametrize("name", ["acme.things", "zoo-acme", "Zoo_Acme", "thing", "acme/thing"])
def test_a_name_means_a_plugin_a_distribution_or_a_component(install, name):
    install("strategy", GOOD_STRATEGY)
    entries, notes = meant(load_plugins(), name)
    assert [(entry.kind, entry.full_name) for entry in entries] == [("strategy", "acme/thing")]
    assert notes == []


def test_of_a_library_with_many_names_three_are_looked_at(make_distribution):
    hooks = HOOKS.replace("strategies", "schedules").partition("    register(")[0]
    hooks += '    register.provider("acme_parts:Names", summary="many")\n'
    parts = """
from zoo.registry import Offer
class Names:
    def names(self):
        return [f"n{i}" for i in range(9)]
    def offer(self, name):
        return Offer("acme_parts:build", "A thing for tests")
"""
    make_distribution(
        "zoo-acme", points={"acme.things": "acme_hooks"}, modules={"acme_hooks": hooks, "acme_parts": parts}
    )
    entries, notes = meant(load_plugins(), "zoo-acme")
    assert [entry.name for entry in entries] == ["n0", "n4", "n8"]
    assert notes == ["note: of 9 names of acme_parts:Names these were looked at: n0, n4, n8"]


def test_a_good_plugin_ends_with_0_and_a_table(install, capsys):
    install("strategy", GOOD_STRATEGY)
    assert main(["acme.things"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["component", "property", "status"]
    titles = [one.title for one in chosen("strategy")]
    assert [line.split("  ")[1] for line in lines[1 : len(titles) + 1]] == titles
    assert all(line.startswith("strategy acme/thing  ") for line in lines[1 : len(titles) + 1])
    assert lines[-1] == f"{len(titles)} ok, 0 failed, 0 not applicable"


def test_a_broken_one_ends_with_3_and_says_what_why_and_how_to_fix_it(install, capsys):
    install("strategy", BAD_STRATEGY)
    assert main(["acme/thing", "--quick"]) == 3
    out = capsys.readouterr().out
    assert "\nstrategy acme/thing: shapes, types and ranges are those of its contract\n  what:  in the phase" in out
    assert "epochs is 0" in out
    assert "\n  why:   " in out
    assert "\n  fix:   " in out


def test_json_has_everything(install, capsys):
    install("strategy", BAD_STRATEGY)
    assert main(["acme/thing", "--json"]) == 3
    answer = json.loads(capsys.readouterr().out)
    statuses = {finding["property"]: finding["status"] for finding in answer["findings"]}
    assert set(statuses) == {one.key for one in chosen("strategy")}
    assert statuses["shapes"] == "failed"
    assert statuses["described"] == "ok"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "check got 0 names"),
        (["a", "b"], "check got 2 names"),
        (["thing", "--fast"], "unknown flag '--fast'"),
        pytest.param(
            ["thingy"],
            r"(?s)no plugin, distribution or component 'thingy'.*thing",
            marks=pytest.mark.slow,  # all libraries are asked, and imported
        ),
        (["./nowhere"], r"(?s)'nowhere' is no plugin: there is no such folder.*plugins new"),
    ],
)
def test_bad_words(install, words, says):
    install("strategy", GOOD_STRATEGY)
    with pytest.raises(UserError, match=says):
        main(words)


def test_a_plugin_that_failed_or_is_switched_off_is_said(make_distribution, monkeypatch):
    make_distribution("zoo-acme", points={"acme.things": "acme_hooks"}, modules={"acme_hooks": "raise OSError('x')"})
    with pytest.raises(PluginError, match=r"acme.things .* failed to load: OSError: x"):
        main(["acme.things"])
    monkeypatch.setenv("ZOO_PLUGINS", "")
    with pytest.raises(UserError, match="is not loaded: not in ZOO_PLUGINS"):
        main(["zoo-acme"])


def test_help(capsys):
    assert main(["--help"]) == 0
    assert capsys.readouterr().out == USAGE


def tree(folder: Path, *, project: str = PROJECT, place: str = "src", parts: str = GOOD_STRATEGY) -> Path:
    root = folder / "acme"
    (root / place).mkdir(parents=True, exist_ok=True)
    (root / "pyproject.toml").write_text(project, encoding="utf-8")
    (root / place / "acme_hooks.py").write_text(HOOKS, encoding="utf-8")
    (root / place / "acme_parts.py").write_text(parts, encoding="utf-8")
    return root


@pytest.mark.parametrize(
    ("place", "more"),
    [
        ("src", ""),
        (".", ""),
        ("lib", '\n[tool.setuptools]\npackage-dir = {"" = "lib"}\n'),
        ("lib", '\n[tool.setuptools.packages.find]\nwhere = ["lib"]\n'),
    ],
)
def test_a_source_tree_is_found_in_all_its_layouts(tmp_path, place, more):
    found = read_tree(tree(tmp_path, place=place, project=PROJECT + more))
    assert (found.name, found.version) == ("zoo-acme", "2.5")
    assert found.points == {"acme.things": "acme_hooks"}
    assert found.roots[0] == (tmp_path / "acme" / place).resolve()
    assert found.missing == ("frobnicate-no-such>=2",)


@pytest.mark.parametrize(
    ("project", "says"),
    [
        ("[project", "pyproject.toml cannot be read"),
        ("[tool.x]\n", "names no project"),
        ('[project]\nname = "a"\n', r"(?s)no entry points of the group zoo.v1.*add \[project.entry-points"),
        (PROJECT.replace("acme_hooks", "acme_hook"), r"(?s)module 'acme_hook', which is not in the source tree.*src"),
    ],
)
def test_what_is_missing_in_a_source_tree_is_said(tmp_path, project, says):
    with pytest.raises(UserError, match=says):
        read_tree(tree(tmp_path, project=project))


def test_a_folder_without_pyproject_is_no_plugin(tmp_path):
    with pytest.raises(UserError, match="there is no pyproject"):
        main([str(tmp_path)])


def test_paths_and_names_are_told_apart(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tree(tmp_path)
    assert [is_path(word) for word in ("./x", "/x", "~/x", "..", "acme", "acme.things", "acme/thing")] == [
        *[True] * 5, False, False,
    ]  # fmt: skip


def test_a_source_tree_is_checked_without_installing_it(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("ZOO_CONFIG", str(tmp_path / "config"))
    assert main([str(tree(tmp_path, parts=BAD_STRATEGY)), "--quick"]) == 3
    printed = capfd.readouterr()
    assert "strategy acme/thing: shapes, types and ranges are those of its contract" in printed.out
    assert printed.err == "note: not installed here, and asked for by zoo-acme: frobnicate-no-such>=2\n"


@pytest.mark.slow
def test_the_command_itself(tmp_path):
    root = tree(tmp_path)
    words = [sys.executable, "-m", "zoo", "plugins", "check"]
    env = {**os.environ, "ZOO_CONFIG": str(tmp_path / "config")}
    done = subprocess.run([*words, "."], cwd=root, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].endswith("ok, 0 failed, 0 not applicable")
    tree(tmp_path, parts=BAD_STRATEGY)
    done = subprocess.run([*words, str(root)], env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 3
    done = subprocess.run([*words, "no-such-plugin"], env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 2
    assert "no plugin, distribution or component 'no-such-plugin'" in done.stderr
    done = subprocess.run([*words, "zoo.schedules"], env=env, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout
