"""`zoo convert`: another framework's weights as a saved model, with a measured proof where one can be had."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.errors import UserError
from zoo.plugins import load_plugins
from zoo.verbs.arguments import Arguments, read_arguments, usage

if TYPE_CHECKING:
    from zoo.assembly.converting import Request

KEYS = {
    "source": "FILE         weights of another framework (`zoo plugins` lists the importers)",
    "model": "NAME          the network that they belong to",
    "out": "DIR             the saved model to write; new or empty",
    "definition": "FILE     what describes the network, where its framework keeps that apart (a prototxt)",
    "reference": "FILE      .npz with arrays input and output of the source, to compare with",
    "preprocess": "NAME     imagenet, caffe, tf, unit or raw: how the source wants its pixels",
    "classes": "FILE        names of the outputs, one a line",
    "reader": "NAME         an importer; without it, the one that knows the file",
    "tolerance": "1e-3      largest relative difference of the outputs that is accepted",
}

PREFIXES = {
    "model": "VALUE     options of the network: model.image_size=64",
    "importer": "VALUE  options of the reader; `zoo plugins show NAME` lists them",
}


def main(argv: Sequence[str]) -> int:
    """Converts one file, and says how well the result is proven."""
    plain = [word for word in argv if not _prefixed(word)]
    arguments = read_arguments("convert", plain, keys=KEYS, required=("source", "model", "out"))
    if arguments is None:
        more = "".join(f"  {prefix}.KEY={meaning}\n" for prefix, meaning in PREFIXES.items())
        sys.stdout.write(usage("convert", KEYS) + more)
        return 0
    request = _request(arguments, [word for word in argv if _prefixed(word)])
    from zoo.assembly.console import Console
    from zoo.assembly.converting import convert

    console = Console(as_json=arguments.as_json)
    converted = convert(request, load_plugins(), say=console.say)
    for note in converted.provenance.notes:
        console.say(f"note    {note}")
    console.say(f"parity  {converted.provenance.line()}")
    console.say(f"saved   {converted.saved.folder}")
    if arguments.as_json:
        result = {"out": str(converted.saved.folder), **dataclasses.asdict(converted.provenance)}
        sys.stdout.write(json.dumps(result) + "\n")
    return 0


def _prefixed(word: str) -> bool:
    """Whether it is an option of the network or of the reader."""
    return word.partition("=")[0].partition(".")[0] in PREFIXES and "." in word.partition("=")[0]


def _request(arguments: Arguments, options: Sequence[str]) -> Request:
    """The words as what they mean.

    Raises:
        UserError: The tolerance is no number above 0, or an option is given twice or without a value.
    """
    given: dict[str, dict[str, str]] = {prefix: {} for prefix in PREFIXES}
    for word in options:
        key, equals, value = word.partition("=")
        prefix, _, name = key.partition(".")
        if not equals or not name:
            raise UserError(f"{word!r} is not of the form {prefix}.KEY=VALUE", where=word)
        if name in given[prefix]:
            raise UserError(f"{key}= is given twice", where=word, do="leave one of them out")
        given[prefix][name] = value
    typed = arguments.get("tolerance")
    tolerance = None if typed is None else _above_zero(typed)
    from zoo.assembly.converting import TOLERANCE, Request  # takes seconds, so the words are checked before

    return Request(
        source=Path(arguments.values["source"]).expanduser(),
        model=arguments.values["model"],
        out=Path(arguments.values["out"]).expanduser(),
        definition=_path(arguments.get("definition")),
        reader=arguments.get("reader"),
        reference=_path(arguments.get("reference")),
        classes=arguments.get("classes"),
        preprocess=arguments.get("preprocess"),
        tolerance=TOLERANCE if tolerance is None else tolerance,
        model_options=given["model"],
        reader_options=given["importer"],
    )


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text).expanduser()


def _above_zero(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (0 < value < math.inf):
        raise UserError(f"tolerance {text!r} is no number above 0", where=f"tolerance={text}", allowed="such as 1e-3")
    return value
