"""Checks that the built-in components share: a value out of range, or one that would do nothing, is refused."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from zoo.errors import UserError, name_list


def check_range(value: float, *, where: str, low: float, high: float, above: bool = False, below: bool = False) -> None:
    """Refuses a number outside a range, NaN and infinity included.

    Args:
        value: The option's value.
        where: Its key, for the message.
        low: The smallest value allowed.
        high: The largest value allowed; infinity for no limit.
        above: Whether `low` itself is refused.
        below: Whether `high` itself is refused.

    Raises:
        UserError: With the range that is allowed.
    """
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if number and low <= value <= high and not (above and value == low) and not (below and value == high):
        return
    ends = f"above {low:g}" if above else f"{low:g} or more"
    upto = "" if math.isinf(high) else f", below {high:g}" if below else f", at most {high:g}"
    raise UserError(f"{value!r} is not a value for this option", where=where, allowed=f"a number {ends}{upto}")


def check_choice(value: str, *, where: str, choices: Iterable[str]) -> None:
    """Refuses a word that is not among the choices.

    Raises:
        UserError: With the choices, the nearest first.
    """
    names = list(choices)
    if value not in names:
        raise UserError(f"{value!r} is not a value for this option", where=where, allowed=name_list(str(value), names))


def no_effect(what: str, *, where: str, do: str | Sequence[str]) -> UserError:
    """The error for an option or a component that would change nothing."""
    return UserError(f"{what} has no effect", where=where, do=do)
