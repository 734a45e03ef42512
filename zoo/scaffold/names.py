"""What a new plugin is called: checks the name of its distribution, and derives all others from it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import keyword
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass

from zoo.errors import UserError
from zoo.registry import RESERVED, Origin

LONGEST = 40
"""Letters of a name: longer ones make lines that no formatter breaks well."""

WORDS = ("auto", "false", "inf", "nan", "none", "null", "true")
"""What means something else in a configuration."""

_DISTRIBUTION = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")


@dataclass(frozen=True)
class Names:
    """The names of one plugin: of `zoo-lion`, these are zoo-lion, zoo_lion, lion and Lion.

    Attributes:
        distribution: What is installed, `zoo-lion`.
        package: What is imported, `zoo_lion`.
        namespace: What stands before the slash in full names, and the name of its components: `lion`.
    """

    distribution: str
    package: str
    namespace: str

    @property
    def title(self) -> str:
        """Name of its classes, `Lion`."""
        return "".join(part[:1].upper() + part[1:] for part in self.namespace.split("_"))

    @property
    def constant(self) -> str:
        """How its environment variables begin, `ZOO_LION`."""
        return self.package.upper()

    @property
    def full_name(self) -> str:
        """Full name of its components, `lion/lion`."""
        return f"{self.namespace}/{self.namespace}"


def derive_names(distribution: str) -> Names:
    """The names that a distribution's name leads to; `zoo-` at its front is left out of the namespace.

    Source: https://packaging.python.org/en/latest/specifications/name-normalization/

    Raises:
        UserError: No distribution may have the name, or no package could.
    """
    if not _DISTRIBUTION.fullmatch(distribution) or len(distribution) > LONGEST:
        raise UserError(
            f"{distribution!r} is no name for a distribution",
            where="NAME",
            allowed=f"up to {LONGEST} letters, digits and - _ . of ASCII, a letter or digit first and last",
            do="python -m zoo plugins new zoo-lion --kind optimizer",
        )
    normal = re.sub(r"[-_.]+", "-", distribution).lower()
    names = Names(distribution, normal.replace("-", "_"), normal.removeprefix("zoo-").replace("-", "_"))
    usable = names.package[0].isalpha() and names.namespace[:1].isalpha() and not keyword.iskeyword(names.package)
    if not usable or names.namespace in WORDS:
        raise UserError(
            f"{distribution!r} makes a package {names.package!r} with components named {names.namespace!r}, which "
            f"{'a configuration reads otherwise' if usable else 'Python cannot use'}",
            where="NAME",
            allowed=f"a letter first, also behind `zoo-`; no keyword of Python, and none of {', '.join(WORDS)}",
        )
    return names


def check_free(names: Names, installed: Iterable[Origin]) -> None:
    """Refuses names that something has already.

    Args:
        names: Of the new plugin.
        installed: Origins of the plugins that are installed, those that failed or were left out too.

    Raises:
        UserError: The namespace is zoo's own or another plugin's, or the distribution or package is there already.
    """
    if names.namespace in RESERVED or names.namespace == "zoo":
        raise UserError(
            f"the namespace {names.namespace!r} belongs to zoo itself",
            where=f"NAME={names.distribution}",
            allowed=f"any that is not one of {', '.join(sorted(RESERVED))}",
            do=f"python -m zoo plugins new {names.distribution}-extras ...",
        )
    for origin in installed:
        if origin.namespace == names.namespace:
            raise _taken(names, f"the namespace {names.namespace!r} is taken by the plugin {origin}")
    version = _installed_version(names)
    if version is not None:
        raise _taken(names, f"a distribution {names.distribution!r} is installed already, version {version}")
    if names.package in sys.stdlib_module_names or importlib.util.find_spec(names.package) is not None:
        raise _taken(names, f"a package {names.package!r} is installed already, and would be hidden or hide this one")


def _installed_version(names: Names) -> str | None:
    try:
        return importlib.metadata.version(names.distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _taken(names: Names, what: str) -> UserError:
    return UserError(
        what,
        where=f"NAME={names.distribution}",
        allowed="a name that nothing here has",
        do=["take another name", "or uninstall what has it, where that is an earlier try of yours"],
    )
