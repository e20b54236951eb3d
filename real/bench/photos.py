"""The photos of a study: truths that are made low-resolution here, or pairs in StableSR's folder layout.

The test sets of StableSR (Wang et al. 2024) come as `gt/` and `lq/` (DIV2K_V2_val) or `test_HR/` and `test_LR/`
(RealSRVal_crop128, DrealSRVal_crop128), a truth and its low-resolution photo under one name; the original RealSR calls
them `..._HR` and `..._LR4`, which is understood too.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from real.degradations.real_esrgan import PRESETS, SecondOrderDegradation
from real.degradations.simple import SCALE, Degradation
from real.errors import UserError
from real.images.photos import SUFFIXES, center_crop, load_photo
from real.images.seeds import degradation_rng

__all__ = ["DEGRADATIONS", "HOLES", "LAYOUTS", "LoadedPhoto", "Photo", "find_pairs", "find_photos", "load"]

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

    @functools.cached_property
    def digest(self) -> str:
        """Of the bytes of the files: rows of other bytes under the same name are noticed."""
        parts = [self.truth.read_bytes(), b"" if self.low is None else self.low.read_bytes()]
        return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()[:16]


def find_photos(folder: Path) -> list[Photo]:
    """Every photo of a folder, sorted by name.

    Raises:
        UserError: It is not a folder or holds none.
    """
    return [Photo(path.name, path) for path in _files(folder, "photos")]


def find_pairs(folder: Path) -> list[Photo]:
    """Every pair of a folder in StableSR's layout, sorted by name.

    Raises:
        UserError: Neither layout is there, or a truth or a low-resolution photo stands alone.
    """
    if not folder.is_dir():
        raise UserError(f"{str(folder)!r} is not a folder", argument="pairs")
    layout = next((names for names in LAYOUTS if all((folder / n).is_dir() for n in names)), None)
    if layout is None:
        raise UserError(f"{str(folder)!r} has neither gt/ and lq/ nor test_HR/ and test_LR/", argument="pairs")
    truths, lows = ({_stem(p): p for p in _files(folder / name, "pairs")} for name in layout)
    alone = sorted(set(truths) ^ set(lows))
    if alone:
        raise UserError(
            f"{len(alone)} photos of {str(folder)!r} have no partner, such as {alone[0]!r}", argument="pairs"
        )
    return [Photo(truths[stem].name, truths[stem], lows[stem]) for stem in sorted(truths)]


@dataclass(frozen=True)
class LoadedPhoto:
    """A photo in memory.

    Attributes:
        truth: RGB uint8 (4h, 4w, 3).
        low: Name of a degradation -> the low-resolution photo, RGB uint8 (h, w, 3); of a pair the partner, whatever
            the name.
    """

    truth: np.ndarray
    low: Callable[[str], np.ndarray]


def load(photo: Photo, *, crop: int | None, seed: int) -> LoadedPhoto:
    """Read one photo.

    Args:
        photo: From `find_photos` or `find_pairs`.
        crop: Side of the centre crop of the truth in pixels, a multiple of 4; None: the whole, to multiples of 4.
        seed: Of the degradation.

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
        return LoadedPhoto(truth, lambda name: DEGRADATIONS[name](truth, degradation_rng(seed, truth)))
    side = min(size) if crop is None else crop // SCALE
    height, width = size if crop is None else (side, side)
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    truth = np.ascontiguousarray(_cut(whole, SCALE * top, SCALE * left, SCALE * height, SCALE * width))
    small = np.ascontiguousarray(_cut(low, top, left, height, width))
    return LoadedPhoto(truth, lambda name: small)


def describe_degradations() -> dict[str, Any]:
    """The ranges of all of them, and what hides a part of a photo, for the record."""
    return {**{name: asdict(degradation) for name, degradation in DEGRADATIONS.items()}, **HOLES}


def _files(folder: Path, argument: str) -> list[Path]:
    if not folder.is_dir():
        raise UserError(f"{str(folder)!r} is not a folder", argument=argument)
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file())
    if not paths:
        raise UserError(f"{str(folder)!r} holds no photo ({', '.join(sorted(SUFFIXES))})", argument=argument)
    return paths


def _stem(path: Path) -> str:
    return _ENDING.sub("", path.stem)


def _cut(pixels: np.ndarray, top: int, left: int, height: int, width: int) -> np.ndarray:
    return pixels[top : top + height, left : left + width]


def _size(pixels: np.ndarray) -> str:
    return f"{pixels.shape[1]} x {pixels.shape[0]}"
