"""What the opponents share: their words, the two threads, the fastest arithmetic, a budget of seconds, the answer.

Nothing here comes from zoo. An opponent is a whole process:

    python hf_trainer.py DATA SEED --seconds 430 [--recipe NAME] [--px 224] [--no-mirror] [--smallest 0.08]

It first tries how fast it is (precision, layout of memory, seconds an image) on throw-away copies. That trial is not
counted: whoever sets up such a run has done it the day before. Then it trains for as many epochs, or parts of one, as
the rest of the seconds allow, keeps the epoch that validates best, and names the test images that it got wrong.
"""

from __future__ import annotations

import time

START = time.monotonic()

import argparse  # noqa: E402
import copy  # noqa: E402
import itertools  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import random  # noqa: E402
import statistics  # noqa: E402
import sys  # noqa: E402
from collections.abc import Iterator, Sequence  # noqa: E402
from contextlib import contextmanager  # noqa: E402
from dataclasses import dataclass, replace  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

sys.path.append(str(Path(__file__).parents[2] / "baselines"))

TRIED = 8
"""Steps of a trial; the first three, which warm up, are not counted."""


@dataclass(frozen=True)
class Speed:
    """How a network computes here, and how fast.

    Attributes:
        precision: fp32 or bf16 (autocast).
        layout: contiguous or channels_last.
        eval_image_s: Seconds to score an image.
        train_image_s: Seconds to train on one, loading and augmenting included.
        frozen_image_s: The same with a frozen body, where an opponent has such a phase; else 0.
    """

    precision: str
    layout: str
    eval_image_s: float = 0.0
    train_image_s: float = 0.0
    frozen_image_s: float = 0.0


@dataclass
class Job:
    """One run of an opponent.

    Attributes:
        data: Folder with train/, validation/ and test/.
        recipe: Which of the opponent's recipes.
        px: Side of the network's input.
        mirror: Whether images may be mirrored.
        smallest: Least share of an image that a random crop shows.
        batch: Images a step, no more than there are.
        trial_s: Seconds that the trial took; not counted.
    """

    data: Path
    seed: int
    recipe: str
    px: int
    mirror: bool
    smallest: float
    batch: int
    seconds: float | None
    epochs: float | None
    speed: Speed | None
    trial_s: float = 0.0

    def files(self, split: str) -> list[Path]:
        """Images of a split, by class and name."""
        return sorted(file for file in (self.data / split).rglob("*") if file.is_file())

    @property
    def spent_s(self) -> float:
        """Counted seconds since the start of the process."""
        return time.monotonic() - START - self.trial_s

    @contextmanager
    def trial(self) -> Iterator[None]:
        """Time in here is not counted, and draws in here leave no trace."""
        start = time.monotonic()
        yield
        self.trial_s += time.monotonic() - start
        self.begin()

    def begin(self) -> None:
        """Seeds every generator, and computes with the cores that this process may use."""
        import numpy as np
        import torch

        random.seed(self.seed)
        np.random.seed(self.seed)
        torch.manual_seed(self.seed)
        torch.set_num_threads(len(os.sched_getaffinity(0)))

    def affordable(self, *, frozen_epochs: int = 0) -> float:
        """Epochs that fit: `--epochs`, or what `fitting_epochs` says of the seconds that are left."""
        if self.epochs is not None:
            return self.epochs
        if self.seconds is None or self.speed is None:
            raise SystemExit("give --seconds or --epochs")
        train, val, test = (len(self.files(split)) for split in ("train", "validation", "test"))
        speed = self.speed
        return fitting_epochs(
            self.seconds - self.spent_s - test * speed.eval_image_s,
            epoch_s=train * speed.train_image_s,
            frozen_s=train * speed.frozen_image_s * frozen_epochs,
            val_s=val * speed.eval_image_s,
            least=self.batch / train,
        )


