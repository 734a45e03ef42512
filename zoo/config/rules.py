"""What `auto` means, key by key: the rule that settles a value once data, network and machine are known."""

from __future__ import annotations

from collections.abc import Mapping

from zoo.contracts.data import Task

RULES: Mapping[str, str] = {
    "data.channels": "those of most images: 1, 3 or 4",
    "data.val_fraction": "0.15 of the images where there is no validation split",
    "data.test_fraction": "0.15 where no split is given; none where train and validation are",
    "data.threads": "all usable cores",
    "loss.name": "cross entropy for one label an image, binary cross entropy for several",
    "model.image_size": "the network's own; twice the images' median side, in steps of 32 px, where they are small",
    "model.init": "the network's own starting values",
    "model.activation": "the network's own",
    "model.norm": "the network's own",
    "model.norm_epsilon": "the network's own",
    "model.pixels": "as the pretrained weights want them, or the network's own",
    "model.pool": "the network's own",
    "optimizer.lr": "the rate that the optimizer's plugin registered for fine-tuning; from random values, or where "
    "none is registered, phases of 200 steps or more measure one, and shorter ones take the registered rate, or 0.001",
    "schedule.warmup_share": "0.05, or none where the schedule rises by itself",
    "strategy.name": "scratch where nothing is pretrained, else by images a class and their size; the run says which",
    "train.batch_size": "32",
    "train.device": "a GPU where there is one",
    "train.epochs": "the strategy's own number",
    "train.loader_threads": "all usable cores",
    "train.precision": "measured on this network and machine: the quicker of float32 and bfloat16",
    "train.threads": "all usable cores",
    "weights": "a package, the local caches, the hub, starter weights: the first that has them",
}
"""Key to rule, for every key whose default is `auto` (or, for a choice, names `auto`)."""


def automatic_loss(task: Task) -> str:
    """Full name of the loss that `loss=auto` means."""
    return "zoo/cross_entropy" if task is Task.SINGLE_LABEL else "zoo/binary_cross_entropy"
