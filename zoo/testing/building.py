"""Whether a component can be built, and has what its contract asks for."""

from __future__ import annotations

from pkgutil import resolve_name

from zoo.testing.results import BrokenError
from zoo.testing.subject import NotBuiltError, Subject


def builds(subject: Subject) -> None:
    """Hands over to the module of its kind."""
    try:
        resolve_name(f"zoo.testing.kinds.{subject.entry.kind}:builds")(subject)
    except NotBuiltError as error:
        fix = (
            "Pass options={...} to check_component, or register it with example={...}."
            if "example" in str(error)
            else ""
        )
        raise BrokenError(str(error), fix=fix) from error


def needs(built: object, *names: str) -> None:
    """Looks whether an object has all of some methods.

    Raises:
        BrokenError: One is missing.
    """
    for name in names:
        if not callable(getattr(built, name, None)):
            raise BrokenError(
                f"{type(built).__name__} has no method {name!r}",
                fix=f"Add it; its contract asks for {', '.join(names)}.",
            )
