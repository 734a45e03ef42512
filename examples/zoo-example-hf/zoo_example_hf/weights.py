"""Weights beside the description of a network that was named by its folder."""

from __future__ import annotations

from pathlib import Path

from zoo.contracts.model import FoundWeights, WeightsRequest
from zoo_example_hf.repository import LIBRARY, address_of, is_folder

FILE = "model.safetensors"


class FolderWeights:
    """A source of weights for networks `hf_vision:./FOLDER`; for all others it has none."""

    def locate(self, request: WeightsRequest) -> Path | None:
        """The file, where it is there."""
        path = self._path(request)
        return path if path is not None and path.is_file() else None

    def find(self, request: WeightsRequest) -> FoundWeights | None:
        """Its tensors, under the names that they have in the file.

        Raises:
            UserError: The file is torn.
        """
        from zoo.weights.files import read_tensors

        path = self.locate(request)
        if path is None:
            return None
        return FoundWeights("hf-folder", path, request.records[0], read_tensors(path))

    def places(self, request: WeightsRequest) -> list[str]:
        """Where the file would lie; nowhere for other networks."""
        path = self._path(request)
        return [] if path is None else [str(path)]

    def _path(self, request: WeightsRequest) -> Path | None:
        if request.spec.library != LIBRARY:
            return None
        address = address_of(request.spec.arch)
        return Path(address) / FILE if address is not None and is_folder(address) else None
