"""Names of image networks on the hub. What is heavy is imported when one of them is chosen."""

from __future__ import annotations

from zoo.registry import Offer
from zoo_example_hf.repository import LIBRARY, address_of, cached_addresses, described, is_folder, name_of


class HubModels:
    """The provider: satisfies `zoo.registry.Provider`."""

    def __init__(self) -> None:
        self._offers: dict[str, Offer] = {}

    def names(self) -> list[str]:
        """Networks in the client's cache; nobody lists the hub."""
        return [name_of(address) for address in cached_addresses()]

    def offer(self, name: str) -> Offer | None:
        """The network of this name, None where it is none of this plugin's; what the cache lacks is fetched.

        Raises:
            UserError: The network cannot be had, or not be used.
        """
        address = address_of(name)
        if address is None:
            return None
        if address not in self._offers:  # asked several times a run
            self._offers[address] = _offer(address)
        return self._offers[address]


def _offer(address: str) -> Offer:
    from zoo_example_hf.models import config_of, record_of

    folder = described(address)
    record = record_of(address, folder)
    return Offer(
        target="zoo_example_hf.models:build",
        name=name_of(address),
        summary=f"{config_of(folder).model_type} of transformers: {address.rpartition('/')[2][:60]}",
        source=address if is_folder(address) else f"https://huggingface.co/{address}",
        facts={"library": LIBRARY, "input_px": record.preprocess.size, "records": (record,)},
        bound={"address": address, "folder": str(folder)},
    )
