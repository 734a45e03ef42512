"""Changes of a network that every library's networks can take: another activation, another norm, another epsilon."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from zoo.contracts.model import Model, Stage
from zoo.models.activations import replace_activations
from zoo.models.build import check_stages
from zoo.models.normalisation import replace_batch_norm, set_norm_epsilon

STRUCTURAL = ("activation", "norm", "norm_epsilon")
"""Options that change what a network computes: they are kept with a saved model, which is built again with them."""

AUTO, FRESH = "auto", "fresh"


def structural(options: Mapping[str, Any]) -> dict[str, Any]:
    """Of a model's options those that change what it computes. `norm=fresh` changes only where it starts."""
    return {key: options[key] for key in STRUCTURAL if options.get(key, AUTO) not in (AUTO, FRESH)}


def change_network(model: Model, options: Mapping[str, Any]) -> Model:
    """A network with the activation, norm and epsilon that its options name; changed in place.

    Args:
        model: As its library builds it, with any values.
        options: Common options of a model; others than `STRUCTURAL`, and `auto`, change nothing.

    Returns:
        The model, whose stages hold the parameters that are left.

    Raises:
        UserError: The network has no place for one of them.
    """
    asked = structural(options)
    if "norm" in asked:
        model = replace_batch_norm(model, asked["norm"])
    if "norm_epsilon" in asked:
        model = set_norm_epsilon(model, float(asked["norm_epsilon"]))
    if "activation" in asked:
        model = replace_activations(model, asked["activation"])
    return _with_present_stages(model) if asked else model


def _with_present_stages(model: Model) -> Model:
    """The model with stages of the parameters that it still has; a stage without any is left out."""
    present = {name for name, _ in model.module.named_parameters()}
    kept = (Stage(s.name, tuple(name for name in s.parameters if name in present)) for s in model.spec.stages)
    stages = tuple(stage for stage in kept if stage.parameters)
    return check_stages(dataclasses.replace(model, spec=dataclasses.replace(model.spec, stages=stages)))
