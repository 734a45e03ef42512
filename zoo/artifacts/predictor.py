"""A network that answers about images as they lie on disk, through the same path of pixels as in training."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from zoo.artifacts.inputs import ImageInput, ImageLike, list_images
from zoo.artifacts.predictions import Prediction
from zoo.artifacts.saved_model import SavedModel
from zoo.contracts.data import Task
from zoo.contracts.model import Model
from zoo.errors import UserError
from zoo.imaging.decode import BadImage, decode
from zoo.imaging.preprocess import Preprocess
from zoo.machine import usable_cores

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Predictor:
    """Classifies images. It computes in float32, and holds no more images than two batches.

    Args:
        model: The network; it is put into eval mode and moved to `device`.
        classes: Label names in the order of the logits.
        preprocess: How the network wants its input.
        task: One label an image or any number of them.
        temperature: What logits are divided by before they become probabilities.
        thresholds: For each label of a multi-label task, the probability from which on it is given; None is 0.5.
        device: As torch names it.
        threads: Threads that read and decode; None takes as many as this process has cores, at most 16.
        origin: Where a saved model comes from, as its card states it.
    """

    def __init__(
        self,
        model: Model,
        *,
        classes: Sequence[str],
        preprocess: Preprocess,
        task: Task = Task.SINGLE_LABEL,
        temperature: float = 1.0,
        thresholds: Sequence[float] | None = None,
        device: str | torch.device = "cpu",
        threads: int | None = None,
        origin: Mapping[str, Any] | None = None,
    ) -> None:
        self.model = model
        self.classes = tuple(classes)
        self.preprocess = preprocess
        self.task = task
        self.temperature = temperature
        self.thresholds = (0.5,) * len(self.classes) if thresholds is None else tuple(thresholds)
        self.device = torch.device(device)
        self.origin: Mapping[str, Any] = origin or {}
        self._threads = threads or min(16, usable_cores())
        model.module.to(self.device).eval()

    @classmethod
    def of(cls, saved: SavedModel, model: Model, *, device: str | torch.device = "cpu") -> Predictor:
        """A predictor for a saved model that was built again."""
        return cls(
            model,
            classes=saved.classes,
            preprocess=saved.preprocess,
            task=saved.task,
            temperature=saved.temperature,
            thresholds=saved.thresholds,
            device=device,
            origin=saved.origin,
        )

    def predict(
        self,
        images: ImageLike | Sequence[ImageLike],
        *,
        batch_size: int = 32,
        top_k: int = 5,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[Prediction]:
        """One row for each image, in order; an image that cannot be read gets a row with the reason.

        Args:
            images: A path, a folder, a pattern, an open PIL image, uint8[H, W, C], or a list of them
                (`zoo.artifacts.inputs.list_images` says how each is read).
            batch_size: Images that go through the network together; the answers do not depend on it.
            top_k: Labels that each row lists, at most as many as there are classes.
            progress: Called with the number of images done and of all.

        Raises:
            UserError: A path that is not there, a folder without images, a value that is no image, or a number
                below 1.
        """
        for name, value in (("batch_size", batch_size), ("top_k", top_k)):
            if value < 1:
                raise UserError(f"{name} is {value}", where=name, allowed="1 or more")
        listed = list_images(images)
        rows: list[Prediction] = []
        for batch, windows in self._decoded(listed, batch_size):
            rows += self._answer(batch, windows, top_k=top_k)
            if progress is not None:
                progress(len(rows), len(listed))
        return rows

    def logits(self, windows: NDArray[Any]) -> NDArray[np.float32]:
        """The network's answers, before the temperature: windows [B, S, S, C] to float32[B, classes]."""
        kind = np.float32 if self.preprocess.takes_numbers else np.uint8
        batch = self.preprocess.normalise(torch.from_numpy(np.require(windows, kind, ["C", "W"])).to(self.device))
        with torch.inference_mode(), torch.autocast(self.device.type, enabled=False):
            answer: NDArray[np.float32] = self.model.module(batch).float().cpu().numpy()
        return answer

    def probabilities(self, logits: NDArray[np.float32]) -> NDArray[np.float64]:
        """Calibrated probabilities, float64[B, classes]: softmax over classes, or the sigmoid of each label."""
        scaled = torch.from_numpy(logits).double() / self.temperature
        shares = scaled.sigmoid() if self.task is Task.MULTI_LABEL else scaled.softmax(dim=1)
        answer: NDArray[np.float64] = shares.numpy()
        return answer

    def window(self, data: bytes | NDArray[Any]) -> NDArray[Any]:
        """An image as the network sees it: encoded bytes or pixels to uint8[S, S, C].

        A network of numbers takes an array, float[C, S, S], as float32[S, S, C].

        Raises:
            BadImage: It cannot be read, or is not what the network takes.
        """
        wanted = self.preprocess
        if wanted.takes_numbers:
            return self._numbers(data)
        return wanted(decode(data, channels=wanted.channels, resize_hint_px=wanted.resize_px))

    def _numbers(self, data: bytes | NDArray[Any]) -> NDArray[Any]:
        shape = (self.preprocess.channels, self.preprocess.size, self.preprocess.size)
        if isinstance(data, bytes) or data.shape != shape or not np.isfinite(data).all():
            wanted = "finite numbers, an array of shape " + " x ".join(map(str, shape))
            raise BadImage(f"this model takes {wanted} from Python, and no images")
        return np.ascontiguousarray(data.transpose(1, 2, 0), np.float32)

    def _decoded(
        self, listed: Sequence[ImageInput], batch_size: int
    ) -> Iterator[tuple[Sequence[ImageInput], list[NDArray[np.uint8] | str]]]:
        """Batches of images with their windows, or the reason why there is none; the next one is read meanwhile."""
        batches = [listed[start : start + batch_size] for start in range(0, len(listed), batch_size)]
        with ThreadPoolExecutor(self._threads, thread_name_prefix="decode") as pool:
            waiting: list[Future[NDArray[np.uint8] | str]] = []
            for number, batch in enumerate(batches):
                current = waiting or [pool.submit(self._window_or_reason, item) for item in batch]
                following = batches[number + 1] if number + 1 < len(batches) else ()
                waiting = [pool.submit(self._window_or_reason, item) for item in following]
                yield batch, [future.result() for future in current]

    def _window_or_reason(self, item: ImageInput) -> NDArray[np.uint8] | str:
        try:
            data = item.read()
        except BadImage as error:
            return str(error)
        except (OSError, ValueError) as error:
            return f"cannot be read: {getattr(error, 'strerror', None) or error}"
        try:
            return self.window(data)
        except BadImage as error:
            return str(error)
        except MemoryError:
            return "too large for the memory that is free"

    def _answer(
        self, batch: Sequence[ImageInput], windows: list[NDArray[np.uint8] | str], *, top_k: int
    ) -> list[Prediction]:
        good = [window for window in windows if not isinstance(window, str)]
        logits = self.logits(np.stack(good)) if good else np.empty((0, len(self.classes)), np.float32)
        shares = iter(zip(logits, self.probabilities(logits), strict=True))
        rows: list[Prediction] = []
        for item, window in zip(batch, windows, strict=True):
            if isinstance(window, str):
                rows.append(Prediction(item.name, ok=False, error=window))
                continue
            answer, share = next(shares)
            if not np.isfinite(answer).all():
                rows.append(Prediction(item.name, ok=False, error="the network's answer is NaN or infinite"))
                continue
            rows.append(self._row(item.name, share, top_k=top_k))
        return rows

    def _row(self, name: str, shares: NDArray[np.float64], *, top_k: int) -> Prediction:
        best = np.argsort(-shares, kind="stable")[:top_k]
        top = tuple((self.classes[c], float(shares[c])) for c in best)
        labels: tuple[str, ...] = ()
        if self.task is Task.MULTI_LABEL:
            given = zip(self.classes, shares, self.thresholds, strict=True)
            labels = tuple(label for label, share, threshold in given if share >= threshold)
        return Prediction(
            name,
            ok=True,
            label=top[0][0],
            confidence=top[0][1],
            top=top,
            labels=labels,
            multi_label=self.task is Task.MULTI_LABEL,
        )
