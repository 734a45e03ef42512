"""Publishes a finished model: what is checked, what is written, and where."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.artifacts.cards import render_card
from zoo.artifacts.public_record import public_record, without_places
from zoo.artifacts.record import RunRecord
from zoo.artifacts.run_folder import RunFolder
from zoo.artifacts.saved_model import CARD, CONFIG, TENSORS, SavedModel, seal, to_card
from zoo.artifacts.zoo_folder import check_name, identity, place, plain_name
from zoo.assembly.using import load_saved
from zoo.contracts.model import Model
from zoo.errors import UserError
from zoo.files import sha256_of, to_json
from zoo.plugins import Plugins
from zoo.weights.hub_folder import PREFIX, check_hub, repository_of, send_folder

RECORD, README = "record.json", "README.md"


@dataclass(frozen=True)
class Published:
    """What became of a model that was published.

    Attributes:
        name: Its name in the zoo.
        where: Its folder, or `hf:ORG/NAME`: what others give as `model=` or `run=`.
        sha256: Hash of its tensors' file.
        new: False where the same model was there already, so that nothing was written.
    """

    name: str
    where: str
    sha256: str
    new: bool


def publish_run(
    run: Path,
    plugins: Plugins,
    *,
    to: str,
    name: str | None = None,
    description: str | None = None,
    license_name: str | None = None,
    private: bool | None = None,
) -> Published:
    """Adds a model with its card, hashes, preprocessing and scores to a zoo; whole, or not at all.

    The same model under the same name is published once: a second time nothing is written. Another model under a
    name that is taken is refused.

    Args:
        run: A finished run, or a saved model (converted weights, or one that was published before).
        plugins: What is installed; the model is built once, so that nobody publishes what cannot be loaded.
        to: A folder of models, or `hf:ORG/NAME`.
        name: In a folder; None makes it of the network and the data.
        description: Text for the card.
        license_name: Under which it is published (`cc-by-4.0`); None says that none is stated.
        private: Whether a repository that is made on the hub can be seen by its owner alone; None makes it so.

    Raises:
        UserError: No finished run, a changed model, a name that is taken or is none, a place that cannot be written.
    """
    on_hub = to.startswith(PREFIX)
    _check_options(to, name=name, private=private, texts={"description": description, "license": license_name})
    folder, record = _finished(run)
    if on_hub:
        check_hub(to)
    saved, model = load_saved(folder, plugins)
    _check_together(saved, record, folder=run)
    own_name = repository_of(to, key="to").rpartition("/")[2] if on_hub else check_name(name or _name_of(saved))
    facts = {
        "name": own_name,
        "description": description,
        "license": license_name,
        "on": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "parameters": _parameters(model),
    }
    address = to if on_hub else f"ZOO/{own_name}"
    public, files = _contents(saved, record, facts=facts, address=address)
    content = identity(to_card(public))
    if on_hub:
        message = f"zoo publish: {saved.model.name}, {len(saved.classes)} classes"
        new = send_folder(files, to, private=private, message=message, same=lambda card: identity(card) == content)
        return Published(own_name, to, saved.sha256[TENSORS], new)
    placed = place(
        Path(to).expanduser(), own_name, fill=lambda path: _write_all(path, files, public.sha256), content=content
    )
    return Published(own_name, str(placed.folder), saved.sha256[TENSORS], placed.new)


def _check_options(to: str, *, name: str | None, private: bool | None, texts: Mapping[str, str | None]) -> None:
    """Raises UserError for options that are empty or would have no effect."""
    if not to:
        raise UserError("to= is empty", where="to=", allowed="a folder of models, or hf:ORG/NAME")
    if to.startswith(PREFIX):
        if "@" in repository_of(to, key="to"):
            raise UserError(
                "a model is published as the newest commit", where=f"to={to}", do="leave out what follows @"
            )
        if name is not None:
            raise UserError("name= has no effect with to=hf:ORG/NAME", where=f"name={name}", do="write it in to=")
    elif private is not None:
        raise UserError(
            "private= has no effect on a folder", where=f"to={to}", do="set the folder's own permissions, or to=hf:..."
        )
    if name is not None:
        check_name(name)
    for key, text in texts.items():
        if text is not None and not text.strip():
            raise UserError(f"{key}= is empty", where=f"{key}=", do="leave it out, or say something")


def _finished(run: Path) -> tuple[Path, RunRecord | None]:
    """The folder of a run's model and its record; a saved model that no run left beside it has none.

    Raises:
        UserError: There is no run, or it did not finish.
    """
    alone = (run / CARD).is_file()
    home = run.parent if alone and run.name == "model" and not (run / RECORD).is_file() else run
    if alone and not (home / RECORD).is_file():
        return run, None
    record = RunRecord.load(RunFolder.open(home).record)
    if record.status != "finished":
        raise UserError(
            f"this run is not finished ({record.status}): it has no model to publish",
            where=str(home),
            do=[f"python -m zoo finetune resume={home}", "or publish a finished run"],
        )
    return (run if alone else RunFolder(home).model), record


def _check_together(saved: SavedModel, record: RunRecord | None, *, folder: Path) -> None:
    """Raises UserError where a record and a model do not belong to one run: its scores would be another's."""
    if record is None:
        return
    data = record.data
    fingerprint = dict(saved.origin.get("data") or {}).get("fingerprint")
    if data is None or data.classes != saved.classes or data.fingerprint != fingerprint:
        raise UserError(
            f"the model and {RECORD} are not of one run: their data differ",
            where=str(folder),
            do="copy the whole run again",
        )


def _name_of(saved: SavedModel) -> str:
    """`resnet18-flowers`: the network and the data."""
    return plain_name(saved.arch, str(dict(saved.origin.get("data") or {}).get("name") or ""))


def _parameters(model: Model) -> int:
    return sum(parameter.numel() for parameter in model.module.parameters())


def _contents(
    saved: SavedModel, record: RunRecord | None, *, facts: Mapping[str, Any], address: str
) -> tuple[SavedModel, dict[str, Path | bytes]]:
    """The published model, and its files: paths of those that are copied, contents of those that are made."""
    files: dict[str, Path | bytes] = {name: saved.folder / name for name in (TENSORS, CONFIG)}
    hashes = {name: saved.sha256[name] for name in files}
    public = None if record is None else public_record(record)
    if public is not None:
        content = (to_json(public.to_dict(), indent=2) + "\n").encode()
        files[RECORD], hashes[RECORD] = content, hashlib.sha256(content).hexdigest()
    origin = {**without_places(dict(saved.origin)), "published": dict(facts)}
    sealed, files[CARD] = seal(dataclasses.replace(saved, origin=origin, sha256=hashes))
    files[README] = render_card(sealed, public, address=address).encode("utf-8", "replace")
    return sealed, files


def _write_all(folder: Path, files: Mapping[str, Path | bytes], hashes: Mapping[str, str]) -> None:
    """Writes all files of a model into a folder that nobody looks at yet, and forces them to disk.

    Raises:
        UserError: A file changed since it was checked.
    """
    for name, content in files.items():
        with (folder / name).open("wb") as stream:
            if isinstance(content, bytes):
                stream.write(content)
            else:
                with content.open("rb") as source:
                    shutil.copyfileobj(source, stream, 1 << 20)
            stream.flush()
            os.fsync(stream.fileno())
        if isinstance(content, Path) and sha256_of(folder / name) != hashes[name]:
            raise UserError(f"{name} changed while it was copied", where=str(content), do="publish it again")
