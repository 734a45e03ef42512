"""Fits timm's published tensors to a network by timm's own rules, never by guessing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import timm
import torch
from timm.models import get_pretrained_cfg
from timm.models._manipulate import adapt_input_conv
from timm.models._pretrained import PretrainedCfg
from torch import nn

from zoo.contracts.model import WeightsRecord
from zoo.errors import UserError


@dataclass(frozen=True)
class TimmConverter:
    """Older names, position tables of another image size, and first convolutions for other channels.

    timm keeps a filter for each family inside its loading code. It runs here on a second network with the published
    number of classes and channels, which timm loads strictly; what that network then holds is handed on.
    """

    arch: str
    tag: str
    channels: int
    classifier: str
    options: Mapping[str, Any]

    def __call__(self, tensors: Mapping[str, torch.Tensor], record: WeightsRecord) -> dict[str, torch.Tensor]:
        """Published tensors to the network's names and shapes; the head keeps the published number of outputs.

        Raises:
            UserError: timm's rules do not fit them to this network.
        """
        published = self._load(tensors, self._outputs(tensors, record))
        state = dict(published.state_dict())
        return self._adapt_channels(published, state)

    def _outputs(self, tensors: Mapping[str, torch.Tensor], record: WeightsRecord) -> int:
        """Outputs of the head in the file: a file of another head than the published one says so by its shape."""
        weight = tensors.get(f"{self.classifier}.weight")
        cfg = self._published()
        if weight is None or weight.shape[0] == cfg.num_classes + (cfg.label_offset or 0):
            return int(cfg.num_classes)
        return int(weight.shape[0])

    def _load(self, tensors: Mapping[str, torch.Tensor], classes: int) -> nn.Module:
        """A network as published that timm itself filled."""
        overlay = {"state_dict": dict(tensors), "custom_load": False, "num_classes": classes}
        channels = self._file_channels()
        try:
            module: nn.Module = timm.create_model(
                self.arch,
                pretrained=True,
                pretrained_cfg=self.tag or None,
                pretrained_cfg_overlay=overlay,
                num_classes=classes,
                in_chans=channels,
                **self.options,
            )
        except (RuntimeError, KeyError, ValueError, AssertionError, AttributeError, TypeError) as error:
            raise UserError(
                f"the weights do not fit timm/{self.arch}: {_first_lines(error)}",
                do="check that the file belongs to this network and these model options",
            ) from error
        return module

    def _file_channels(self) -> int:
        """Input channels of the published network."""
        return int(self._published().input_size[0])

    def _published(self) -> PretrainedCfg:
        return get_pretrained_cfg(f"{self.arch}.{self.tag}" if self.tag else self.arch)

    def _adapt_channels(self, published: nn.Module, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """First convolutions for the channels of the data."""
        base = self._file_channels()
        if self.channels == base:
            return state
        first = getattr(published, "_traits", {}).get("first_conv")
        for layer in [first] if isinstance(first, str) else list(first or ()):
            key = f"{layer}.weight"
            try:
                state[key] = adapt_input_conv(self.channels, state[key], base_chans=base)
            except (NotImplementedError, KeyError) as error:
                raise UserError(
                    f"the pretrained first layer of timm/{self.arch} has no form for {self.channels} channels",
                    where="data.channels",
                    do="data.channels=3, or another network",
                ) from error
        return state


def _first_lines(error: Exception) -> str:
    """The gist of torch's long list of keys."""
    text = re.sub(r"\s+", " ", str(error)).strip()
    return text if len(text) <= 400 else text[:400] + "..."
