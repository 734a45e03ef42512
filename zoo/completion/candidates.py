"""What the completer finds: candidates for the whole word, or a path that the shell itself completes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Candidate:
    """What the word under the cursor may become.

    Attributes:
        text: The whole word.
        about: What it is, for shells that show it.
        whole: Whether the word ends there, so that a space may follow.
    """

    text: str
    about: str = ""
    whole: bool = True


@dataclass(frozen=True)
class Found:
    """What may stand at the end of a line.

    Attributes:
        candidates: In order.
        path: Where a path may stand too: what of it is there already.
        before: What stands before that path in the word (`data=`).
    """

    candidates: tuple[Candidate, ...] = ()
    path: str | None = None
    before: str = ""


def beginning(word: str, candidates: Iterable[Candidate]) -> tuple[Candidate, ...]:
    """The candidates that begin with the word, each text once."""
    return tuple({one.text: one for one in candidates if one.text.startswith(word)}.values())


def key_candidates(word: str, keys: Iterable[str], *, about: Callable[[str], str] = lambda _: "") -> list[Candidate]:
    """Dotted keys that begin with the word, up to the next dot: `optimizer.` before `optimizer.momentum=`."""
    found: dict[str, Candidate] = {}
    for key in keys:
        if not key.startswith(word):
            continue
        dot = key.find(".", len(word))
        text = f"{key}=" if dot < 0 else key[: dot + 1]
        found.setdefault(text, Candidate(text, about(key) if dot < 0 else "", whole=False))
    return list(found.values())


def list_candidates(value: str, names: Iterable[str], *, before: str) -> list[Candidate]:
    """Names at the end of a list `[flip,ro`, without those that stand in it; one that is left alone ends the list too.

    Args:
        value: What of it is there: "", `fl`, `[flip,` or `[flip,ro`.
        names: What may stand in the list.
        before: What stands before the value: `augmentations=`.
    """
    if value and not value.startswith("["):
        return [Candidate(f"{before}{name}") for name in names if name.startswith(value)]
    head, comma, part = value[1:].rpartition(",")
    there = {item.strip() for item in head.split(",")}
    fitting = [name for name in names if name.startswith(part) and name not in there]
    start = f"{before}[{head}{comma}"
    if len(fitting) == 1:
        return [Candidate(f"{start}{fitting[0]}]"), Candidate(f"{start}{fitting[0]},", whole=False)]
    return [Candidate(f"{start}{name}", whole=False) for name in fitting]
