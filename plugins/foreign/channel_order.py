"""The order of colours that a net reads, where its framework reads images with OpenCV: blue, green, red."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from zoo_plugins.option_checks import check_choice

from zoo.contracts.importing import ForeignLayer

OrderOption = Literal["auto", "bgr", "rgb"]


def check_order(value: str) -> None:
    """Refuses what is no order of colours.

    Raises:
        UserError: With the choices.
    """
    check_choice(value, where="importer.channel_order", choices=("auto", "bgr", "rgb"))


def input_channels(layers: Sequence[ForeignLayer]) -> int:
    """Channels that the first layer reads; a dense layer's inputs where that is one."""
    first = layers[0]
    if first.kind == "norm":
        return int(first.tensors["weight"].size)
    return int(first.tensors["weight"].shape[1]) * int(first.facts.get("groups", 1))


def choose_order(option: OrderOption, layers: Sequence[ForeignLayer], *, notes: list[str]) -> Literal["bgr", "rgb"]:
    """The order asked for; `auto` is blue, green, red for three channels, which a sentence in `notes` then says."""
    if option != "auto":
        return option
    if input_channels(layers) != 3:
        return "rgb"
    notes.append("its first layer was taken to read B, G, R, as images come from OpenCV (importer.channel_order)")
    return "bgr"
