"""`zoo preview`: what training would make of the images, and whether an augmentation changes what labels mean."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.errors import UserError, raise_all
from zoo.plugins import Plugins, load_plugins
from zoo.verbs.arguments import Arguments, gathered, read_arguments, usage, whole_number, yes_or_no

if TYPE_CHECKING:
    from zoo.config.run_config import FinetuneConfig

KEYS = {
    "output": "FILE   the picture, a .png (preview.png); only a picture of an earlier preview is replaced",
    "images": "10     rows: training images of different classes",
    "draws": "6       columns: the first epochs of training",
    "check": "no      yes: also look whether an augmentation moves one class into another, and warn",
    "strict": "no     yes: with check, exit code 2 where it warns",
}

DEFAULT_OUTPUT = "preview.png"

MOST = {"images": 100, "draws": 50}

MORE = """
All other words are those of finetune (data, augmentations, model, strategy, train.seed...), so that a command line can
be tried before it is run: `python -m zoo finetune --help`.

  python -m zoo preview data=my/photos 'augmentations=[flip,color_jitter]'
  python -m zoo preview data=digits 'augmentations=[flip]' augmentations.flip.vertical=true check=yes

The picture shows each image as validation sees it, then what the first epochs of training would make of it, to the
pixel. The check warns and ends with exit code 0: it can be wrong, and you know your classes; strict=yes ends with 2.
"""


@dataclass(frozen=True)
class Asked:
    """The words of this verb, checked."""

    output: Path
    images: int
    draws: int
    check: bool
    strict: bool


def main(argv: Sequence[str]) -> int:
    """Writes the picture; with `check` says what the augmentations do to the classes."""
    if {"-h", "--help"} & set(argv):
        sys.stdout.write(usage("preview", KEYS, flags="[words of finetune] [--json]") + MORE)
        return 0
    ours = [word for word in argv if word.startswith("-") or word.partition("=")[0] in KEYS]
    theirs = [word for word in argv if word not in ours]
    plugins = load_plugins()
    asked, config = _read(ours, theirs, plugins)
    from zoo.assembly.console import Console
    from zoo.assembly.previewing import preview
    from zoo.files import write_bytes

    console = Console(as_json="--json" in ours)
    for note in config.notes:
        console.say(note)
    made = preview(config, plugins, console=console, images=asked.images, draws=asked.draws, check=asked.check)
    _check_free(asked.output)
    write_bytes(asked.output, made.picture())
    console.say(f"picture {asked.output}: {len(made.rows)} images, {asked.draws} draws of each")
    for line in made.title[1:]:
        console.say(f"        {line}")
    warned = made.check is not None and bool(made.check.warned)
    for line in made.check.lines() if made.check is not None else ():
        console.say(line)
    console.summary({"picture": str(asked.output), "warned": warned, **made.plain()})
    return 2 if warned and asked.strict else 0


def _read(ours: Sequence[str], theirs: Sequence[str], plugins: Plugins) -> tuple[Asked, FinetuneConfig]:
    """Both kinds of words, checked; what is wrong with either is said together."""
    from zoo.config.compose import configure
    from zoo.data.shorthand import source_name_for

    errors: list[UserError] = []
    asked = config = None
    with gathered(errors):
        config = configure(theirs, plugins, source_for=source_name_for)
    with gathered(errors):
        asked = _asked(ours, checks=config is not None and config.train.check_augmentations)
    raise_all(errors)
    if asked is None or config is None:
        raise RuntimeError("no words and no error")
    return asked, config


def _asked(ours: Sequence[str], *, checks: bool) -> Asked:
    """The words of this verb.

    Args:
        ours: The words.
        checks: Whether `train.check_augmentations` asks for the check, too.
    """
    arguments = read_arguments("preview", ours, keys=KEYS)
    if arguments is None:
        raise RuntimeError("help was asked for, and not given")
    errors: list[UserError] = []
    output, images, draws = Path(arguments.get("output") or DEFAULT_OUTPUT).expanduser(), 1, 1
    with gathered(errors):
        images = _number(arguments, "images", default=10)
    with gathered(errors):
        draws = _number(arguments, "draws", default=6)
    with gathered(errors):
        _check_free(output)
    check = strict = False
    with gathered(errors):
        check = yes_or_no(arguments, "check") or checks
    with gathered(errors):
        strict = yes_or_no(arguments, "strict")
    if strict and not check and not errors:
        what = "strict=yes has no effect without the check"
        errors.append(UserError(what, where="strict=yes", do=["add check=yes", "or leave strict out"]))
    raise_all(errors)
    return Asked(output, images, draws, check, strict)


def _number(arguments: Arguments, key: str, *, default: int) -> int:
    """A whole number within the picture's limits."""
    count = whole_number(arguments, key, default=default)
    if count > MOST[key]:
        what = f"{key}={count} is more than a picture holds"
        raise UserError(what, where=f"{key}={count}", allowed=f"1 to {MOST[key]}")
    return count


def _check_free(output: Path) -> None:
    """Refuses a place where the picture cannot go.

    Raises:
        UserError: The name does not end in .png, it is a folder, or a file that no preview made.
    """
    from zoo.evaluation.preview_picture import is_preview

    where = f"output={output}"
    if output.suffix.lower() != ".png":
        what = f"the picture is a PNG, and {output.name!r} does not end in .png"
        raise UserError(what, where=where, do=f"for example output={output.with_suffix('.png')}")
    if output.is_dir():
        raise UserError(f"{str(output)!r} is a folder", where=where, do=f"name a file in it: output={output / 'a.png'}")
    if output.exists() and not is_preview(output):
        raise UserError(
            f"{str(output)!r} is there already, and no preview made it; it was not changed",
            where=where,
            do="name another file: output=FILE.png",
        )
