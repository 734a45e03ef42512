"""The loader against what strangers' distributions do wrong. Each fake is what pip would leave on disk."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from zoo.cli import main
from zoo.errors import PluginError, UserError
from zoo.plugins import LoadedPlugin, Plugins, load_plugins

HOOKS = "from zoo.hookspecs import hookimpl\n"
GOOD = (
    HOOKS
    + """
@hookimpl
def register_heads(register):
    register("lion", "acme_lion:Lion", summary="A head with a mane", source="arXiv:2302.06675", size=7)
"""
)
LION = """
class Lion:
    def __init__(self, features, classes, *, rate: float = 0.5, beta: float = 0.9):
        self.beta = beta
"""

MakeDistribution = Callable[..., Path]


def found(plugins: Plugins, name: str) -> LoadedPlugin:
    return next(plugin for plugin in plugins.plugins if plugin.origin.plugin == name)


def bad(source: str) -> str:
    return HOOKS + source


def test_good_plugin_is_loaded_with_its_origin(make_distribution: MakeDistribution) -> None:
    make_distribution(
        "acme", version="2.1", points={"acme.opt": "acme_opt"}, modules={"acme_opt": GOOD, "acme_lion": LION}
    )
    plugins = load_plugins()

    entry = plugins.registry.get("head", "lion")
    assert entry.full_name == "acme/lion"
    assert (entry.origin.plugin, entry.origin.distribution, entry.origin.version) == ("acme.opt", "acme", "2.1")
    assert Path(entry.origin.file).name == "acme_opt.py"
    assert entry.facts == {"size": 7}
    assert entry.build(features=3, classes=2).beta == 0.9
    assert found(plugins, "acme.opt").status == "ok"
    assert found(plugins, "acme.opt").counts == (("head", 1),)


BROKEN = {
    "bad import": ("import no_such_library\n" + GOOD, "no_such_library"),
    "exit at import": ("raise SystemExit('wrong platform')\n", "SystemExit: wrong platform"),
    "syntax error": ("def (:\n", "SyntaxError"),
    "misspelt hook": (bad("@hookimpl\ndef register_haeds(register): ...\n"), "register_haeds"),
    "wrong argument": (bad("@hookimpl\ndef register_heads(registry): ...\n"), "registry"),
    "half registered": (
        GOOD.replace("(register):\n", "(register):\n    ", 1)
        + "\n@hookimpl\ndef register_losses(register):\n    raise RuntimeError('no licence')\n",
        "no licence",
    ),
    "exit in a hook": (bad("@hookimpl\ndef register_losses(register):\n    raise SystemExit(3)\n"), "SystemExit: 3"),
    "same name twice": (GOOD + "    register('lion', 'acme_lion:Lion', summary='again')\n", "registered twice"),
    "no hookimpl": (GOOD.replace("@hookimpl", ""), "@hookimpl"),
    "no summary": (bad("@hookimpl\ndef register_losses(register): register('l', 'a:b', summary=' ')\n"), "summary"),
    "bad target": (bad("@hookimpl\ndef register_losses(register): register('l', 'a.b', summary='s')\n"), "'a.b'"),
    "bad name": (bad("@hookimpl\ndef register_losses(register): register('l/m', 'a:b', summary='s')\n"), "l/m"),
    "bad provider": (bad("@hookimpl\ndef register_models(register): register.provider('a', summary='s')\n"), "'a'"),
    "missing folder": (bad("@hookimpl\ndef register_config_dirs(register): register('acme_none.conf')\n"), "acme_none"),
}


@pytest.mark.parametrize("case", sorted(BROKEN))
def test_failing_plugin_is_left_out_whole_and_others_work(case: str, make_distribution: MakeDistribution) -> None:
    source, reason = BROKEN[case]
    make_distribution("acme", points={"acme.opt": "acme_opt"}, modules={"acme_opt": source, "acme_lion": LION})
    fine = GOOD.replace("lion", "tiger").replace("acme_tiger", "acme_lion")
    make_distribution("bell", points={"bell.opt": "bell_opt"}, modules={"bell_opt": fine})
    plugins = load_plugins()

    assert found(plugins, "acme.opt").status == "failed"
    assert reason in found(plugins, "acme.opt").reason
    assert not plugins.registry.has("head", "lion")
    assert plugins.registry.get("head", "tiger").full_name == "bell/tiger"
    assert plugins.registry.get("head", "linear").full_name == "zoo/linear"
    assert [failed.origin.plugin for failed in plugins.registry.failed] == ["acme.opt"]


def test_strict_raises_at_the_first_failure(
    make_distribution: MakeDistribution, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_distribution("acme", points={"acme.opt": "acme_opt"}, modules={"acme_opt": BROKEN["bad import"][0]})
    monkeypatch.setenv("ZOO_STRICT", "1")

    with pytest.raises(PluginError, match=r"acme\.opt \(acme 1\.0\).*no_such_library"):
        load_plugins()
    assert load_plugins(strict=False).registry.failed


def test_what_a_plugin_prints_stays_off_stdout(
    make_distribution: MakeDistribution, capsys: pytest.CaptureFixture[str]
) -> None:
    make_distribution("acme", points={"acme.opt": "acme_opt"}, modules={"acme_opt": "print('hello')\n" + GOOD})
    load_plugins()

    assert capsys.readouterr().out == ""


def test_two_third_parties_may_share_a_bare_name(make_distribution: MakeDistribution) -> None:
    make_distribution("acme", points={"acme.opt": "acme_opt"}, modules={"acme_opt": GOOD, "acme_lion": LION})
    make_distribution("bell", points={"bell.opt": "bell_opt"}, modules={"bell_opt": GOOD})
    plugins = load_plugins()

    with pytest.raises(UserError, match="acme/lion, bell/lion"):
        plugins.registry.get("head", "lion")


def test_third_party_never_takes_a_first_party_name(make_distribution: MakeDistribution) -> None:
    source = GOOD.replace('"lion"', '"linear"')
    make_distribution("acme", points={"acme.opt": "acme_opt"}, modules={"acme_opt": source, "acme_lion": LION})
    plugins = load_plugins()

    assert plugins.registry.get("head", "linear").full_name == "zoo/linear"
    assert plugins.registry.get("head", "acme/linear").origin.distribution == "acme"


NAMESPACES = ("zoo.extra", "torch.extra", "timm.extra", "torchvision.extra", "published.extra", "zoo")


@pytest.mark.parametrize("point", NAMESPACES)
def test_first_party_namespaces_cannot_be_taken(point: str, make_distribution: MakeDistribution) -> None:
    make_distribution("acme", points={point: "acme_opt"}, modules={"acme_opt": GOOD})

    assert "belongs to zoo itself" in found(load_plugins(), point).reason


def test_second_plugin_of_a_name_fails_and_the_first_stays(make_distribution: MakeDistribution) -> None:
    make_distribution("acme", points={"same.opt": "acme_opt"}, modules={"acme_opt": GOOD, "acme_lion": LION})
    make_distribution("bell", points={"same.opt": "bell_opt"}, modules={"bell_opt": GOOD.replace("lion", "tiger")})
    plugins = load_plugins()

    assert [(p.origin.distribution, p.status) for p in plugins.plugins if p.origin.plugin == "same.opt"] == [
        ("acme", "ok"),
        ("bell", "failed"),
    ]
    assert plugins.registry.has("head", "lion")
    assert not plugins.registry.has("head", "tiger")


def test_same_full_name_in_two_plugins_fails_the_second(make_distribution: MakeDistribution) -> None:
    make_distribution(
        "acme",
        points={"acme.one": "acme_one", "acme.two": "acme_two"},
        modules={"acme_one": GOOD, "acme_two": GOOD, "acme_lion": LION},
    )
    plugins = load_plugins()

    assert found(plugins, "acme.one").status == "ok"
    assert "'acme/lion' is already offered by acme.one" in found(plugins, "acme.two").reason


def test_other_generation_is_ignored_and_said(make_distribution: MakeDistribution) -> None:
    make_distribution("acme", points={"acme.opt": "acme_opt"}, modules={"acme_opt": GOOD}, group="zoo.v2")
    plugins = load_plugins()

    assert found(plugins, "acme.opt").status == "ignored"
    assert "zoo.v2" in found(plugins, "acme.opt").reason
    assert "acme_opt" not in sys.modules


def test_first_installation_on_the_path_wins(make_distribution: MakeDistribution, tmp_path: Path) -> None:
    site = make_distribution("acme", points={"acme.opt": "acme_opt"}, modules={"acme_opt": GOOD, "acme_lion": LION})
    older = tmp_path / "older"
    (older / "acme-0.1.dist-info").mkdir(parents=True)
    (older / "acme-0.1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 0.1\n")
    (older / "acme-0.1.dist-info" / "entry_points.txt").write_text("[zoo.v1]\nacme.old = acme_old\n")
    sys.path.insert(sys.path.index(str(site)) + 1, str(older))
    try:
        names = [plugin.origin.plugin for plugin in load_plugins().plugins]
    finally:
        sys.path.remove(str(older))

    assert "acme.opt" in names
    assert "acme.old" not in names


def test_selection_loads_only_what_it_names(
    make_distribution: MakeDistribution, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_distribution("acme", points={"acme.opt": "acme_opt"}, modules={"acme_opt": GOOD, "acme_lion": LION})
    make_distribution("bell", points={"bell.opt": "bell_opt"}, modules={"bell_opt": GOOD.replace("lion", "tiger")})

    monkeypatch.setenv("ZOO_PLUGINS", "bell.opt")
    plugins = load_plugins()
    assert found(plugins, "acme.opt").status == "ignored"
    assert found(plugins, "bell.opt").status == "ok"
    assert plugins.registry.has("head", "linear")
    assert load_plugins(only=["acme.opt"]).registry.has("head", "lion")


@pytest.mark.parametrize("value", ["", " ", ","])
def test_empty_selection_loads_built_in_ones_alone(
    value: str, make_distribution: MakeDistribution, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_distribution("acme", points={"acme.opt": "acme_opt"}, modules={"acme_opt": GOOD})
    monkeypatch.setenv("ZOO_PLUGINS", value)
    plugins = load_plugins()

    assert not plugins.registry.has("head", "lion")
    assert plugins.registry.has("head", "linear")


def test_selection_of_an_unknown_name_is_the_users_error(
    make_distribution: MakeDistribution, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_distribution("acme", points={"acme.opt": "acme_opt"}, modules={"acme_opt": GOOD})
    monkeypatch.setenv("ZOO_PLUGINS", "acme.opr")

    with pytest.raises(UserError, match=r"acme\.opr") as raised:
        load_plugins()
    assert raised.value.allowed == "acme.opt"


def test_broken_metadata_of_a_stranger_stops_nothing(make_distribution: MakeDistribution) -> None:
    site = make_distribution("acme", points={"acme.opt": "acme_opt"}, modules={"acme_opt": GOOD, "acme_lion": LION})
    (site / "broken-1.0.dist-info").mkdir()
    (site / "torn-1.0.dist-info").mkdir()
    (site / "torn-1.0.dist-info" / "entry_points.txt").write_text("[zoo.v1]\ntorn.opt = torn_opt\n")
    plugins = load_plugins()

    assert plugins.registry.has("head", "lion")
    assert found(plugins, "torn.opt").status == "failed"


def test_plugins_verb_shows_status_reason_and_clash(
    make_distribution: MakeDistribution, capsys: pytest.CaptureFixture[str]
) -> None:
    make_distribution("acme", points={"acme.opt": "acme_opt"}, modules={"acme_opt": BROKEN["bad import"][0]})
    clash = GOOD.replace('"lion"', '"linear"').replace("acme_lion", "bell_lion")
    make_distribution("bell", points={"bell.opt": "bell_opt"}, modules={"bell_opt": clash, "bell_lion": LION})

    assert main(["plugins"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("acme.opt") and "failed" in line and "no_such_library" in line for line in lines)
    assert any(line.startswith("bell.opt") and "1 head" in line for line in lines)
    assert any(line.startswith("note: head 'linear'") and "'bell/linear'" in line for line in lines)
    assert any(line.startswith("zoo.heads") and "ok" in line for line in lines)

    assert main(["plugins", "--json"]) == 0
    rows = {row["plugin"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["acme.opt"]["status"] == "failed"
    assert rows["bell.opt"]["offers"] == {"head": 1}


def test_plugins_show_gives_a_plugin_or_a_component(
    make_distribution: MakeDistribution, capsys: pytest.CaptureFixture[str]
) -> None:
    make_distribution("acme", points={"acme.opt": "acme_opt"}, modules={"acme_opt": GOOD, "acme_lion": LION})

    assert main(["plugins", "show", "acme.opt"]) == 0
    shown = capsys.readouterr().out
    assert "acme/lion" in shown
    assert "arXiv:2302.06675" in shown
    assert "acme_opt.py" in shown

    assert main(["plugins", "show", "lion", "--json"]) == 0
    records = {record["name"]: record for record in json.loads(capsys.readouterr().out)}
    assert records["acme/lion"]["options"] == [
        {"key": "head.rate", "default": "0.5", "type": "float", "meaning": None},
        {"key": "head.beta", "default": "0.9", "type": "float", "meaning": None},
    ]

    assert main(["plugins", "show", "acme/lion"]) == 0
    assert "head.beta=0.9" in capsys.readouterr().out
    assert main(["plugins", "show", "stop_when"]) == 0
    assert "        By how much a validation must beat the best one" in capsys.readouterr().out
    assert main(["plugins", "show", "acme.opr"]) == 2
    assert "acme.opt" in capsys.readouterr().err
    assert main(["plugins", "shw"]) == 2


def test_help_warns_of_failed_plugins_and_goes_on(
    make_distribution: MakeDistribution, capsys: pytest.CaptureFixture[str]
) -> None:
    make_distribution("acme", points={"acme.opt": "acme_opt"}, modules={"acme_opt": BROKEN["bad import"][0]})

    assert main(["--help"]) == 0
    shown = capsys.readouterr()
    assert "finetune" in shown.out
    assert "acme.opt (acme 1.0) was left out: ModuleNotFoundError" in shown.err


def test_files_are_shown_when_asked_for(
    make_distribution: MakeDistribution, capsys: pytest.CaptureFixture[str]
) -> None:
    site = make_distribution("acme", points={"acme.opt": "acme_opt"}, modules={"acme_opt": GOOD, "acme_lion": LION})
    make_distribution("bell", points={"bell.opt": "bell_opt"}, modules={"bell_opt": "raise SystemExit(1)"})
    assert main(["plugins"]) == 0
    assert "acme_opt.py" not in capsys.readouterr().out
    assert main(["plugins", "--files"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["plugin", "from", "status", "offers", "file"]
    assert any(line.startswith("acme.opt") and line.endswith(str(site / "acme_opt.py")) for line in lines)
    assert any(line.startswith("bell.opt") and line.endswith("(not loaded)") for line in lines)


@pytest.mark.parametrize("word", ["show", "disable", "enable", "new", "check"])
def test_each_subcommand_has_help_of_its_own(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugins", word, "--help"]) == 0
    assert f"zoo plugins {word}" in capsys.readouterr().out


def test_mistyped_subcommand_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugins", "disabel", "x"]) == 2
    assert "or: disable" in capsys.readouterr().err


OPTIMIZER = GOOD.replace("register_heads", "register_optimizers").replace('"lion"', '"lamb"')


def test_a_clash_with_a_library_is_said_without_importing_it(
    make_distribution: MakeDistribution, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = make_distribution("acme", points={"acme.opt": "acme_opt"}, modules={"acme_opt": OPTIMIZER})
    monkeypatch.setenv("PYTHONPATH", str(site))
    code = (
        "import sys, zoo.cli\n"
        "zoo.cli.main(['plugins'])\n"
        "print(sorted({'torch', 'timm', 'numpy', 'hydra'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    *lines, heavy = done.stdout.splitlines()
    (note,) = [line for line in lines if line.startswith("note: optimizer 'lamb'")]
    assert "also offered by timm.optimizers" in note
    assert "write 'acme/lamb'" in note
    assert heavy == "[]"
