"""The Python face: the same as the command line, in a few functions."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.plugins import load_plugins
from zoo.verbs.finetune import Run

if TYPE_CHECKING:
    from zoo.artifacts.predictor import Predictor
    from zoo.assembly.publishing import Published

__all__ = ["Run", "finetune", "list_models", "load", "publish"]


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
    """The model of a run, ready to predict; plugins of another version than its own are warned of.

    Args:
        run: A run folder, a saved model folder, a published model's name (in ZOO_PATH), or `hf:ORG/NAME`.
        device: `auto`, `cpu`, `cuda` or `mps`.

    Raises:
        UserError: There is no model, it was changed after saving, or a plugin that it needs is missing.
    """
    import warnings

    from zoo.assembly.using import load_predictor, saved_folder

    plugins = load_plugins()
    said: list[str] = []
    predictor = load_predictor(saved_folder(os.fspath(run), plugins.registry), plugins, device=device, say=said.append)
    for note in said:
        warnings.warn(note, stacklevel=2)
    return predictor


def publish(
    run: str | os.PathLike[str],
    *,
    to: str | os.PathLike[str],
    name: str | None = None,
    description: str | None = None,
    license: str | None = None,
    private: bool | None = None,
) -> Published:
    """Adds the model of a finished run to a zoo of your own, as `python -m zoo publish` does.

    Args:
        run: A finished run, or a saved model.
        to: A folder of models, or `hf:ORG/NAME`.
        name: In a folder; None makes it of the network and the data.
        description: Text for the model's card.
        license: Under which you publish it.
        private: On the hub, whether a new repository is seen by its owner alone; None makes it so.

    Returns:
        Its name, where it lies, the hash of its tensors, and whether it is new there.

    Raises:
        UserError: There is no finished run, the name is taken by another model, or the place cannot be written.
    """
    from zoo.assembly.publishing import publish_run

    place = to if isinstance(to, str) else os.fspath(to)
    return publish_run(
        Path(run).expanduser(),
        load_plugins(),
        to=place,
        name=name,
        description=description,
        license_name=license,
        private=private,
    )


def list_models(pattern: str = "*") -> list[str]:
    """Names of all models that match a pattern such as `resnet*`; imports the libraries that offer them."""
    import fnmatch

    return fnmatch.filter(load_plugins().registry.names("model"), pattern)
