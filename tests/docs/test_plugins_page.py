"""The tutorial for authors, docs/plugins.md, word for word."""

from __future__ import annotations

import re
import shlex
import sys
import textwrap
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.own_tests import run_own_tests

from zoo.cli import main
from zoo.kinds import KINDS
from zoo.plugins import load_plugins
from zoo.verbs import plugins_new

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = re.findall(r"^    \$ (.+)$", PAGE, re.MULTILINE)


def block(language: str, *, holding: str) -> str:
    (found,) = [text for kind, text in BLOCKS if kind == language and holding in text]
    return found


def test_it_opens_with_a_whole_plugin_the_one_of_the_readme() -> None:
    language, text = BLOCKS[0]
    assert language == "python"
    assert PAGE.index("```python") < 60
    assert len(text.splitlines()) <= 12
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert text in readme


def test_the_whole_plugin_is_what_pip_installs(make_distribution: Callable[..., Path]) -> None:
    project = tomllib.loads(block("toml", holding="zoo.v1"))
    points = project["project"]["entry-points"]["zoo.v1"]
    assert project["tool"]["setuptools"]["py-modules"] == list(points.values())
    make_distribution(project["project"]["name"], points=points, modules={"zoo_sign": BLOCKS[0][1]})
    entry = load_plugins(strict=True).registry.get("optimizer", "sign/signum")
    assert entry.summary == "Steps by the momentum's sign"


def test_new_prints_what_the_page_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plugins_new, "_git_author", lambda: "Ada Lovelace")
    (command,) = [c for c in COMMANDS if "plugins new" in c]
    assert main(shlex.split(command.removeprefix("python -m zoo "))) == 0
    assert capsys.readouterr().out == shown_below(command)


def shown_below(command: str) -> str:
    """What the page shows that a command prints."""
    return textwrap.dedent(PAGE[PAGE.index(command) + len(command) :].split("\n\n", 1)[0].strip("\n")) + "\n"


def test_show_prints_what_the_page_shows(
    tmp_path: Path,
    make_distribution: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Of the plugin of step 1, before it is changed."""
    folder = tmp_path / "zoo-lion"
    plugins_new.main(["zoo-lion", "--kind", "optimizer", str(folder), "--author", "Ada"])
    make_distribution("zoo-lion", version="0.1.0", points={"lion": "zoo_lion.hooks"}, modules={})
    monkeypatch.syspath_prepend(str(folder))
    capsys.readouterr()
    try:
        assert main(["plugins", "show", "lion/lion"]) == 0
    finally:
        for module in [name for name in sys.modules if name.partition(".")[0] == "zoo_lion"]:
            del sys.modules[module]
    assert capsys.readouterr().out == shown_below("$ python -m zoo plugins show lion/lion")


@pytest.mark.slow
def test_check_prints_what_the_page_shows(lion: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of the plugin of step 2."""
    capsys.readouterr()
    assert main(["plugins", "check", "lion"]) == 0
    assert capsys.readouterr().out == shown_below("$ python -m zoo plugins check lion")


def test_every_hook_is_linked_and_every_link_leads_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", PAGE)
    assert {f"hooks/register_{kind.hook}.md" for kind in KINDS} <= set(links)
    pages = {f"hooks/{file.name}" for file in (ROOT / "docs" / "hooks").glob("register_*.md")}
    assert pages <= set(links)
    for link in links:
        assert (ROOT / "docs" / link).exists(), link


@pytest.fixture
def lion(tmp_path: Path, make_distribution: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The plugin after step 2 of the tutorial, on the import path."""
    folder = tmp_path / "zoo-lion"
    assert plugins_new.main(["zoo-lion", "--kind", "optimizer", str(folder), "--author", "Ada"]) == 0
    (folder / "zoo_lion" / "optimizer.py").write_text(block("python", holding='"""Lion."""'), encoding="utf-8")
    (folder / "tests" / "test_optimizer.py").write_text(block("python", holding="in numbers"), encoding="utf-8")
    make_distribution("zoo-lion", points={"lion": "zoo_lion.hooks"}, modules={})
    monkeypatch.syspath_prepend(str(folder))
    yield folder
    for module in [name for name in sys.modules if name.partition(".")[0] == "zoo_lion"]:
        del sys.modules[module]


def test_the_code_of_step_two_is_clean(lion: Path) -> None:
    import subprocess

    for words in (["check", "--no-cache"], ["format", "--no-cache", "--check", "--diff"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *words, "."], cwd=lion, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_optimizer_of_step_two_is_the_papers(lion: Path) -> None:
    """Against timm's Lion, which was written by others."""
    import torch
    from timm.optim import Lion as Theirs

    entry = load_plugins(strict=True).registry.get("optimizer", "lion/lion")
    weights = [torch.nn.Parameter(torch.linspace(-1, 1, 12).reshape(3, 4)) for _ in range(2)]
    options = {"lr": 0.01, "betas": (0.8, 0.95), "weight_decay": 0.1}
    pair = [entry.build(params=[weights[0]], **options), Theirs([weights[1]], **options)]
    for step in range(5):
        gradient = torch.randn(3, 4, generator=torch.Generator().manual_seed(step))
        for weight, optimizer in zip(weights, pair, strict=True):
            weight.grad = gradient.clone()
            optimizer.step()
    assert torch.allclose(weights[0], weights[1], atol=1e-6)


def test_its_options_are_as_the_page_says(lion: Path) -> None:
    from zoo.config.compose import configure
    from zoo.errors import UserError

    plugins = load_plugins(strict=True)
    words = ["model=lenet5", "optimizer=lion/lion"]
    config = configure([*words, "optimizer.betas=[0.95,0.98]"], plugins, source_for=str)
    assert list(config.optimizer.options["betas"]) == [0.95, 0.98]
    with pytest.raises(UserError, match="betas") as caught:
        configure([*words, "optimizer.betas=[0.95,2]"], plugins, source_for=str)
    assert "below 1" in str(caught.value)


def test_its_tests_pass(lion: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run_own_tests(lion, "optimizer") == pytest.ExitCode.OK, capfd.readouterr().out


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("python -m zoo finetune")])
def test_commands_of_step_four_use_words_that_exist(
    command: str, lion: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each fails only because its photos are not there."""
    monkeypatch.chdir(tmp_path)
    assert main(shlex.split(command.removeprefix("python -m zoo "))) == 2
    said = capsys.readouterr().err
    assert "my/photos" in said
    for complaint in ("unknown", "has no effect", "Traceback"):
        assert complaint not in said
