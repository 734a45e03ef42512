"""`zoo plugins new` as its user sees it."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path

import pytest

from zoo.cli import main as cli
from zoo.errors import UserError, UserErrors
from zoo.scaffold.parts import ORDER
from zoo.verbs import plugins_new
from zoo.verbs.plugins_new import main


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plugins_new, "_git_author", lambda: "Grace Hopper\n")


def test_it_says_what_it_wrote_and_what_to_do_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["zoo-lion", "--kind", "optimizer"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "wrote zoo-lion into zoo-lion"
    listed = {line.strip() for line in lines[1 : lines.index("next:")]}
    on_disk = {file.relative_to(tmp_path / "zoo-lion").as_posix() for file in Path("zoo-lion").absolute().rglob("*.*")}
    assert listed - {"LICENSE"} == {path for path in on_disk if (tmp_path / "zoo-lion" / path).is_file()}
    assert lines[lines.index("next:") + 1 :] == [
        "  pip install -e './zoo-lion[test]'",
        "  python -m zoo plugins check lion",
        "  python -m zoo finetune optimizer=lion/lion",
    ]


def test_the_command_line_reaches_it(tmp_path: Path) -> None:
    assert cli(["plugins", "new", "zoo-lion", "--kind", "schedule"]) == 0
    assert (tmp_path / "zoo-lion" / "zoo_lion" / "schedule.py").is_file()


@pytest.mark.parametrize(
    "words",
    [
        ["zoo-lion", "--kind", "loss", "here"],
        ["zoo-lion", "here", "--kind=loss"],
        ["--kind", "loss", "zoo-lion", "here"],
    ],
    ids=" ".join,
)
def test_words_may_stand_in_any_order(words: list[str], tmp_path: Path) -> None:
    assert main(words) == 0
    assert (tmp_path / "here" / "zoo_lion" / "loss.py").is_file()


def test_author_is_the_option_or_gits_or_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    year = datetime.date.today().year
    main(["zoo-lion", "--kind", "loss", "a", "--author", "Ada Lovelace"])
    main(["zoo-lion", "--kind", "loss", "b"])
    assert "--author" not in capsys.readouterr().out
    monkeypatch.setattr(plugins_new, "_git_author", lambda: "")
    main(["zoo-lion", "--kind", "loss", "c"])
    assert '--author "YOUR NAME" would name you' in capsys.readouterr().out
    holders = [Path(folder, "LICENSE").read_text(encoding="utf-8").splitlines()[2] for folder in "abc"]
    names = ("Ada Lovelace", "Grace Hopper", "the authors of zoo-lion")
    assert holders == [f"Copyright (c) {year} {name}" for name in names]


def test_an_authors_name_may_hold_anything(tmp_path: Path) -> None:
    import tomllib

    name = 'Ada "Countess" \\ Lovelace $x'
    main(["zoo-lion", "--kind", "loss", "--author", name])
    project = tomllib.loads((tmp_path / "zoo-lion" / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["authors"] == [{"name": name}]
    assert name in (tmp_path / "zoo-lion" / "LICENSE").read_text(encoding="utf-8")


def test_all_kinds_that_are_not_known_are_named_with_the_nearest() -> None:
    with pytest.raises(UserErrors) as caught:
        main(["zoo-lion", "--kind", "optimiser,loss,schedules"])
    text = str(caught.value)
    assert "unknown kind 'optimiser'" in text
    assert "allowed: optimizer," in text
    assert "unknown kind 'schedules'" in text
    assert "allowed: schedule," in text
    assert not Path("zoo-lion").exists()


def test_a_kind_named_twice_is_refused() -> None:
    with pytest.raises(UserError, match="'loss' is named 2 times"):
        main(["zoo-lion", "--kind", "loss,head,loss"])


@pytest.mark.parametrize("words", [[], ["zoo-lion"], ["zoo-lion", "--kind"], ["zoo-lion", "--kin", "loss"]])
def test_missing_words_are_said_with_the_usage(words: list[str]) -> None:
    with pytest.raises(UserError, match="the words cannot be read") as caught:
        main(words)
    assert "NAME --kind" in (caught.value.allowed or "")


def test_help_names_every_kind(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(kind in text for kind in ORDER)
    assert max(map(len, text.splitlines())) <= 120


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    main(["zoo-lion", "--kind", "loss"])
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    with pytest.raises(UserError, match="'zoo-lion' is there already"):
        main(["zoo-lion", "--kind", "head"])
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before


def test_an_installed_plugins_namespace_is_refused(
    make_plugin: Callable[..., Path], install: Callable[[Path], object]
) -> None:
    install(make_plugin("schedule"))
    with pytest.raises(UserError, match=r"'lion' is taken by the plugin lion \(zoo-lion 0\.1\.0\)"):
        main(["lion", "--kind", "schedule", "other"])


@pytest.mark.parametrize(
    ("name", "kind", "use"),
    [
        ("zoo-lion", "schedule", "schedule=lion"),
        ("zoo-cosine", "schedule", "schedule=cosine/cosine"),
        ("zoo-lion", "optimizer", "optimizer=lion/lion"),
        ("zoo-predict", "command", "zoo predict/predict RUN"),
    ],
)
def test_full_names_are_written_where_bare_ones_mean_or_may_mean_another(
    name: str, kind: str, use: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main([name, "--kind", kind])
    assert capsys.readouterr().out.splitlines()[-1].endswith(use)
    assert use in Path(name, "README.md").read_text(encoding="utf-8")
