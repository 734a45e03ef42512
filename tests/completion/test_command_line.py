"""Lines as bash hands them over, and what it gets back."""

from __future__ import annotations

import pytest

from zoo.completion.candidates import Candidate, Found
from zoo.completion.command_line import read_line
from zoo.completion.entry import answer

BREAKS = " \t\n\"'@><=;|&(:"
"""COMP_WORDBREAKS of an interactive bash."""


@pytest.mark.parametrize(
    ("text", "words", "current", "quote", "kept"),
    [
        ("zoo ", (), "", "", 0),
        ("zoo fi", (), "fi", "", 0),
        ("zoo finetune ", ("finetune",), "", "", 0),
        ("A=1 B='x y' zoo finetune opt", ("finetune",), "opt", "", 0),
        ("zoo finetune optimizer=ad", ("finetune",), "optimizer=ad", "", 10),
        ("zoo finetune 'augmentations=[flip,ro", ("finetune",), "augmentations=[flip,ro", "'", 0),
        ("zoo finetune augmentations='[flip,ro", ("finetune",), "augmentations=[flip,ro", "'", 14),
        ("zoo finetune augmentations=[flip,ro", ("finetune",), "augmentations=[flip,ro", "", 14),
        ("zoo finetune 'data=my photos' opt", ("finetune", "data=my photos"), "opt", "", 0),
        ("zoo finetune data=my\\ ph", ("finetune",), "data=my ph", "", 5),
        ("zoo finetune \"data=it's", ("finetune",), "data=it's", '"', 0),
        ("zoo finetune model=hf:a", ("finetune",), "model=hf:a", "", 9),
        ("zoo finetune ''", ("finetune",), "", "", 0),
    ],
)
def test_lines_are_read_as_bash_reads_them(
    text: str, words: tuple[str, ...], current: str, quote: str, kept: int
) -> None:
    line = read_line(text, breaks=BREAKS)
    assert (line.words, line.current, line.quote, line.kept) == (words, current, quote, kept)


def test_where_an_equals_sign_breaks_no_words_the_whole_word_is_replaced() -> None:
    assert read_line("zoo finetune optimizer=ad", breaks=" \t\n").kept == 0


def answered(text: str, *candidates: Candidate, path: str | None = None, before: str = "", shell: str = "bash") -> list:
    return answer(Found(candidates, path, before), read_line(text, breaks=BREAKS), shell=shell)


def test_candidates_are_what_readline_puts_in_place() -> None:
    adam = Candidate("optimizer=adam", "Adam")
    assert answered("zoo finetune optimizer=ad", adam) == ["words", "adam "]
    assert answered("zoo finetune 'optimizer=ad", adam) == ["words", "optimizer=adam"]  # it closes the quote itself
    part = Candidate("optimizer.", whole=False)
    assert answered("zoo finetune opt", part) == ["words", "optimizer."]


def test_other_shells_get_the_whole_word() -> None:
    line = read_line("zoo finetune optimizer=ad", breaks="")
    found = Found((Candidate("optimizer=adam", "Adam"), Candidate("optimizer.", whole=False)))
    assert answer(found, line, shell="zsh") == ["words", "optimizer=adam ", "optimizer."]
    assert answer(found, line, shell="fish") == ["words", "optimizer=adam\tAdam", "optimizer."]


def test_paths_come_with_what_stands_before_them() -> None:
    assert answered("zoo finetune data=di", Candidate("data=digits"), path="di", before="data=") == [
        "files",
        "left:0",
        "before:",
        "path:di",
        "digits",
    ]
    quoted = answered("zoo finetune 'data=my ph", path="my ph", before="data=")
    assert quoted == ["files", "left:0", "before:data=", "path:my ph"]
    assert answered("zoo finetune data=a:b", path="a:b", before="data=")[1:] == ["left:2", "before:", "path:a:b"]


@pytest.mark.parametrize("name", ["a b", "it's", "$(rm)", "a;b", "a`b", "x\ny", ""])
def test_what_a_shell_would_read_otherwise_is_not_offered(name: str) -> None:
    assert answered("zoo x ", Candidate(name)) == ["words"]
