"""Where the parts of a backbone lie: folders and files here, or in repositories of the hub."""

from __future__ import annotations

from pathlib import Path

from real.backbones.weights import refuse_pickle
from real.errors import UserError
from real.models.hub import Source, fetch_file, locate

__all__ = ["find_file", "find_folder", "find_seesr", "place_of"]

FILE = "must be a file, or OWNER/NAME/FILE on the hub"
NETWORK_FILES = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin")


def find_folder(name: str, *, argument: str, file: str = "model_index.json") -> Source:
    """A folder, or the repository of an id, ID or ID@REVISION.

    Args:
        name: What the user gave.
        argument: Name of the argument that it was given by, for messages.
        file: File that the repository must have.

    Raises:
        UserError: There is no such folder or id, or neither the hub nor the cache has it.
    """
    if Path(name).is_dir():
        return locate(name, argument=argument)
    name, _, revision = name.partition("@")
    return locate(name, revision=revision or None, file=file, argument=argument)


def find_file(name: str, *, argument: str, pickled_weights: bool = False) -> tuple[Path, str]:
    """A file of weights: on the disk, or OWNER/NAME/FILE or OWNER/NAME/FILE@REVISION on the hub.

    Args:
        name: What the user gave.
        argument: Name of the argument that it was given by, for messages.
        pickled_weights: Whether it may be a pickle; if not, none is fetched.

    Returns:
        Path of the file, and its name with the commit, where that is known.

    Raises:
        UserError: There is no such file, or it is a pickle and they are not allowed.
    """
    bare, _, revision = name.partition("@")
    if Path(name).exists() or "/" not in bare.strip("/") or Path(bare).is_absolute():
        if not Path(name).is_file():
            what = "is a folder" if Path(name).is_dir() else "is not there"
            raise UserError(f"{FILE}, got {name!r}, which {what}", argument=argument)
        refuse_pickle(Path(name), pickled_weights, argument=argument)
        return Path(name), name

    owner, repository, *rest = bare.split("/")
    if not rest or owner in (".", ".."):
        raise UserError(f"{FILE}, got {name!r}, which is not there", argument=argument)
    inside = "/".join(rest)
    # Before anything is fetched: the name says it.
    refuse_pickle(Path(inside), pickled_weights, argument=argument)
    source = locate(f"{owner}/{repository}", revision=revision or None, file=inside, argument=argument)
    path = fetch_file(source, inside)
    if path is None:
        raise UserError(f"must be a file of {source.name!r}, got {inside!r}, which is not there", argument=argument)
    return path, place_of(source, inside)


def find_seesr(name: str, *, pickled_weights: bool = False) -> tuple[Path, str]:
    """SeeSR's folder with `unet/` and `controlnet/`; of an id both are fetched.

    Raises:
        UserError: It is not there, has no such networks, or has them as pickles and they are not allowed.
    """
    source = find_folder(name, argument="seesr", file="unet/config.json")
    folder = None
    for network in ("unet", "controlnet"):
        config = fetch_file(source, f"{network}/config.json")
        if config is None:
            why = f"must be SeeSR's folder, got {source.name!r} without {network}/config.json"
            raise UserError(why, argument="seesr")

        folder = config.parents[1]
        kinds = NETWORK_FILES if pickled_weights else NETWORK_FILES[:1]
        if not any(fetch_file(source, f"{network}/{file}") for file in kinds):
            hint = "" if pickled_weights else "; if it has pickles only, `pickled_weights=True` allows them"
            why = f"must have {network}/{NETWORK_FILES[0]}, got {source.name!r} without it{hint}"
            raise UserError(why, argument="seesr")
    assert folder is not None
    return folder, place_of(source)


def place_of(source: Source, file: str = "") -> str:
    """A source in words, with the commit that was loaded, for records."""
    name = f"{source.name}/{file}" if file else source.name
    pinned = source.commit or source.revision
    return name if pinned is None else f"{name}@{pinned}"
