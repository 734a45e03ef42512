"""Weights from the network, after one quick look whether there is any."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlparse

from zoo.contracts.model import FoundWeights, WeightsRecord, WeightsRequest
from zoo.files import temporary_name
from zoo.weights.caches import hub_files, split_hub_id, torch_cache_file
from zoo.weights.files import check_sha256, read_tensors

PROBE_TIMEOUT_S = 3.0
READ_TIMEOUT_S = 30.0
_BLOCK_BYTES = 1 << 20


class Hub:
    """Repositories on Hugging Face, then direct addresses; what is fetched lies in the usual caches afterwards.

    One request a host, all at once and for at most three seconds, says which hosts can be reached at all: the
    libraries' own clients would retry for the better part of a minute.
    """

    def __init__(self) -> None:
        self._outcomes: dict[str, str] = {}

    def locate(self, request: WeightsRequest) -> Path | None:
        """Nothing of the hub lies on this machine."""
        return None

    def find(self, request: WeightsRequest) -> FoundWeights | None:
        """Downloads the first record that can be had.

        Raises:
            UserError: What came is torn, or not the published file.
        """
        self._outcomes = {}
        if not request.allow_network or is_offline():
            return None
        places = [place for record in request.records for place in _addresses(record)]
        reachable = reachable_hosts(places)
        for record in request.records:
            for place in _addresses(record):
                if _origin(place) not in reachable:
                    self._outcomes[place] = f"not reachable within {PROBE_TIMEOUT_S:.0f} s"
                    continue
                found = self._fetch(record, place)
                if found is not None:
                    return found
        return None

    def places(self, request: WeightsRequest) -> list[str]:
        """Addresses, and what became of each when `find` was last called."""
        places = [place for record in request.records for place in _addresses(record)]
        if not request.allow_network:
            return [f"{place} (not asked: the network is not to be used)" for place in places]
        if is_offline():
            return [f"{place} (not asked: HF_HUB_OFFLINE is set)" for place in places]
        return [f"{place} ({self._outcomes[place]})" if place in self._outcomes else place for place in places]

    def _fetch(self, record: WeightsRecord, place: str) -> FoundWeights | None:
        """One download; None, with the reason kept, where it fails."""
        try:
            path = fetch_url(place, sha256=record.sha256) if place == record.url else _fetch_repository(record)
        except Exception as error:  # the client raises errors of its own, of httpx and of the system alike
            self._outcomes[place] = f"failed: {(str(error).splitlines() or [type(error).__name__])[0][:200]}"
            return None
        return FoundWeights("hub", path, record, read_tensors(path))


def is_offline() -> bool:
    """Whether the user switched the network off for the Hugging Face client; direct addresses follow suit."""
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def _addresses(record: WeightsRecord) -> list[str]:
    """Where a record is published: its repository, then its direct address."""
    from huggingface_hub import constants

    repository = [f"{constants.ENDPOINT}/{record.hub_id}"] if record.hub_id else []
    return [*repository, *([record.url] if record.url else [])]


def _origin(address: str) -> str:
    """Scheme and host of an address."""
    parts = urlparse(address)
    return f"{parts.scheme}://{parts.netloc}"


def reachable_hosts(addresses: Iterable[str], *, timeout_s: float = PROBE_TIMEOUT_S) -> set[str]:
    """Hosts (`https://name`) that answer anything at all, asked side by side.

    Name look-ups know no timeout, so each host is asked in a thread of its own that is left behind when time is up.
    """
    answered: set[str] = set()
    threads = [
        threading.Thread(target=_probe, args=(host, answered), kwargs={"timeout_s": timeout_s}, daemon=True)
        for host in sorted({_origin(address) for address in addresses})
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout_s)
        timeout_s = timeout_s if not thread.is_alive() else 0.0
    return set(answered)


def _probe(host: str, answered: set[str], *, timeout_s: float) -> None:
    """Notes the host where it answers; a gateway's word that it cannot reach it counts as silence."""
    try:
        with urllib.request.urlopen(urllib.request.Request(f"{host}/", method="HEAD"), timeout=timeout_s):
            answered.add(host)
    except urllib.error.HTTPError as error:
        if error.code not in (502, 503, 504):
            answered.add(host)
    except (OSError, ValueError):
        return


def _fetch_repository(record: WeightsRecord) -> Path:
    """A file of a Hugging Face repository, kept in the client's own cache."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    repository, revision = split_hub_id(record.hub_id or "")
    files = hub_files(record)
    for file in files[:-1]:
        try:
            return Path(hf_hub_download(repository, file, revision=revision, etag_timeout=PROBE_TIMEOUT_S))
        except EntryNotFoundError:
            continue
    return Path(hf_hub_download(repository, files[-1], revision=revision, etag_timeout=PROBE_TIMEOUT_S))


def fetch_url(url: str, *, sha256: str = "") -> Path:
    """A file from a direct address, kept where torch.hub would keep it.

    It is written under a temporary name, compared with its published hash, and only then renamed.
    """
    from huggingface_hub.utils import tqdm

    target = torch_cache_file(url)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(temporary_name(target.name))
    try:
        with urllib.request.urlopen(url, timeout=READ_TIMEOUT_S) as answer, partial.open("xb") as file:
            total = int(answer.headers.get("Content-Length") or 0)
            with tqdm(total=total or None, unit="B", unit_scale=True, desc=target.name, disable=None) as bar:
                while block := answer.read(_BLOCK_BYTES):
                    file.write(block)
                    bar.update(len(block))
        if total and partial.stat().st_size != total:
            raise OSError(f"the connection broke off after {partial.stat().st_size:,} of {total:,} bytes")
        check_sha256(partial, sha256)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return target
