"""Starter weights: small networks that zoo trained itself and carries, so that a first run needs no hub.

They are the last place to be asked. What they know is far less than what published ImageNet weights know, so whoever
gets them is told. `zoo_plugins.starter.packing` makes the files from finished runs; docs/starter-weights.md says how
they were trained and what they are worth.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.contracts.model import FoundWeights, WeightsRecord, WeightsRequest
from zoo.errors import UserError
from zoo.files import read_json
from zoo.imaging.preprocess import Preprocess
from zoo.weights.files import check_sha256, read_tensors

FOLDER = Path(__file__).parent / "starter"


@dataclass(frozen=True)
class StarterCard:
    """What is known of one set of starter weights: the JSON file beside its tensors.

    Attributes:
        networks: Full names of the networks whose values these are.
        file: Name of the tensors' file, beside the card.
        what: What was trained on what, in half a sentence.
        labels: Names of the head's outputs.
        finetune_px: Side at which larger photos are best fine-tuned; 0: that of `preprocess`.
        score: Accuracy on validation images, in [0, 1].
        facts: Data, licence note, recipe, epochs, seconds, versions: for people.
    """

    networks: tuple[str, ...]
    file: str
    sha256: str
    what: str
    license: str
    preprocess: Preprocess
    finetune_px: int
    labels: tuple[str, ...]
    score: float
    facts: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path) -> StarterCard:
        """The card in a file."""
        values = read_json(path)
        return cls(
            **values
            | {
                "networks": tuple(values["networks"]),
                "labels": tuple(values["labels"]),
                "preprocess": Preprocess.from_dict(values["preprocess"]),
            }
        )

    def warning(self, *, published: bool) -> str:
        """What a user must know before he builds on these weights.

        Args:
            published: Whether others publish weights of this network, which a hub would have.
        """
        told = f"starter weights: {self.what}, {self.score:.1%} right on its validation images"
        if not published:
            return told
        return f"{told}. No ImageNet weights: the published ones (weights=hub insists on them) know far more"


def cards(folder: Path = FOLDER) -> list[StarterCard]:
    """All cards in a folder, by file name."""
    return [StarterCard.read(path) for path in sorted(folder.glob("*.json"))]


class Starter:
    """The weights that zoo carries; float16 in the file, float32 in the network."""

    stands_in = True

    @functools.cached_property
    def _cards(self) -> list[StarterCard]:
        """Read once: listings ask for every network there is."""
        return cards()

    def _card_for(self, request: WeightsRequest) -> StarterCard | None:
        """The card of the network; None where the user named another set of weights."""
        if request.named:
            return None
        return next((card for card in self._cards if request.spec.name in card.networks), None)

    def locate(self, request: WeightsRequest) -> Path | None:
        """The file for this network; None where the user named another set of weights."""
        card = self._card_for(request)
        return None if card is None else FOLDER / card.file

    def find(self, request: WeightsRequest) -> FoundWeights | None:
        """Its tensors in float32.

        Raises:
            UserError: The file is missing or not the one that was packed.
        """
        card = self._card_for(request)
        if card is None:
            return None
        path = FOLDER / card.file
        if not path.is_file():
            raise UserError("the file of these starter weights is missing", where=str(path), do="reinstall zoo")
        check_sha256(path, card.sha256)
        tensors = {name: t.float() if t.is_floating_point() else t for name, t in read_tensors(path).items()}
        record = WeightsRecord(
            "starter",
            card.preprocess,
            classes=len(card.labels),
            license=card.license,
            sha256=card.sha256,
            finetune_px=card.finetune_px,
        )
        warning = card.warning(published=bool(request.records))
        return FoundWeights("starter", path, record, tensors, warning=warning, labels=card.labels)

    def places(self, request: WeightsRequest) -> list[str]:
        """The file, for the few networks that have one."""
        card = self._card_for(request)
        return [] if card is None else [f"{card.file}, which zoo carries"]
