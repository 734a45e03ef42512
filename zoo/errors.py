"""Errors as an interface: each says what was got, where, what is allowed, and what to do.

The class of an error says who can mend it, and so decides the exit code of the command line:
2 the user's input, 3 a plugin, 1 a defect of zoo, 130 an interruption whose state was saved.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


class ZooError(Exception):
    """Base of all errors that zoo raises on purpose."""

    exit_code = 1


class UserError(ZooError):
    """The input cannot be used as given; nothing of the user's was changed.

    Args:
        what: What was got, in one sentence.
        where: The key, file or row in which it stands.
        allowed: What would have been accepted, nearest first.
        do: What to do about it, one way a line.
    """

    exit_code = 2

    def __init__(
        self, what: str, *, where: str | None = None, allowed: str | None = None, do: str | Sequence[str] | None = None
    ) -> None:
        self.what, self.where, self.allowed = what, where, allowed
        self.do: tuple[str, ...] = (do,) if isinstance(do, str) else tuple(do or ())
        super().__init__(self.render())

    def render(self) -> str:
        """The message as it is shown: one labelled line a fact."""
        lines = [self.what]
        if self.where:
            lines.append(f"  where:   {self.where}")
        if self.allowed:
            lines.append(f"  allowed: {self.allowed}")
        lines += [f"  {'do:' if i == 0 else '':<8} {way}" for i, way in enumerate(self.do)]
        return "\n".join(lines)


class UserErrors(UserError):
    """Several user errors found together, so that one run shows them all."""

    def __init__(self, errors: Sequence[UserError]) -> None:
        self.errors = tuple(errors)
        ZooError.__init__(self, self.render())

    def render(self) -> str:
        """All messages, one after the other."""
        return "\n".join(error.render() for error in self.errors)

    def __reduce__(self) -> tuple[type[UserErrors], tuple[tuple[UserError, ...]]]:
        """Keeps the single errors when it is sent to another process."""
        return UserErrors, (self.errors,)


class PluginError(ZooError):
    """A plugin failed; the message names it, its distribution and version."""

    exit_code = 3


class Interrupted(ZooError):
    """The user stopped the run (Ctrl-C); its state is saved and `resume=` continues it."""

    exit_code = 130


def raise_all(errors: Sequence[UserError]) -> None:
    """Raises nothing, the one error, or all of them as one; the same message stands only once."""
    found = list({str(error): error for error in errors}.values())
    if len(found) == 1:
        raise found[0]
    if found:
        raise UserErrors(found)


def nearest(word: str, known: Iterable[str], *, most: int = 5) -> list[str]:
    """Up to `most` known names that look like `word`, the most alike first."""
    names = sorted(set(known), key=str.swapcase)  # of two that differ in case (rotate, Rotate), the small one first
    lower = word.lower()
    exact = [name for name in names if name.lower() == lower]
    alike = difflib.get_close_matches(lower, {name.lower() for name in names}, n=most, cutoff=0.5)
    close = [name for like in alike for name in names if name.lower() == like]
    inside = [name for name in names if lower and lower in name.lower()]
    return list(dict.fromkeys(exact + close + inside))[:most]


def name_list(word: str, known: Iterable[str], *, most: int = 12) -> str:
    """What is allowed, for a message: the names most like `word` first, and the others where all fit into `most`."""
    names = sorted(set(known))
    if not names:
        return "(nothing)"
    first = nearest(word, names)
    if len(names) <= most or not first:
        first += [name for name in names if name not in first][: most - len(first)]
    left = len(names) - len(first)
    return ", ".join(first) + (f", and {left} more" if left else "")
