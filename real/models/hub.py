"""Where a model lies: in a folder, or in a repository of the Hugging Face hub, at one commit of it.

Only configurations are read here, as JSON; nothing of a repository is executed. One short request says whether the hub
can be reached and which commit a revision means, so that a wrong id or a missing network is known at once.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import huggingface_hub
from huggingface_hub import constants
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from real.errors import UserError

__all__ = ["INDEX", "Source", "fetch_file", "locate", "read_config"]

INDEX = "model_index.json"
WITHDRAWN = (
    "ids get withdrawn (those of stabilityai's Stable Diffusion 2 were in November 2025): give the id of a mirror, or "
    "a folder"
)


@dataclass(frozen=True)
class Source:
    """A model's place.

    Attributes:
        name: What diffusers' `from_pretrained` takes: a folder or an id.
        is_folder: Whether it is a folder here.
        revision: Commit, tag or branch that was asked for; None: the default branch, or a folder.
        commit: The commit that this means, where the hub or the cache says so.
        offline: Whether everything is taken from the cache.
        argument: Name of the argument that named it, for messages.
    """

    name: str
    is_folder: bool
    revision: str | None = None
    commit: str | None = None
    offline: bool = False
    argument: str = "model"

    @property
    def options(self) -> dict[str, Any]:
        """What `from_pretrained` needs to load exactly this."""
        pinned = self.commit or self.revision
        options: dict[str, Any] = {} if pinned is None else {"revision": pinned}
        return options | ({"local_files_only": True} if self.offline else {})


def locate(name: str, *, revision: str | None = None, file: str = INDEX, argument: str = "model") -> Source:
    """Find a model.

    Args:
        name: A folder, or an id on the hub such as "CompVis/ldm-super-resolution-4x-openimages".
        revision: Commit, tag or branch of an id; the commit that it means is what gets loaded.
        file: One that the repository of an id must have; by it the cache and the hub are asked.
        argument: Name of the argument that named it, for messages.

    Returns:
        The `Source`. With HF_HUB_OFFLINE set, or where the hub cannot be reached, the one in the cache.

    Raises:
        UserError: There is no such folder or id, or neither the hub nor the cache has it; the message says what to do.

    Notes:
        The hub has HF_HUB_ETAG_TIMEOUT seconds to answer (default 10), once; a network that refuses is known at once.
    """
    revised = "revision" if argument == "model" else argument
    verb = "be" if revised == "revision" else "name after the @"
    if Path(name).is_dir():
        if revision is not None:
            accepted = f"must {verb} a revision of an id on the hub"
            why = f"{accepted}, got {revision!r} of the folder {name!r}; leave it out"
            raise UserError(why, argument=revised)
        return Source(name, is_folder=True, argument=argument)
    if Path(name).exists():
        why = f"must be a folder as diffusers saves it, with {file}, got the file {name!r}"
        raise UserError(why, argument=argument)

    # The cache is asked first: it also says whether the name can be an id at all.
    try:
        cached = huggingface_hub.try_to_load_from_cache(name, file, revision=revision)
    except HFValidationError as error:
        why = f"must be a folder or an id on the hub, got {name!r}, which can be neither; check the path"
        raise UserError(why, argument=argument) from error
    in_cache = Source(name, False, revision, _commit_of(cached), offline=True, argument=argument)
    if _is_offline():
        if not isinstance(cached, str):
            why = f"{_absent(name, revision)}, and HF_HUB_OFFLINE is set; {_remedy(name, revision)}"
            raise UserError(why, argument=argument)
        return in_cache

    try:
        commit = _ask(name, file, revision)
    except EntryNotFoundError as error:
        why = ", so it is no pipeline of diffusers" if file == INDEX else ""
        raise UserError(f"must have {file}, got {name!r} on the hub without it{why}", argument=argument) from error
    except RevisionNotFoundError as error:
        why = f"must {verb} a commit, tag or branch of {name!r} on the hub, got {revision!r}"
        raise UserError(why, argument=revised) from error
    except GatedRepoError as error:
        why = f"{name!r} wants its licence accepted on its page and a login: hf auth login"
        raise UserError(why, argument=argument) from error
    except RepositoryNotFoundError as error:
        which = "which is no folder here, and which the hub does not have or hides"
        why = f"must be a folder or an id on the hub, got {name!r}, {which}; check the spelling; {WITHDRAWN}"
        raise UserError(why, argument=argument) from error
    except Exception as error:  # each version of the hub's client has its own kinds for a network that is not there
        if isinstance(cached, str):
            return in_cache
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        why = f"{_absent(name, revision)}, and the hub cannot be reached ({reason}); {_remedy(name, revision)}"
        raise UserError(why, argument=argument) from error
    return Source(name, False, revision, commit, argument=argument)


def read_config(source: Source, path: str) -> dict[str, Any] | None:
    """A JSON file of a model, such as "unet/config.json"; None if the model has none.

    Raises:
        UserError: It is no JSON object, or cannot be read or fetched.
    """
    try:
        file = _find(source, path)
        if file is None:
            return None
        content = json.loads(file.read_text(encoding="utf-8"))
    except Exception as error:  # of the disk, of JSON, or of the network, whose kinds differ between versions
        why = f"must have a {path} that can be read, got {source.name!r} ({error})"
        raise UserError(why, argument=source.argument) from error
    if not isinstance(content, dict):
        why = f"must have a JSON object in {path}, got a {type(content).__name__} in that of {source.name!r}"
        raise UserError(why, argument=source.argument)
    return content


def fetch_file(source: Source, path: str) -> Path | None:
    """Where a file of a model lies on the disk, fetched from the hub if need be; None if the model has none.

    Raises:
        UserError: It cannot be fetched.
    """
    try:
        return _find(source, path)
    except Exception as error:  # of the network, whose kinds differ between versions
        why = " ".join(str(error).split())[:120] or type(error).__name__
        text = f"cannot fetch {path} of {source.name!r} ({why}); try again"
        raise UserError(text, argument=source.argument) from error


def _find(source: Source, path: str) -> Path | None:
    file = Path(source.name) / path if source.is_folder else _fetch(source, path)
    return file if file is not None and file.is_file() else None


def _fetch(source: Source, path: str) -> Path | None:
    try:
        return Path(huggingface_hub.hf_hub_download(source.name, path, **source.options))
    except LocalEntryNotFoundError:  # a kind of EntryNotFoundError: not in the cache, which is an answer offline only
        if source.offline:
            return None
        raise
    except EntryNotFoundError:
        return None


def _ask(name: str, path: str, revision: str | None) -> str | None:
    """The commit that a revision means on the hub; one request without retries."""
    url = huggingface_hub.hf_hub_url(name, path, revision=revision)
    return huggingface_hub.get_hf_file_metadata(url, timeout=constants.HF_HUB_ETAG_TIMEOUT).commit_hash


def _is_offline() -> bool:
    # The client reads the variable once, when it is imported.
    return constants.HF_HUB_OFFLINE or os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}


def _commit_of(cached: object) -> str | None:
    """.../snapshots/COMMIT/model_index.json -> COMMIT."""
    match = re.search(r"/snapshots/([0-9a-f]{40})/", Path(cached).as_posix()) if isinstance(cached, str) else None
    return match.group(1) if match else None


def _absent(name: str, revision: str | None) -> str:
    at = f" at {revision!r}" if revision else ""
    return f"{name!r}{at} is neither a folder here nor in the cache {constants.HF_HUB_CACHE}"


def _remedy(name: str, revision: str | None) -> str:
    at = f" --revision {revision}" if revision else ""
    return (
        f"where there is a network run `hf download {name}{at} --local-dir FOLDER` and give FOLDER, or set HF_HOME to "
        "a folder whose cache has it"
    )
