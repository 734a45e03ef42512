"""The answers that are wrong with most confidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge

from zoo.contracts.callbacks import Answers, Reporting, RunStarted, Section
from zoo.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NAMES = {"val": "validation", "test": "test"}


@dataclass(frozen=True)
class Mistake:
    """One wrong answer.

    Attributes:
        place: Of the image in its split.
        truth: Its label; with several labels an image whether the label in question is there.
        answer: What the network said in its place.
        confidence: The probability that it gave to its answer.
    """

    place: int
    truth: str
    answer: str
    confidence: float


class Worst:
    """Lists the images that the network gets wrong with most confidence: mislabelled, odd, or what it has not learned.

    With several labels an image, each label counts for itself: `cat` where there is none, or `no cat` where there is
    one. Confidence is the calibrated probability of the answer, so that 0.9 means wrong once in ten.

    Source: https://docs.fast.ai/interpret.html, `plot_top_losses`. Deviation: ordered by the probability of the wrong
        answer, not by the loss, and right answers are left out.

    Args:
        images: How many at most.
        split: Whose images; `auto` takes test images where there are any, which chose nothing in training.
    """

    def __init__(self, *, images: Annotated[int, Ge(1)] = 12, split: Literal["auto", "val", "test"] = "auto") -> None:
        self.images, self.split = images, split

    def check(self, event: RunStarted) -> None:
        """Refuses a split that the data do not have.

        Raises:
            UserError: With those that they have.
        """
        if self.split != "auto" and self.split not in event.splits:
            allowed = ", ".join(name for name in event.splits if name != "train")
            raise UserError(
                f"the data have no {self.split} images", where="callbacks.worst.split", allowed=f"auto, {allowed}"
            )

    def on_report(self, event: Reporting) -> Section:
        """Draws and lists them."""
        split = self.split if self.split != "auto" else "test" if "test" in event.answers else "val"
        answers, classes = event.answers[split], event.classes
        wrong = mistakes(answers, classes)
        title = f"Most confidently wrong: {NAMES[split]}"
        if not wrong:
            return Section(title, f"None of {len(answers.keys)} images is answered wrongly.")
        shown = wrong[: self.images]
        multi_label = answers.targets.ndim == 2
        what = "labels" if multi_label else "images"
        lines = [f"{len(shown)} of {len(wrong)} {what} that are answered wrongly, of {len(answers.keys)} images.", ""]
        picture = answers.image(shown[0].place)
        if picture.dtype.name == "uint8":
            name = f"worst-{split}.png"
            _draw(event, answers, shown=shown, name=name)
            lines += [f"![{name}]({name})", ""]
        lines += ["| image | truth | answer | confidence |", "|---|---|---|---|"]
        lines += [
            f"| {_cell(answers.keys[one.place])} | {_cell(one.truth)} | {_cell(one.answer)} | {one.confidence:.3f} |"
            for one in shown
        ]
        return Section(title, "\n".join(lines))


def mistakes(answers: Answers, classes: Sequence[str]) -> list[Mistake]:
    """All wrong answers, the most confident first; of equal ones in the order of the images."""
    found = (_wrong_labels if answers.targets.ndim == 2 else _wrong_classes)(answers, classes)
    return sorted(found, key=lambda one: (-one.confidence, one.place))


def _wrong_classes(answers: Answers, classes: Sequence[str]) -> list[Mistake]:
    given = answers.probabilities.argmax(axis=1)
    return [
        Mistake(
            place=int(place),
            truth=classes[int(answers.targets[place])],
            answer=classes[int(given[place])],
            confidence=float(answers.probabilities[place, given[place]]),
        )
        for place in (given != answers.targets).nonzero()[0]
    ]


def _wrong_labels(answers: Answers, classes: Sequence[str]) -> list[Mistake]:
    import numpy as np

    limits: NDArray[np.float64] = (
        np.full(len(classes), 0.5) if answers.thresholds is None else np.asarray(answers.thresholds)
    )
    given, there = answers.probabilities >= limits, answers.targets > 0.5
    found = []
    for place, label in zip(*(given != there).nonzero(), strict=True):
        name, share = classes[int(label)], float(answers.probabilities[place, label])
        truth, answer = (f"no {name}", name) if given[place, label] else (name, f"no {name}")
        found.append(Mistake(int(place), truth, answer, share if given[place, label] else 1 - share))
    return found


def _draw(event: Reporting, answers: Answers, *, shown: Sequence[Mistake], name: str) -> None:
    from zoo_plugins.watching.grid import draw_grid

    from zoo.files import write_bytes

    picture = draw_grid(
        [answers.image(one.place) for one in shown],
        captions=[f"{one.truth}\n{one.confidence:.2f} {one.answer}" for one in shown],
        title="wrong with most confidence: the truth, below it what was said instead",
    )
    write_bytes(event.folder / name, picture)


def _cell(text: str) -> str:
    """Text that stays within a cell of a Markdown table."""
    from zoo.evaluation.pictures import printable

    return printable(text).replace("\\", "\\\\").replace("|", "\\|")
