"""A plugin whose networks are known to be good, middling or useless on photos that differ by colour.

All have one architecture: the mean colour of the image, a linear layer, a head. What a network sees is decided by its
weights alone, which the plugin's own weight source reads from a folder.
"""

from __future__ import annotations

import os
from pathlib import Path

from zoo.hookspecs import hookimpl

NETWORKS = ("seer", "squinter", "blind", "torn", "broken", "picky", "endless", "bare")


@hookimpl
def register_models(register):
    for name in NETWORKS:
        register(name, f"planted_networks:build_{name}", summary=f"{name}, planted", parameters=10_000 + len(name))


@hookimpl
def register_weights(register):
    register("planted", "planted_networks:Planted", summary="weights of the planted networks", rank=5)


class Planted:
    def locate(self, request):
        file = Path(os.environ["PLANTED_WEIGHTS"]) / f"{request.spec.arch}.safetensors"
        return file if request.spec.name.startswith("planted/") and file.is_file() else None

    def find(self, request):
        from safetensors.torch import load_file

        from zoo.contracts.model import FoundWeights, WeightsRecord

        file = self.locate(request)
        if file is None:
            return None
        return FoundWeights("planted", file, WeightsRecord("planted", request.spec.preprocess), load_file(file))

    def places(self, request):
        return []


def build(name, classes, channels, image_size):
    import torch
    from torch import nn

    from zoo.contracts.model import Model, ModelSpec, Stage
    from zoo.errors import UserError
    from zoo.imaging.preprocess import Preprocess

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.see = nn.Linear(channels, 6)
            self.head = nn.Linear(6, classes)

        def forward(self, images):
            if name == "broken" and len(images) > 1:
                raise torch.OutOfMemoryError("out of memory: tried to allocate 80 GiB")
            seen = self.see(images.mean(dim=(2, 3)))
            return self.head(seen * float("nan") if name == "endless" else seen)

    if name == "picky" and classes == 3:
        raise UserError("picky takes two classes")
    spec = ModelSpec(
        name=f"planted/{name}",
        library="planted",
        arch=name,
        classifier="head",
        feature_dim=6,
        stages=(Stage("see", ("see.weight", "see.bias")),),
        preprocess=Preprocess(image_size or 32, (0.5,) * channels, (0.5,) * channels),
    )
    return Model(Network(), spec)


def _builder(name):
    def make(*, classes, channels, image_size):
        return build(name, classes, channels, image_size)

    return make


build_seer, build_squinter, build_blind, build_torn = map(_builder, NETWORKS[:4])
build_broken, build_picky, build_endless, build_bare = map(_builder, NETWORKS[4:])
