"""`zoo publish`: adds a model to a zoo of one's own, a folder or a repository on the hub."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from zoo.errors import UserError
from zoo.plugins import load_plugins
from zoo.verbs.arguments import Arguments, read_arguments, usage

KEYS = {
    "run": "DIR           a finished run, or a saved model",
    "to": "FOLDER         a folder of models, made where missing; or hf:ORG/NAME, a repository of Hugging Face",
    "name": "NAME         in a folder; without it, made of the network and the data",
    "description": "TEXT  for the card",
    "license": "NAME      under which you publish it: cc-by-4.0, apache-2.0, ...",
    "private": "true      with hf:, whether a new repository is seen by its owner alone (false: by everybody)",
}

NOTES = """
The published copy holds the weights, the card (README.md), classes, preprocessing, scores, configuration and hashes;
no paths of this machine and no names of single images. A name that is taken by another model is refused.

Use it:  model=FOLDER/NAME, or ZOO_PATH=FOLDER and model=NAME, or model=hf:ORG/NAME; run= the same way.
"""


def main(argv: Sequence[str]) -> int:
    """Publishes one model and says how others use it."""
    arguments = read_arguments("publish", argv, keys=KEYS, required=("run", "to"))
    if arguments is None:
        sys.stdout.write(usage("publish", KEYS) + NOTES)
        return 0
    private = _yes_or_no(arguments, "private")
    from zoo.assembly.console import Console
    from zoo.assembly.publishing import publish_run

    console = Console(as_json=arguments.as_json)
    published = publish_run(
        Path(arguments.values["run"]).expanduser(),
        load_plugins(),
        to=arguments.values["to"],
        name=arguments.get("name"),
        description=arguments.get("description"),
        license_name=arguments.get("license"),
        private=private,
    )
    done = "published" if published.new else "already there, the same model; nothing was written:"
    console.say(f"{done} {published.where}")
    console.say(f"sha256    {published.sha256}")
    console.say(f"use it    python -m zoo finetune {shlex.quote(f'model={published.where}')} data=my/photos")
    if arguments.as_json:
        values = {"name": published.name, "where": published.where, "sha256": published.sha256, "new": published.new}
        sys.stdout.write(json.dumps(values) + "\n")
    return 0


def _yes_or_no(arguments: Arguments, key: str) -> bool | None:
    """`true` or `false`; None where it was not given."""
    text = arguments.get(key)
    if text not in (None, "true", "false"):
        raise UserError(f"{key}={text!r} is neither yes nor no", where=f"{key}={text}", allowed="true, false")
    return None if text is None else text == "true"
