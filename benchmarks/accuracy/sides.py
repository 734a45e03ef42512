"""The sides of a comparison, each a whole process, all scored in one way: by the test images that they got wrong."""

from __future__ import annotations

import csv
import json
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent))

from measure import Measured, row, run, zoo  # noqa: E402

OPPONENTS = {
    "fastai fine_tune": "fastai_fine_tune.py",
    "transformers Trainer": "hf_trainer.py",
    "PyTorch tutorial's loop": "tutorial_loop.py",
}
"""Side to its script in opponents/."""

RECIPES = {
    "fastai fine_tune": ("base-0.002", "base-0.005", "base-0.01"),
    "transformers Trainer": ("cosine-0.001", "cosine-0.0005", "linear-0.00005"),
    "PyTorch tutorial's loop": ("adamw-0.0005", "sgd-0.01", "sgd-0.001"),
}
"""What each opponent may be run with; validation chooses (`accuracy.py --tune`), the first is taken before it has."""


@dataclass(frozen=True)
class Photos:
    """A set that all sides are given.

    Attributes:
        folder: With train/, validation/ and test/ of class folders.
        px: Side of the network's input, where it is not the network's own.
        mirror: False where a mirrored image is another thing.
        smallest: Least share of an image that opponents' random crops show.
    """

    name: str
    folder: Path
    px: int | None = None
    mirror: bool = True
    smallest: float = 0.08

    @property
    def opponents_words(self) -> list[str]:
        """The set, in the opponents' words."""
        words = ["--px", str(self.px)] if self.px else []
        words += [] if self.mirror else ["--no-mirror"]
        return [*words, "--smallest", str(self.smallest)]


@dataclass
class Opponents:
    """Runs the opponents in their own Python; the speed that a first run tried is handed to the later ones."""

    python: str
    recipes: dict[str, str] = field(default_factory=dict)
    speeds: dict[str, dict[str, Any]] = field(default_factory=dict)

    def measure(
        self, side: str, photos: Photos, *, seed: int, seconds: float, epochs: float | None = None
    ) -> dict[str, Any]:
        """One run as a row; its trial is not counted in its seconds. With `epochs` the seconds do not matter."""
        limit = ["--seconds", f"{seconds:.1f}"] if epochs is None else ["--epochs", str(epochs)]
        words = [str(photos.folder), str(seed), *limit, *photos.opponents_words]
        words += ["--recipe", self.recipes.get(side, RECIPES[side][0])]
        if side in self.speeds:
            words += ["--speed", json.dumps(self.speeds[side])]
        measured = run([self.python, str(HERE / "opponents" / OPPONENTS[side]), *words])
        answer = measured.answer
        self.speeds[side] = answer["speed"]
        kept = ("accuracy", "val_accuracy", "count", "wrong", "epochs", "chosen", "trial_s", "speed")
        found = row(side, seed, measured, **{key: answer[key] for key in kept})
        return found | {"seconds": round(measured.seconds - answer["trial_s"], 2), "budget_s": round(seconds, 1)}


def measure_zoo(side: str, photos: Photos, *, seed: int, words: tuple[str, ...] = ()) -> dict[str, Any]:
    """One `zoo finetune` from an empty cache as a row; a `zoo predict` after it, not timed, names its wrong images.

    Raises:
        RuntimeError: The predictions do not give the accuracy that the run said.
    """
    size = (f"model.image_size={photos.px}",) if photos.px else ()
    with tempfile.TemporaryDirectory() as folder:
        cache = f"{folder}/cache"
        fixed = (f"data={photos.folder}", f"train.seed={seed}", f"run.dir={folder}/run", "--json")
        measured: Measured = zoo("finetune", *fixed, *size, *words, cache=cache)
        file = Path(folder) / "test.csv"
        zoo("predict", f"run={folder}/run", f"images={photos.folder}/test", f"output={file}", cache=cache)
        wrong, count = wrong_images(file)
    scores = measured.answer["scores"]
    said = float(scores["test"]["accuracy"])
    if abs(said - (1 - len(wrong) / count)) > 1.5 / count:
        raise RuntimeError(f"zoo says accuracy {said:.4f}, its predictions {1 - len(wrong) / count:.4f}")
    more = {"val_accuracy": float(scores["val"]["accuracy"]), "count": count, "wrong": wrong, "words": list(words)}
    return row(side, seed, measured, accuracy=1 - len(wrong) / count, **more)


def wrong_images(predictions: Path) -> tuple[list[str], int]:
    """From a CSV of `zoo predict` on class folders: `class/name` of those given another class; and the count."""
    with predictions.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    wrong = [Path(r["file"]) for r in rows if r["label"] != Path(r["file"]).parent.name]
    return sorted("/".join(file.parts[-2:]) for file in wrong), len(rows)
