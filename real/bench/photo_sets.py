"""The photos of a study: truths that are made low-resolution here, or pairs in StableSR's folder layout.

The test sets of StableSR (Wang et al. 2024) come as `gt/` and `lq/` (DIV2K_V2_val) or `test_HR/` and `test_LR/`
(RealSRVal_crop128, DrealSRVal_crop128), a truth and its low-resolution photo under one name; the original RealSR calls
them `..._HR` and `..._LR4`, which is understood too.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from real.degradations.real_esrgan import PRESETS, SecondOrderDegradation
from real.degradations.simple import Degradation
from real.errors import UserError
from real.images.photos import SUFFIXES
from real.records.journal import Rows

__all__ = [
    "DEGRADATIONS",
    "HOLES",
    "LAYOUTS",
    "Photo",
    "check_known",
    "describe_degradations",
    "digest_of",
    "find_pairs",
    "find_photos",
    "left_out_text",
    "used",
]

HOLES: dict[str, dict[str, Any]] = {  # what inpainting has in place of a degradation
    "center-box": {"fraction": 0.3, "by": "area"},
    "center-box-by-side": {"fraction": 0.3, "by": "side"},
}
DEGRADATIONS: dict[str, Degradation | SecondOrderDegradation] = {"simple": Degradation(), **PRESETS}
LAYOUTS = (("gt", "lq"), ("test_HR", "test_LR"))
_ENDING = re.compile(r"(_HR|_LR4|_LR|_gt|_lq)$", re.IGNORECASE)


@dataclass(frozen=True)
class Photo:
    """Where one photo comes from.

    Attributes:
        name: Name in the rows.
        truth: The file of the truth.
        low: The file of the low-resolution photo; None: it is made from the truth.
    """

    name: str
    truth: Path
    low: Path | None = None

    @property
    def stems(self) -> list[str]:
        """Names of the photo without ending, for what lies beside it: the low-resolution photo's first."""
        paths = [path for path in (self.low, self.truth) if path is not None]
        return list(dict.fromkeys([path.stem for path in paths] + [_stem(path) for path in paths]))


def digest_of(paths: Sequence[Path]) -> str:
    """Digest of the bytes of files, in their order.

    Raises:
        UserError: One cannot be read.
    """
    digest = hashlib.sha256()
    for path in paths:
        try:
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        except OSError as error:
            raise UserError(f"{path.name}: cannot read {str(path)!r} ({error.strerror})") from error
    return digest.hexdigest()[:16]


def check_known(photos: Sequence[Photo], rows: Rows, folder: Path, digest: Callable[[Photo], str]) -> None:
    """Refuse photos that differ from those of the rows with their names.

    Args:
        photos: The photos.
        rows: Rows that there are, with a digest.
        folder: Folder of the rows, for the message.
        digest: Digest of what a photo's rows depend on.

    Raises:
        UserError: See above.
    """
    known = {row["photo"]: row.get("digest") for row in rows}
    for photo in photos:
        if photo.name in known and known[photo.name] != digest(photo):
            raise UserError(
                f"must hold rows of the same photos, got {str(folder)!r} with rows of another {photo.name} (its file "
                "has changed since); give another folder",
                argument="output",
            )


def used(photos: Sequence[Photo], left_out: Mapping[str, str]) -> list[str]:
    """Names of the photos that count.

    Raises:
        UserError: There is none.
    """
    names = [photo.name for photo in photos if photo.name not in left_out]
    if not names:
        name, why = next(iter(left_out.items()))
        raise UserError(f"none of {len(photos)} photos can be used, such as {name}: {why}")
    return names


def left_out_text(left_out: Mapping[str, str]) -> str:
    """Photos that were not used, for the terminal."""
    return "\n".join(f"left out: {name}: {why}" for name, why in left_out.items())


def find_photos(folder: Path) -> list[Photo]:
    """Every photo of a folder, sorted by name.

    Raises:
        UserError: It is not a folder or holds none.
    """
    return [Photo(path.name, path) for path in _files(folder, "photos")]


def find_pairs(folder: Path) -> list[Photo]:
    """Every pair of a folder in StableSR's layout, sorted by name.

    Raises:
        UserError: Neither layout is there, a truth or a low-resolution photo stands alone, or two have one name.
    """
    if not folder.is_dir():
        raise UserError(f"must be a folder, got {str(folder)!r}", argument="pairs")
    layout = next((names for names in LAYOUTS if all((folder / n).is_dir() for n in names)), None)
    if layout is None:
        raise UserError(f"must hold gt/ and lq/, or test_HR/ and test_LR/, got {str(folder)!r}", argument="pairs")
    truths, lows = (_by_stem(_files(folder / name, "pairs")) for name in layout)
    alone = sorted(set(truths) ^ set(lows))
    if alone:
        raise UserError(
            f"must hold two photos of every name, got {len(alone)} without a partner in {str(folder)!r}, such as "
            f"{alone[0]!r}",
            argument="pairs",
        )
    return [Photo(truths[stem].name, truths[stem], lows[stem]) for stem in sorted(truths)]


def describe_degradations() -> dict[str, Any]:
    """The ranges of all of them, and what hides a part of a photo, for the record."""
    return {**{name: asdict(degradation) for name, degradation in DEGRADATIONS.items()}, **HOLES}


def _files(folder: Path, argument: str) -> list[Path]:
    if not folder.is_dir():
        raise UserError(f"must be a folder, got {str(folder)!r}", argument=argument)
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file())
    if not paths:
        kinds = ", ".join(sorted(SUFFIXES))
        raise UserError(f"must hold photos ({kinds}), got none in {str(folder)!r}", argument=argument)
    return paths


def _stem(path: Path) -> str:
    return _ENDING.sub("", path.stem)


def _by_stem(paths: Sequence[Path]) -> dict[str, Path]:
    """Files by the name that they share with their partner."""
    found: dict[str, Path] = {}
    for path in paths:
        if (other := found.setdefault(_stem(path), path)) != path:
            both = f"{other.name} and {path.name}"
            why = f"must have one file of a name, got {both} in {str(path.parent)!r}; keep one of them"
            raise UserError(why, argument="pairs")
    return found
