"""Checkpoints: written whole or not at all, read without unpickling."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from zoo.errors import UserError
from zoo.files import NO_ROOM


class Checkpoints:
    """The folder `checkpoints/` of a run, with `last` and `best` in it.

    A checkpoint is written under a temporary name, forced to disk, and renamed; the one before it is removed only
    then. So a full disk, or a kill at any moment, leaves the last good one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(
        self, name: str, *, tensors: Mapping[str, torch.Tensor], optimizer: Mapping[str, Any], state: Mapping[str, Any]
    ) -> None:
        """Writes one checkpoint.

        Args:
            name: `last` or `best`.
            tensors: Flat names to tensors; a prefix tells networks apart (`model.`, `average.`).
            optimizer: The optimizer's own `state_dict()`.
            state: Plain values for JSON.

        Raises:
            UserError: It could not be written (disk full, no permission); the one before it is untouched.
        """
        new = self.folder / f".{name}.new"
        try:
            shutil.rmtree(new, ignore_errors=True)
            new.mkdir(parents=True)
            save_file(
                {key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()},
                new / "tensors.safetensors",
            )
            with (new / "optimizer.pt").open("wb") as stream:
                torch.save(dict(optimizer), stream)
            (new / "state.json").write_text(json.dumps(state), encoding="utf-8")
            for file in new.iterdir():
                _force_to_disk(file)
            self._replace(name, new)
        except (OSError, RuntimeError, ValueError, SafetensorError) as error:
            shutil.rmtree(new, ignore_errors=True)
            failed = _failed_write(error)
            if failed is None:
                raise
            raise _cannot_write(self.folder / name, failed) from error

    def _replace(self, name: str, new: Path) -> None:
        """Renames in an order in which one whole checkpoint exists under a known name at every moment."""
        target, old = self.folder / name, self.folder / f".{name}.old"
        shutil.rmtree(old, ignore_errors=True)
        if target.exists():
            target.rename(old)
        new.rename(target)
        shutil.rmtree(old, ignore_errors=True)

    def find(self, name: str) -> Path | None:
        """Folder of a checkpoint; after a kill between two renames, the one that was being replaced."""
        for folder in (self.folder / name, self.folder / f".{name}.old"):
            if (folder / "state.json").is_file():
                return folder
        return None

    def state(self, name: str) -> dict[str, Any] | None:
        """The plain values of a checkpoint, or None where there is none."""
        folder = self.find(name)
        if folder is None:
            return None
        loaded: dict[str, Any] = json.loads((folder / "state.json").read_text(encoding="utf-8"))
        return loaded

    def tensors(self, name: str, prefix: str) -> dict[str, torch.Tensor]:
        """Tensors under one prefix, without it.

        Raises:
            UserError: There is no such checkpoint, or its file is torn.
        """
        folder = self.find(name)
        if folder is None:
            raise UserError(f"no checkpoint {name!r}", where=str(self.folder))
        try:
            loaded = load_file(folder / "tensors.safetensors")
        except Exception as error:  # safetensors raises its own type, which is not part of its interface
            raise UserError(
                f"the checkpoint {name!r} cannot be read: {error}", where=str(folder), do="start the run anew"
            ) from error
        return {key.removeprefix(prefix): tensor for key, tensor in loaded.items() if key.startswith(prefix)}

    def optimizer(self, name: str) -> dict[str, Any]:
        """The optimizer's state of a checkpoint."""
        folder = self.find(name)
        if folder is None:
            raise UserError(f"no checkpoint {name!r}", where=str(self.folder))
        loaded: dict[str, Any] = torch.load(folder / "optimizer.pt", weights_only=True, map_location="cpu")
        return loaded


def _force_to_disk(file: Path) -> None:
    with file.open("rb+") as handle:
        os.fsync(handle.fileno())


def _failed_write(error: BaseException) -> OSError | None:
    """The system's own error behind what a library raised, or None where no write failed.

    safetensors tells it in words (`... (os error 28)`); torch finds a position that it did not expect while it closes
    its archive, when the stream has failed already.
    """
    if isinstance(error, OSError):
        return error
    told = re.search(r"\(os error (\d+)\)", str(error)) if isinstance(error, SafetensorError) else None
    if told is not None:
        return OSError(int(told[1]), os.strerror(int(told[1])))
    return None if error.__context__ is None else _failed_write(error.__context__)


def _cannot_write(path: Path, error: OSError) -> UserError:
    full = error.errno in NO_ROOM
    return UserError(
        f"the checkpoint could not be written: {'the disk is full' if full else error.strerror or error}",
        where=str(path),
        do=["free some space, then continue from the last good checkpoint: `python -m zoo finetune resume=RUN_DIR`"],
    )
