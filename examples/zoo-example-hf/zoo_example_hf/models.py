"""Builds image networks of transformers as zoo models: random values, one head, stages by depth."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForImageClassification, PretrainedConfig, PreTrainedModel

from zoo.contracts.model import Model, ModelSpec, Stage, WeightsRecord
from zoo.errors import UserError, name_list
from zoo.models.build import check_forward, check_stages, for_channels, stages_from
from zoo_example_hf.preprocessing import preprocess_of
from zoo_example_hf.repository import CONFIG, LIBRARY, SCHEME, is_folder, name_of

OWN_ARGUMENTS: Mapping[str, str] = {
    "num_labels": "it follows the data",
    "id2label": "it follows the data",
    "label2id": "it follows the data",
    "num_channels": "it follows the data (data.channels)",
    "image_size": "use model.image_size",
}
"""Values of a network's configuration that zoo sets itself."""

MOST_STAGES = 8
"""Networks of more numbered blocks (ViT) are cut into four stages of equally many."""

_NUMBER = re.compile(r"\.(\d+)\.")


def build(
    *,
    address: str,
    folder: str,
    classes: int,
    channels: int,
    image_size: int | None,
    args: dict[str, Any] | None = None,
) -> Model:
    """Builds a network of transformers with random values.

    Args:
        address: `ORG/NAME` on the hub, or the path of a folder.
        folder: Where its description lies.
        classes: Outputs of the classifier.
        channels: Input channels.
        image_size: Side of the input in pixels; None keeps the size of the weights.
        args: Other values for the network's configuration, such as `{drop_path_rate: 0.1}`.

    Raises:
        UserError: It is no network for images, or takes no such values, channels or image size.
    """
    published, record = config_of(Path(folder)), record_of(address, Path(folder))
    config = _changed(config_of(Path(folder)), args or {}, channels=channels, address=address)
    config.num_labels = classes
    network = _network(config, address)
    module = Logits(network)
    classifier = _classifier_of(network, address)
    preprocess = record.preprocess.with_size(image_size or record.preprocess.size).with_channels(channels)
    model = Model(
        module,
        ModelSpec(
            name=f"{LIBRARY}/{name_of(address)}",
            library=LIBRARY,
            arch=name_of(address),
            classifier=classifier,
            feature_dim=module.get_submodule(classifier).in_features,
            stages=_stages_of(module, classifier),
            preprocess=preprocess,
            weights=(record,),
            ignored_keys=() if _has_pooler(module) else (r"(?:\w+\.)?pooler\.",),
            args=dict(args or {}),
        ),
        convert=Published(published, first=_first_kernels(module), channels=channels, address=address),
        labels=lambda _: tuple(published.id2label[number] for number in sorted(published.id2label)),
    )
    return check_forward(check_stages(model)) if preprocess.size != record.preprocess.size else check_stages(model)


class Logits(nn.Module):
    """A network of transformers, which answers with a record of outputs, as one that answers with logits.

    Args:
        network: Takes float32[B, C, S, S], and answers with `logits`, float32[B, classes].
    """

    def __init__(self, network: PreTrainedModel) -> None:
        super().__init__()
        self.network = network
        # Tables of positions are stretched to the size of the image; at the network's own size this changes nothing.
        stretches = "interpolate_pos_encoding" in inspect.signature(network.forward).parameters
        self._options = {"interpolate_pos_encoding": True} if stretches else {}

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """float[B, C, S, S] to logits float[B, classes]."""
        logits: torch.Tensor = self.network(pixel_values=images, return_dict=True, **self._options).logits
        return logits


@dataclass(frozen=True)
class Published:
    """Turns the tensors of a published file into those of the network, by transformers' own rules.

    Older files have other names than today's classes, and files of a bare backbone lack the prefix that the same
    backbone has under a classifier; transformers knows both.

    Attributes:
        config: The published configuration, with the published number of classes.
        first: Name of the first layer's kernels, whose input channels follow the data.
        channels: Of the data.
        address: For messages.
    """

    config: PretrainedConfig
    first: str
    channels: int
    address: str

    def __call__(self, tensors: Mapping[str, torch.Tensor], record: WeightsRecord) -> dict[str, torch.Tensor]:
        """Every tensor of the file: under the network's name, or, where the network has none, under its own.

        Raises:
            UserError: A tensor has another shape than the published network's.
        """
        kind = type(_network(self.config, self.address))
        try:
            filled, report = kind.from_pretrained(
                None, config=self.config, state_dict=dict(tensors), dtype=torch.float32, output_loading_info=True
            )
        except (RuntimeError, ValueError) as error:
            raise UserError(
                f"these weights do not fit {self.address}: {(str(error).splitlines() or [''])[0][:200]}",
                where=f"model={SCHEME}{self.address}",
                do="take the weights of this network",
            ) from error
        absent = set(report["missing_keys"])  # transformers fills them with random values: zoo must see that they lack
        state = {f"network.{name}": value for name, value in filled.state_dict().items() if name not in absent}
        left_over = {name: tensors[name] for name in report["unexpected_keys"] if name in tensors}
        return for_channels(state | left_over, record, first=self.first, channels=self.channels)


