"""Changes of batches by kornia: every image has draws of its own, and all draws follow from the step's generator."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import torch
from annotated_types import Ge, Gt, Le, Lt
from torch import nn

from zoo.contracts.training import Batch, Setting
from zoo.errors import UserError

if TYPE_CHECKING:
    from zoo.contracts.model import Model
    from zoo.imaging.preprocess import Preprocess

Share = Annotated[float, Ge(0), Lt(1)]
Probability = Annotated[float, Gt(0), Le(1)]


class Affine:
    """Rotates, shifts and scales each image by amounts of its own; what comes in from outside has the mean colour.

    Source: kornia, `RandomAffine`.

    Args:
        rotate_deg: Largest angle to either side, in degrees.
        shift: Largest shift, as a share of the side.
        scale: Largest change of size, as a share: 0.1 draws from 0.9 to 1.1.
        p: Share of the images that are changed.
    """

    def __init__(
        self,
        *,
        rotate_deg: Annotated[float, Ge(0), Le(180)] = 10.0,
        shift: Share = 0.05,
        scale: Share = 0.1,
        p: Probability = 0.5,
    ) -> None:
        from kornia.augmentation import RandomAffine

        if not (rotate_deg or shift or scale):
            raise _no_effect("affine with rotate_deg=0, shift=0 and scale=0", do="raise one of them")
        self._change = RandomAffine(
            rotate_deg,
            translate=(shift, shift) if shift else None,
            scale=(1 - scale, 1 + scale) if scale else None,
            p=p,
        )

    def check(self, setting: Setting) -> None:
        """Refuses a run in which no images pass through the network.

        Raises:
            UserError: The backbone is frozen and its features are cached.
        """
        _check_images(setting, "affine")

    def change_model(self, model: Model) -> None:
        """Changes nothing: it is where a regularizer sees the network.

        Raises:
            UserError: The data are no images.
        """
        _preprocess_of(model, "affine")

    def change_batch(self, batch: Batch, generator: torch.Generator, classes: int) -> Batch:
        """The changed batch. Images are normalised, so that the zeros that kornia fills in are the mean colour."""
        with drawing_from(generator), torch.no_grad():
            return dataclasses.replace(batch, images=self._change(batch.images))


class Color:
    """Changes brightness, contrast, saturation and hue of each image by amounts of its own, in this order.

    Source: kornia, `RandomBrightness`, `RandomContrast`, `RandomSaturation` and `RandomHue`.

    Args:
        brightness: Largest amount that is added to all values, which go from 0 to 1.
        contrast: Largest change of the factor on all values.
        saturation: Largest change of the factor on saturation; 0 for gray images.
        hue: Largest turn of the hue, as a share of the circle; 0 for gray images.
        p: Share of the images that are changed, for each of the four anew.
    """

    def __init__(
        self,
        *,
        brightness: Share = 0.2,
        contrast: Share = 0.2,
        saturation: Share = 0.0,
        hue: Annotated[float, Ge(0), Le(0.5)] = 0.0,
        p: Probability = 0.5,
    ) -> None:
        from kornia.augmentation import RandomBrightness, RandomContrast, RandomHue, RandomSaturation

        if not (brightness or contrast or saturation or hue):
            raise _no_effect("color with all four amounts at 0", do="raise one of them")
        factors = ((RandomBrightness, brightness), (RandomContrast, contrast), (RandomSaturation, saturation))
        changes: list[nn.Module] = [kind((1 - most, 1 + most), p=p) for kind, most in factors if most]
        changes += [RandomHue((-hue, hue), p=p)] if hue else []
        self._changes, self._needs_colour = nn.Sequential(*changes), bool(saturation or hue)
        self._mean, self._std = torch.zeros(1), torch.ones(1)

    def check(self, setting: Setting) -> None:
        """Refuses a run in which no images pass through the network.

        Raises:
            UserError: The backbone is frozen and its features are cached.
        """
        _check_images(setting, "color")

    def change_model(self, model: Model) -> None:
        """Changes nothing: it is where a regularizer sees the network, and so how its images are normalised.

        Raises:
            UserError: The images have no colours to change, or the data are no images.
        """
        preprocess = _preprocess_of(model, "color")
        if self._needs_colour and preprocess.channels != 3:
            raise _no_effect(
                f"saturation or hue on images of {preprocess.channels} channels", do="set saturation=0 and hue=0"
            )
        shape = (1, -1, 1, 1)
        self._mean, self._std = torch.tensor(preprocess.mean).view(shape), torch.tensor(preprocess.std).view(shape)

    def change_batch(self, batch: Batch, generator: torch.Generator, classes: int) -> Batch:
        """The changed batch; values go from 0 to 1 while they are changed, and are normalised again."""
        mean, std = self._mean.to(batch.images), self._std.to(batch.images)
        with drawing_from(generator), torch.no_grad():
            changed = self._changes((batch.images * std + mean).clamp(0, 1))
        return dataclasses.replace(batch, images=(changed - mean) / std)


@contextmanager
def drawing_from(generator: torch.Generator) -> Iterator[None]:
    """Inside, torch's global generator of the CPU goes on from a seed drawn from `generator`; then as if nothing was.

    kornia takes no generator, and draws its parameters from the global one of the CPU, whatever device the images are
    on. Seeded so, they are a function of the run's seed and the step, on every device, and in a resumed run too.
    """
    seed = int(torch.randint(2**63 - 1, (), generator=generator))
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed the GPU's generators, too
        yield


def _check_images(setting: Setting, name: str) -> None:
    if setting.trainable == "head":
        raise _no_effect(
            f"{name} while only the head is fitted, on features that were computed once,",
            do="train the backbone too: strategy=full or strategy=lpft",
        )


def _preprocess_of(model: Model, name: str) -> Preprocess:
    preprocess = model.spec.preprocess
    if preprocess.takes_numbers:
        raise _no_effect(f"{name} on arrays of numbers, which are no images,", do="leave it out")
    return preprocess


def _no_effect(what: str, *, do: str) -> UserError:
    return UserError(f"{what} has no effect", where="regularizers", do=do)
