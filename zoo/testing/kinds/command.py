"""Commands: they answer --help by themselves."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable

from zoo.errors import PluginError
from zoo.testing.results import BrokenError
from zoo.testing.subject import NotBuiltError, Subject


def _main(subject: Subject) -> Callable[[list[str]], int]:
    try:
        return subject.entry.load()
    except PluginError as error:
        raise NotBuiltError(str(error)) from error


def builds(subject: Subject) -> None:
    """It can be loaded and called."""
    if not callable(_main(subject)):
        raise BrokenError(f"the target {subject.entry.offer.target!r} cannot be called")


def use(subject: Subject) -> None:
    """Asks for help, the one thing that every command can be asked for safely."""
    _helped(subject, "--help")


def _helped(subject: Subject, word: str) -> tuple[object, str]:
    """Exit code, and what was said on stdout."""
    text = io.StringIO()
    with contextlib.redirect_stdout(text), contextlib.redirect_stderr(io.StringIO()):
        try:
            code: object = _main(subject)([word])
        except SystemExit as end:
            code = 0 if end.code is None else end.code  # argparse ends so
    return code, text.getvalue()


def acts(subject: Subject) -> None:
    """`-h` and `--help` print how it is used, and end well."""
    for word in ("--help", "-h"):
        code, text = _helped(subject, word)
        if code != 0 or isinstance(code, bool):
            raise BrokenError(f"{word} ends with {code!r}, not with 0", fix="Return 0 after printing the usage.")
        if subject.entry.name not in text:
            raise BrokenError(f"{word} prints {text[:80]!r} on stdout: the usage is wanted, with the command's name")
