from __future__ import annotations

from pathlib import Path

import pytest

from zoo.config.words import Word, exists, looks_like_path, settle, sort_out, split_word, unquote
from zoo.errors import UserError


def test_split_word_cuts_at_the_first_equals_sign() -> None:
    assert split_word("data=a=b c") == Word("data", "a=b c")
    assert str(Word("data", "a=b")) == "data=a=b"


@pytest.mark.parametrize("text", ["model", "=x", "", " model=x", "model =x"])
def test_split_word_refuses_what_is_no_pair(text: str) -> None:
    with pytest.raises(UserError, match="not of the form key=value"):
        split_word(text)


@pytest.mark.parametrize("text", ["+optimizer.lr=1", "++optimizer.lr=1", "~optimizer", "~optimizer.lr=1"])
def test_split_word_never_adds_or_deletes_keys(text: str) -> None:
    with pytest.raises(UserError, match="Hydra's way") as raised:
        split_word(text)
    assert raised.value.do == (f"write {text.lstrip('+~')!r}",)


def test_sort_out_keeps_paths_to_the_letter() -> None:
    words, errors = sort_out(["weights=a, b (1)", "run.dir='my runs'", "data.cache_dir=null", "optimizer=sgd"])

    assert not errors
    assert words.literal == {"weights": "a, b (1)", "run.dir": "my runs", "data.cache_dir": None}
    assert words.plain == (Word("optimizer", "sgd"),)


def test_sort_out_reports_every_word_that_is_wrong() -> None:
    _, errors = sort_out(["foo", "+a=1", "train.seed=1", "train.seed=2", "weights=a", "weights=b", "run.dir="])

    assert [error.what for error in errors] == [
        "'foo' is not of the form key=value",
        "'+a=1': '+' is Hydra's way to add or delete keys, and zoo has no keys to add or delete",
        "'train.seed' is given twice",
        "'weights' is given twice",
        "run.dir is empty",
    ]


def test_sort_out_lets_hydra_words_through_only_where_they_act() -> None:
    launch = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "hydra/sweeper=basic"]
    words, errors = sort_out(["hydra.searchpath=[a]", *launch], sweep=True)
    assert not errors
    assert words.searchpath == "[a]"
    assert [str(word) for word in words.launch] == launch

    words, errors = sort_out(["hydra.searchpath=[a]", *launch])
    assert words.searchpath == "[a]"
    assert [error.what for error in errors] == [f"{w.partition('=')[0]!r} has no effect here" for w in launch]
    for word in ("hydra.run.dir=x", "hydra.job.chdir=true", "hydra.verbose=true"):
        assert sort_out([word], sweep=True)[1]


def test_unquote_takes_quotes_off_unless_the_file_is_named_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert unquote("'a b'") == "a b"
    assert unquote('"a b"') == "a b"
    assert unquote("'a b\"") == "'a b\""
    assert unquote("'") == "'"
    Path("'a b'").touch()
    assert unquote("'a b'") == "'a b'"


def test_paths_are_told_by_their_look_or_because_they_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert all(looks_like_path(value) for value in ("./x", "../x", "/x", "~/x", "."))
    assert not looks_like_path("photos")
    Path("photos").mkdir()
    assert looks_like_path("photos")
    assert not exists("")
    assert not exists("a\0b")
    assert not exists("x" * 5000)
    Path("dangling").symlink_to("nowhere")
    assert exists("dangling")


def test_settle_expands_the_home_folder_and_spares_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/ann")
    assert settle("~/photos") == "/home/ann/photos"
    assert settle("photos~") == "photos~"
    assert settle("~nobody-of-this-name/x") == "~nobody-of-this-name/x"
    Path("~photos").mkdir()
    assert settle("~photos") == "./~photos"
