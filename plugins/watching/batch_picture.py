"""Pictures of the first training batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge

from zoo.contracts.callbacks import BatchReady, Reporting, RunStarted, Section
from zoo.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from zoo.contracts.training import Batch

_LEAST_SHARE = 0.1
"""A share of a label below this is not named: label smoothing gives every class a little."""


class BatchPicture:
    """Draws the first training batches as the network sees them: cropped, augmented, mixed, with their labels.

    The normalisation is taken back; what lies outside of black and white is cut. Labels that are shares (mixup,
    label smoothing) are written with them. The pictures lie in the run's report folder as soon as the batch is made,
    so that a look at them can save the wait for the end.

    Source: https://docs.ultralytics.com/yolov5/tutorials/train_custom_data, whose `train_batch0.jpg` shows mosaics.
        Deviation: one cell an image, enlarged by whole pixels.

    Args:
        batches: How many of the first batches, one picture each.
        images: How many images of each at most.
    """

    def __init__(self, *, batches: Annotated[int, Ge(1)] = 3, images: Annotated[int, Ge(1)] = 16) -> None:
        self.batches, self.images = batches, images
        self._drawn: list[str] = []
        self._folder = Path()
        self._classes: tuple[str, ...] = ()

    def check(self, event: RunStarted) -> None:
        """Refuses data that are no images.

        Raises:
            UserError: There is nothing to draw.
        """
        if event.data.arrays:
            raise UserError(
                "batch_picture has no effect: the data are arrays of numbers, and no images",
                where="callbacks.batch_picture",
                do="leave it out",
            )

    def state_dict(self) -> dict[str, Any]:
        """Which pictures are there."""
        return {"drawn": list(self._drawn)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Draws none of them again."""
        self._drawn = [str(name) for name in state["drawn"]]

    def on_run_start(self, event: RunStarted) -> None:
        """Notes where pictures go, and the names of the classes."""
        self._folder, self._classes = event.run_dir / "report", event.classes

    def on_batch(self, event: BatchReady) -> None:
        """Draws one batch."""
        if len(self._drawn) >= self.batches:
            return
        from zoo_plugins.watching.grid import draw_grid

        from zoo.files import write_bytes

        shown = _pixels(event.batch.images[: self.images], mean=event.mean, std=event.std)
        count = len(event.batch.images)
        some = f", {len(shown)} of {count} images" if count > len(shown) else ""
        picture = draw_grid(
            shown,
            captions=_labels(event.batch, len(shown), classes=self._classes),
            title=f"phase {event.phase}, step {event.step + 1}{some}",
        )
        name = f"train_batch{len(self._drawn)}.png"
        write_bytes(self._folder / name, picture)
        self._drawn.append(name)

    def on_report(self, event: Reporting) -> Section | None:
        """Shows the pictures."""
        if not self._drawn:
            return None
        lines = [f"![{name}]({name})" for name in self._drawn]
        return Section("First training batches", "As the network saw them.\n\n" + "\n\n".join(lines))


def _pixels(images: Any, *, mean: Sequence[float], std: Sequence[float]) -> list[NDArray[np.uint8]]:
    """float32[B, C, S, S] as they were before they were normalised, uint8[S, S, C] each."""
    import numpy as np

    values = images.detach().float().cpu().numpy().transpose(0, 2, 3, 1)
    shares = values * np.asarray(std, np.float32) + np.asarray(mean, np.float32)
    return list(np.rint(np.clip(shares, 0, 1) * 255).astype(np.uint8))


def _labels(batch: Batch, count: int, *, classes: Sequence[str]) -> list[str]:
    """Names of the classes of the first images, with shares where they are shared."""
    targets = batch.targets[:count].detach().float().cpu().numpy()
    if batch.targets.ndim == 1:
        return [classes[int(number)] for number in targets]
    return [_shares(row, classes) for row in targets]


def _shares(row: NDArray[np.float32], classes: Sequence[str]) -> str:
    parts = [(float(share), name) for share, name in zip(row, classes, strict=True) if share >= _LEAST_SHARE]
    named = [name if share > 0.999 else f"{share:.2f} {name}" for share, name in sorted(parts, key=lambda p: -p[0])]
    return "\n".join(named[:3]) or "(no label)"
