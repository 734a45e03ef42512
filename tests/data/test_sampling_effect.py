"""What balanced sampling is for: with one rare image to twenty common ones, the rare class is found again."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from zoo.contracts.data import DataBundle, DataFacts, Task
from zoo.data.batches import Batches
from zoo.imaging.preprocess import Preprocess

PIXELS = Preprocess(8, (0.5,), (0.5,), crop_share=1.0)
COMMON, RARE = 140, 7


def unbalanced(seed: int) -> tuple[DataBundle, np.ndarray, np.ndarray]:
    """Threes and eights, 20 to 1, to train on; and images and labels of others, as many eights as threes."""
    images, labels = load_digits(return_X_y=True)
    scaled = np.round(images.reshape(-1, 8, 8, 1) * (255 / 16)).astype(np.uint8)
    rng = np.random.default_rng(seed)
    threes, eights = (rng.permutation(np.flatnonzero(labels == digit)) for digit in (3, 8))
    chosen = np.concatenate([threes[:COMMON], eights[:RARE]])
    bundle = DataBundle(
        name="x",
        location="x",
        task=Task.SINGLE_LABEL,
        classes=("3", "8"),
        channels=1,
        images=list(scaled[chosen]),
        keys=tuple(map(str, chosen.tolist())),
        targets=(labels[chosen] == 8).astype(np.int64),
        splits={"train": np.arange(len(chosen))},
        quarantined=(),
        fingerprint="",
        facts=DataFacts("x", 2, Task.SINGLE_LABEL, 1, len(chosen), RARE, COMMON, 8),
    )
    return bundle, scaled[threes[COMMON:]], scaled[eights[RARE:]]


def recalls(seed: int, sampling: str) -> tuple[float, float]:
    """Share of other threes, and of other eights, that a linear classifier finds after six epochs."""
    bundle, threes, eights = unbalanced(seed)
    torch.manual_seed(seed)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 2))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.02)
    feed = Batches(
        bundle, bundle.splits["train"], preprocess=PIXELS, batch_size=16, seed=seed, sampling=sampling, threads=0
    )
    for epoch in range(6):
        for batch in feed.epoch(epoch):
            optimizer.zero_grad()
            logits = network(PIXELS.normalise(torch.from_numpy(batch.images)))
            torch.nn.functional.cross_entropy(logits, torch.from_numpy(batch.targets)).backward()
            optimizer.step()
    with torch.no_grad():
        answers = [network(PIXELS.normalise(torch.from_numpy(part))).argmax(1) for part in (threes, eights)]
    return float((answers[0] == 0).float().mean()), float((answers[1] == 1).float().mean())


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_balanced_sampling_raises_the_recall_of_the_rare_class(seed):
    plain, even = recalls(seed, "shuffle"), recalls(seed, "balanced")
    assert even[1] > plain[1] + 0.1, (plain, even)
    assert even[0] > 0.85, even
