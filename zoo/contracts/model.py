"""What the model and weights stages hand on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import nn

    from zoo.imaging.preprocess import Preprocess


@dataclass(frozen=True)
class WeightsRecord:
    """One published set of weights for an architecture, and where it is published.

    Attributes:
        tag: The part after the dot in timm's `resnet18.a1_in1k`, an enum name in torchvision; "" if unnamed.
        hub_id: Hugging Face repository, or None.
        url: Direct address of a file, or None.
        file: File name within the hub repository, or None for the library's usual names.
        classes: Outputs of the published head (1000 for ImageNet-1k).
        preprocess: How these weights want their input.
        finetune_px: Side at which larger photos are best fine-tuned, where it is not that of `preprocess`; 0: the same.
        sha256: The beginning of the file's hash as its publisher states it, or "".
    """

    tag: str
    preprocess: Preprocess
    hub_id: str | None = None
    url: str | None = None
    file: str | None = None
    classes: int = 0
    license: str | None = None
    sha256: str = ""
    finetune_px: int = 0


@dataclass(frozen=True)
class Stage:
    """One depth of a network: the parameters that share a learning rate or are frozen together."""

    name: str
    parameters: tuple[str, ...]


@dataclass(frozen=True)
class ModelSpec:
    """All that is known of a network without its weights.

    Attributes:
        name: Full name, `timm/resnet18`, without a weight tag.
        library: `timm`, `torchvision` or `zoo`.
        arch: The library's own name, `resnet18`.
        classifier: Dotted path of the module that turns pooled features into logits: the head's slot.
        feature_dim: Width of what enters that slot.
        stages: From the input to the last one before the head; every parameter outside the head is in exactly one.
        preprocess: Follows the weights chosen; the size may have been adapted to the data.
        weights: All known sets of weights, the default first.
        ignored_keys: Regular expressions of keys in published files that this network leaves out (auxiliary heads).
        fresh_keys: Regular expressions of the network's keys that published files may lack; they start fresh.
        args: Extra arguments with which the library built the network; they travel with the saved model.
    """

    name: str
    library: str
    arch: str
    classifier: str
    feature_dim: int
    stages: tuple[Stage, ...]
    preprocess: Preprocess
    weights: tuple[WeightsRecord, ...] = ()
    ignored_keys: tuple[str, ...] = ()
    fresh_keys: tuple[str, ...] = ()
    args: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Model:
    """A network and what is known of it. `module(x)` maps float[B, C, S, S] to logits float[B, classes].

    Attributes:
        convert: Turns the tensors of a published file whose names or shapes differ from the network's (older names,
            position tables of another size, other input channels) into the network's own, by the library's rules.
            It raises UserError where they do not fit. None: a published file fits as it is.
        labels: Names of the published head's outputs, in order, or () where they are not known.
    """

    module: nn.Module
    spec: ModelSpec
    convert: Callable[[Mapping[str, Any], WeightsRecord], Mapping[str, Any]] | None = None
    labels: Callable[[WeightsRecord], tuple[str, ...]] | None = None

    @property
    def head(self) -> nn.Module:
        """The module in the head's slot."""
        return self.module.get_submodule(self.spec.classifier)


@dataclass(frozen=True)
class NetworkFacts:
    """What a strategy may know of a network.

    Attributes:
        name: Full name.
        stages: Names of its stages, from the input to the last one before the head.
        parameters: Number of values in its parameters, the head's left out.
        input_px: Side of its input.
        norm_layers: Normalisation layers (batch, group or layer) with scales and shifts of their own.
        linear_layers: Fully connected layers outside the head that low-rank adapters attach to.
        conv_layers: Convolutions, likewise: those without groups and dilation.
        biases: Parameters outside the head that are added to a layer's output.
    """

    name: str
    stages: tuple[str, ...]
    parameters: int
    input_px: int
    norm_layers: int
    linear_layers: int
    conv_layers: int = 0
    biases: int = 0


@dataclass(frozen=True)
class WeightsRequest:
    """What a weight source is asked for.

    Attributes:
        spec: The network; its `weights` list the published sets, those asked for first.
        named: The user named the first set by its tag (`resnet18.a1_in1k`): nothing may stand in for it.
        allow_network: False where only what lies on this machine may be used.
    """

    spec: ModelSpec
    records: tuple[WeightsRecord, ...]
    allow_network: bool = True
    named: bool = False


@dataclass(frozen=True)
class FoundWeights:
    """A state dict that a source found, in the network's own names.

    Attributes:
        source: Name of the weight source (`package`, `torch-cache`, `hf-cache`, `hub`, `file`).
        tensors: Parameter and buffer name to tensor.
        note: A remark on how they were read, or "".
        warning: What the user must know before he trusts them, or "".
        labels: Names of the outputs of their head, where the source knows them; () leaves it to the network.
    """

    source: str
    path: Path
    record: WeightsRecord
    tensors: Mapping[str, Any]
    note: str = ""
    warning: str = ""
    labels: tuple[str, ...] = ()


class WeightsSource(Protocol):
    """What a component of kind `weights` builds. Sources are asked in the order of their registered `rank`.

    One whose weights are no published set of the network, and only stand in for them, also has `stands_in = True`.
    """

    def locate(self, request: WeightsRequest) -> Path | None:
        """Where on this machine the weights lie, found by names alone and at once, for listings. Never the network."""

    def find(self, request: WeightsRequest) -> FoundWeights | None:
        """The weights, or None when this source has none of them.

        Raises:
            UserError: It has them but they cannot be used (torn file, wrong hash).
        """

    def places(self, request: WeightsRequest) -> list[str]:
        """Every place `find` looks at, for the message that nothing was found."""


@dataclass(frozen=True)
class LoadReport:
    """What happened to each tensor: strict, so nothing is ever left over in silence.

    Attributes:
        source: Where the weights came from; `none` means random values, which the user asked for.
        loaded: Number of tensors copied into the network.
        reinitialised: Names that start fresh by declared pattern (a new head).
        unused: Names in the file that the network leaves out by declared pattern.
        adapted: Names whose values were computed from the file's (other input channels, another image size).
        license: Licence under which the weights are published, where it is known.
    """

    source: str
    location: str
    sha256: str
    tag: str
    loaded: int
    reinitialised: tuple[str, ...]
    unused: tuple[str, ...]
    adapted: tuple[str, ...] = ()
    license: str | None = None
