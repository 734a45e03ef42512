"""`zoo data check`: would training on these images go wrong?"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.errors import UserError
from zoo.plugins import load_plugins
from zoo.verbs.arguments import read_arguments, usage

if TYPE_CHECKING:
    from zoo.data.audit import Audit

KEYS = {
    "path": "PATH   a folder of class folders, a table, an archive, or a registered name such as digits "
    "(or just: zoo data check PATH)"
}

MORE = """
  also read as in finetune: what the source is told, and how the splits are made, so that they are those of a run
  (data.label_column=species data.val_fraction=0.2 data.split_seed=1)
"""

MOST_DUPLICATES = 20


def main(argv: Sequence[str]) -> int:
    """Reports what is there and what is wrong; exit code 2 where training would be wrong."""
    if not argv or argv[0] in ("-h", "--help"):
        return _help()
    if argv[0] != "check":
        raise UserError(f"unknown word {argv[0]!r}", where="zoo data", allowed="check PATH")
    about_data = [word for word in argv[1:] if word.startswith("data.") and "=" in word and not Path(word).exists()]
    ours = [word for word in argv[1:] if word not in about_data]
    words = [word if word.startswith(("-", "path=")) else f"path={word}" for word in ours]
    arguments = read_arguments("data check", words, keys=KEYS, required=("path",))
    if arguments is None:
        return _help()
    found = _check([f"data={arguments.values['path']}", *about_data])
    sys.stdout.write(_as_json(found) if arguments.as_json else "\n".join(_lines(found)) + "\n")
    return 2 if found.errors else 0


def _help() -> int:
    sys.stdout.write(usage("data check", KEYS, flags="[data.KEY=VALUE ...] [--json]") + MORE)
    return 0


def _check(words: Sequence[str]) -> Audit:
    """Lists what the words mean as a run would, and reads every image once; nothing is kept."""
    from zoo.assembly.sources import list_configured, refuse_idle
    from zoo.config.compose import configure_data
    from zoo.data.audit import audit
    from zoo.data.pack import read_images
    from zoo.data.shorthand import source_name_for
    from zoo.imaging.preprocess import Preprocess

    plugins = load_plugins()
    component, notes = configure_data(words, plugins, source_for=source_name_for)
    entry = plugins.registry.get(component.kind, component.name)
    why = "every image is read once, and no pixels are kept"
    refuse_idle(words, ("cache", "threads", "cache_dir"), source=entry, why=why)
    source, listing = list_configured(component, plugins.registry)
    half = (0.5,) * listing.channels
    blank = Preprocess(size=32, mean=half, std=half, resize="squash")  # arrays are not resized
    index = read_images(listing, source, preprocess=blank, cache="none").index
    found = audit(listing, index, max_bad_fraction=component.options["max_bad_fraction"])
    return dataclasses.replace(found, notes=(*notes, *found.notes))


def _lines(found: Audit) -> list[str]:
    """The report for a person."""
    width = max(len("class"), *(len(row.name) for row in found.classes))
    task = found.task.value.replace("_", "-")
    lines = [
        f"{found.location}: {found.images} images, {len(found.classes)} classes, {task}, {found.channels} channels"
    ]
    lines += [f"  {note}" for note in found.notes]
    lines.append(f"  {'class':<{width}}  {'train':>6} {'val':>6} {'test':>6}")
    lines += [f"  {row.name:<{width}}  {row.train:>6} {row.val:>6} {row.test:>6}" for row in found.classes]
    if found.sizes is not None:
        (low, middle, high), (lowest, median, highest) = found.sizes.width, found.sizes.height
        lines.append(f"  width {low} to {high} px (median {middle}), height {lowest} to {highest} px (median {median})")
    lines += [f"  bad: {bad.key}: {bad.reason}" for bad in found.bad]
    lines += [f"  same contents: {', '.join(group.keys)}" for group in found.duplicates[:MOST_DUPLICATES]]
    if len(found.duplicates) > MOST_DUPLICATES:
        lines.append(f"  and {len(found.duplicates) - MOST_DUPLICATES} more groups of equal files (--json lists all)")
    lines += [f"{problem.severity.value}: {problem.message}" for problem in found.problems]
    return [*lines, "training on these images would be wrong" if found.errors else "ready to train on"]


def _as_json(found: Audit) -> str:
    return json.dumps(dataclasses.asdict(found) | {"ready": not found.errors}, indent=2) + "\n"
