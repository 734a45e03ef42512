"""Activation functions between the layers: found by what they compute, and replaced.

An activation is a module without values of its own that maps every number, wherever it stands, by one function that is
not linear. Libraries have classes of their own for the same functions, so that a list of classes would miss some.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, get_args

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from zoo.contracts.model import Model
from zoo.contracts.network_options import Activation
from zoo.errors import UserError, name_list


class ScaledTanh(nn.Module):
    """f(a) = 1.7159 tanh(2/3 a), so that f(1) = 1 and f(-1) = -1, of any shape.

    Source: LeCun et al., doi:10.1109/5.726791, appendix A.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The function of each number."""
        return 1.7159 * torch.tanh(x * (2 / 3))


ACTIVATIONS: Mapping[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "selu": nn.SELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "mish": nn.Mish,
    "hardswish": nn.Hardswish,
    "softplus": nn.Softplus,
    "tanh": nn.Tanh,
    "scaled_tanh": ScaledTanh,
    "sigmoid": nn.Sigmoid,
    "linear": nn.Identity,
}
"""Every name of `Activation`, with torch's own constants (leaky_relu: slope 0.01, elu: alpha 1, gelu: exact)."""

IN_CODE = frozenset(
    ("relu", "relu6", "leaky_relu", "elu", "selu", "celu", "gelu", "silu", "mish", "hardswish", "tanh", "prelu")
)
"""Functions of torch that stand for an activation where a network calls them itself; sigmoids gate, more often."""

_ORDER_STRIDE, _POINTS = 37, 96
_SHAPE = (2, 3, 4, 4)


def make_activation(name: str, *, where: str = "model.activation") -> nn.Module:
    """The module of an activation's name.

    Raises:
        UserError: There is none of this name.
    """
    if name not in ACTIVATIONS:
        known = get_args(Activation)
        raise UserError(f"unknown activation {name!r}", where=where, allowed=name_list(name, known, most=len(known)))
    return ACTIVATIONS[name]()


def replace_activations(model: Model, name: str) -> Model:
    """Puts another activation in the place of all of a network's own, in place; its head is left as it is.

    Gates stay: modules with values in [0, 1] (sigmoid, hard sigmoid), where the network has other activations too.

    Args:
        model: With any values.
        name: One of `Activation`.

    Raises:
        UserError: The network has no activation, or applies some in its code, where they cannot be replaced.
    """
    new = make_activation(name)
    places = activation_places(model)
    in_code = activations_in_code(model)
    if in_code:
        called = ", ".join(f"{function} {count}x" for function, count in sorted(in_code.items()))
        raise UserError(
            f"{model.spec.name} applies activations in its code ({called}), where they cannot be replaced",
            where=f"model.activation={name}",
            do=["leave model.activation out", "take a network whose activations are modules: resnet18, vgg11_bn, mlp"],
        )
    if not places:
        raise UserError(
            f"{model.spec.name} has no activation between its layers: there is nothing to replace",
            where=f"model.activation={name}",
            do="leave model.activation out, or take another network",
        )
    for path in places:
        model.module.set_submodule(path, type(new)())
    return model


def activation_places(model: Model) -> dict[str, str]:
    """Dotted path of every activation outside the head to its name, "" where `ACTIVATIONS` has no such function."""
    head = model.spec.classifier
    found = {
        path: curve
        for path, module in model.module.named_modules(remove_duplicate=False)
        if path and path != head and not path.startswith(f"{head}.") and (curve := _curve(module)) is not None
    }
    gates = {path for path, curve in found.items() if curve.min() >= 0 and curve.max() <= 1}
    if len(gates) < len(found):
        found = {path: curve for path, curve in found.items() if path not in gates}
    known = {name: _curve(make()) for name, make in ACTIVATIONS.items() if name != "linear"}
    return {path: _name_of(curve, known) for path, curve in found.items()}


def main_activation(model: Model) -> str:
    """The activation that most places of a network have, in its code too: `linear` where it has none, "" where it is
    none that `ACTIVATIONS` knows."""
    votes = Counter(activation_places(model).values())
    votes.update(activations_in_code(model))
    if not votes:
        return "linear"
    most = votes.most_common(1)[0][0]
    return most if most in ACTIVATIONS else ""


def activations_in_code(model: Model) -> Counter[str]:
    """Activations that a network calls itself rather than by a module, and how often in one forward pass."""
    preprocess = model.spec.preprocess
    reference = next(model.module.parameters())
    blank = reference.new_zeros(1, preprocess.channels, preprocess.size, preprocess.size)
    modes = [(part, part.training) for part in model.module.modules()]
    watch = _Watch()
    aside = [module for module in model.module.modules() if _curve(module) is not None] + [model.head]
    handles = [module.register_forward_pre_hook(watch.enter) for module in aside]
    handles += [module.register_forward_hook(watch.leave) for module in aside]
    try:
        with torch.no_grad(), watch:
            model.module.eval()(blank)
    finally:
        for handle in handles:
            handle.remove()
        for part, training in modes:
            part.training = training
    return watch.found


class _Watch(TorchFunctionMode):
    """Counts calls of `IN_CODE` that come from no activation module and not from the head."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[str] = Counter()
        self._inside = 0

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name = str(getattr(func, "__name__", "")).rstrip("_")
        if not self._inside and name in IN_CODE:
            self.found[name] += 1
        return func(*args, **(kwargs or {}))

    def enter(self, *_: Any) -> None:
        """Called before a module whose inside does not count."""
        self._inside += 1

    def leave(self, *_: Any) -> None:
        """Called behind it."""
        self._inside -= 1


def _curve(module: nn.Module) -> torch.Tensor | None:
    """An activation's values on a grid, float[96]; None for a module that is none."""
    if isinstance(module, nn.PReLU):
        with torch.no_grad():
            return nn.functional.prelu(_grid(), module.weight.detach().mean().reshape(1).to(_grid()))
    if any(True for _ in module.children()) or any(True for _ in module.parameters()):
        return None
    grid = _grid()
    mixed = torch.arange(_POINTS) * _ORDER_STRIDE % _POINTS  # a permutation: the two numbers share no factor
    straight, shuffled = _apply(module, grid), _apply(module, grid[mixed])
    if straight is None or shuffled is None or not torch.allclose(straight[mixed], shuffled, atol=1e-6):
        return None
    bends = (straight[2:] - 2 * straight[1:-1] + straight[:-2]).abs().max()
    return straight if bends > 1e-4 else None


def _grid() -> torch.Tensor:
    return torch.linspace(-8, 8, _POINTS)


def _apply(module: nn.Module, values: torch.Tensor) -> torch.Tensor | None:
    """float[96] through a module as a batch of maps, in eval mode; None where it does not take or keep that shape."""
    training = module.training
    try:
        with torch.no_grad():
            out = module.eval()(values.reshape(_SHAPE).clone())
    except Exception:  # a module that wants something else than one batch of maps is no activation, whatever it raises
        return None
    finally:
        module.training = training
    kept = isinstance(out, torch.Tensor) and out.shape == _SHAPE and bool(out.isfinite().all())
    return out.flatten() if kept else None


def _name_of(curve: torch.Tensor, known: Mapping[str, torch.Tensor | None]) -> str:
    """The name of the function that has this curve, or ""."""
    for name, other in known.items():
        if other is not None and torch.allclose(curve, other, atol=1e-5):
            return name
    return ""
