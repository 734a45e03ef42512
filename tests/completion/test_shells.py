"""Real shells: the printed script, driven as the tab key drives it, and what the completing process imports."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from zoo.cli import main
from zoo.completion.scripts import SCRIPTS, script_for

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no such shells there")

BREAKS = " \t\n\"'@><=;|&(:"


@pytest.mark.parametrize("shell", sorted(SCRIPTS))
def test_script_names_this_python(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    printed = capsys.readouterr().out
    assert printed == script_for(shell)
    assert f"{sys.executable} -m zoo _complete {shell}" in printed
    assert "@ZOO@" not in printed


@pytest.mark.parametrize("words", [[], ["tcsh"], ["bash", "zsh"]])
def test_other_shells_are_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", *words]) == 2
    error = capsys.readouterr().err
    assert all(shell in error for shell in SCRIPTS)


@pytest.mark.parametrize("words", [[], ["tcsh", "x"], ["bash", "x"], ["zsh"]])
def test_the_hidden_word_is_for_shells(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["_complete", *words]) == 2
    assert "zoo completion --help" in capsys.readouterr().err
    assert main(["--help"]) == 0
    assert "_complete" not in capsys.readouterr().out


def in_bash(line: str, *, cwd: Path | None = None, breaks: str = BREAKS) -> list[str]:
    """What bash would offer: the script's function called with the variables that readline sets."""
    program = (
        f"COMP_LINE=$1 COMP_POINT=${{#1}} COMP_WORDBREAKS=$2\n{script_for('bash')}\n"
        '_zoo_complete\nprintf "%s\\0" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "--norc", "-c", program, "bash", line, breaks], capture_output=True, text=True, cwd=cwd, check=True
    )
    assert done.stderr == ""
    return [one for one in done.stdout.split("\0") if one]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("zoo fine", ["finetune "]),
        ("zoo finetune optim", ["optimizer=", "optimizer."]),
        ("zoo finetune optimizer=adamw optimizer.bet", ["optimizer.betas="]),
        ("zoo finetune optimizer=rmsprop optimizer.cen", ["optimizer.centered="]),
        ("zoo finetune 'augmentations=[flip,rot", ["augmentations=[flip,rotate]", "augmentations=[flip,rotate,"]),
        ("zoo finetune augmentations=[flip,rot", ["[flip,rotate] ", "[flip,rotate,"]),
        ("zoo finetune train.precision=b", ["bf16 "]),
        ("zoo finetune --cf", ["--cfg "]),
        ("zoo plugins sh", ["show "]),
    ],
)
def test_bash_offers(line: str, offered: list[str]) -> None:
    assert in_bash(line) == offered


@pytest.mark.slow
def test_bash_completes_paths_itself(tmp_path: Path) -> None:
    for name in ("my photos", "my:other", "digits.csv"):
        (tmp_path / name).touch()
    assert in_bash("zoo finetune data=my\\ ph", cwd=tmp_path) == ["my photos"]
    assert in_bash("zoo finetune 'data=my ph", cwd=tmp_path) == ["data=my photos"]
    assert in_bash("zoo finetune data=my:o", cwd=tmp_path) == ["other"]
    assert in_bash("zoo finetune data=digits", cwd=tmp_path) == ["digits", "digits.csv"]
    assert in_bash("zoo predict images=dig", cwd=tmp_path) == ["digits.csv"]
    assert in_bash("zoo predict images=dig", cwd=tmp_path, breaks=" \t\n") == ["images=digits.csv"]


