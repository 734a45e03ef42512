"""Weights that another program or an earlier run already fetched: torch's cache and Hugging Face's."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlparse

from zoo.contracts.model import FoundWeights, WeightsRecord, WeightsRequest
from zoo.weights.files import FOLDER_FILES, check_sha256, read_tensors


class TorchCache:
    """Files that torch.hub keeps: `TORCH_HOME/hub/checkpoints`, shared with torchvision and timm."""

    def locate(self, request: WeightsRequest) -> Path | None:
        """The file of the first record that lies there."""
        return next((path for _, path in self._present(request)), None)

    def find(self, request: WeightsRequest) -> FoundWeights | None:
        """Its tensors, once it is known to be the published file.

        Raises:
            UserError: The file is torn, or not the published one.
        """
        for record, path in self._present(request):
            check_sha256(path, record.sha256)
            return FoundWeights("torch-cache", path, record, read_tensors(path))
        return None

    def places(self, request: WeightsRequest) -> list[str]:
        """Where the published files would lie."""
        return [str(torch_cache_file(record.url)) for record in request.records if record.url]

    def _present(self, request: WeightsRequest) -> Iterator[tuple[WeightsRecord, Path]]:
        for record in request.records:
            if record.url and torch_cache_file(record.url).is_file():
                yield record, torch_cache_file(record.url)


class HubCache:
    """Files that the Hugging Face client keeps: `HF_HOME/hub`."""

    def locate(self, request: WeightsRequest) -> Path | None:
        """The file of the first record that lies there."""
        return next((path for _, path in self._present(request)), None)

    def find(self, request: WeightsRequest) -> FoundWeights | None:
        """Its tensors.

        Raises:
            UserError: The file is torn.
        """
        for record, path in self._present(request):
            return FoundWeights("hf-cache", path, record, read_tensors(path))
        return None

    def places(self, request: WeightsRequest) -> list[str]:
        """Folders of the repositories in the cache."""
        return [str(hub_cache_folder(record.hub_id)) for record in request.records if record.hub_id]

    def _present(self, request: WeightsRequest) -> Iterator[tuple[WeightsRecord, Path]]:
        from huggingface_hub import constants, try_to_load_from_cache

        for record in request.records:
            if not record.hub_id:
                continue
            repository, revision = split_hub_id(record.hub_id)
            for file in hub_files(record):
                path = try_to_load_from_cache(repository, file, cache_dir=constants.HF_HUB_CACHE, revision=revision)
                if isinstance(path, str):
                    yield record, Path(path)
                    break


def torch_cache_file(url: str) -> Path:
    """Where torch.hub keeps the file of an address; read from the environment as torch does, without importing it."""
    home = os.environ.get("TORCH_HOME") or os.path.join(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "torch")
    return Path(home).expanduser() / "hub" / "checkpoints" / unquote(os.path.basename(urlparse(url).path))


def hub_cache_folder(hub_id: str) -> Path:
    """Where the Hugging Face client keeps a repository."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE) / f"models--{split_hub_id(hub_id)[0].replace('/', '--')}"


def split_hub_id(hub_id: str) -> tuple[str, str | None]:
    """`name/repository@revision` to repository and revision; None stands for the main branch."""
    repository, _, revision = hub_id.partition("@")
    return repository, revision or None


def hub_files(record: WeightsRecord) -> tuple[str, ...]:
    """Files to look for in a repository, safetensors first."""
    if record.file is None:
        return FOLDER_FILES
    stem, dot, suffix = record.file.rpartition(".")
    return (record.file,) if suffix == "safetensors" or not dot else (f"{stem}.safetensors", record.file)
