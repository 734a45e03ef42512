"""`zoo predict`: a run's model, or a pretrained one as it is, on files, folders and patterns."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.contracts.importing import Provenance
from zoo.errors import UserError
from zoo.plugins import load_plugins
from zoo.verbs.arguments import Arguments, read_arguments, usage, whole_number

if TYPE_CHECKING:
    from zoo.artifacts.predictions import Prediction
    from zoo.artifacts.predictor import Predictor
    from zoo.assembly.console import Console

KEYS = {
    "run": "DIR           a run folder, a saved model, a published model's name (ZOO_PATH), or hf:ORG/NAME",
    "model": "NAME        instead of run: a pretrained network with its own classes",
    "images": "PATH       a file, a folder, or a pattern such as 'photos/*.jpg'",
    "output": "FILE       .csv, .json or .parquet; without it, a table is printed",
    "top": "5             labels to list for each image",
    "batch_size": "32     images that go through the network together",
    "device": "auto       auto, cpu, cuda, mps",
    "weights": "auto      with model: auto, or a path",
}


def main(argv: Sequence[str]) -> int:
    """Classifies images; a bad file gets a row that says so."""
    arguments = read_arguments("predict", argv, keys=KEYS, required=("images",))
    if arguments is None:
        sys.stdout.write(usage("predict", KEYS))
        return 0
    from zoo.artifacts.predictions import check_predictions_path, write_predictions
    from zoo.assembly.console import Console

    named = arguments.get("output")
    output = None if named is None else Path(named).expanduser()
    if output is not None:
        check_predictions_path(output)
    console = Console(as_json=arguments.as_json)
    predictor = _predictor(arguments, console)
    _refuse_numbers(predictor)
    top = whole_number(arguments, "top", default=5)
    batch_size = whole_number(arguments, "batch_size", default=32)
    with console.counting("predict") as watch:
        rows = predictor.predict(arguments.values["images"], batch_size=batch_size, top_k=top, progress=watch)
    if output is not None:
        write_predictions(rows, output)
        console.say(f"{len(rows)} rows in {output}")
    else:
        for row in rows:
            console.say(_line(row))
    bad = [row for row in rows if not row.ok]
    if bad:
        console.say(f"{len(bad)} of {len(rows)} files could not be read; their rows say why")
    if arguments.as_json:
        said = None if output is None else str(output)
        sys.stdout.write(json.dumps({"images": len(rows), "bad": len(bad), "output": said}) + "\n")
    return 0


def _predictor(arguments: Arguments, console: Console) -> Predictor:
    from zoo.assembly.using import load_predictor, pretrained_predictor, saved_folder

    run, model = arguments.get("run"), arguments.get("model")
    if (run is None) == (model is None):
        raise UserError(
            "say which network predicts" if run is None else "run= and model= name two networks",
            where="zoo predict",
            allowed="run=DIR (fine-tuned), or model=NAME (pretrained, with its own classes)",
        )
    if run is not None and arguments.get("weights") is not None:
        raise UserError("weights= has no effect with run=, which brings its own", where="weights", do="leave it out")
    plugins = load_plugins()
    device = arguments.get("device") or "auto"
    if run is not None:
        predictor = load_predictor(saved_folder(run, plugins.registry), plugins, device=device, say=console.say)
        imported = Provenance.from_origin(predictor.origin)
        if imported is not None:
            console.say(imported.line())
        return predictor
    return pretrained_predictor(
        str(model), plugins, weights=arguments.get("weights") or "auto", device=device, say=console.say
    )


def _refuse_numbers(predictor: Predictor) -> None:
    """Raises UserError for a network that takes no images: no file holds what it takes."""
    takes = predictor.preprocess
    if takes.takes_numbers:
        shape = f"{takes.channels} x {takes.size} x {takes.size}"
        raise UserError(
            "this model was trained on arrays of numbers, and no images",
            where="zoo predict",
            do=[
                f"in Python: zoo.load(RUN).predict([array, ...]), each float32 of {shape}",
                "python -m zoo evaluate run=RUN scores it on its own data",
            ],
        )


def _line(row: Prediction) -> str:
    if not row.ok:
        return f"{row.file}: could not be read: {row.error}"
    answer = ", ".join(f"{label} {share:.3f}" for label, share in row.top)
    if row.multi_label:
        return f"{row.file}: {', '.join(row.labels) or 'no label'}  ({answer})"
    return f"{row.file}: {answer}"
