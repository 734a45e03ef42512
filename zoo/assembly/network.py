"""Builds the network that the configuration names, with pretrained values and a head for the data's classes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from zoo.assembly.network_options import refused_by_weights, unlike_saved, with_pixels
from zoo.assembly.numbers import about_input, no_network_of_images, no_published_weights
from zoo.config.run_config import FinetuneConfig
from zoo.contracts.data import DataFacts
from zoo.contracts.model import FoundWeights, LoadReport, Model, WeightsRequest, WeightsSource
from zoo.errors import UserError, name_list, raise_all
from zoo.imaging.preprocess import Preprocess
from zoo.models.build import channels_last, check_forward, replace_head
from zoo.models.initialise import initialise
from zoo.models.normalisation import renew_norms
from zoo.models.surgery import AUTO, FRESH, change_network
from zoo.registry import Registry
from zoo.weights.load import find_weights, load_weights

Say = Callable[[str], None]

SMALLEST_INPUT_PX = 64


def input_size(facts: DataFacts, native: int) -> tuple[int, str]:
    """Side of the network's input that suits the images, and the rule that chose it.

    Images much smaller than the network's own input hold nothing more when they are blown up to it, and every pixel
    costs time: twice their median side is taken, in steps of 32 px. Measured on 8 px digits with EfficientNet-Lite0:
    64 px is as good as 224 px or better, at a twentieth of the time.
    """
    wanted = max(SMALLEST_INPUT_PX, -(-2 * facts.median_side_px // 32) * 32)
    if wanted >= native:
        return native, "the network's own"
    return wanted, f"images of {facts.median_side_px} px (median short side); the network's own is {native} px"


def build_backbone(
    config: FinetuneConfig, registry: Registry, *, facts: DataFacts, say: Say, weights: str | None = None
) -> tuple[Model, FoundWeights | None]:
    """The network with random values, at the input size that suits, and the pretrained values that were found.

    Args:
        weights: Instead of the configuration's: the source that a resumed run began with.

    Raises:
        UserError: The network cannot take an option or the images, or there are no such weights.
        UserErrors: Options of the network that published weights do not allow.
    """
    entry = registry.get("model", config.model.name)
    options, choice = config.model.common, weights or config.weights
    asked = facts.median_side_px if facts.arrays else options["image_size"]
    size = asked if isinstance(asked, int) else None

    def build() -> Model:
        try:
            built = entry.build(**config.model.own, classes=facts.classes, channels=facts.channels, image_size=size)
        except (ValueError, UserError) as error:
            if not facts.arrays or not about_input(error):
                raise
            raise no_network_of_images(config, facts) from error
        return change_network(built, options)

    at_path = not weight_sources(registry, choice) and Path(choice).expanduser().exists()
    raise_all(refused_by_weights(config, choice, at_path=at_path))
    if facts.arrays and choice != "none" and not at_path:
        raise no_published_weights(config, "the data")
    model = build()
    found = choose_weights(choice, registry, model=model, name=config.model.name, say=say)
    if found is not None:
        raise_all(unlike_saved(config, found))
    preprocess = model.spec.preprocess if found is None else found.record.preprocess
    native = preprocess.size if found is None else found.record.finetune_px or preprocess.size
    if size is None and asked == "auto":
        size, why = input_size(facts, native)
        if size != preprocess.size:
            model = build()
        say(f"input   {size} px: {why}")
    if facts.arrays and found is not None and not preprocess.takes_numbers:
        raise no_published_weights(config, "the data")
    if not facts.arrays and preprocess.takes_numbers:
        raise UserError("these weights were trained on arrays of numbers, and the data are images", where="weights")
    numbers = Preprocess.of_numbers(channels=facts.channels, size=facts.median_side_px) if facts.arrays else None
    preprocess = numbers or adapted(preprocess, channels=facts.channels, size=size)
    if options.get("pixels", AUTO) != AUTO:
        preprocess = with_pixels(preprocess, options["pixels"])
    model = dataclasses.replace(model, spec=dataclasses.replace(model.spec, preprocess=preprocess))
    try:
        return check_forward(model), found
    except UserError as error:
        if not facts.arrays:
            raise
        raise no_network_of_images(config, facts) from error


def adapted(preprocess: Preprocess, *, channels: int, size: int | None) -> Preprocess:
    """The weights' own preprocessing for this number of channels and input size."""
    fitted = preprocess.with_channels(channels)
    return fitted if size is None else fitted.with_size(size)


def choose_weights(choice: str, registry: Registry, *, model: Model, name: str, say: Say) -> FoundWeights | None:
    """The pretrained values that `weights=` means; None only for `weights=none`.

    Args:
        choice: `auto`, `none`, the name of a source (`hub`, `starter`...), or a path.
        name: The network's name as it was asked for, with or without a weight tag.

    Raises:
        UserError: There are none, or a path does not exist.
    """
    request = WeightsRequest(model.spec, model.spec.weights, named="." in name.rpartition("/")[2])
    sources = weight_sources(registry, choice)
    path = Path(choice).expanduser()
    if not sources and choice != "none" and not path.exists():
        known = ["auto", "none", *(name for name, _ in weight_sources(registry))]
        raise UserError(
            f"weights={choice}: there is no file, no folder and no source of this name",
            where="weights",
            allowed=f"{name_list(choice, known)}; or the path of a weight file, of a saved model, or of a run",
        )
    if choice != "auto" and sources and path.exists():
        say(f"weights={choice}: took the source of that name; write weights=./{choice} for the path")
    return find_weights(request, sources, choice=choice, say=say)


def weight_sources(registry: Registry, choice: str = "auto") -> list[tuple[str, WeightsSource]]:
    """Weight sources by name, in the order in which they are asked.

    Args:
        choice: A source's name leaves that one and those that keep copies of what it has; `auto` leaves all.
    """
    entries = sorted(registry.entries("weights"), key=lambda entry: entry.facts.get("rank", 100))
    if choice != "auto":
        entries = [entry for entry in entries if choice in (entry.name, entry.facts.get("copies"))]
    return [(entry.name, entry.build()) for entry in entries]


def finish_network(
    model: Model,
    found: FoundWeights | None,
    *,
    config: FinetuneConfig,
    registry: Registry,
    classes: int,
    say: Say | None = None,
) -> tuple[Model, LoadReport]:
    """The network with its first values, pretrained or drawn as `model.init` says, and the chosen head in its slot,
    laid out for speed.

    Raises:
        UserError: The weights do not fit, or a layer cannot be drawn so.
    """
    options, said = config.model.common, say or (lambda _: None)
    report = load_weights(model, found, head_is_new=True)
    if options.get("norm") == FRESH:
        said(f"norm    fresh: {renew_norms(model)} layers")
    head = registry.get("head", config.head.name).build(
        **config.head.own, features=model.spec.feature_dim, classes=classes
    )
    model = replace_head(model, head)
    if options.get("init", AUTO) != AUTO:
        said(f"init    {initialise(model, options['init'])}")
    channels_last(model.module)
    return model, report
