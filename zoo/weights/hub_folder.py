"""Whole models in repositories of Hugging Face: `hf:ORG/NAME`, fetched into the client's own cache, sent in one commit.

Source: https://huggingface.co/docs/huggingface_hub/guides/upload and .../guides/download
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from zoo.errors import UserError
from zoo.weights.caches import hub_cache_folder, split_hub_id
from zoo.weights.hub import PROBE_TIMEOUT_S, is_offline, reachable_hosts

PREFIX = "hf:"
DESCRIPTION = "zoo.json"
"""The file of a repository that names all others, with their hashes."""

_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(@[\w./-]+)?")
_NOT_OURS = (".gitattributes", "README.md")
"""Files that a new repository may hold before anything is published into it."""


def repository_of(address: str, *, key: str) -> str:
    """`ORG/NAME` or `ORG/NAME@REVISION` of `hf:ORG/NAME...`.

    Raises:
        UserError: It is of another form.
    """
    repository = address.removeprefix(PREFIX)
    if not _REPOSITORY.fullmatch(repository):
        raise UserError(
            f"{address!r} names no repository",
            where=f"{key}={address}",
            allowed="hf:ORG/NAME of letters, digits, `_`, `.` and `-`",
        )
    return repository


def fetch_folder(address: str) -> Path:
    """The folder of a published model in the client's cache; what is missing there is downloaded.

    With a network the newest commit is taken (or `@REVISION`), without one what the cache holds. Hashes are not
    checked here.

    Args:
        address: `hf:ORG/NAME` or `hf:ORG/NAME@REVISION`.

    Raises:
        UserError: Neither the hub nor the cache has it, or it is no model of zoo.
    """
    from huggingface_hub import hf_hub_download

    repository, revision = split_hub_id(repository_of(address, key="model"))
    why = _why_unreachable()
    given = {"etag_timeout": PROBE_TIMEOUT_S, "local_files_only": bool(why)}
    try:
        description = Path(hf_hub_download(repository, DESCRIPTION, revision=revision, **given))
        commit = description.parent.name
        for name in _files(description):
            hf_hub_download(repository, name, revision=commit, **given)
    except Exception as error:  # the client raises errors of its own, of its transport and of the system alike
        raise _not_fetched(error, address, why=why) from error
    return description.parent


def check_hub(address: str) -> None:
    """Whether anything can be published on the hub at all, known within three seconds.

    Raises:
        UserError: No network, or no token.
    """
    from huggingface_hub import get_token

    repository = repository_of(address, key="to")
    why = _why_unreachable()
    if why:
        raise _unreachable(why, address)
    if get_token() is None:
        raise UserError(
            "publishing on Hugging Face needs a token, and there is none",
            where=f"to={address}",
            allowed="HF_TOKEN, or what `hf auth login` keeps",
            do=["hf auth login, with a token that may write", f"or publish into a folder: {_folder_way(repository)}"],
        )


def send_folder(
    files: Mapping[str, Path | bytes],
    address: str,
    *,
    private: bool | None,
    message: str,
    same: Callable[[Any], bool],
) -> bool:
    """Publishes a model in one commit; False where the same model is there already.

    The commit names the one that it follows, so of two publishers at once the later is refused and nothing is lost.

    Args:
        files: Name in the repository to a path or content.
        address: `hf:ORG/NAME`.
        private: Whether only the owner sees a repository that is made; None makes it private. An existing public
            repository is written only with False.
        message: Of the commit.
        same: Whether a zoo.json that is there (its content) is of the same model.

    Raises:
        UserError: The connection or the permission failed, or the repository holds something else.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    repository = repository_of(address, key="to")
    api = HfApi()
    try:
        head, there = _state(api, repository, private=private)
        if DESCRIPTION in there:
            return _already_there(api, repository, head, same)
        strangers = sorted(there - set(_NOT_OURS))
        if strangers:
            raise UserError(
                f"{address} holds something else than a model of zoo: {', '.join(strangers[:5])}",
                where=f"to={address}",
                do=f"name a new repository: to={address}-2",
            )
        operations = [CommitOperationAdd(name, content) for name, content in files.items()]
        api.create_commit(repository, operations, commit_message=message, parent_commit=head)
    except UserError:
        raise
    except Exception as error:  # as above
        raise _not_sent(error, address) from error
    return True


