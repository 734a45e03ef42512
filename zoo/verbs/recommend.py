"""`zoo recommend`: which pretrained network suits these images best, how sure that is, and what it costs."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.errors import UserError, raise_all
from zoo.plugins import load_plugins
from zoo.verbs.arguments import Arguments, gathered, read_arguments, usage, yes_or_no
from zoo.verbs.tables import print_table, short_count

if TYPE_CHECKING:
    from zoo.artifacts.run_folder import RunFolder
    from zoo.assembly.recommend.recommendation import Recommendation
    from zoo.assembly.recommending import Asked

KEYS = {
    "data": "PATH        a folder of class folders, a table, an archive, or a registered name",
    "models": "[a,b,c*]  names and patterns; without it, all networks whose weights are on this machine",
    "budget": "5m        time to compare in (90s, 5m, 1h); null: all images for all networks",
    "max_params": "20M   leave larger networks out",
    "max_ms": "10        leave networks out that take longer for one image on this machine",
    "download": "yes     let patterns reach networks whose weights must be fetched (a plain name always may)",
    "out": "DIR          a new or empty folder (default: runs/<date>/<time>-recommend-<data>)",
}

TRAIN_KEYS = ("train.device", "train.precision", "train.threads", "train.loader_threads", "train.seed")
"""Words of `finetune` that matter here too; so do those of the data (`data.channels=1`)."""

NO_EFFECT = ("data.val_fraction",)

DEFAULT_BUDGET = "5m"

MORE = f"""
  also read as in finetune: data.KEY=VALUE
  and {", ".join(f"{key}=" for key in TRAIN_KEYS)}

The score is a linear probe's on frozen features, cross-validated over training and validation images; test images are
never read. See table.csv, table.json and accuracy-latency.png in the folder that the last line names.
"""


def main(argv: Sequence[str]) -> int:
    """Compares networks, prints a table, writes it, and says which to take."""
    ours, theirs = _sorted_out(argv)
    arguments = read_arguments("recommend", ours, keys=KEYS, required=("data",))
    if arguments is None:
        sys.stdout.write(usage("recommend", KEYS) + MORE)
        return 0
    asked = _asked(arguments, theirs)
    from zoo.assembly.console import Console
    from zoo.assembly.recommend.recommendation import plain_recommendation, write_recommendation
    from zoo.assembly.recommending import recommend

    console = Console(as_json=arguments.as_json)
    with _folder(arguments) as folder:
        found = recommend(asked, load_plugins(), console=console, folder=folder)
        written = write_recommendation(folder.path, found)
    _show(found, as_json=arguments.as_json)
    for line in found.advice.lines:
        console.say(line)
    console.say(f"written     {', '.join(path.name for path in written)} in {folder.path}")
    console.summary({"run_dir": str(folder.path), **plain_recommendation(found)})
    return 0


def _sorted_out(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """Words of this verb, and those that mean what they mean in `finetune`."""
    theirs = [word for word in argv if word.startswith("data.") or word.partition("=")[0] in TRAIN_KEYS]
    return [word for word in argv if word not in theirs], theirs


def _asked(arguments: Arguments, theirs: Sequence[str]) -> Asked:
    """Everything that was asked for, checked; what is wrong is said together."""
    errors: list[UserError] = [
        UserError(
            f"{key} has no effect: training and validation images are compared on together",
            where=word,
            do="leave it out",
        )
        for word in theirs
        for key in NO_EFFECT
        if word.partition("=")[0] == key
    ]
    with gathered(errors):
        budget_s = _budget(arguments.get("budget") or DEFAULT_BUDGET)
    with gathered(errors):
        max_parameters = _count(arguments, "max_params")
    with gathered(errors):
        max_ms = _count(arguments, "max_ms", units={})
    with gathered(errors):
        models = _names(arguments.get("models"))
    with gathered(errors):
        download = yes_or_no(arguments, "download")
    raise_all(errors)
    from zoo.assembly.recommending import Asked

    return Asked(
        words=(f"data={arguments.values['data']}", *theirs),
        models=models,
        budget_s=budget_s,
        max_parameters=max_parameters,
        max_ms=max_ms,
        download=download,
    )


def _budget(text: str) -> float | None:
    """Seconds; None for `null`."""
    from zoo.assembly.session import seconds_of

    if text.strip().lower() == "null":
        return None
    try:
        return seconds_of(text)
    except UserError as error:
        raise UserError(
            f"budget={text!r} is no time",
            where=f"budget={text}",
            allowed="90s, 5m, 1h, seconds above 0; or null, which takes all images for all networks",
        ) from error


def _count(arguments: Arguments, key: str, *, units: dict[str, float] | None = None) -> float | None:
    """A number above 0, with k, M or G behind it where there are units; None where it was not given."""
    text = arguments.get(key)
    if text is None:
        return None
    known = {"k": 1e3, "M": 1e6, "G": 1e9} if units is None else units
    unit = known.get(text[-1:], None)
    try:
        value = float(text if unit is None else text[:-1]) * (unit or 1.0)
    except ValueError:
        value = -1.0
    if not 0 < value < float("inf"):
        allowed = "a number above 0" + (", such as 500k, 20M, 1.5G" if known else ", in milliseconds")
        raise UserError(f"{key}={text!r} is no size", where=f"{key}={text}", allowed=allowed)
    return value


def _names(text: str | None) -> tuple[str, ...]:
    """`[a,b]`, `a,b` or `a`; blanks and quotes around a name are left out."""
    if text is None:
        return ()
    inner = text.strip()
    if inner.startswith("[") and inner.endswith("]") and "," not in inner.partition("]")[2]:
        inner = inner[1:-1]
    names = tuple(part.strip().strip("'\"") for part in inner.split(","))
    if not all(names):
        raise UserError(
            "a name in the list of models is empty",
            where=f"models={text}",
            allowed="models=[resnet18,resnet50], or leave models= out for all whose weights are at hand",
        )
    return tuple(dict.fromkeys(names))


@contextmanager
def _folder(arguments: Arguments) -> Iterator[RunFolder]:
    """The folder of the results; taken away again where nothing came of it.

    Raises:
        UserError: It exists and is not an empty folder, or cannot be made.
    """
    from zoo.artifacts.run_folder import RunFolder
    from zoo.files import write_error

    named = arguments.get("out")
    if named is None:
        folder = RunFolder.create(model="recommend", data=arguments.values["data"])
        made = [folder.path, folder.path.parent, folder.path.parent.parent]
    else:
        path = Path(named).expanduser()
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise UserError(
                f"{str(path)!r} is there already; nothing in it was changed",
                where=f"out={named}",
                allowed="a folder that is new or empty",
            )
        made = [each for each in (path, *path.parents) if not each.exists()]
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise write_error(error, path) from error
        folder = RunFolder(path)
    try:
        yield folder
    except BaseException:
        with contextlib.suppress(OSError):  # a folder in which something lies stays
            for path in made:
                path.rmdir()
        raise


def _show(found: Recommendation, *, as_json: bool) -> None:
    from zoo.assembly.recommend.recommendation import COLUMNS, cells_of

    cells = [cells_of(row, short_count(row.parameters)) for row in found.rows]
    print_table(COLUMNS, cells, as_json=as_json)
    stream = sys.stderr if as_json else sys.stdout
    stream.write(f"ms: one image on {found.machine}; LogME, H-score and kNN are hints beside the probe\n")
    for row in found.rows:
        if row.status == "scored" and row.reason:
            stream.write(f"note: {row.name}: {row.reason}\n")
