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
        suspect = suspects.get(_package(str(frame.f_globals.get("__name__", ""))))
        if suspect is None:
            continue
        what, origin = suspect
        said = str(error) if isinstance(error, PluginError) else traceback.format_exception_only(error)[-1].strip()
        return PluginError(
            f"{what} crashed: {said}\n"
            f"  where:   {frame.f_code.co_filename}, line {line}, in {frame.f_code.co_name}\n"
            f"  plugin:  {origin}\n"
            f"  do:      leave it out, or ask its author with these lines"
        )
    return None


def _suspects(entries: Iterable[Entry]) -> dict[str, tuple[str, Origin]]:
    """Package to the component or wrapper of a third party that lies in it, and its plugin."""
    components, wrappers = {}, {}
    for entry in entries:
        what = f"{entry.kind} {entry.full_name!r}"
        if entry.origin.namespace not in RESERVED:
            components[_package(entry.offer.target)] = (what, entry.origin)
        for wrapper in entry.wrappers:
            wrappers[_package(wrapper.target)] = (f"wrapper {wrapper.target!r} of {what}", wrapper.origin)
    return wrappers | components


def _frames(error: BaseException) -> Iterator[tuple[FrameType, int]]:
    """Frames and lines from the outermost on, those of the causes last."""
    yield from traceback.walk_tb(error.__traceback__)
    if error.__cause__ is not None:
        yield from _frames(error.__cause__)


def _package(target: str) -> str:
    """`pkg.module:attr` or `pkg.module` to `pkg`."""
    return target.partition(":")[0].partition(".")[0]
