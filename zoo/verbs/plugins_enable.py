"""`zoo plugins enable`: plugins that were disabled are loaded again."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from zoo.disabled import disabled_names, name_means, normalized, write_disabled
from zoo.errors import UserError, name_list, raise_all
from zoo.plugins import installed_plugins
from zoo.registry import Origin
from zoo.verbs.plugins_disable import third_parties

USAGE = "usage: python -m zoo plugins enable NAME ...\n\n  NAME   a plugin or a distribution that was disabled\n"


def main(argv: Sequence[str]) -> int:
    """Switches plugins on again; all of them or, where a name is wrong, none."""
    if {"-h", "--help"} & set(argv):
        sys.stdout.write(USAGE)
        return 0
    before = disabled_names()
    if not argv:
        raise UserError("enable got no name", where="zoo plugins enable", allowed=name_list("", before))
    installed = [origin for _, origin in installed_plugins()]
    raise_all([error for name in argv if (error := _refused(name, installed, before=before)) is not None])
    left = {one for one in before if not any(_same(one, name) for name in argv)}
    file = write_disabled(left)
    for name in dict.fromkeys(argv):
        said = "is enabled again" if any(_same(one, name) for one in before) else "was not disabled"
        sys.stdout.write(f"{name} {said} ({file})\n")
    return 0


def _same(one: str, other: str) -> bool:
    return one == other or normalized(one) == normalized(other)


def _refused(name: str, installed: Sequence[Origin], *, before: frozenset[str]) -> UserError | None:
    """An error for a name that is nobody's, or of a plugin whose whole distribution is disabled."""
    if any(_same(one, name) for one in before):
        return None
    meant = [origin for origin in installed if name_means(name, origin)]
    where = f"zoo plugins enable {name}"
    if not meant:
        known = third_parties(name, installed) if not before else name_list(name, before)
        return UserError(f"no plugin and no distribution {name!r} is disabled", where=where, allowed=known)
    by = sorted({one for origin in meant for one in before if name_means(one, origin)})
    if by:
        return UserError(
            f"{name!r} is disabled as {', '.join(by)}", where=where, do=f"python -m zoo plugins enable {' '.join(by)}"
        )
    return None
