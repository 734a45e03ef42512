"""Fits timm's published tensors to a network by timm's own rules, never by guessing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import timm
import torch
from timm.models import _builder, get_pretrained_cfg
from timm.models._manipulate import adapt_input_conv
from timm.models.dla import DlaTree
from torch import nn

from zoo.contracts.model import WeightsRecord
from zoo.errors import UserError

Tensors = Mapping[str, torch.Tensor]
Filter = Callable[[dict[str, torch.Tensor], nn.Module], Tensors]


@dataclass(frozen=True)
class TimmConverter:
    """Older names, position tables of another image size, and first convolutions for other channels.

    timm keeps a filter for each family inside its loading code. It is taken from there and run against a second
    network, of the published number of classes and channels; whether the outcome fits is left to the strict loader.
    (timm's own loading is not strict for all families: DLA, ConvNeXt's `fcmae` and others may keep random values.)
    """

    arch: str
    tag: str
    channels: int
    classifier: str
    options: Mapping[str, Any]

    def __call__(self, tensors: Tensors, record: WeightsRecord) -> dict[str, torch.Tensor]:
        """Published tensors to the network's names and shapes; the head keeps the published number of outputs.

        Raises:
            UserError: timm's rules cannot read them.
        """
        cfg = get_pretrained_cfg(f"{self.arch}.{self.tag}" if self.tag else self.arch)
        weight = tensors.get(f"{self.classifier}.weight")
        classes = cfg.num_classes if weight is None else weight.shape[0]
        channels = cfg.input_size[0]
        arguments = {**self.options, "num_classes": classes, "in_chans": channels}
        published, rules = network_and_filter(self.arch, self.tag, arguments=arguments)
        try:
            state = dict(tensors) if rules is None else dict(rules(dict(tensors), published))
        except (RuntimeError, KeyError, ValueError, AssertionError, AttributeError, TypeError, IndexError) as error:
            raise UserError(
                f"the weights do not fit timm/{self.arch}: {type(error).__name__}: {str(error)[:300]}",
                do="check that the file belongs to this network and these model options",
            ) from error
        return state if self.channels == channels else self._adapt_channels(published, state, present=channels)

    def _adapt_channels(
        self, published: nn.Module, state: dict[str, torch.Tensor], *, present: int
    ) -> dict[str, torch.Tensor]:
        """First convolutions for the channels of the data."""
        first = timm.models.get_model_traits(published).get("first_conv")
        for layer in [first] if isinstance(first, str) else list(first or ()):
            key = f"{layer}.weight"
            if key not in state:
                continue
            try:
                state[key] = adapt_input_conv(self.channels, state[key], base_chans=present)
            except NotImplementedError as error:
                raise UserError(
                    f"the pretrained first layer of timm/{self.arch} has no form for {self.channels} channels",
                    where="data.channels",
                    do=f"data.channels={present}, or another network",
                ) from error
        return state


def network_and_filter(arch: str, tag: str, *, arguments: Mapping[str, Any]) -> tuple[nn.Module, Filter | None]:
    """A network with random values, and the rules that timm has for files of its family, or None."""
    noted: list[Filter] = []

    def note(_model: nn.Module, *, filter_fn: Filter | None = None, **_: object) -> None:
        if filter_fn is not None:
            noted.append(filter_fn)

    with _instead_of_loading(note):
        module = timm.create_model(arch, pretrained=True, pretrained_cfg=tag or None, **arguments)
    return module, noted[0] if noted else None


@contextmanager
def _instead_of_loading(note: Callable[..., None]) -> Iterator[None]:
    """timm calls `note` where it would load weights: the one place in which it names the filter of a family."""
    original = _builder.load_pretrained
    _builder.load_pretrained = note
    try:
        yield
    finally:
        _builder.load_pretrained = original


def ignored_keys(arch: str, module: nn.Module) -> tuple[str, ...]:
    """Keys of published files that timm leaves out: an auxiliary classifier, and layers that DLA never uses."""
    if arch == "inception_v3":
        return (r"AuxLogits\.",)
    trees = [name for name, part in module.named_modules() if isinstance(part, DlaTree) and part.levels > 1]
    return tuple(rf"{re.escape(name)}\.project\." for name in trees)


def fresh_keys(arch: str, tag: str) -> tuple[str, ...]:
    """Keys that published files lack: sets that were made without a classifier have no norm before it, either."""
    return (r"head\.norm\.",) if tag == "fcmae" or (arch.startswith("davit_") and arch.endswith("_fl")) else ()
