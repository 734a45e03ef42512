"""Penalties that keep a network near its pretrained self, or free of what it should not keep: L2-SP, DELTA, BSS."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle
from zoo_plugins.option_checks import check_range, no_effect
from zoo_plugins.regularizing.parts import backbone, head, stage_ends
from zoo_plugins.regularizing.recording import HeadInput

from zoo.contracts.model import Model
from zoo.contracts.training import Setting
from zoo.errors import UserError


class L2SP:
    """Pulls the backbone towards its pretrained values, and the head towards zero.

    Adds alpha / 2 * sum((w - w0)^2) over the trained parameters outside the head, w0 their values when the run began,
    and beta / 2 * sum(v^2) over the head's.

    Source: arXiv:1802.01483 (Li, Grandvalet and Davoine 2018, equation 2), with the factors of its experiments. Where
    the optimizer decays weights too (AdamW), that decay still pulls towards zero: `optimizer.weight_decay=0` leaves
    L2-SP alone.

    Args:
        alpha: Weight of the distance to the pretrained values, above 0.
        beta: Weight of the head's size, 0 or more.
    """

    def __init__(self, *, alpha: float = 0.1, beta: float = 0.01) -> None:
        self.alpha, self.beta = _checked(alpha, beta, name="l2sp")
        self._start: dict[str, Tensor] = {}

    def check(self, setting: Setting) -> None:
        """Refuses a network without pretrained values, and a backbone whose own values are not trained.

        Raises:
            UserError: Of either.
        """
        _check_transfer(setting, "l2sp")
        if setting.parameters == "adapters":
            raise no_effect(
                "l2sp on a backbone whose own values stay as they are, beside adapters,",
                where="regularizers.l2sp",
                do=["regularizers=[l2] keeps the adapters small, which is the same", "or use strategy=full"],
            )

    def change_model(self, model: Model) -> None:
        """Keeps the backbone's values; nothing in the network changes."""
        head_names = {name for name, _ in model.head.named_parameters(prefix=model.spec.classifier)}
        named = model.module.named_parameters()
        self._start = {name: p.detach().clone() for name, p in named if name not in head_names}

    def penalty(self, model: Model) -> Tensor:
        """The penalty of this step, float32[]; what is frozen, or was added since the start, has no distance."""
        shared = [(name, p) for name, p in backbone(model).items() if name in self._start]
        distances = [(p.float() - self._start[name].float()).square().sum() for name, p in shared]
        sizes = [p.float().square().sum() for p in head(model)]
        return self.alpha / 2 * _total(distances, model) + self.beta / 2 * _total(sizes, model)


class Delta:
    """Keeps the network's feature maps near those of the pretrained network on the same images.

    Adds alpha / 2 * sum over stages of mean((f - f0)^2) + beta / 2 * sum(v^2): f is a stage's output in this network,
    f0 in a frozen copy of it (in evaluation mode) as the run began, v the head's parameters; the mean is over images,
    channels and positions. The copy doubles the network's memory, and each step has one more forward pass. A stage
    whose output is no single tensor is left out.

    Source: arXiv:1901.09229 (Li et al. 2019, DELTA). Deviations: all channels weigh the same, 1 / C, where the paper
    weighs each by the loss that its removal costs; differences are divided by the number of positions, as in tllib's
    implementation, and by the number of images, so that alpha depends neither on the image size nor on the batch.

    Args:
        alpha: Weight of the distance between feature maps, above 0.
        beta: Weight of the head's size, 0 or more.
    """

    def __init__(self, *, alpha: float = 1.0, beta: float = 0.01) -> None:
        self.alpha, self.beta = _checked(alpha, beta, name="delta")
        self._pair: _Pair | None = None

    def check(self, setting: Setting) -> None:
        """Refuses a network without pretrained values, and a backbone that is not trained.

        Raises:
            UserError: Of either.
        """
        _check_transfer(setting, "delta")

    def change_model(self, model: Model) -> None:
        """Copies the network, and lets the outputs of the stages be seen.

        Raises:
            UserError: The network has no stages with an output of their own.
        """
        ends = list(stage_ends(model).values())
        if not ends:
            raise no_effect(
                f"delta on {model.spec.name}, which has no stages with an output of their own,",
                where="regularizers.delta",
                do="regularizers=[l2sp] keeps its weights near the pretrained ones instead",
            )
        frozen = copy.deepcopy(model.module).eval().requires_grad_(False)
        self._pair = _Pair(model.module, frozen, ends=ends)

    def restore_model(self, model: Model) -> None:
        """Looks no longer."""
        if self._pair is not None:
            self._pair.detach()
            self._pair = None

    def penalty(self, model: Model) -> Tensor:
        """The penalty of this step, float32[].

        Raises:
            RuntimeError: No training pass went through the network since the last time.
        """
        distances = [] if self._pair is None else self._pair.take()
        if not distances:
            raise RuntimeError("delta was asked for a penalty with no forward pass in training mode before it")
        sizes = [p.float().square().sum() for p in head(model)]
        return self.alpha / 2 * _total(distances, model) + self.beta / 2 * _total(sizes, model)


