"""What a user knows of a photo besides its pixels: DiffBIR's cleaned photo, SeeSR's tags and image tokens.

SeeSR's tagger (DAPE, which is RAM with other weights) is in no package that is kept up, so its words and tokens come
from its authors' code; see docs/how-to/backbones.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from real.backbones.control import TOKEN_WIDTH
from real.backbones.weights import read_weights
from real.errors import UserError, blaming
from real.images.photos import SUFFIXES, load_photo

__all__ = ["HintPlaces", "Hints", "check_hints", "read_image_tokens"]

TWICE = "must be left out where `cleaner` is given, got both; leave one out"
NEITHER = (
    "must be given for DiffBIR, which works on a cleaned photo, got None; give the weights of its first stage "
    "(BSRNet.pth), or the cleaned photo as `cleaned`, or `cleaner=bicubic`, which only enlarges it"
)


@dataclass(frozen=True, kw_only=True)
class Hints:
    """What is known of one photo.

    Attributes:
        cleaned: DiffBIR: RGB uint8 (4h, 4w, 3) from the user's own first stage; None: the model's cleaner makes it.
        tags: SeeSR: what is in the photo, words with commas between them; may be empty.
        image_tokens: SeeSR: the tagger's, (1, K, 512).
    """

    cleaned: np.ndarray | None = None
    tags: str | None = None
    image_tokens: torch.Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class HintPlaces:
    """Places of hints, for one photo or for many.

    Attributes:
        cleaned: A picture; or a folder with one per photo, by its name.
        tags: The text itself; or a folder with NAME.txt.
        image_tokens: A safetensors file with one tensor; or a folder with NAME.safetensors.
    """

    cleaned: str | None = None
    tags: str | None = None
    image_tokens: str | None = None

    def read(self, names: Sequence[str]) -> Hints:
        """The hints of a photo.

        Args:
            names: Names of the photo, without ending, in the order in which folders are searched.

        Raises:
            UserError: A file is missing or is not what it should be.
        """
        cleaned = tags = tokens = None
        if self.cleaned is not None:
            cleaned = _picture(_pick(self.cleaned, names, tuple(sorted(SUFFIXES)), "cleaned"))
        if self.tags is not None:
            is_folder = bool(self.tags) and _is_folder(self.tags)
            tags = _text(_pick(self.tags, names, (".txt",), "tags")) if is_folder else self.tags
        if self.image_tokens is not None:
            tokens = read_image_tokens(_pick(self.image_tokens, names, (".safetensors",), "image_tokens"))
        return Hints(cleaned=cleaned, tags=tags, image_tokens=tokens)

    def files(self, names: Sequence[str]) -> list[Path]:
        """The files that `read` reads for a photo.

        Raises:
            UserError: One is missing.
        """
        places = (
            (self.cleaned, tuple(sorted(SUFFIXES)), "cleaned"),
            (self.tags if self.tags and _is_folder(self.tags) else None, (".txt",), "tags"),
            (self.image_tokens, (".safetensors",), "image_tokens"),
        )
        return [_pick(place, names, suffixes, argument) for place, suffixes, argument in places if place is not None]

    def describe(self) -> dict[str, str]:
        """Hints that there are, as JSON holds them."""
        return {name: place for name, place in asdict(self).items() if place is not None}


def read_image_tokens(path: Path) -> torch.Tensor:
    """SeeSR's image tokens, float32 (1, K, 512), from a safetensors file with one tensor, (1, K, 512) or (K, 512).

    Raises:
        UserError: It is no such file.
    """
    if path.suffix != ".safetensors":
        raise _refusal(f"must be a .safetensors file with one tensor, got {str(path)!r}")
    try:
        content = read_weights(path)
    except UserError as error:
        raise _refusal(error.message) from error

    shapes = [tuple(value.shape) for value in content.values()]
    value = next(iter(content.values())) if len(content) == 1 else torch.empty(0, dtype=torch.float32, device="cpu")
    value = value[None] if value.ndim == 2 else value
    if value.ndim != 3 or value.shape[0] != 1 or value.shape[1] < 1 or value.shape[2] != TOKEN_WIDTH:
        raise _refusal(f"must hold one tensor (1, K, {TOKEN_WIDTH}), got {str(path)!r} with the shapes {shapes}")
    value = value.float()
    if not torch.isfinite(value).all():
        raise _refusal(f"must be finite, got NaN or infinity in {str(path)!r}")
    return value


def _refusal(why: str) -> UserError:
    return UserError(why, argument="image_tokens")


def _is_folder(text: str) -> bool:
    try:
        return Path(text).is_dir()
    except (OSError, ValueError):  # a long text is too long for a name
        return False


def _pick(place: str, names: Sequence[str], suffixes: Sequence[str], argument: str) -> Path:
    """The file itself, or the one of the first name that a folder has."""
    path = Path(place)
    if path.is_dir():
        found = [path / f"{name}{suffix}" for name in names for suffix in suffixes]
        there = [file for file in found if file.is_file()]
        if not there:
            what = f"{found[0].stem}{'|'.join(suffixes)}"
            raise UserError(f"must have a file {what} for the photo, got {place!r} without it", argument=argument)
        if twice := [file for file in there[1:] if file.stem == there[0].stem]:
            names_of_both = f"{there[0].name} and {twice[0].name}"
            why = f"must have one file per photo, got {names_of_both} in {place!r}; keep one of them"
            raise UserError(why, argument=argument)
        return there[0]

    if not path.is_file():
        raise UserError(f"must be an existing file or folder, got {place!r}", argument=argument)
    return path


def _picture(path: Path) -> np.ndarray:
    with blaming("cleaned"):
        return load_photo(path)


def _text(path: Path) -> str:
    try:
        return " ".join(path.read_text(encoding="utf-8").split())
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"must be readable text in UTF-8, got {str(path)!r} ({error})", argument="tags") from error


def check_hints(family: str, cleaner: str | None, hints: Hints | HintPlaces) -> None:
    """Refuse hints that are missing or belong to the other model; their content is not checked.

    Args:
        family: "diffbir" or "seesr".
        cleaner: The recipe's.
        hints: The hints, or their places before they are read.

    Raises:
        UserError: See above.
    """
    foreign: tuple[str, ...]
    if family == "diffbir":
        if hints.cleaned is not None and cleaner is not None:
            raise UserError(TWICE, argument="cleaned")
        if hints.cleaned is None and cleaner is None:
            raise UserError(NEITHER, argument="cleaner")
        foreign = ("tags", "image_tokens")
    else:
        for name, what in (("tags", "words, may be empty"), ("image_tokens", "a safetensors file")):
            if getattr(hints, name) is None:
                raise UserError(
                    f"must be given for SeeSR ({what}), got None; its tagger makes `tags` and `image_tokens`: "
                    "docs/how-to/backbones.md says how",
                    argument=name,
                )
        foreign = ("cleaned",)

    # What belongs to the other model would be ignored without a word.
    for name in foreign:
        if getattr(hints, name) is not None:
            raise UserError(f"must be left out with {family}, got a value", argument=name)
