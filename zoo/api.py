"""The Python face: the same as the command line, in three functions."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.plugins import load_plugins
from zoo.verbs.finetune import Run

if TYPE_CHECKING:
    from zoo.artifacts.predictor import Predictor

__all__ = ["Run", "finetune", "list_models", "load"]


def finetune(*overrides: str, **groups: Any) -> Run:
    """Fine-tunes, as `python -m zoo finetune` does.

    Args:
        *overrides: `key=value` words, as on the command line: `"train.epochs=5"`.
        **groups: The same with Python values: `model="resnet18"`, `data=Path("photos")`,
            `augmentations=["flip", "rotate"]`.

    Returns:
        The finished run: its folder, classes and scores.

    Raises:
        UserError: Something given cannot be used; the message says what is allowed.
    """
    from zoo.cli import QUIET
    from zoo.verbs.finetune import finetune as run_words

    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    words = [*overrides, *(f"{key}={as_word(value)}" for key, value in groups.items())]
    return run_words(words, plugins=load_plugins())


def as_word(value: Any) -> str:
    """A Python value as the command line would have it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, os.PathLike):
        path = os.fspath(value)
        return path if path.startswith((".", "/", "~")) else f"./{path}"  # a path, whatever is registered by its name
    if isinstance(value, list | tuple):
        return f"[{','.join(as_word(item) for item in value)}]"
    return str(value)


def load(run: str | os.PathLike[str], *, device: str = "auto") -> Predictor:
    """The model of a run, ready to predict.

    Args:
        run: A run folder, or a saved model folder.
        device: `auto`, `cpu`, `cuda` or `mps`.

    Raises:
        UserError: There is no model, it was changed after saving, or a plugin that it needs is missing.
    """
    from zoo.assembly.using import load_predictor

    return load_predictor(Path(run).expanduser(), load_plugins(), device=device)


def list_models(pattern: str = "*") -> list[str]:
    """Names of all models that match a pattern such as `resnet*`; imports the libraries that offer them."""
    import fnmatch

    return fnmatch.filter(load_plugins().registry.names("model"), pattern)