def fitting_epochs(left_s: float, *, epoch_s: float, val_s: float, frozen_s: float = 0.0, least: float = 0.0) -> float:
    """Epochs, with their fraction, that fit in the seconds that are left.

    Each epoch, the begun one too, is followed by a pass over validation: n epochs take n epoch_s + ceil(n) val_s.
    Where a frozen epoch goes before, it is as long a part of an epoch as the later ones are on average, e = ceil(n):
    n / e (frozen_s + e epoch_s) + (e + 1) val_s.

    Returns:
        At least `least`, whatever the time.
    """
    whole = 0
    while True:
        passes = whole + 1 + (frozen_s > 0)
        part = (left_s - passes * val_s) / (frozen_s + (whole + 1) * epoch_s)
        if part <= 1:
            return max(least, whole, (whole + 1) * part)
        whole += 1


def read_job(recipes: Sequence[str], words: Sequence[str] | None = None) -> Job:
    """The command line; the first recipe is what runs unasked."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("seed", type=int)
    parser.add_argument("--seconds", type=float, help="budget of the whole process")
    parser.add_argument("--epochs", type=float, help="instead of a budget")
    parser.add_argument("--speed", help="JSON of an earlier answer's `speed`: no trial then")
    parser.add_argument("--recipe", choices=recipes, default=recipes[0])
    parser.add_argument("--px", type=int, default=224)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--no-mirror", action="store_true")
    parser.add_argument("--smallest", type=float, default=0.08)
    given = parser.parse_args(words)
    job = Job(
        data=given.data,
        seed=given.seed,
        recipe=given.recipe,
        px=given.px,
        mirror=not given.no_mirror,
        smallest=given.smallest,
        batch=given.batch,
        seconds=given.seconds,
        epochs=given.epochs,
        speed=Speed(**json.loads(given.speed)) if given.speed else None,
    )
    job.batch = min(job.batch, len(job.files("train")))
    job.begin()
    return job


def fastest(network: Any, job: Job, *, precisions: Sequence[str] = ("fp32", "bf16")) -> Speed:
    """The precision and the layout in which a training step of this network is fastest on this machine."""
    import torch

    images, labels = torch.randn(job.batch, 3, job.px, job.px), torch.zeros(job.batch, dtype=torch.long)
    network = copy.deepcopy(network)
    found: list[tuple[float, Speed]] = []
    for layout in ("contiguous", "channels_last"):
        network.to(memory_format=getattr(torch, f"{layout}_format" if layout == "contiguous" else layout))
        for precision in precisions:
            times: list[float] = []
            for step in range(4):
                network.train(step < 3)
                start = time.monotonic()
                with (
                    torch.set_grad_enabled(step < 3),
                    torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"),
                ):
                    loss = torch.nn.functional.cross_entropy(network(images), labels)
                if step < 3:
                    loss.backward()
                    network.zero_grad()
                times.append(time.monotonic() - start)
            found.append((min(times[1:3]), Speed(precision, layout, eval_image_s=times[3] / job.batch)))
    return min(found, key=lambda pair: pair[0])[1]


def seconds_an_image(marks: Sequence[float], batch: int) -> float:
    """From the moments at which the steps of a trial ended."""
    gaps = [later - earlier for earlier, later in itertools.pairwise(marks)]
    return statistics.median(gaps[2:] or gaps) / batch


def tried(speed: Speed, *, train: float, frozen: float = 0.0) -> Speed:
    """A speed with what the trial of the real loop said."""
    return replace(speed, train_image_s=train, frozen_image_s=frozen)


def answer(job: Job, *, named: Sequence[Any], right: Sequence[bool], val: float, epochs: float, library: str) -> None:
    """Prints the JSON line: `named` are the test images in the order of `right`."""
    wrong = sorted(
        Path(name).relative_to(job.data / "test").as_posix() for name, ok in zip(named, right, strict=True) if not ok
    )
    line = {
        "accuracy": 1 - len(wrong) / len(named),
        "val_accuracy": val,
        "count": len(named),
        "wrong": wrong,
        "trial_s": job.trial_s,
        "epochs": epochs,
        "chosen": {"recipe": job.recipe, "batch": job.batch, "px": job.px, "library": library},
        "speed": None if job.speed is None else vars(job.speed),
    }
    print(json.dumps(line), flush=True)