def _state(api: Any, repository: str, *, private: bool | None) -> tuple[str, set[str]]:
    """The newest commit of a repository and its files; a repository that is not there is made.

    Raises:
        UserError: It can be seen by others (or cannot) against what was asked.
    """
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        found = api.repo_info(repository, timeout=2 * PROBE_TIMEOUT_S)
    except RepositoryNotFoundError:
        api.create_repo(repository, private=private is not False, exist_ok=True)
        found = api.repo_info(repository, timeout=2 * PROBE_TIMEOUT_S)
    if bool(found.private) == (private is False):
        state = "private" if found.private else "public"
        raise UserError(
            f"hf:{repository} exists and is {state}; nothing was published",
            where=f"to=hf:{repository}",
            do=[
                f"private={str(bool(found.private)).lower()} publishes there as it is",
                "or change its visibility in its settings on the hub",
            ],
        )
    return str(found.sha), {str(file.rfilename) for file in found.siblings or ()}


def _already_there(api: Any, repository: str, head: str, same: Callable[[Any], bool]) -> bool:
    """False, for the same model.

    Raises:
        UserError: Another model has the name.
    """
    path = Path(api.hf_hub_download(repository, DESCRIPTION, revision=head))
    if same(json.loads(path.read_bytes())):
        return False
    raise UserError(
        f"another model is in hf:{repository}; it was left as it is",
        where=f"to=hf:{repository}",
        do=f"to=hf:{repository}-2, or another name",
    )


def _files(description: Path) -> list[str]:
    """Names of the files that belong to a model, in its own folder alone."""
    try:
        names = dict(json.loads(description.read_bytes())["sha256"])
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{DESCRIPTION} is damaged: {type(error).__name__}: {error}", where=str(description)) from error
    return sorted(name for name in names if name != DESCRIPTION and Path(name).name == name)


def _why_unreachable() -> str:
    """Why the hub cannot be asked now, "" where it answers; known within three seconds."""
    from huggingface_hub import constants

    if is_offline():
        return "HF_HUB_OFFLINE is set"
    return "" if reachable_hosts([constants.ENDPOINT]) else f"{constants.ENDPOINT} did not answer within 3 s"


def _unreachable(why: str, address: str) -> UserError:
    return UserError(
        f"{address} cannot be reached: {why}; nothing was published",
        where=f"to={address}",
        do=[
            "run the same command where there is a network",
            f"or publish into a folder, and send that later: {_folder_way(address.removeprefix(PREFIX))}",
        ],
    )


def _folder_way(repository: str) -> str:
    return f"to=FOLDER name=NAME, then `hf upload {repository} FOLDER/NAME`"


def _not_fetched(error: Exception, address: str, *, why: str) -> UserError:
    """What to do where a model was not to be had; `why` says why the hub was not asked."""
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    if isinstance(error, UserError):
        return error
    repository = split_hub_id(address.removeprefix(PREFIX))[0]
    if why or isinstance(error, LocalEntryNotFoundError):
        return UserError(
            f"{address} is not in the cache, and the hub cannot be asked: {why or _first_line(error)}",
            where=f"model={address}",
            allowed=f"looked in {hub_cache_folder(repository)}",
            do=[
                "run the same command where there is a network",
                f"or run `hf download {repository} --local-dir FOLDER` there, copy FOLDER here, and give model=FOLDER",
            ],
        )
    if isinstance(error, EntryNotFoundError):
        return UserError(
            f"{address} is no model that zoo published: it has no {DESCRIPTION}",
            where=f"model={address}",
            do="for weights of a network that zoo knows: model=NAME weights=FILE",
        )
    return UserError(
        f"{address} cannot be fetched: {_first_line(error)}",
        where=f"model={address}",
        do=["check the name", "a private repository needs HF_TOKEN, or `hf auth login`"],
    )


def _not_sent(error: Exception, address: str) -> UserError:
    """What to do where a model was not taken."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    ways = {
        401: "the token is not valid: `hf auth login`, or another HF_TOKEN",
        403: "the token may not write there: make one that may, or name another ORG",
        409: "somebody changed the repository at the same moment; look at it, then run the command again",
        412: "somebody changed the repository at the same moment; look at it, then run the command again",
    }
    return UserError(
        f"{address} did not take the model: {_first_line(error)}",
        where=f"to={address}",
        do=ways.get(status or 0, "run the command again; it goes on with a repository that it has made"),
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
