"""What a check of augmentations found, and how it is said."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from zoo.features.label_moves import Judged, Move
from zoo.files import to_plain

_SHOWN_MOVES = 6


@dataclass(frozen=True)
class Seen:
    """What was found of one augmentation."""

    name: str
    options: Mapping[str, Any]
    advice: str
    judged: Judged


@dataclass(frozen=True)
class AugmentationCheck:
    """What was found of all of them.

    Attributes:
        probe: What the probe sees.
        classes: Label names.
        train_images: Images it was fitted on.
        val_images: Images that were augmented.
        accuracy: Of the probe on these as they are.
        chance: Share of the largest class among these.
        too_small: Classes with so few validation images that nothing can be said of them.
        fewest_images: How many a class would need.
        draws: Times that each validation image was augmented.
        seen: One for each augmentation.
    """

    probe: str
    classes: tuple[str, ...]
    train_images: int
    val_images: int
    accuracy: float
    chance: float
    too_small: tuple[str, ...]
    fewest_images: int
    draws: int
    seen: tuple[Seen, ...] = ()

    @property
    def warned(self) -> tuple[Seen, ...]:
        """Augmentations that move classes into others."""
        return tuple(seen for seen in self.seen if seen.judged.moves)

    def plain(self) -> dict[str, Any]:
        """Plain values for JSON and the record."""
        own = {
            key: getattr(self, key)
            for key in ("probe", "train_images", "val_images", "draws", "accuracy", "fewest_images")
        }
        looks = [
            {
                "augmentation": seen.name,
                "options": seen.options,
                "accuracy": seen.judged.accuracy,
                "moves": [self._plain_move(move) for move in seen.judged.moves],
            }
            for seen in self.seen
        ]
        plain: dict[str, Any] = to_plain({**own, "too_small": self.too_small, "augmentations": looks})
        return plain

    def _plain_move(self, move: Move) -> dict[str, Any]:
        names = {"source": self.classes[move.source], "target": self.classes[move.target]}
        return {**dataclasses.asdict(move), **names}

    def lines(self) -> list[str]:
        """What is said of it."""
        said = [
            f"check   {self.probe}, on {self.train_images} training images: {self.accuracy:.3f} of "
            f"{self.val_images} validation images recognised"
        ]
        said += [f"        {seen.name}: {seen.judged.accuracy:.3f} once augmented" for seen in self.seen]
        if self.accuracy <= self.chance:
            said.append("        the probe recognises no more than the largest class: it could not see a class move")
        if self.too_small:
            said.append(
                f"        {len(self.too_small)} classes have fewer than {self.fewest_images} validation images, too "
                f"few to say anything of them"
            )
        for seen in self.warned:
            said += self._warning(seen)
        if not self.warned:
            said.append("        no augmentation moves one class into another")
        return said

    def _warning(self, seen: Seen) -> list[str]:
        """Which augmentation moves what, how often, and what to do."""
        moves = seen.judged.moves
        options = f" ({said_options(seen.options)})" if seen.options else ""
        what = [
            f"          {100 * move.share:.0f} % of {self.classes[move.source]!r} is taken for "
            f"{self.classes[move.target]!r} ({move.images} validation images)"
            for move in moves[:_SHOWN_MOVES]
        ]
        more = [f"          and {len(moves) - _SHOWN_MOVES} more pairs of classes"] if len(moves) > _SHOWN_MOVES else []
        return [
            f"warning: {seen.name}{options} moves classes into one another: such images train under a wrong label",
            *what,
            *more,
            f"          do: {seen.advice}",
        ]


def said_options(options: Mapping[str, Any]) -> str:
    """`limit_deg=15.0, p=1.0`."""
    return ", ".join(f"{key}={json.dumps(to_plain(value))}".replace('"', "") for key, value in options.items())