class _Pair:
    """A network and its frozen copy, whose stages are compared in every training pass.

    Hooks see the stages' outputs. Copied or pickled along with the network it is empty: it belongs to one training.
    """

    def __init__(self, network: nn.Module, frozen: nn.Module, *, ends: list[str]) -> None:
        self._frozen: nn.Module | None = frozen
        self._outputs: dict[str, Tensor] = {}
        self._wanted: dict[str, Tensor] = {}
        self._handles: list[RemovableHandle] = [network.register_forward_pre_hook(self)]
        for path in ends:
            self._handles.append(network.get_submodule(path).register_forward_hook(_Keep(self._outputs, path)))
            self._handles.append(frozen.get_submodule(path).register_forward_hook(_Keep(self._wanted, path)))

    def __call__(self, network: nn.Module, inputs: tuple[Any, ...]) -> None:
        """Before a pass of the network: in training, the same images go through the copy."""
        if self._frozen is not None and network.training and torch.is_grad_enabled():
            with torch.no_grad():
                self._frozen(*inputs)
            self._outputs.clear()

    def take(self) -> list[Tensor]:
        """float32[] mean squared distances of the stages, once: keeping the outputs would keep the step's graph."""
        found = [
            _mean((self._outputs[path].float() - wanted.float()).square())
            for path, wanted in self._wanted.items()
            if path in self._outputs
        ]
        self._outputs.clear()
        self._wanted.clear()
        return found

    def detach(self) -> None:
        """Takes all hooks off."""
        for handle in self._handles:
            handle.remove()

    def __getstate__(self) -> Mapping[str, Any]:
        return {"_frozen": None, "_outputs": {}, "_wanted": {}, "_handles": []}


def _mean(values: Tensor) -> Tensor:
    """Their mean, float32[]; 0 of none, as where one of several processes has no image of a batch."""
    return values.mean() if values.numel() else values.sum()


class _Keep:
    """A forward hook that keeps a module's output under a name; outputs that are no single tensor are left out."""

    def __init__(self, kept: dict[str, Tensor], path: str) -> None:
        self._kept, self._path = kept, path

    def __call__(self, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        if isinstance(output, Tensor):
            self._kept[self._path] = output

    def __getstate__(self) -> Mapping[str, Any]:
        return {"_kept": {}, "_path": self._path}


class BSS:
    """Batch spectral shrinkage: suppresses the directions in which features carry least, which transfer badly.

    Adds eta * sum of the k smallest squared singular values of the feature matrix float[B, F] that enters the head.
    A batch with fewer than k images, or features, has all of its singular values counted. With several processes each
    looks at its own part of the batch.

    Source: Chen et al., Catastrophic Forgetting Meets Negative Transfer: Batch Spectral Shrinkage for Safe Transfer
    Learning, NeurIPS 2019; the defaults are the paper's.

    Args:
        eta: Weight of the penalty, above 0.
        k: Number of singular values, 1 or more.
    """

    def __init__(self, *, eta: float = 0.001, k: int = 1) -> None:
        if eta == 0:
            raise no_effect("bss with eta=0", where="regularizers.bss.eta", do="raise eta, or leave bss out")
        check_range(eta, where="regularizers.bss.eta", low=0, high=float("inf"), above=True)
        check_range(k, where="regularizers.bss.k", low=1, high=float("inf"))
        self.eta, self.k = eta, k
        self._features = HeadInput()

    def check(self, setting: Setting) -> None:
        """Refuses features that are fixed.

        Raises:
            UserError: The backbone is not trained.
        """
        _check_trained(setting, "bss")

    def change_model(self, model: Model) -> None:
        """Lets the features be seen as they enter the head, ahead of any dropout there."""
        self._features.attach(model)

    def restore_model(self, model: Model) -> None:
        """Looks at them no longer."""
        self._features.detach()

    def penalty(self, model: Model) -> Tensor:
        """The penalty of this step, float32[]."""
        values: Tensor = torch.linalg.svdvals(self._features.take().float())
        return self.eta * values[-self.k :].square().sum()


def _checked(alpha: float, beta: float, *, name: str) -> tuple[float, float]:
    """Both factors, where they are in their ranges."""
    where = f"regularizers.{name}"
    if alpha == 0:
        raise no_effect(f"{name} with alpha=0", where=f"{where}.alpha", do=f"raise alpha, or leave {name} out")
    check_range(alpha, where=f"{where}.alpha", low=0, high=float("inf"), above=True)
    check_range(beta, where=f"{where}.beta", low=0, high=float("inf"))
    return alpha, beta


def _total(terms: list[Tensor], model: Model) -> Tensor:
    """Their sum, float32[]; 0 where there are none."""
    if terms:
        return torch.stack(terms).sum()
    return torch.zeros((), device=next(model.module.parameters()).device)


def _check_transfer(setting: Setting, name: str) -> None:
    """Refuses a setting in which there is nothing to stay near to, or nothing that could move away."""
    if not setting.pretrained:
        raise UserError(
            f"{name} keeps a network near its pretrained values, and this one starts from random ones",
            where=f"regularizers.{name}",
            do=["leave out weights=none", f"or use regularizers=[l2] in place of {name}"],
        )
    _check_trained(setting, name)


def _check_trained(setting: Setting, name: str) -> None:
    if setting.backbone_fixed:
        raise no_effect(
            f"{name} on a frozen backbone",
            where=f"regularizers.{name}",
            do=["train the backbone too: strategy=full or strategy=lpft", f"leave {name} out"],
        )
