"""Importers: they know their own files, refuse torn ones, and give float32 in PyTorch's layout."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import numpy as np

from zoo.config import schema
from zoo.contracts.importing import ForeignModel
from zoo.errors import UserError
from zoo.testing.building import needs
from zoo.testing.results import BrokenError, NotApplicableError
from zoo.testing.subject import Subject

SAMPLE = "sample"
"""The fact that names a function `module:function`: it is handed an empty folder, writes a small file of the framework
there, and returns its path, or the path and that of its definition."""

_AXES = {"conv": 4, "dense": 2, "norm": 1}


def builds(subject: Subject) -> None:
    """It has `reads`, `read` and `forward`, needs no options, and states its suffixes."""
    needs(subject.build(), "reads", "read", "forward")
    required = [option.name for option in schema.options(subject.entry) if option.required]
    if required:
        raise BrokenError(
            f"the options {', '.join(required)} have no default, and it is built without any to be asked `reads`"
        )
    suffixes = _suffixes(subject)
    if not suffixes or not all(suffix.startswith(".") for suffix in suffixes):
        raise BrokenError(f"the fact suffixes is {suffixes!r}", fix='Pass suffixes=(".ext",) to register.')


def _suffixes(subject: Subject) -> tuple[str, ...]:
    return tuple(subject.entry.facts.get("suffixes", ()))


def use(subject: Subject) -> None:
    """Asks about files of others, and torn ones of its own; reads the sample where there is one."""
    importer = subject.build()
    for path in _not_its_own(subject):
        importer.reads(path)
    if SAMPLE in subject.entry.facts:
        path, definition = _sample(subject)
        importer.read(path, definition=definition)


def _not_its_own(subject: Subject) -> Iterator[Path]:
    """Files that no importer can read: empty, text, noise, a missing one, and a folder; under any name."""
    folder = subject.temporary / "files"
    folder.mkdir(exist_ok=True)
    noise = np.random.Generator(np.random.PCG64(3)).bytes(200)
    for suffix in (".txt", "", *_suffixes(subject)):
        for name, content in (("empty", b""), ("text", b"these are words\n"), ("noise", noise)):
            path = folder / f"{name}{suffix}"
            path.write_bytes(content)
            yield path
        yield folder / f"missing{suffix}"
    yield folder


def refuses(subject: Subject) -> None:
    """`reads` says yes or no of any path, and `read` of a torn file is a UserError."""
    importer = subject.build()
    for path in list(_not_its_own(subject)):
        answer = importer.reads(path)
        if not isinstance(answer, bool):
            raise BrokenError(f"reads({path.name!r}) gave {answer!r}", fix="Return True or False.")
        if not path.is_file() or not path.name.endswith(_suffixes(subject) or ("",)):
            continue
        try:
            read = importer.read(path)
        except UserError:
            continue
        except NotApplicableError:
            raise
        except Exception as error:
            subject.forgive(error)
            raise BrokenError(
                f"a torn file ({path.name}) is not refused: {subject.crash(error)}",
                fix="Catch what your reader raises, and raise zoo.errors.UserError from it.",
            ) from error
        raise BrokenError(f"of a file that holds nothing ({path.name}) it made {len(read.layers)} layers")


def _sample(subject: Subject) -> tuple[Path, Path | None]:
    """The author's sample file.

    Raises:
        NotApplicableError: There is none.
    """
    target = subject.entry.facts.get(SAMPLE)
    if target is None:
        raise NotApplicableError('no sample file is known: register it with sample="module:function"')
    folder = subject.temporary / "sample"
    folder.mkdir(exist_ok=True)
    written = resolve_name(target)(folder)
    return written if isinstance(written, tuple) else (written, None)


def shapes(subject: Subject) -> None:
    """Layers float32, with the axes of their kind."""
    path, definition = _sample(subject)
    importer = subject.build()
    if importer.reads(path) is not True:
        raise BrokenError(f"it does not know its own sample {path.name}")
    model = importer.read(path, definition=definition)
    if not isinstance(model, ForeignModel) or not model.layers:
        raise BrokenError(f"read() gave {model!r}", fix="Return contracts.importing.ForeignModel with its layers.")
    for layer in model.layers:
        for role, values in layer.tensors.items():
            _check_values(values, f"{role} of {layer.name}", axes=_AXES[layer.kind] if role == "weight" else 1)


def _check_values(values: Any, name: str, *, axes: int) -> None:
    if not isinstance(values, np.ndarray) or values.dtype != np.float32 or values.ndim != axes:
        made = f"{values.dtype}{list(values.shape)}" if isinstance(values, np.ndarray) else type(values).__name__
        raise BrokenError(f"{name} is {made}", fix=f"Give a float32 array of numpy with {axes} axes.")
