"""Data that are arrays of numbers: what of a configuration is made for images alone."""

from __future__ import annotations

from zoo.config.run_config import FinetuneConfig
from zoo.contracts.data import DataFacts
from zoo.errors import UserError

IMAGE_KEYS = ("strategy.crop_scale", "strategy.flip", "strategy.start_px", "model.image_size", "model.pixels")
"""Keys that act on images alone."""


def refused_for_numbers(config: FinetuneConfig, location: str) -> list[UserError]:
    """An error for each thing asked for that could do nothing to arrays of numbers.

    Args:
        config: Of the run.
        location: What the data are, for the message.
    """
    asked = [component.key for component in config.augmentations]
    asked += [key for key in IMAGE_KEYS if config.asked(key)]
    asked += ["train.check_augmentations"] if config.train.check_augmentations and not config.augmentations else []
    return [
        UserError(
            f"{key} has no effect: {location} holds arrays of numbers, and no images", where=key, do=f"leave {key} out"
        )
        for key in asked
    ]


def no_published_weights(config: FinetuneConfig, location: str) -> UserError:
    """The error for pretrained values of a network that was trained on images."""
    return UserError(
        f"weights={config.weights}: pretrained networks ({config.model.name}) know images; {location} hold arrays of "
        "numbers",
        where="weights",
        allowed="none",
        do=["model=mlp weights=none", "model=perceptron weights=none"],
    )


def no_network_of_images(config: FinetuneConfig, facts: DataFacts) -> UserError:
    """The error for a network that is made for images alone."""
    side = facts.median_side_px
    return UserError(
        f"{config.model.name} is made for images; the data are arrays of {facts.channels} x {side} x {side} numbers",
        where="model",
        do=["model=mlp weights=none", "model=perceptron weights=none"],
    )


def about_input(error: ValueError | UserError) -> bool:
    """Whether a network was not built because of the channels or the side of its input, which arrays fix."""
    return not isinstance(error, UserError) or (error.where or "").startswith("model.image_size")


def refuse_arrays(facts: DataFacts, location: str, *, why: str) -> None:
    """Refuses data that are no images, where only images will do.

    Raises:
        UserError: They are arrays of numbers.
    """
    if facts.arrays:
        raise UserError(
            f"these data are arrays of numbers, not images: {why}",
            where=f"data={location}",
            allowed="images: a folder of class folders, a table, an archive, or a registered name such as digits",
        )
