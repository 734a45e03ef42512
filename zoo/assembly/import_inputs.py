"""What a converted model needs beside its values: components' options, how pixels are prepared, class names."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from zoo.config import schema
from zoo.contracts.importing import ForeignModel
from zoo.contracts.model import Model
from zoo.errors import UserError, name_list
from zoo.imaging.preprocess import Preprocess
from zoo.registry import Entry


@dataclass(frozen=True)
class Convention:
    """A way to prepare pixels that many weights share, in the order R, G, B.

    Attributes:
        mean: Of values in [0, 1].
        std: Of values in [0, 1].
        reverse: The network reads B, G, R; its first layer is turned when it is imported.
        meaning: For messages.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    meaning: str
    reverse: bool = False


CAFFE_MEAN = (123.68, 116.779, 103.939)
"""ImageNet's mean pixel in R, G, B, as Caffe's VGG and Keras' `caffe` mode have it."""

CONVENTIONS: Mapping[str, Convention] = {
    "imagenet": Convention((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), "ImageNet's mean and deviation"),
    "caffe": Convention(
        tuple(value / 255 for value in CAFFE_MEAN), (1 / 255,) * 3, "B, G, R from 0 to 255, less the mean pixel", True
    ),
    "tf": Convention((0.5,), (0.5,), "values from -1 to 1"),
    "unit": Convention((0.0,), (1.0,), "values from 0 to 1"),
    "raw": Convention((0.0,), (1 / 255,), "values from 0 to 255"),
}
"""What `preprocess=` takes.

Source: https://keras.io/api/applications/ (`preprocess_input` of each network: modes torch, caffe and tf).
"""


@dataclass(frozen=True)
class Prepared:
    """How the input is prepared, whether the source reads B, G, R, and how that is known."""

    preprocess: Preprocess
    reverse_input: bool
    how: str


def choose_preprocess(name: str | None, source: ForeignModel, *, model: Model) -> Prepared:
    """The preprocessing that the user names, that the file states, or else the network's own, and says which.

    Raises:
        UserError: The name is unknown, or its colours do not fit the channels.
    """
    own = model.spec.preprocess
    if name is None:
        if source.preprocess is not None:
            stated = dataclasses.replace(own, mean=source.preprocess.mean, std=source.preprocess.std)
            return Prepared(stated, source.channel_order == "bgr", "as the file, or its published network, states it")
        how = "assumed: the network's own; the file does not say how its input is prepared (preprocess= sets it)"
        return Prepared(own, source.channel_order == "bgr", how)
    if name not in CONVENTIONS:
        allowed = ", ".join(f"{key} ({value.meaning})" for key, value in CONVENTIONS.items())
        raise UserError(f"unknown preprocessing {name!r}", where=f"preprocess={name}", allowed=allowed)
    chosen = CONVENTIONS[name]
    if len(chosen.mean) not in (1, own.channels):
        raise UserError(
            f"preprocess={name} has {len(chosen.mean)} colours, the network reads {own.channels}",
            where=f"preprocess={name}",
            allowed=name_list("raw", [key for key, value in CONVENTIONS.items() if len(value.mean) == 1]),
        )
    times = own.channels if len(chosen.mean) == 1 else 1
    stated = dataclasses.replace(own, mean=chosen.mean * times, std=chosen.std * times)
    return Prepared(stated, chosen.reverse, f"{name}, as asked: {chosen.meaning}")


def component_options(entry: Entry, given: Mapping[str, str], *, prefix: str) -> dict[str, Any]:
    """Options of a component as they were typed (`model.activation=tanh`), checked against its signature.

    Args:
        entry: The component.
        given: Option to text.
        prefix: What stands before the dot, for messages.

    Raises:
        UserError: An option is unknown, or its value does not fit.
    """
    known = {option.name: option for option in schema.options(entry)}
    checked: dict[str, Any] = {}
    for name, text in given.items():
        where = f"{prefix}.{name}={text}"
        if name not in known:
            raise UserError(f"{entry.full_name} has no option {name!r}", where=where, allowed=name_list(name, known))
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError:
            value = text
        for candidate in (value, text):
            try:
                checked[name] = schema.convert(candidate, known[name].annotation)
                break
            except ValueError:
                continue
        else:
            raise UserError(f"{text!r} does not fit {prefix}.{name}", where=where, allowed=known[name].type_name)
    return checked


def choose_classes(path: str | None, *, count: int, model: Model) -> tuple[tuple[str, ...], str]:
    """Names of the outputs, and where they come from.

    Args:
        path: A text file with one name a line, or None.
        count: Number of outputs.
        model: The network; the library that built it may know the names of its published weights.

    Raises:
        UserError: The file cannot be read, or does not hold as many different names as there are outputs.
    """
    if path is not None:
        return _read_names(Path(path).expanduser(), count=count), path
    if count == 1000:
        return _imagenet_names(model), "ImageNet's, by the number of outputs (classes= sets others)"
    width = len(str(count - 1))
    return tuple(f"class{number:0{width}d}" for number in range(count)), "numbered; the file has none (classes=)"


def _read_names(path: Path, *, count: int) -> tuple[str, ...]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"the class names cannot be read: {error}", where=f"classes={path}") from error
    names = tuple(line.strip() for line in lines if line.strip())
    twice = [name for name, times in Counter(names).items() if times > 1]
    if len(names) != count or twice:
        raise UserError(
            f"{len(names)} class names for {count} outputs" + (f"; {twice[0]!r} stands twice" if twice else ""),
            where=f"classes={path}",
            allowed=f"{count} different names, one a line, in the order of the outputs",
        )
    return names


def _imagenet_names(model: Model) -> tuple[str, ...]:
    """The library's own list where it has one for its first weights, else timm's; equal names get their WordNet id."""
    from timm.data import ImageNetInfo

    info = ImageNetInfo("imagenet-1k")
    stated: tuple[str, ...] = ()
    if model.labels is not None and model.spec.weights:
        stated = model.labels(model.spec.weights[0])
    if len(stated) != 1000:
        stated = tuple(info.index_to_description(index) for index in range(1000))
    times = Counter(stated)
    return tuple(
        name if times[name] == 1 else f"{name} ({info.index_to_label_name(index)})" for index, name in enumerate(stated)
    )
