"""The small network and its images."""

from __future__ import annotations

import pytest
import torch
from support.regularizing import images_of, residual_model

from zoo.contracts.model import Model


@pytest.fixture
def model() -> Model:
    return residual_model()


@pytest.fixture
def images() -> torch.Tensor:
    return images_of()
