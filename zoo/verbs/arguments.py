"""The plain arguments of small verbs: `key=value` words taken to the letter, and flags."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from zoo.config.words import split_word, unquote
from zoo.errors import UserError, UserErrors, name_list, raise_all


@dataclass(frozen=True)
class Arguments:
    """What was given: values by key, and flags."""

    values: Mapping[str, str]
    flags: frozenset[str]

    def get(self, key: str) -> str | None:
        """The value of a key, or None where it was not given."""
        return self.values.get(key)

    @property
    def as_json(self) -> bool:
        """Whether `--json` was given."""
        return "--json" in self.flags


def read_arguments(
    verb: str,
    argv: Sequence[str],
    *,
    keys: Mapping[str, str],
    required: Sequence[str] = (),
    flags: Sequence[str] = ("--json",),
) -> Arguments | None:
    """Reads the words of a verb; None where help was asked for.

    Args:
        verb: Its name, for messages.
        argv: The words after it.
        keys: Allowed keys, each with what it means.
        required: Keys that must be there.
        flags: Allowed flags.

    Raises:
        UserErrors: Everything that is wrong with the words, together.
    """
    if {"-h", "--help"} & set(argv):
        return None
    given = [word for word in argv if word.startswith("-") and "=" not in word]
    errors = [
        UserError(f"unknown flag {flag!r}", where=f"zoo {verb}", allowed=", ".join(flags) or "none")
        for flag in given
        if flag not in flags
    ]
    values: dict[str, str] = {}
    for text in argv:
        if text in given:
            continue
        try:
            word = split_word(text)
        except UserError as error:
            errors.append(error)
            continue
        if word.key not in keys:
            errors.append(UserError(f"unknown key {word.key!r}", where=text, allowed=name_list(word.key, keys)))
        elif word.key in values:
            errors.append(UserError(f"{word.key}= is given twice", where=text, do="leave one of them out"))
        else:
            values[word.key] = unquote(word.value)
    errors += [
        UserError(f"{key}= is missing", where=f"zoo {verb}", allowed=f"{key}={keys[key]}")
        for key in required
        if key not in values
    ]
    raise_all(errors)
    return Arguments(values, frozenset(given))


def usage(verb: str, keys: Mapping[str, str], *, flags: str = "[--json]") -> str:
    """The help text of such a verb."""
    lines = [f"usage: python -m zoo {verb} {' '.join(f'{key}=...' for key in keys)} {flags}".rstrip(), ""]
    return "\n".join([*lines, *(f"  {key}={meaning}" for key, meaning in keys.items())]) + "\n"


def yes_or_no(arguments: Arguments, key: str) -> bool:
    """Whether a value says yes; no where it was not given.

    Raises:
        UserError: It is neither.
    """
    text = arguments.get(key)
    if text not in (None, "yes", "no", "true", "false"):
        raise UserError(f"{key}={text!r} is neither yes nor no", where=f"{key}={text}", allowed="yes, no, true, false")
    return text in ("yes", "true")


@contextmanager
def gathered(errors: list[UserError]) -> Iterator[None]:
    """Keeps a user error for later, so that one run shows all."""
    try:
        yield
    except UserErrors as error:
        errors += error.errors
    except UserError as error:
        errors.append(error)


def whole_number(arguments: Arguments, key: str, *, default: int) -> int:
    """A value that must be a whole number from 1 on."""
    text = arguments.get(key)
    if text is None:
        return default
    if not text.isdigit() or int(text) < 1:
        raise UserError(f"{key}={text!r} is no whole number from 1 on", where=f"{key}={text}", allowed="1, 2, 3, ...")
    return int(text)
