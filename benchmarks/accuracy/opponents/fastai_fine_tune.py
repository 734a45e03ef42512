"""fastai's `vision_learner(...).fine_tune(...)`, as its documentation and book have it.

    python benchmarks/accuracy/opponents/fastai_fine_tune.py DATA SEED --seconds 430 [--recipe base-0.002]

Presizing, `aug_transforms`, fastai's own head with concat pooling, one frozen epoch, then one-cycle with
discriminative rates; the epoch that validates best is kept. Source: https://docs.fast.ai/callback.schedule.html
(`fine_tune`), and Howard and Gugger, "Deep Learning for Coders", chapter 5 (presizing). Deviations: the same network
and weights as all (timm's tf_efficientnet_lite0, mean and deviation 0.5), bicubic resizing of items, batches of 32
instead of 64 (twice the steps), the faster layout, and where the time holds no whole number of epochs each epoch draws
a part of the images anew, so that no second is lost. fp32: fastai's `to_bf16` casts on CUDA alone.
"""

from __future__ import annotations

import math
import sys
import tempfile
import time
from contextlib import redirect_stdout

import fastai
from common import TRIED, Job, answer, fastest, read_job, seconds_an_image, tried
from fastai.callback.channelslast import ChannelsLast
from fastai.vision.all import (
    Callback,
    CancelFitException,
    CancelValidException,
    ImageDataLoaders,
    Learner,
    Normalize,
    Resize,
    SaveModelCallback,
    accuracy,
    aug_transforms,
    vision_learner,
)
from PIL import Image
from plain_loop import pretrained

RECIPES = {"base-0.002": 2e-3, "base-0.005": 5e-3, "base-0.01": 1e-2}
"""`base_lr`; the first is fastai's default."""


class Marks(Callback):
    """Ends a fit after so many steps, and keeps the moments at which they ended."""

    def __init__(self, steps: int) -> None:
        self.steps, self.times = steps, []

    def after_batch(self) -> None:
        """Called by Learner."""
        self.times.append(time.monotonic())
        if len(self.times) == self.steps:
            raise CancelFitException

    def before_validate(self) -> None:
        """An epoch of few images ends before the trial does; its validation would be counted as a step."""
        raise CancelValidException


def learner(job: Job, folder: str) -> Learner:
    """The learner, frozen, with the same pretrained body as all others."""
    augment = aug_transforms(size=job.px, min_scale=max(0.75, job.smallest), do_flip=job.mirror)
    data = ImageDataLoaders.from_folder(
        job.data,
        train="train",
        valid="validation",
        item_tfms=Resize(round(job.px * 256 / 224), resamples=(Image.BICUBIC, Image.NEAREST)),
        batch_tfms=[*augment, Normalize.from_stats([0.5] * 3, [0.5] * 3)],
        bs=job.batch,
        val_bs=32,
        num_workers=2,
        seed=job.seed,
    )
    learn = vision_learner(data, "tf_efficientnet_lite0", pretrained=False, metrics=accuracy, path=folder)
    values = pretrained(2).state_dict()
    body = {name: value for name, value in values.items() if not name.startswith("classifier.")}
    learn.model[0].model.load_state_dict(body)
    if job.speed is not None and job.speed.layout == "channels_last":
        learn.add_cb(ChannelsLast())
    return learn


def draw_part(learn: Learner, part: float) -> None:
    """Lets an epoch be a part of the training images, drawn anew each time."""
    batches = learn.dls.train
    whole = batches.n
    batches.n = max(batches.bs, round(part * whole))
    batches.get_idxs = lambda: batches.rng.sample(range(whole), batches.n)


def marks_of(learn: Learner, *, frozen: bool) -> list[float]:
    """Moments of a few steps."""
    marks = Marks(TRIED)
    (learn.freeze if frozen else learn.unfreeze)()
    learn.fit_one_cycle(TRIED, 1e-4, cbs=[marks])
    return marks.times


def main() -> None:
    """Tries, trains, scores."""
    job = read_job(list(RECIPES))
    with tempfile.TemporaryDirectory() as folder, redirect_stdout(sys.stderr):
        if job.speed is None:
            with job.trial():
                job.speed = fastest(pretrained(2), job, precisions=("fp32",))
                short = learner(job, folder)
                with short.no_bar(), short.no_logging():
                    frozen = seconds_an_image(marks_of(short, frozen=True), job.batch)
                    train = seconds_an_image(marks_of(short, frozen=False), job.batch)
                job.speed = tried(job.speed, train=train, frozen=frozen)
        learn = learner(job, folder)
        wanted = job.affordable(frozen_epochs=1)
        epochs = math.ceil(wanted)
        draw_part(learn, wanted / epochs)
        keep = SaveModelCallback(monitor="accuracy")
        with learn.no_bar():
            learn.fine_tune(epochs, base_lr=RECIPES[job.recipe], cbs=[keep])
            files = job.files("test")
            logits, labels = learn.get_preds(dl=learn.dls.test_dl(files, with_labels=True, bs=32))
    right = (logits.argmax(1) == labels).tolist()
    library = f"fastai {fastai.__version__}"
    answer(job, named=files, right=right, val=float(keep.best), epochs=wanted, library=library)


if __name__ == "__main__":
    main()
