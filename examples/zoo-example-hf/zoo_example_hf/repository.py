"""Names of networks on the hub, and where the files that describe one are: a folder, the client's cache, or the hub."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote, unquote

from zoo.errors import UserError

LIBRARY = "hf"
"""The plugin's namespace: a network's full name is `hf/microsoft--resnet-18`."""

SCHEME = "hf_vision:"
CONFIG, PREPROCESSOR = "config.json", "preprocessor_config.json"
"""Files that say what a network is, and how it wants its images."""

_SLASH = "%2f"


def address_of(name: str) -> str | None:
    """What a model's name means: `ORG/NAME` on the hub, or the absolute path of a folder.

    Args:
        name: `hf_vision:ORG/NAME`, `hf_vision:./FOLDER`, or what `name_of` makes of either. Anything else is no name of
            this plugin's, and None.

    Raises:
        UserError: The scheme is there, and no repository and no folder behind it.
    """
    if name.startswith(SCHEME):
        given = name.removeprefix(SCHEME)
        folder = Path(given).expanduser()
        if given.startswith((".", "/", "~")) or (given and given.count("/") != 1 and folder.is_dir()):
            return str(folder.absolute())
        if given.count("/") != 1 or "--" in given:
            raise UserError(
                f"{name!r} names no repository",
                where=f"model={name}",
                allowed=f"{SCHEME}ORG/NAME on the hub, or {SCHEME}./FOLDER",
            )
        return given
    if name.lower().startswith(_SLASH):
        return unquote(name)
    organisation, dashes, rest = name.partition("--")
    return f"{organisation}/{rest}" if organisation and dashes and rest and "/" not in name else None


def name_of(address: str) -> str:
    """An address without slashes, which stand between namespace and name: `microsoft--resnet-18`, `%2fhome%2fme%2fnet`.

    The two dashes are those of the client's cache; the hub allows them in no name.
    """
    return quote(address, safe="/").replace("/", _SLASH) if is_folder(address) else address.replace("/", "--")


def is_folder(address: str) -> bool:
    """Whether an address is a folder's path."""
    return Path(address).is_absolute()


def cached_addresses() -> list[str]:
    """Repositories in the client's cache that say how they want images, found by the names of files alone."""
    from huggingface_hub import constants, try_to_load_from_cache

    folders = sorted(Path(constants.HF_HUB_CACHE).glob("models--*--*"))
    addresses = [folder.name.removeprefix("models--").replace("--", "/") for folder in folders]
    return [each for each in addresses if isinstance(try_to_load_from_cache(each, PREPROCESSOR), str)]


def described(address: str) -> Path:
    """The folder with `config.json` and `preprocessor_config.json` of a repository.

    With a network the newest version is taken, without one what the client's cache holds. Whether the hub can be
    reached is known within three seconds.

    Raises:
        UserError: Neither is to be had, or it is no image network.
    """
    if is_folder(address):
        return _described_folder(Path(address))
    from huggingface_hub import hf_hub_download

    from zoo.weights.hub import PROBE_TIMEOUT_S

    why = why_unreachable()
    try:
        config = Path(
            hf_hub_download(address, CONFIG, etag_timeout=PROBE_TIMEOUT_S, local_files_only=bool(why)),
        )
        commit = config.parent.name  # both files of one version, whatever is published in between
        hf_hub_download(address, PREPROCESSOR, revision=commit, local_files_only=bool(why))
    except Exception as error:  # the errors of the client, of its transport and of the system have no common base
        raise _not_had(address, error, why=why) from error
    return config.parent


def why_unreachable() -> str:
    """Why the hub is not asked, or ""."""
    from huggingface_hub import constants

    from zoo.weights.hub import PROBE_TIMEOUT_S, is_offline, reachable_hosts

    if is_offline():
        return "HF_HUB_OFFLINE is set"
    if not reachable_hosts([constants.ENDPOINT]):
        return f"{constants.ENDPOINT} is not reachable within {PROBE_TIMEOUT_S:.0f} s"
    return ""


def _described_folder(folder: Path) -> Path:
    missing = [file for file in (CONFIG, PREPROCESSOR) if not (folder / file).is_file()]
    if missing:
        raise UserError(
            f"there is no {' and no '.join(missing)} in this folder",
            where=f"model={SCHEME}{folder}",
            allowed=f"a folder with {CONFIG} and {PREPROCESSOR}, as `save_pretrained` of network and image processor "
            "leaves them",
        )
    return folder


def _not_had(address: str, error: Exception, *, why: str) -> UserError:
    from huggingface_hub import constants

    reason = why or (str(error).splitlines() or [type(error).__name__])[0][:200]
    return UserError(
        f"the network {address} cannot be had: {reason}",
        where=f"model={SCHEME}{address}; looked for {CONFIG} and {PREPROCESSOR} in {constants.HF_HUB_CACHE}"
        + ("" if why else f" and at {constants.ENDPOINT}/{address}"),
        do=[
            f"where there is a network: `hf download {address}`, and copy its folder of the cache here",
            f"model={SCHEME}./FOLDER, for a network that was saved by `save_pretrained`",
            "model=resnet18, or another of the networks that `python -m zoo models` lists",
        ],
    )
