"""What readers of other frameworks' files hand to the one place that fits their values to a network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from zoo.imaging.preprocess import Preprocess

    Forward = Callable[[NDArray[np.float32]], NDArray[np.float32]]
    """The source framework's own forward pass: float32[B, C, H, W] to logits float32[B, K].

    The input is what the file's own network takes: normalised as it wants it, in its own order of channels. A softmax
    at its end is left out where that is possible; else probabilities come out, and are compared as such.
    """

LayerKind = Literal["conv", "dense", "norm"]


@dataclass(frozen=True)
class ForeignPool:
    """A pooling over windows, which has no values but decides what the layers behind it see.

    Attributes:
        kind: `max` or `avg`.
        kernel: Height and width.
        stride: Height and width.
        padding: As a convolution's; a padding layer before it counts with it.
        ceil: A last window that hangs over the edge counts.
    """

    kind: Literal["max", "avg"]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: Any = 0
    ceil: bool = False


@dataclass(frozen=True)
class ForeignLayer:
    """One layer that holds values, as its framework stored it but already in PyTorch's layout.

    Attributes:
        name: The source's own name of it, for messages.
        kind: `conv` (grouped and depthwise too), `dense`, or `norm` (batch normalisation with running statistics).
        tensors: Role to values. conv: `weight` float[O, I / groups, kH, kW], `bias` float[O] where there is one;
            dense: `weight` float[O, I], `bias`; norm: `weight`, `bias`, `running_mean`, `running_var`, float[C] each
            (a scale or shift that the source leaves out is given as ones or zeros).
        facts: What the source states beside values, where it does: `stride` and `dilation` (int or (h, w)), `padding`
            (`same`, `valid`, int, (h, w) or (top, left, bottom, right); a padding layer before it counts with it),
            `groups`, `epsilon` (a norm must state it), `flatten_order` (`hwc` where a dense layer reads a flattened
            map of [H, W, C]; its weight is then left in that order, and put right where the network is known),
            `direct` (False where something stands between a norm and the layer that it reads), `pools` (every
            `ForeignPool` between it and the layers that it reads, those over the whole map left out).
        after: Names of the layers with values whose results it reads, through layers without; None where the
            source does not say.
    """

    name: str
    kind: LayerKind
    tensors: Mapping[str, NDArray[np.float32]]
    facts: Mapping[str, Any] = field(default_factory=dict)
    after: tuple[str, ...] | None = None


@dataclass(frozen=True)
class ForeignModel:
    """A network of another framework, read without running anything of it.

    Attributes:
        framework: `keras`, `onnx`, `caffe`...
        layers: In the order of execution where `order` says so, else as they stand in the file.
        architecture: The source's own name of the network, or "".
        preprocess: How it wants its input, where the file states it; its numbers stand in the order R, G, B.
        channel_order: The order of colours that its first layer reads; `bgr` is folded into that layer.
        input_shape: (C, H, W) of one image, where the source states it.
        notes: One sentence for each thing that was decided while reading.
    """

    framework: str
    layers: tuple[ForeignLayer, ...]
    order: Literal["execution", "file"]
    architecture: str = ""
    preprocess: Preprocess | None = None
    notes: tuple[str, ...] = ()
    channel_order: Literal["rgb", "bgr"] = "rgb"
    input_shape: tuple[int, int, int] | None = None


@dataclass(frozen=True)
class Provenance:
    """Where imported values come from and how far they are proven; kept in a saved model's `origin` as `import`.

    Attributes:
        framework: Of the source file.
        file: Its name.
        sha256: Of the source file.
        reader: Full name of the importer.
        against: What the outputs were compared with, or "" where nothing was there to compare with.
        inputs: Number of images compared.
        max_abs: Largest absolute difference of an output.
        max_relative: The same over the largest absolute output of the source.
        compared: `logits`, or `probabilities` where the source gives nothing else.
        preprocess: How it is known how the input is prepared.
        notes: What was decided and folded, one sentence each.
    """

    framework: str
    file: str
    sha256: str
    reader: str
    against: str = ""
    inputs: int = 0
    max_abs: float | None = None
    max_relative: float | None = None
    compared: str = ""
    preprocess: str = ""
    notes: tuple[str, ...] = ()

    @property
    def verified(self) -> bool:
        """Whether outputs were compared."""
        return bool(self.against)

    def line(self) -> str:
        """One line for wherever the model is shown."""
        start = f"imported from {self.framework} ({self.file}): "
        if not self.verified or self.max_abs is None or self.max_relative is None:
            return start + "unverified, nothing to compare its outputs with"
        return start + (
            f"{self.compared} differ by at most {self.max_abs:.2g} ({self.max_relative:.2g} relative) "
            f"from {self.against} on {self.inputs} inputs"
        )

    @classmethod
    def from_origin(cls, origin: Mapping[str, Any]) -> Provenance | None:
        """What a saved model's origin says of an import; None for a model that was not imported."""
        values = origin.get("import")
        if not isinstance(values, Mapping):
            return None
        known = {item.name: values[item.name] for item in fields(cls) if item.name in values}
        return cls(**known | {"notes": tuple(known.get("notes", ()))})


class Importer(Protocol):
    """What a component of kind `importer` builds: it reads one framework's files. It never unpickles or runs code."""

    def reads(self, path: Path) -> bool:
        """Whether this file is of its kind, by a look at name and first bytes."""

    def read(self, path: Path, *, definition: Path | None = None) -> ForeignModel:
        """All layers with their values.

        Args:
            path: The file of weights.
            definition: A file that describes the network where the framework keeps it apart (a prototxt).

        Raises:
            UserError: The file is torn, of another kind, needs code to be read, or holds what cannot be expressed.
        """

    def forward(self, path: Path, *, definition: Path | None = None) -> Forward | None:
        """The framework's own forward pass, where it is installed and the file holds the whole network; else None."""
