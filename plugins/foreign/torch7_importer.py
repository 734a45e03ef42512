"""Reads Torch7's networks (.t7): containers of nn and cudnn modules.

Source: https://github.com/torch/nn and https://github.com/soumith/cudnn.torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from zoo_plugins.foreign.torch7_file import TorchObject, load
from zoo_plugins.foreign.torch7_modules import read_modules
from zoo_plugins.option_checks import check_choice

from zoo.contracts.importing import ForeignModel
from zoo.errors import UserError

if TYPE_CHECKING:
    from zoo.contracts.importing import Forward

_KEYS = ("model", "net", "network")
"""Under which programs keep the network where a file holds more than that."""


class Torch7Importer:
    """Convolutions, Linear and batch normalisations in Sequential, Concat, ConcatTable, ParallelTable and the like.

    Functions in the file are skipped, and nothing is run. A module that holds values and is none of these is refused
    by its class and place; so is an nngraph.

    Args:
        channel_order: Order of the colours that the net reads: `rgb`, as Torch7's image library loads them; `bgr` for
            nets that were brought from Caffe (loadcaffe).
    """

    def __init__(self, *, channel_order: Literal["rgb", "bgr"] = "rgb") -> None:
        check_choice(channel_order, where="importer.channel_order", choices=("rgb", "bgr"))
        self.channel_order = channel_order

    def reads(self, path: Path) -> bool:
        """Whether the file ends in .t7."""
        return path.suffix.lower() == ".t7"

    def read(self, path: Path, *, definition: Path | None = None) -> ForeignModel:
        """All layers with their values, in the order of execution.

        Args:
            path: The .t7 file; the network alone, or a table with it under model, net or network.
            definition: None: the file holds the network's description.

        Raises:
            UserError: The file is torn or of another kind, or holds what cannot be expressed.
        """
        if definition is not None:
            raise UserError(
                "a .t7 file holds its network's description", where=f"definition={definition}", do="leave it out"
            )
        notes: list[str] = []
        network = _network(load(path), path, notes=notes)
        layers = read_modules(network, where=str(path), notes=notes)
        if not layers:
            raise UserError("this network holds no values", where=str(path))
        return ForeignModel(
            framework="torch7",
            layers=tuple(layers),
            order="execution",
            notes=tuple(notes),
            channel_order=self.channel_order,
        )

    def forward(self, path: Path, *, definition: Path | None = None) -> Forward | None:
        """None: Torch7 runs in Lua."""
        return None


def _network(thing: Any, path: Path, *, notes: list[str]) -> TorchObject:
    """The network among what a file holds."""
    if isinstance(thing, TorchObject):
        return thing
    if isinstance(thing, dict):
        found = [key for key in _KEYS if isinstance(thing.get(key), TorchObject)]
        if len(found) == 1:
            notes.append(f"the network is the entry {found[0]!r} of the file's table")
            network: TorchObject = thing[found[0]]
            return network
    kind = "a table without a network" if isinstance(thing, dict) else f"a {type(thing).__name__}"
    raise UserError(
        f"this file holds {kind}", where=str(path), allowed=f"a network, or a table with one under {', '.join(_KEYS)}"
    )
