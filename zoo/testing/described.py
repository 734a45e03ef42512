"""What can be read off a component without using it: its description, and its signature."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from zoo.config import schema
from zoo.config.meanings import explained
from zoo.errors import PluginError
from zoo.kinds import BY_NAME
from zoo.testing.results import BrokenError
from zoo.testing.subject import NotBuiltError, Subject

TOOLS = ("dataset", "weights", "callback", "tracker", "command")
"""Kinds whose components are tools rather than methods, and may follow no paper."""

SHORTEST, LONGEST = 8, 100
"""Characters of a summary."""


def described(subject: Subject) -> None:
    """Summary and source."""
    entry = subject.entry
    summary = entry.summary
    if not SHORTEST <= len(summary) <= LONGEST:
        raise BrokenError(f"the summary {summary!r} has {len(summary)} characters, not {SHORTEST} to {LONGEST}")
    if summary != summary.strip() or "\n" in summary or summary.endswith("."):
        raise BrokenError(f"the summary {summary!r} is no single line without a full stop")
    if entry.name != entry.name.lower() and not subject.of_library:
        raise BrokenError(f"the name {entry.name!r} has capitals", fix="Users write it: take small letters only.")
    if not entry.source and entry.kind not in TOOLS:
        raise BrokenError("it names no source", fix='Pass source="arXiv:..." (or a page, or a book) to register.')
    if entry.kind == "command" and not str(entry.facts.get("usage", "")).startswith(entry.name):
        raise BrokenError(
            f"the fact usage is {entry.facts.get('usage')!r}", fix=f'Pass usage="{entry.name} ..." to register.'
        )


def signature(subject: Subject) -> None:
    """Options: keyword-only, with types, plain defaults that fit them, and a line of documentation each."""
    entry = subject.entry
    try:
        target = entry.load()
    except PluginError as error:
        raise NotBuiltError(str(error)) from error
    if not callable(target):
        raise BrokenError(f"the target {entry.offer.target!r} cannot be called: it is {target!r}")
    if entry.kind == "command":
        _takes_words(target)
        return
    _takes_supplied(subject, target)
    try:
        parameters = entry.parameters()
    except PluginError as error:
        raise BrokenError(str(error)) from error
    common = BY_NAME[entry.kind].common
    said = None if subject.of_library else explained(target)
    for parameter in parameters:
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY and entry.offer.parameters is None:
            raise BrokenError(f"the option {parameter.name!r} can be passed by position", fix="Put * before it.")
        if parameter.annotation is inspect.Parameter.empty:
            raise BrokenError(f"the option {parameter.name!r} has no type", fix=f"Write {parameter.name}: float, say.")
        if parameter.name in common and parameter.name not in BY_NAME[entry.kind].yielding:
            if entry.kind == "optimizer" and parameter.default is not inspect.Parameter.empty:
                raise BrokenError(
                    f"{parameter.name!r} has the default {parameter.default!r}, and the framework always passes it",
                    fix="Leave the default out.",
                )
            continue
        if parameter.default is not inspect.Parameter.empty:
            _default_fits(parameter)
        if said is not None and parameter.name not in said:
            raise BrokenError(
                f"the option {parameter.name!r} is not described in the docstring of {entry.offer.target}",
                fix=f"Add a line `{parameter.name}: ...` to its Args: section.",
            )
    try:
        schema.defaults(entry)
    except PluginError as error:
        raise BrokenError(str(error)) from error


def _takes_words(target: Callable[..., Any]) -> None:
    names = list(inspect.signature(target).parameters)
    if names != ["argv"]:
        raise BrokenError(f"it takes {', '.join(names) or 'nothing'}", fix="Define it as main(argv: list[str]) -> int.")


def _takes_supplied(subject: Subject, target: Callable[..., Any]) -> None:
    supplied = BY_NAME[subject.entry.kind].supplied - set(subject.entry.offer.bound)
    parameters = inspect.signature(target).parameters
    missing = sorted(supplied - set(parameters))
    if missing and not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        raise BrokenError(f"it does not take {', '.join(missing)}", fix=f"The framework passes {', '.join(missing)}.")
    if subject.entry.kind == "optimizer" and "lr" not in parameters:
        raise BrokenError("it does not take lr", fix="The framework passes lr: float.")


def _default_fits(parameter: inspect.Parameter) -> None:
    plain = schema.plain(parameter.default)
    try:
        converted = schema.convert(plain, parameter.annotation)
    except ValueError as error:
        raise BrokenError(
            f"the default {parameter.default!r} of {parameter.name!r} does not fit its own type, "
            f"{schema.describe(parameter.annotation)}",
            fix="Widen the type, or change the default.",
        ) from error
    if converted != parameter.default:
        raise BrokenError(
            f"the default of {parameter.name!r} comes back from a configuration as {converted!r} "
            f"instead of {parameter.default!r}",
            fix="Make the default of the type that the option has.",
        )
