"""What the README shows is what happens."""

from __future__ import annotations

import re
import shlex
import textwrap
from pathlib import Path

import pytest
from support.e2e import run, run_here

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^ *(?:\$ )?python -m zoo ([^#\n]+)", README, re.MULTILINE)


def test_readme_is_short_and_holds_commands():
    assert README.count("\n") <= 250
    assert len(COMMANDS) >= 7
    assert not re.search(r"^(SESSION|RESULTS|CLOTHING|STARTUP)$", README, re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_readme_commands_use_verbs_and_keys_that_exist(command, tmp_path):
    """Each is run on nothing: it must fail, if at all, only because its photos are not there."""
    words = [word.replace("RUN", "no/such/run") for word in shlex.split(command.strip())]
    verb, *rest = words
    if verb == "finetune" and not any(word.startswith(("data=", "resume=", "model=no")) for word in rest):
        rest = [*rest, "--cfg", "job"]
    rest += ["seeds=0"] if verb == "lesson" else []  # refused before anything is trained
    absent = verb == "plugins" and rest[:1] in (["check"], ["disable"])  # these name plugins that nobody has installed
    done_code = 0 if "--cfg" in rest or (verb in ("models", "plugins", "explain") and not absent) else 2
    done = run_here(verb, *rest, code=done_code, cwd=tmp_path)
    said = done.stdout + done.stderr
    for complaint in ("unknown key", "unknown verb", "unknown option", "unknown flag", "Traceback"):
        assert complaint not in said


def test_readme_error_example_is_the_real_one(tmp_path):
    block = re.search(r"\$ python -m zoo finetune strategy=probe optimizer\.lr=0\.1\n(.*?)\n\n", README, re.DOTALL)
    expected = textwrap.dedent(block.group(1)).strip()
    done = run("finetune", "strategy=probe", "optimizer.lr=0.1", f"run.dir={tmp_path}/run", code=2)
    assert expected in textwrap.dedent(done.stderr).strip()


def test_readme_plugin_works_as_printed(make_distribution, monkeypatch):
    """The twelve lines, as a distribution on the path."""
    code = re.search(r"```python\n(.*?)```", README, re.DOTALL).group(1)
    lines = [line for line in code.splitlines() if line.strip() and not line.startswith("#")]
    assert len(lines) <= 12
    make_distribution("zoo-sign", points={"sign": "zoo_sign"}, modules={"zoo_sign": code})
    from zoo.plugins import load_plugins

    registry = load_plugins().registry
    entry = registry.get("optimizer", "signum")
    assert entry.full_name == "sign/signum"
    import torch

    weight = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    optimizer = entry.build(params=[weight], lr=0.5, momentum=0.8)
    mean, expected = torch.zeros(2), weight.detach().clone()
    for gradient in ([3.0, -0.1], [-1.0, 0.1], [-4.0, -0.1]):  # m = 0.8 m + 0.2 g, then a step by its sign
        weight.grad = torch.tensor(gradient)
        optimizer.step()
        mean = 0.8 * mean + 0.2 * torch.tensor(gradient)
        expected -= 0.5 * mean.sign()
        assert torch.allclose(weight, expected)


def test_readme_table_names_what_is_there():
    from zoo.kinds import KINDS
    from zoo.plugins import load_plugins

    registry = load_plugins(only=[]).registry
    for kind in KINDS:
        assert f"`register_{kind.hook}`" in README
        for entry in registry.entries(kind.name):
            assert entry.name in README, f"{kind.name} {entry.name}"
