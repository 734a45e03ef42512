"""transformers' Trainer on a timm network, after the official image-classification example.

    python benchmarks/accuracy/opponents/hf_trainer.py DATA SEED --seconds 430 [--recipe cosine-0.001]

Source: https://github.com/huggingface/transformers/tree/main/examples/pytorch/image-classification: RandomResizedCrop,
mirrors, AdamW, the best epoch loaded at the end. Deviations, as an expert would: its rate of 5e-5 is for vision
transformers and too small for a convolutional network in about three epochs, so larger ones were tried on validation;
cosine with a tenth of warm-up; batches of 32; bicubic resizing; the fastest precision and layout.
"""

from __future__ import annotations

from common import TRIED, Job, answer, fastest, read_job, seconds_an_image, tried

import copy  # isort: skip
import math
import tempfile
import time
from typing import Any

import numpy as np
import torch
import transformers
from plain_loop import pictures, pretrained
from transformers import Trainer, TrainerCallback, TrainingArguments

RECIPES = {
    "cosine-0.001": ("cosine", 1e-3),
    "cosine-0.0005": ("cosine", 5e-4),
    "linear-0.00005": ("linear", 5e-5),
}
"""Schedule and learning rate; the last is the example's own."""


class Classifier(torch.nn.Module):
    """A timm network with the outputs that Trainer reads.

    The layout goes with the images, and convolutions follow it: Trainer cannot save weights that are channels last.
    """

    def __init__(self, network: torch.nn.Module, layout: torch.memory_format) -> None:
        super().__init__()
        self.network, self.layout = network, layout

    def forward(self, pixel_values: torch.Tensor, labels: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
        """Logits, and the loss where labels are given."""
        logits = self.network(pixel_values.contiguous(memory_format=self.layout))
        if labels is None:
            return {"logits": logits}
        return {"loss": torch.nn.functional.cross_entropy(logits.float(), labels), "logits": logits}


class Marks(TrainerCallback):
    """The moments at which steps ended."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """Called by Trainer."""
        self.times.append(time.monotonic())


def split(job: Job, name: str) -> Any:
    """Images of a split."""
    return pictures(job.data / name, train=name == "train", px=job.px, mirror=job.mirror, smallest=job.smallest)


def collate(items: list[tuple[torch.Tensor, int]]) -> dict[str, torch.Tensor]:
    """A batch as Trainer hands it to the network."""
    return {"pixel_values": torch.stack([image for image, _ in items]), "labels": torch.tensor([y for _, y in items])}


def accuracy(found: Any) -> dict[str, float]:
    """What chooses the epoch."""
    return {"accuracy": float((np.argmax(found.predictions, axis=1) == found.label_ids).mean())}


def trainer(job: Job, network: torch.nn.Module, *, steps: int, folder: str, validate: bool = True) -> Trainer:
    """A Trainer for so many steps."""
    schedule, rate = RECIPES[job.recipe]
    channels_last = job.speed is not None and job.speed.layout == "channels_last"
    layout = torch.channels_last if channels_last else torch.contiguous_format
    arguments = TrainingArguments(
        output_dir=folder,
        max_steps=steps,
        per_device_train_batch_size=job.batch,
        per_device_eval_batch_size=32,
        learning_rate=rate,
        lr_scheduler_type=schedule,
        warmup_steps=steps // 10 if schedule == "cosine" else 0,
        use_cpu=True,
        bf16=job.speed is not None and job.speed.precision == "bf16",
        seed=job.seed,
        dataloader_num_workers=2,
        remove_unused_columns=False,
        label_names=["labels"],
        eval_strategy="epoch" if validate else "no",
        save_strategy="epoch" if validate else "no",
        save_only_model=True,
        save_total_limit=1,
        load_best_model_at_end=validate,
        metric_for_best_model="accuracy",
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    return Trainer(
        model=Classifier(network, layout),
        args=arguments,
        data_collator=collate,
        train_dataset=split(job, "train"),
        eval_dataset=split(job, "validation"),
        compute_metrics=accuracy,
    )


def main() -> None:
    """Tries, trains, scores."""
    job = read_job(list(RECIPES))
    test = split(job, "test")
    network = pretrained(len(test.classes))
    with tempfile.TemporaryDirectory() as folder:
        if job.speed is None:
            with job.trial():
                job.speed = fastest(network, job)
                short, marks = trainer(job, copy.deepcopy(network), steps=TRIED, folder=folder, validate=False), Marks()
                short.add_callback(marks)
                short.train()
                job.speed = tried(job.speed, train=seconds_an_image(marks.times, job.batch))
        an_epoch = math.ceil(len(job.files("train")) / job.batch)
        steps = max(1, round(job.affordable() * an_epoch))
        whole = trainer(job, network, steps=steps, folder=folder)
        whole.train()
        best = whole.state.best_metric
        found = whole.predict(test)
    right = (np.argmax(found.predictions, axis=1) == found.label_ids).tolist()
    named = [name for name, _ in test.samples]
    library = f"transformers {transformers.__version__}"
    answer(job, named=named, right=right, val=float(best or 0.0), epochs=steps / an_epoch, library=library)


if __name__ == "__main__":
    main()
