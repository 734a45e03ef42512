"""The command line: exit codes, what is printed where, and what is never imported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import zoo
from zoo import cli
from zoo.cli import keep_memory, main
from zoo.errors import Interrupted, UserError
from zoo.plugins import load_plugins

MakeDistribution = Callable[..., Path]

COMMANDS = """
from zoo.hookspecs import hookimpl

@hookimpl
def register_commands(register):
    for name in ("fine", "silent", "user", "broken", "stopped", "torn"):
        register(name, f"acme_run:{name}", summary=f"a verb that is {name}")
"""
RUN = """
from zoo.errors import Interrupted, UserError

def fine(argv): print(*argv); return 0
def silent(argv): ...
def user(argv): raise UserError("no such thing", where="here")
def broken(argv): raise RuntimeError("out of ideas")
def stopped(argv): raise Interrupted("saved in runs/x")
def torn(argv): raise KeyboardInterrupt
"""


@pytest.fixture
def acme(make_distribution: MakeDistribution) -> None:
    make_distribution("acme", points={"acme.verbs": "acme_verbs"}, modules={"acme_verbs": COMMANDS, "acme_run": RUN})


def python(*words: str, code: str | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code] if code else [sys.executable, "-m", "zoo"]
    return subprocess.run([*command, *words], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("verb", "code", "error"),
    [
        ("fine", 0, ""),
        ("silent", 0, ""),
        ("user", 2, "no such thing\n  where:   here\n"),
        ("stopped", 130, "saved in runs/x\n"),
        ("torn", 130, "interrupted\n"),
    ],
)
def test_exit_codes_of_verbs(verb: str, code: int, error: str, acme: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb, "a", "b=c"]) == code
    shown = capsys.readouterr()
    assert shown.err == error
    assert shown.out == ("a b=c\n" if verb == "fine" else "")


def test_failing_verb_of_a_plugin_blames_the_plugin(acme: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["broken"]) == 3
    error = capsys.readouterr().err
    assert error.startswith(
        "the command acme/broken failed: RuntimeError: out of ideas\n  plugin:  acme.verbs (acme 1.0)"
    )
    assert "Traceback" not in error


def test_strict_shows_where_a_plugin_failed(
    acme: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_STRICT", "1")
    assert main(["broken"]) == 3
    assert "acme_run.py" in capsys.readouterr().err


def test_defect_of_zoo_shows_its_traceback(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def defect() -> None:
        raise ZeroDivisionError("our own")

    monkeypatch.setattr(cli, "load_plugins", defect)
    assert main(["--help"]) == 1
    error = capsys.readouterr().err
    assert "Traceback" in error
    assert "this is a defect of zoo" in error


def test_unknown_verb_lists_the_nearest(acme: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["finetun"]) == 2
    error = capsys.readouterr().err
    assert "unknown verb 'finetun'" in error
    assert "allowed: finetune," in error


def test_unknown_verb_quotes_failed_plugins(
    make_distribution: MakeDistribution, capsys: pytest.CaptureFixture[str]
) -> None:
    make_distribution("acme", points={"acme.verbs": "acme_verbs"}, modules={"acme_verbs": "import no_such_library"})
    assert main(["fine"]) == 2
    assert "plugin acme.verbs (acme 1.0) failed to load" in capsys.readouterr().err


def test_plugins_verb_of_the_users_error_is_two(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_PLUGINS", "nobody")
    assert main(["plugins"]) == 2
    assert "plugin 'nobody' is not installed" in capsys.readouterr().err


@pytest.mark.parametrize("argv", [[], ["-h"], ["--help"], ["help"]])
def test_help_lists_every_verb(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 0
    out = capsys.readouterr().out
    for entry in load_plugins().registry.entries("command"):
        assert f"  {entry.name}" in out
        assert entry.summary in out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"zoo {zoo.__version__}\n"


def test_version_is_that_of_the_package() -> None:
    import tomllib

    text = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    assert tomllib.loads(text)["project"]["version"] == zoo.__version__


def test_zoo_without_its_plugins_says_how_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zoo.plugins.installed_plugins", list)
    assert main(["finetune"]) == 2
    assert "pip install" in capsys.readouterr().err


def test_libraries_are_kept_quiet_unless_the_user_decided(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in cli.QUIET:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "0")
    main(["--version"])
    assert os.environ["NO_ALBUMENTATIONS_UPDATE"] == "1"
    assert os.environ["HF_HUB_DISABLE_TELEMETRY"] == "0"


HEAVY = ("torch", "timm", "torchvision", "albumentations", "numpy", "pandas", "sklearn", "PIL", "hydra", "pydantic")


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["plugins"],
        ["plugins", "--json"],
        ["plugins", "show", "zoo.losses"],
        ["plugins", "--help"],
        ["nothing"],
    ],
)
def test_listing_commands_import_nothing_heavy(words: list[str]) -> None:
    code = (
        "import sys, json, zoo.cli\n"
        f"zoo.cli.main({words!r})\n"
        "print(json.dumps(sorted({m.partition('.')[0] for m in sys.modules})))"
    )
    done = python(code=code)
    assert done.returncode == 0, done.stderr
    assert not set(HEAVY) & set(json.loads(done.stdout.splitlines()[-1]))


def test_help_of_finetune_imports_no_torch() -> None:
    code = (
        "import sys, json, zoo.cli\n"
        "code = zoo.cli.main(['finetune', '--help'])\n"
        "print(json.dumps([code, sorted({m.partition('.')[0] for m in sys.modules})]))"
    )
    done = python(code=code)
    assert done.returncode == 0, done.stderr
    exit_code, modules = json.loads(done.stdout.splitlines()[-1])
    assert exit_code == 0
    assert not {"torch", "timm", "torchvision", "albumentations"} & set(modules)


def test_data_check_imports_no_torch(tmp_path: Path) -> None:
    code = (
        "import sys, zoo.cli\n"
        f"code = zoo.cli.main(['data', 'check', {str(tmp_path)!r}])\n"
        "print(code, {'torch', 'timm', 'torchvision', 'albumentations'} & set(sys.modules))"
    )
    done = python(code=code)
    assert (done.stdout, "no image in" in done.stderr) == ("2 set()\n", True), done.stderr


def test_names_that_are_no_unicode_are_printed_where_the_terminal_is_strict(tmp_path: Path) -> None:
    from PIL import Image

    for number in range(8):
        folder = os.path.join(tmp_path, os.fsdecode((b"caf\xe9", b"th\xe9")[number % 2]))
        os.makedirs(folder, exist_ok=True)
        Image.new("L", (4, 4), number).save(os.path.join(folder, f"{number}.png"))
    words = [sys.executable, "-m", "zoo", "data", "check", str(tmp_path)]
    strict = os.environ | {"PYTHONIOENCODING": "utf-8:strict"}
    done = subprocess.run(words, capture_output=True, text=True, env=strict, check=False)
    assert done.returncode == 0, done.stderr
    assert "caf\\udce9" in done.stdout


def test_import_zoo_imports_nothing_heavy() -> None:
    done = python(
        code="import sys, zoo; print(sorted(m for m in sys.modules if m.startswith(('torch', 'numpy', 'zoo.'))))"
    )
    assert done.stdout.strip() == "[]"


def test_python_m_zoo_and_the_console_script_are_the_same() -> None:
    script = Path(sys.executable).with_name("zoo")
    by_module = python("--version")
    by_script = subprocess.run([str(script), "--version"], capture_output=True, text=True, check=False)
    assert (by_module.returncode, by_script.returncode) == (0, 0)
    assert by_module.stdout == by_script.stdout == f"zoo {zoo.__version__}\n"


def test_reader_that_goes_away_is_no_error() -> None:
    done = subprocess.run(
        f"{sys.executable} -m zoo plugins | head -n 1", shell=True, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert done.stdout.startswith("plugin")


def test_keep_memory_replaces_the_process_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[list[str], dict[str, str]]] = []
    monkeypatch.setattr(os, "execve", lambda path, words, environment: calls.append((words, environment)))
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(sys, "argv", ["zoo", "finetune", "a=b"])
    monkeypatch.setattr(sys, "orig_argv", ["python", "-m", "zoo", "finetune", "a=b"])
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.check=1")
    monkeypatch.delenv("ZOO_KEEP_MEMORY", raising=False)

    keep_memory(["finetune", "a=b"])
    words, environment = calls.pop()
    assert words[1:] == ["-m", "zoo", "finetune", "a=b"]
    assert environment["GLIBC_TUNABLES"] == "glibc.malloc.check=1:glibc.malloc.hugetlb=1"

    monkeypatch.setenv("GLIBC_TUNABLES", environment["GLIBC_TUNABLES"])
    keep_memory(["finetune", "a=b"])
    monkeypatch.delenv("GLIBC_TUNABLES")
    keep_memory(["other", "words"])  # main() was called by a program with a command line of its own
    monkeypatch.setenv("ZOO_KEEP_MEMORY", "0")
    keep_memory(["finetune", "a=b"])
    monkeypatch.delenv("ZOO_KEEP_MEMORY")
    monkeypatch.setattr(sys, "platform", "darwin")
    keep_memory(["finetune", "a=b"])
    assert calls == []


def test_errors_of_the_core_have_the_codes_that_are_documented() -> None:
    assert (UserError.exit_code, Interrupted.exit_code) == (2, 130)
    assert "2 the user's input, 3 a plugin, 1 a defect of zoo, 130" in str(main.__doc__)
