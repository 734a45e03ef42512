"""`zoo plugins disable`: plugins that are not loaded any more, until they are enabled again."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from zoo.disabled import disabled_names, name_means, write_disabled
from zoo.errors import UserError, name_list, raise_all
from zoo.plugins import DISTRIBUTION, installed_plugins
from zoo.registry import Origin

USAGE = (
    "usage: python -m zoo plugins disable NAME ...\n\n  NAME   a plugin, or a distribution with all of its plugins\n"
)


def main(argv: Sequence[str]) -> int:
    """Switches plugins off; all of them or, where a name is wrong, none."""
    if {"-h", "--help"} & set(argv):
        sys.stdout.write(USAGE)
        return 0
    installed = [origin for _, origin in installed_plugins()]
    if not argv:
        raise UserError("disable got no name", where="zoo plugins disable", allowed=third_parties("", installed))
    raise_all([error for name in argv if (error := _refused(name, installed)) is not None])
    before = disabled_names()
    file = write_disabled(before.union(argv))
    for name in dict.fromkeys(argv):
        said = "is disabled already" if name in before else f"is disabled; `zoo plugins enable {name}` undoes it"
        sys.stdout.write(f"{name} {said} ({file})\n")
    return 0


def third_parties(name: str, installed: Sequence[Origin]) -> str:
    """Plugins and distributions that can be disabled, for a message, those most like `name` first."""
    others = [origin for origin in installed if origin.distribution != DISTRIBUTION]
    return name_list(name, [word for origin in others for word in (origin.plugin, origin.distribution)])


def _refused(name: str, installed: Sequence[Origin]) -> UserError | None:
    """An error for a name that is nobody's, or zoo's own."""
    meant = [origin for origin in installed if name_means(name, origin)]
    where = f"zoo plugins disable {name}"
    if not meant:
        return UserError(f"no plugin and no distribution {name!r}", where=where, allowed=third_parties(name, installed))
    if any(origin.distribution == DISTRIBUTION for origin in meant):
        return UserError(
            f"{name!r} is built in, and zoo is not whole without it", where=where, allowed=third_parties("", installed)
        )
    return None
