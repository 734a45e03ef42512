"""A network over a split: every image once, in order, with the loss that was asked for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from torch import nn

from zoo.assembly.outputs import outputs_over
from zoo.contracts.model import Model, ModelSpec
from zoo.contracts.training import RawBatch
from zoo.features.probe import mean_loss
from zoo.imaging.preprocess import Preprocess

PREPROCESS = Preprocess(size=4, mean=(0.5,), std=(0.25,))
COUNT, CLASSES = 11, 3


class Backwards:
    """A feed that shows images 2 to 8 of the bundle, last first: answers must come back in the bundle's order."""

    steps_per_epoch = 3
    images = np.random.default_rng(0).integers(0, 256, (COUNT, 4, 4, 1)).astype(np.uint8)

    def epoch(self, epoch, *, start_step=0):
        for chosen in (np.array([8, 7, 6]), np.array([5, 4, 3]), np.array([2])):
            yield RawBatch(self.images[chosen], np.zeros(len(chosen), np.int64), chosen, len(chosen))


def tiny() -> Model:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Flatten(), nn.Dropout(0.9), nn.Linear(16, CLASSES))
    return Model(module, ModelSpec("test/tiny", "zoo", "tiny", "2", 16, (), PREPROCESS))


@pytest.mark.parametrize("labels", ["one", "several"])
def test_outputs_over_are_those_of_a_plain_pass_with_their_loss(labels):
    rng = np.random.default_rng(1)
    one, several = rng.integers(0, CLASSES, COUNT), (rng.random((COUNT, CLASSES)) < 0.5).astype(np.float32)
    targets = one if labels == "one" else several
    model = tiny()
    model.module.train()
    found = outputs_over(model, Backwards(), targets=targets, mean_loss=mean_loss, accelerator=Accelerator(cpu=True))
    pixels = torch.from_numpy(Backwards.images[2:9].astype(np.float32)).permute(0, 3, 1, 2)
    with torch.no_grad():
        expected = model.module.eval()((pixels / 255 - 0.5) / 0.25)
    assert np.allclose(found.logits, expected.numpy(), atol=1e-6)
    assert found.indices.tolist() == [2, 3, 4, 5, 6, 7, 8]
    assert np.array_equal(found.targets, targets[2:9])
    truth = torch.from_numpy(targets[2:9])
    if labels == "one":
        loss = nn.CrossEntropyLoss()(expected, truth)
    else:
        loss = CLASSES * nn.BCEWithLogitsLoss()(expected, truth)
    assert found.loss == pytest.approx(float(loss), rel=1e-5)
