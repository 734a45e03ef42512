"""torchvision's names as components of kind `model`."""

from __future__ import annotations

from typing import Any, cast

from torchvision import models
from zoo_plugins.classic_papers import classic_facts
from zoo_plugins.torchvision_families import Family, family_of

from zoo.contracts.model import WeightsRecord
from zoo.imaging.preprocess import Interpolation, Preprocess
from zoo.registry import Offer

UNUSABLE = frozenset({"VGG16_Weights.IMAGENET1K_FEATURES"})
"""Published for detectors: the classifier's values in that file are NaN."""


class TorchvisionModels:
    """Names every classification network of torchvision of which zoo knows the family."""

    def __init__(self) -> None:
        self._names = [name for name in models.list_models(module=models) if family_of(name) is not None]

    def names(self) -> list[str]:
        """All networks, without weight tags."""
        return list(self._names)

    def offer(self, name: str) -> Offer | None:
        """The network of this name, with the weights of its tag where one is given; None where there is none such."""
        arch, _, tag = name.partition(".")
        family = family_of(arch)
        if arch not in self._names or family is None:
            return None
        records = records_of(arch, tag)
        if tag and not records:
            return None
        meta = models.get_model_weights(arch).DEFAULT.meta
        facts: dict[str, Any] = {
            "library": "torchvision",
            "paper": family.paper.reference,
            "title": family.paper.title,
            "year": family.paper.year,
            "input_px": records[0].preprocess.size,
            "records": records,
            "multiply_adds": round(meta["_ops"] * 1e9),
        }
        facts |= classic_facts(arch)
        if arch != "inception_v3":  # its published count includes the auxiliary classifier
            facts["parameters"] = meta["num_params"]
        return Offer(
            target="zoo_plugins.torchvision_builder:build",
            summary=f"{arch} of torchvision, published weights {', '.join(r.tag for r in records)}",
            source=family.paper.reference,
            facts=facts,
            bound={"arch": arch, "tag": tag.lower()},
        )


def records_of(arch: str, tag: str = "") -> tuple[WeightsRecord, ...]:
    """Published sets of weights, torchvision's default first; only the one of `tag` where it is given."""
    family = family_of(arch)
    enum = models.get_model_weights(arch)
    members = [enum.DEFAULT, *(member for member in enum if member is not enum.DEFAULT)]
    found = [
        _record(member, family)
        for member in members
        if family is not None and str(member) not in UNUSABLE and tag.lower() in ("", member.name.lower())
    ]
    return tuple(found)


def _record(member: Any, family: Family) -> WeightsRecord:
    """One member of torchvision's enumeration."""
    wanted = member.transforms()
    size, resize = wanted.crop_size[0], wanted.resize_size[0]
    half = (0.5, 0.5, 0.5)
    return WeightsRecord(
        tag=member.name.lower(),
        preprocess=Preprocess(
            size=size,
            mean=half if family.centred else tuple(wanted.mean),
            std=half if family.centred else tuple(wanted.std),
            resize="crop",
            crop_share=size / resize,
            interpolation=cast(Interpolation, wanted.interpolation.value),
        ),
        url=member.url,
        classes=len(member.meta["categories"]),
        license=member.meta.get("license"),
        sha256=member.url.rpartition("-")[2].removesuffix(".pth"),
    )


def label_names(arch: str, tag: str) -> tuple[str, ...]:
    """Names of the published head's outputs."""
    for member in models.get_model_weights(arch):
        if member.name.lower() == tag:
            return tuple(member.meta["categories"])
    return ()
