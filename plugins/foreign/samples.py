"""Small files of other frameworks, on which zoo's own checks (`zoo plugins check`) try readers that need no library."""

from __future__ import annotations

from pathlib import Path


def lasagne(empty: Path) -> Path:
    """Writes a convolution with its bias and a dense layer, and returns the file."""
    import numpy as np

    rng = np.random.Generator(np.random.PCG64(0))
    shapes = ((4, 3, 3, 3), (4,), (4, 2), (2,))
    np.savez(empty / "net.npz", *(rng.normal(size=shape).astype(np.float32) for shape in shapes))
    return empty / "net.npz"


def pytorch(empty: Path) -> Path:
    """Writes the state dict of a convolution, a batch norm and a linear layer, and returns the file."""
    import torch
    from torch import nn

    network = nn.ModuleDict({"conv": nn.Conv2d(3, 4, 3), "norm": nn.BatchNorm2d(4), "fc": nn.Linear(4, 2)})
    torch.save(network.state_dict(), empty / "net.pth")
    return empty / "net.pth"
