"""Whose fault a crash in the middle of a run is: told from the traceback, for components and wrappers of every kind."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Iterator
from types import FrameType

from zoo.errors import PluginError, ZooError
from zoo.registry import RESERVED, Entry, Origin


def plugin_error(error: BaseException, entries: Iterable[Entry]) -> PluginError | None:
    """The error to show where a third party's component crashed; None where none did, or the error says it all.

    Args:
        error: What ended the run.
        entries: The components that the run uses, with what is wrapped around them.

    Returns:
        An error that names the component or wrapper, its plugin, distribution and version, and the line that failed:
        the innermost frame of the traceback that lies in the package of one of them.
    """
    if isinstance(error, ZooError) and (not isinstance(error, PluginError) or "plugin:" in str(error)):
        return None
    suspects = _suspects(entries)
    for frame, line in reversed(list(_frames(error))):
        suspect = _likeliest(frame, suspects)
        if suspect is None:
            continue
        _, what, origin = suspect
        said = str(error) if isinstance(error, PluginError) else traceback.format_exception_only(error)[-1].strip()
        return PluginError(
            f"{what} crashed: {said}\n"
            f"  where:   {frame.f_code.co_filename}, line {line}, in {frame.f_code.co_name}\n"
            f"  plugin:  {origin}\n"
            f"  do:      leave it out, or ask its author with these lines"
        )
    return None


def _suspects(entries: Iterable[Entry]) -> list[tuple[str, str, Origin]]:
    """Target, description and plugin of the third parties' components, then of the wrappers."""
    components, wrappers = [], []
    for entry in entries:
        what = f"{entry.kind} {entry.full_name!r}"
        if entry.origin.namespace not in RESERVED:
            components.append((entry.offer.target, what, entry.origin))
        for wrapper in entry.wrappers:
            wrappers.append((wrapper.target, f"wrapper {wrapper.target!r} of {what}", wrapper.origin))
    return components + wrappers


def _likeliest(frame: FrameType, suspects: Iterable[tuple[str, str, Origin]]) -> tuple[str, str, Origin] | None:
    """The one whose package a frame lies in; of several the one of its module, of these the one of its class."""
    module = str(frame.f_globals.get("__name__", ""))
    owner = frame.f_code.co_qualname.partition(".")[0]

    def likeness(suspect: tuple[str, str, Origin]) -> tuple[bool, bool]:
        home, _, attribute = suspect[0].partition(":")
        return home == module, attribute.partition(".")[0] == owner

    return max((s for s in suspects if _package(s[0]) == _package(module)), key=likeness, default=None)


def _frames(error: BaseException) -> Iterator[tuple[FrameType, int]]:
    """Frames and lines from the outermost on, those of the causes last."""
    yield from traceback.walk_tb(error.__traceback__)
    if error.__cause__ is not None:
        yield from _frames(error.__cause__)


def _package(target: str) -> str:
    """`pkg.module:attr` or `pkg.module` to `pkg`."""
    return target.partition(":")[0].partition(".")[0]
