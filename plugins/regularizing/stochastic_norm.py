"""Stochastic normalization: BatchNorm that takes the moving statistics for some channels, in training too."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from zoo_plugins.option_checks import check_range, no_effect

from zoo.contracts.model import Model
from zoo.contracts.training import Setting


class StochasticNorm:
    """Normalises each channel by the moving statistics with probability `p`, else by those of the batch, in training.

    y = s * (x - m) / sqrt(v + eps) + (1 - s) * (x - mean(x)) / sqrt(var(x) + eps), then scale and shift, with one
    s ~ Bernoulli(p) for each channel of each BatchNorm layer and step; m and v are the moving statistics. In
    evaluation, and once training is over, the layers are plain BatchNorm of the same names and values.

    The moving statistics follow the batches, as in the paper and with BatchNorm's own momentum, whatever
    `strategy.freeze_norm` says, which is about BatchNorm: where they kept their pretrained values, on images unlike
    those of the pretraining, the two ways to normalise would contradict each other (ResNet-18 from photos to 500
    digits, 3 epochs: test accuracy 0.68). Layers whose parameters are frozen stay as they are.

    Source: Kou et al., Stochastic Normalization, NeurIPS 2020.

    Args:
        p: Probability in (0, 1) that a channel takes the moving statistics; the paper's is 0.5.
    """

    def __init__(self, *, p: float = 0.5) -> None:
        check_range(p, where="regularizers.stochastic_norm.p", low=0, high=1, above=True, below=True)
        self.p = p
        self._layers: dict[str, _BatchNorm] = {}

    def check(self, setting: Setting) -> None:
        """Refuses frozen layers.

        Raises:
            UserError: The backbone's own values, and with them its BatchNorm layers, are frozen.
        """
        if setting.backbone_fixed or setting.parameters == "adapters":
            raise no_effect(
                "stochastic_norm on a frozen backbone",
                where="regularizers.stochastic_norm",
                do=["train the backbone too: strategy=full or strategy=lpft", "leave stochastic_norm out"],
            )

    def change_model(self, model: Model) -> None:
        """Puts a layer of the same names and values in the place of each BatchNorm layer.

        Raises:
            UserError: The network has no BatchNorm layers with moving statistics.
        """
        self._layers = {
            name: layer
            for name, layer in model.module.named_modules()
            if isinstance(layer, _BatchNorm) and layer.running_mean is not None
        }
        if not self._layers:
            raise no_effect(
                f"stochastic_norm on {model.spec.name}, which has no BatchNorm layers,",
                where="regularizers.stochastic_norm",
                do=["choose a network with BatchNorm (resnet, efficientnet)", "leave stochastic_norm out"],
            )
        for name, layer in self._layers.items():
            model.module.set_submodule(name, _Mixed(layer, self.p))

    def restore_model(self, model: Model) -> None:
        """Puts the BatchNorm layers back, with what they learned."""
        for name, layer in self._layers.items():
            model.module.set_submodule(name, layer.train(model.module.get_submodule(name).training))
        self._layers = {}


class _Mixed(nn.Module):
    """A BatchNorm layer in whose training passes some channels take the moving statistics.

    It is no BatchNorm itself, so that what holds BatchNorm in evaluation mode leaves it alone. It has the layer's own
    parameters, buffers and children (timm's layers hold their activation): the very dictionaries, so both always agree.

    Args:
        layer: Does the computing; any kind of BatchNorm, fused with an activation or not.
        p: Probability that a channel takes the moving statistics.
    """

    _layer: _BatchNorm

    def __init__(self, layer: _BatchNorm, p: float) -> None:
        super().__init__()
        self._parameters, self._buffers, self._modules = layer._parameters, layer._buffers, layer._modules
        object.__setattr__(self, "_layer", layer)  # not a child: its parameters are ours already
        self.p = p
        self.train(layer.training)

    @property
    def momentum(self) -> float | None:
        """How far a step moves the statistics, as the layer has it; None averages over all steps."""
        return self._layer.momentum

    @momentum.setter
    def momentum(self, value: float | None) -> None:
        self._layer.momentum = value

    def forward(self, images: Tensor) -> Any:
        """float[B, C, ...] to the same shape."""
        moving = self._pass(images, training=False)
        if not self.training or images.numel() == images.shape[1]:  # one value a channel has no variance
            return moving
        batch = self._pass(images, training=True)
        taken = torch.rand(batch.shape[1], device=batch.device) < self.p
        return torch.where(taken.view(-1, *[1] * (batch.ndim - 2)), moving, batch)

    def _pass(self, images: Tensor, *, training: bool) -> Tensor:
        self._layer.training = training
        output: Tensor = self._layer(images)
        return output
