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

import numpy as np

from real.degradations.real_esrgan import PRESETS, SecondOrderDegradation
from real.degradations.simple import SCALE, Degradation
from real.errors import UserError
from real.images.photos import SUFFIXES, center_crop, load_photo
from real.images.seeds import degradation_rng
from real.records.journal import Rows

__all__ = [
    "DEGRADATIONS",
    "HOLES",
    "LAYOUTS",
    "Photo",
    "check_crop",
    "check_known",
    "describe_degradations",
    "digest_of",
    "find_pairs",
    "find_photos",
    "left_out_text",
    "load",
    "load_truth",
    "used",
]

HOLES: dict[str, dict[str, Any]] = {  # what inpainting has in place of a degradation
    "center-box": {"fraction": 0.3, "by": "area"},
    "center-box-by-side": {"fraction": 0.3, "by": "side"},
}
DEGRADATIONS: dict[str, Degradation | SecondOrderDegradation] = {"simple": Degradation(), **PRESETS}
LAYOUTS = (("gt", "lq"), ("test_HR", "test_LR"))
SMALLEST = 64  # pixels of the truth; less tells nothing about restoration
_ENDING = re.compile(r"(_HR|_LR4|_LR|_gt|_lq)$", re.IGNORECASE)


@dataclass(frozen=True)
class Photo:
    """Where one photo comes from.

    Attributes:
        name: In the rows.
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
    """Of the bytes of files, in their order.

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


def check_crop(crop: int | None) -> None:
    """UserError unless a centre crop of the truth can be made four times smaller."""
    if crop is not None and (crop < SCALE or crop % SCALE):
        raise UserError(f"must be a multiple of {SCALE}, got {crop}", argument="crop")


def check_known(photos: Sequence[Photo], rows: Rows, folder: Path, digest: Callable[[Photo], str]) -> None:
    """Refuse photos that differ from those of the rows with their names.

    Args:
        photos: The photos.
        rows: Those that there are, with a digest.
        folder: Of the rows, for the message.
        digest: Of what a photo's rows depend on.

    Raises:
        UserError: See above.
    """
    known = {row["photo"]: row.get("digest") for row in rows}
    for photo in photos:
        if photo.name in known and known[photo.name] != digest(photo):
            raise UserError(
                f"{str(folder)!r} holds rows of another {photo.name} (its file has changed since); give another folder",
                argument="output",
            )


def load_truth(photo: Photo, *, crop: int | None) -> np.ndarray:
    """Read a truth, RGB uint8 (4h, 4w, 3): its centre crop, or the whole, to multiples of 4.

    Raises:
        UserError: The file cannot be read, or is smaller than the crop.
    """
    whole = load_photo(photo.truth)
    if crop is not None and min(whole.shape[:2]) < crop:
        raise UserError(f"{photo.name}: {_size(whole)} pixels are fewer than {crop} on a side (`crop`)")
    return np.ascontiguousarray(center_crop(whole, side=crop))


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
        raise UserError(f"{str(folder)!r} is not a folder", argument="pairs")
    layout = next((names for names in LAYOUTS if all((folder / n).is_dir() for n in names)), None)
    if layout is None:
        raise UserError(f"{str(folder)!r} has neither gt/ and lq/ nor test_HR/ and test_LR/", argument="pairs")
    truths, lows = (_by_stem(_files(folder / name, "pairs")) for name in layout)
    alone = sorted(set(truths) ^ set(lows))
    if alone:
        raise UserError(
            f"{len(alone)} photos of {str(folder)!r} have no partner, such as {alone[0]!r}", argument="pairs"
        )
    return [Photo(truths[stem].name, truths[stem], lows[stem]) for stem in sorted(truths)]


def load(photo: Photo, *, crop: int | None, seed: int) -> tuple[np.ndarray, Callable[[str], np.ndarray]]:
    """Read one photo.

    Args:
        photo: From `find_photos` or `find_pairs`.
        crop: Side of the centre crop of the truth in pixels, a multiple of 4; None: the whole, to multiples of 4.
        seed: Of the degradation.

    Returns:
        The truth, RGB uint8 (4h, 4w, 3), and a function from the name of a degradation to the low-resolution photo,
        RGB uint8 (h, w, 3); of a pair it gives the partner, whatever the name.

    Raises:
        UserError: A file cannot be read, is too small, or the two of a pair do not fit.
    """
    whole = load_photo(photo.truth)
    if photo.low is None:
        low = None
        size = whole.shape[0] // SCALE, whole.shape[1] // SCALE
    else:
        low = load_photo(photo.low)
        size = low.shape[:2]
        if whole.shape[:2] != (SCALE * size[0], SCALE * size[1]):
            raise UserError(f"{photo.name}: {_size(whole)} pixels are not four times the {_size(low)} of its partner")

    least = SCALE * min(size) if crop is None else min(SCALE * min(size), crop)
    if least < SMALLEST or (crop is not None and SCALE * min(size) < crop):
        raise UserError(f"{photo.name}: {_size(whole)} pixels are fewer than {max(SMALLEST, crop or 0)} on a side")

    if low is None:
        truth = np.ascontiguousarray(center_crop(whole, side=crop))
        return truth, lambda name: DEGRADATIONS[name](truth, degradation_rng(seed, truth))

    # A given low-resolution photo is cut along with its truth, so that their pixels still meet.
    side = min(size) if crop is None else crop // SCALE
    height, width = size if crop is None else (side, side)
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    truth = np.ascontiguousarray(_cut(whole, SCALE * top, SCALE * left, SCALE * height, SCALE * width))
    small = np.ascontiguousarray(_cut(low, top, left, height, width))
    return truth, lambda name: small


def describe_degradations(names: tuple[str, ...]) -> dict[str, Any]:
    """Their ranges, or what hides a part of the photo, for the record."""
    known = {name: HOLES[name] if name in HOLES else asdict(DEGRADATIONS[name]) for name in names if name != "pairs"}
    return known


def _files(folder: Path, argument: str) -> list[Path]:
    if not folder.is_dir():
        raise UserError(f"{str(folder)!r} is not a folder", argument=argument)
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file())
    if not paths:
        raise UserError(f"{str(folder)!r} holds no photo ({', '.join(sorted(SUFFIXES))})", argument=argument)
    return paths


def _stem(path: Path) -> str:
    return _ENDING.sub("", path.stem)


def _by_stem(paths: Sequence[Path]) -> dict[str, Path]:
    """Files by the name that they share with their partner."""
    found: dict[str, Path] = {}
    for path in paths:
        if (other := found.setdefault(_stem(path), path)) != path:
            both = f"{other.name} and {path.name}"
            raise UserError(f"{both} in {str(path.parent)!r} have one name; leave one", argument="pairs")
    return found


def _cut(pixels: np.ndarray, top: int, left: int, height: int, width: int) -> np.ndarray:
    return pixels[top : top + height, left : left + width]


def _size(pixels: np.ndarray) -> str:
    return f"{pixels.shape[1]} x {pixels.shape[0]}"