class Terminal:
    """An interactive shell on a terminal of its own."""

    def __init__(self, command: list[str], *, cwd: Path) -> None:
        self.process, self.end = None, b""
        pid, self.terminal = pty.fork()
        if pid == 0:
            os.chdir(cwd)
            os.environ |= {"TERM": "dumb", "PS1": "READY> ", "HISTFILE": "", "HOME": str(cwd)}
            os.execvp(command[0], command)
        self.pid = pid

    def until(self, pattern: str, *, seconds: float = 20) -> str:
        """What is shown until the pattern is."""
        shown, deadline = "", time.monotonic() + seconds
        while not re.search(pattern, shown):
            ready, _, _ = select.select([self.terminal], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"{pattern!r} never came: {shown!r}"
            shown += os.read(self.terminal, 4096).decode(errors="replace")
        return shown

    def type(self, text: str) -> None:
        os.write(self.terminal, text.encode())

    def close(self) -> None:
        os.close(self.terminal)
        os.waitpid(self.pid, 0)


@pytest.fixture
def bash(tmp_path: Path):
    """A bash with the completions, as a user has it."""
    (tmp_path / "rc").write_text(f"PS1='READY> '\nbind 'set bell-style none'\n{script_for('bash')}")
    terminal = Terminal(["bash", "--noprofile", "--rcfile", str(tmp_path / "rc"), "-i"], cwd=tmp_path)
    terminal.until("READY> ")
    yield terminal
    terminal.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("typed", "line"),
    [
        ("zoo fine\tdata=digits", "zoo finetune data=digits"),
        ("zoo finetune optimizer=adag\tx", "zoo finetune optimizer=adagrad x"),
        ("zoo finetune optimizer=sgd optimizer.mom\t0.8", "zoo finetune optimizer=sgd optimizer.momentum=0.8"),
        ("zoo finetune 'augmentations=[flip,rot\t]'", "zoo finetune augmentations=[flip,rotate]"),
        ("zoo finetune data=my\tx", "zoo finetune data=my photos/x"),
        ("zoo finetune 'data=my\t", "zoo finetune data=my photos"),
    ],
)
def test_tab_in_a_real_bash(typed: str, line: str, bash: Terminal, tmp_path: Path) -> None:
    (tmp_path / "my photos").mkdir()
    bash.type(typed)
    time.sleep(1.0)
    bash.type("\x01echo '<<'; printf '%s ' \x05; echo '>>'\r")  # to the start, before it; to the end, behind it
    shown = bash.until(r"<<\r?\n(.|\n)*>>\r?\n").partition("<<\r\n")[2]
    assert shown.partition(" >>")[0] == line


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")
def test_zsh_takes_the_script(tmp_path: Path) -> None:
    (tmp_path / "my photos").mkdir()
    (tmp_path / ".zshrc").write_text(f"PS1='READY> '\nautoload -Uz compinit; compinit -u\n{script_for('zsh')}")
    os.environ["ZDOTDIR"] = str(tmp_path)
    terminal = Terminal(["zsh", "-i"], cwd=tmp_path)
    try:
        terminal.until("READY> ")
        for typed, line in (
            ("zoo fine\t", "zoo finetune"),
            ("zoo finetune optimizer=adag\t", "zoo finetune optimizer=adagrad"),
            ("zoo finetune 'augmentations=[flip,rot\t", "augmentations=[flip,rotate"),
            ("zoo finetune data=my\t", "data=my\\ photos/"),
        ):
            terminal.type(typed)
            terminal.until(re.escape(line).replace(r"\ ", r"[ \r\n\x08]*"))
            terminal.type("\x15")
    finally:
        del os.environ["ZDOTDIR"]
        terminal.close()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("zoo fine", "finetune"),
        ("zoo finetune optimizer=adag", "optimizer=adagrad"),
        ("zoo finetune 'augmentations=[flip,rot", "augmentations=[flip,rotate]"),
        ("zoo finetune data=my", "data=my photos/"),
        ("zoo finetune ", "optimizer="),
    ],
)
def test_fish_offers(line: str, offered: str, tmp_path: Path) -> None:
    (tmp_path / "my photos").mkdir()
    program = f"{script_for('fish')}\ncomplete -C (string unescape -- {json.dumps(line)})"
    environment = os.environ | {"HOME": str(tmp_path)}
    done = subprocess.run(
        ["fish", "--no-config", "-c", program],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
        check=True,
    )
    assert offered in [row.partition("\t")[0] for row in done.stdout.splitlines()]


LINES = [
    "zoo ",
    "zoo finetune model=",
    "zoo finetune optimizer=",
    "zoo finetune model=resnet18 model.",
    "zoo finetune 'augmentations=[flip,",
    "zoo finetune strategy=lora strategy.",
    "zoo models ",
    "zoo plugins show ",
]


def test_completing_imports_nothing_heavy(make_distribution: Callable[..., Path]) -> None:
    code = (
        "import sys, json, io, contextlib, zoo.cli\n"
        "with contextlib.redirect_stdout(io.StringIO()) as out:\n"
        f"    codes = [zoo.cli.main(['_complete', 'bash', line, {BREAKS!r}]) for line in {LINES!r}]\n"
        "print(json.dumps([codes, len(out.getvalue()), sorted({m.partition('.')[0] for m in sys.modules})]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    codes, printed, modules = json.loads(done.stdout.splitlines()[-1])
    assert codes == [0] * len(LINES)
    assert printed > 20_000  # thousands of names
    heavy = {"torch", "timm", "torchvision", "albumentations", "numpy", "hydra", "omegaconf", "pydantic", "pandas"}
    assert not heavy & set(modules)
    assert done.stderr == ""
