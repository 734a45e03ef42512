"""What is known of one candidate while candidates are compared."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from zoo.assembly.recommend.candidates import Candidate
from zoo.assembly.recommend.halving import Standing

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BATCH_GAIN = 0.5
"""An image in a batch takes about so much of what a single one takes; a guess, until it is measured."""


@dataclass
class Track:
    """What is known of one candidate so far.

    Attributes:
        stand_in: The source whose weights stood in for published ones that were not to be had, or "".
        places: int64[n] places in the pool of the images whose features are known; bad files are left out.
        features: float32[n, D]; none once all images of the pool were scored.
        taken: Images of the pool that were read, bad files included.
        scores: Images of a round to the score of each of its good images.
        feature_s: Seconds an image, for reading it and for its features.
        scoring_s: Seconds an image of fitting the probe, and of the hints.
        hints: LogME, H-score and the neighbours' score, of the last round.
    """

    candidate: Candidate
    latency_ms: float = float("nan")
    input_px: int | None = None
    feature_dim: int | None = None
    warning: str = ""
    stand_in: str = ""
    status: str = ""
    reason: str = ""
    places: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    features: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    taken: int = 0
    scores: dict[int, NDArray[np.float64]] = field(default_factory=dict)
    feature_s: float = 0.0
    scoring_s: float = 0.0
    hints: tuple[float, float, float] = (np.nan, np.nan, np.nan)

    @property
    def name(self) -> str:
        """What a user writes for it."""
        return self.candidate.name

    def cost_s(self, images: int) -> float:
        """Seconds for going on to so many images; before anything was read, by the latency of single images."""
        feature_s = self.feature_s or _BATCH_GAIN * self.latency_ms / 1000
        return feature_s * (images - self.taken) + self.scoring_s * images

    def standing(self, images: int) -> Standing:
        """How it came out of a round."""
        return Standing(self.name, float(self.scores[images].mean()), self.feature_s, self.scoring_s)
