"""`zoo plugins new`: writes a plugin that works, for its author to change. Imports no torch."""

from __future__ import annotations

import argparse
import datetime
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from zoo.errors import UserError, name_list, raise_all
from zoo.plugins import Plugins, load_plugins
from zoo.scaffold.names import Names, check_free, derive_names
from zoo.scaffold.parts import ORDER, PARTS, Part
from zoo.scaffold.tree import NewPlugin, render, write

USAGE = f"""\
usage: python -m zoo plugins new NAME --kind KIND[,KIND...] [DIR] [--author "YOUR NAME"]

Writes a distribution that can be installed, tested and published as it is: pyproject.toml with the entry point, hooks,
one small working component a kind, tests, README, licence and CI. Change the components into your own.

  NAME        of the distribution, such as zoo-lion; its components are called lion
  --kind      {", ".join(ORDER[:7])},
              {", ".join(ORDER[7:])}
  DIR         the new folder; without it ./NAME. What is there already is never touched
  --author    who holds the rights; without it, what `git config user.name` says
"""


def main(argv: Sequence[str]) -> int:
    """Writes a new plugin, and says what to do next."""
    if {"-h", "--help"} & set(argv):
        sys.stdout.write(USAGE)
        return 0
    asked = _read(argv)
    names = derive_names(asked.name)
    parts = _parts(asked.kind)
    plugins = load_plugins()
    check_free(names, [plugin.origin for plugin in plugins.plugins])
    author = (asked.author or _git_author()).strip()
    plugin = NewPlugin(
        names,
        parts,
        author=author or f"the authors of {names.distribution}",
        year=datetime.date.today().year,
        choices={part.kind: _choice(part, names, plugins=plugins) for part in parts},
    )
    folder = Path(asked.dir or names.distribution).expanduser()
    files = render(plugin)
    write(files, folder)
    sys.stdout.write(_report(plugin, files, folder=folder, named=bool(author)))
    return 0


class _Words(argparse.ArgumentParser):
    """Tells of bad words in zoo's way."""

    def error(self, message: str) -> NoReturn:
        """Raises instead of leaving."""
        raise UserError(
            f"the words cannot be read: {message}",
            where="zoo plugins new",
            allowed="NAME --kind KIND[,KIND...] [DIR] [--author NAME]",
            do="python -m zoo plugins new --help",
        )


def _read(argv: Sequence[str]) -> argparse.Namespace:
    words = _Words(add_help=False, allow_abbrev=False)
    words.add_argument("name", metavar="NAME")
    words.add_argument("dir", metavar="DIR", nargs="?")
    words.add_argument("--kind", required=True)
    words.add_argument("--author")
    return words.parse_intermixed_args(list(argv))  # a DIR may stand behind the options


def _parts(kinds: str) -> tuple[Part, ...]:
    """The parts that `--kind` names, in their fixed order.

    Raises:
        UserError: A kind is not known, or named twice.
    """
    asked = [kind.strip() for kind in kinds.split(",")]
    errors = [
        UserError(f"unknown kind {kind!r}", where=f"--kind {kinds}", allowed=name_list(kind, PARTS, most=len(PARTS)))
        for kind in asked
        if kind not in PARTS
    ]
    errors += [
        UserError(f"the kind {kind!r} is named {asked.count(kind)} times", where=f"--kind {kinds}", do="name it once")
        for kind in dict.fromkeys(asked)
        if kind in PARTS and asked.count(kind) > 1
    ]
    raise_all(errors)
    return tuple(PARTS[kind] for kind in ORDER if kind in asked)


def _choice(part: Part, names: Names, *, plugins: Plugins) -> str:
    """What users write: the bare name, or the full one where others have the bare one or may have it.

    Libraries of a thousand names are not asked: that would import them.
    """
    if not part.is_component:
        return names.namespace
    taken = any(entry.name == names.namespace for entry in plugins.registry.entries(part.kind))
    return names.full_name if taken or plugins.registry.providers(part.kind) else names.namespace


def _git_author() -> str:
    """The name that git signs with, or "" where there is none."""
    try:
        done = subprocess.run(["git", "config", "user.name"], capture_output=True, text=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def _report(plugin: NewPlugin, files: dict[str, str], *, folder: Path, named: bool) -> str:
    """What was written, and the next three commands."""
    names = plugin.names
    lines = [f"wrote {names.distribution} into {folder}", *(f"  {path}" for path in files)]
    if not named:
        lines.append(f'note: LICENSE and pyproject.toml name "{plugin.author}"; --author "YOUR NAME" would name you')
    target = f"./{folder}" if not folder.is_absolute() else str(folder)
    lines += [
        "next:",
        f"  pip install -e {shlex.quote(f'{target}[test]')}",
        f"  python -m zoo plugins check {names.namespace}",
        f"  {plugin.use(plugin.parts[0])}",
    ]
    return "\n".join(lines) + "\n"