def config_of(folder: Path) -> PretrainedConfig:
    """The published configuration of a network.

    Raises:
        UserError: It is none of transformers'.
    """
    try:
        return AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"this is no network of transformers: {(str(error).splitlines() or [type(error).__name__])[0][:200]}",
            where=str(folder / CONFIG),
            do="take another network",
        ) from error


def record_of(address: str, folder: Path) -> WeightsRecord:
    """The published weights of a network; zoo's own sources find those of the hub by `hub_id`."""
    classes = config_of(folder).num_labels
    return WeightsRecord("", preprocess_of(folder), hub_id=None if is_folder(address) else address, classes=classes)


def _changed(config: PretrainedConfig, args: Mapping[str, Any], *, channels: int, address: str) -> PretrainedConfig:
    """The configuration with the user's values and the data's channels."""
    for key, value in args.items():
        if key in OWN_ARGUMENTS:
            raise UserError(f"{key!r} cannot be set here: {OWN_ARGUMENTS[key]}", where=f"model.args.{key}")
        if key not in config.to_dict():
            raise UserError(
                f"{address} has no {key!r}", where=f"model.args.{key}", allowed=name_list(key, config.to_dict())
            )
        setattr(config, key, value)
    if channels != getattr(config, "num_channels", 3):
        if not hasattr(config, "num_channels"):
            raise UserError(
                f"{address} reads images of 3 channels", where=f"data.channels={channels}", do="data.channels=3"
            )
        config.num_channels = channels
    return config


def _network(config: PretrainedConfig, address: str) -> PreTrainedModel:
    """The network with random values in 32 bits.

    Raises:
        UserError: transformers has no classifier of images on this network.
    """
    try:
        return AutoModelForImageClassification.from_config(config, dtype=torch.float32)
    except (ValueError, TypeError) as error:
        raise UserError(
            f"{address} ({config.model_type}) cannot be built to classify images: {str(error).splitlines()[0][:200]}",
            where=f"model={SCHEME}{address}",
            do="take another network",
        ) from error


def _classifier_of(network: PreTrainedModel, address: str) -> str:
    """Dotted path of the one dense layer outside the backbone."""
    backbone = f"{network.base_model_prefix}."
    found = [
        f"network.{name}"
        for name, layer in network.named_modules()
        if isinstance(layer, nn.Linear) and not name.startswith(backbone)
    ]
    if len(found) != 1:
        raise UserError(
            f"{address} has {len(found)} dense layers behind its backbone, and zoo puts one head into one place",
            where=f"model={SCHEME}{address}",
            do="take another network",
        )
    return found[0]


def _stages_of(module: nn.Module, classifier: str) -> tuple[Stage, ...]:
    """Stages by the first number in a parameter's name: what stands before the first is the stem, behind the last one
    belongs to it."""
    names = [name for name, _ in module.named_parameters() if not name.startswith(f"{classifier}.")]
    blocks = [int(found[1]) for name in names if (found := _NUMBER.search(name))]
    count = max(blocks, default=-1) + 1
    return stages_from(_staged(names, per_stage=-(-count // 4) if count > MOST_STAGES else 1))


def _staged(names: list[str], *, per_stage: int) -> Iterator[tuple[str, str]]:
    stage = "0:stem"
    for name in names:
        found = _NUMBER.search(name)
        if found is not None:
            stage = f"{1 + int(found[1]) // per_stage}:blocks"
        yield stage, name


def _has_pooler(module: nn.Module) -> bool:
    return any(".pooler." in name for name, _ in module.named_parameters())


def _first_kernels(module: nn.Module) -> str:
    """Name of the kernels of the convolution that reads the image."""
    return next(f"{name}.weight" for name, layer in module.named_modules() if isinstance(layer, nn.Conv2d))
