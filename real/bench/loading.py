"""Photos read into memory: the truth, and the low-resolution photo that is given or made of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from real.bench.photo_sets import DEGRADATIONS, Photo
from real.degradations.simple import SCALE
from real.errors import UserError
from real.images.photos import center_crop, load_photo
from real.images.seeds import degradation_rng

__all__ = ["SMALLEST", "LoadedPhoto", "check_crop", "load", "load_truth"]

SMALLEST = 64  # pixels of the truth in a study; less tells nothing about restoration
LEAST = 32  # in an evaluation; some metrics take no less


def check_crop(crop: int | None, *, least: int = LEAST) -> None:
    """UserError unless a centre crop of the truth is large enough and can be made four times smaller."""
    if crop is not None and (crop < least or crop % SCALE):
        raise UserError(f"must be a multiple of {SCALE} and at least {least}, got {crop}", argument="crop")


def load_truth(photo: Photo, *, crop: int | None) -> np.ndarray:
    """Read a truth, RGB uint8 (4h, 4w, 3): its centre crop, or the whole, to multiples of 4.

    Raises:
        UserError: The file cannot be read, or is smaller than the crop or than any metric takes.
    """
    whole = load_photo(photo.truth)
    if min(whole.shape[:2]) < (least := crop or LEAST):
        raise UserError(f"{photo.name}: {_size(whole)} pixels are fewer than {least} on a side")
    return np.ascontiguousarray(center_crop(whole, side=crop))


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
        photo: Photo from `find_photos` or `find_pairs`.
        crop: Side of the centre crop of the truth in pixels, a multiple of 4; None: the whole, to multiples of 4.
        seed: Seed of the degradation.

    Raises:
        UserError: A file cannot be read, is too small, or the two of a pair do not fit.
    """
    whole = load_photo(photo.truth)
    low = None if photo.low is None else load_photo(photo.low)
    size = (whole.shape[0] // SCALE, whole.shape[1] // SCALE) if low is None else low.shape[:2]
    if low is not None and whole.shape[:2] != (SCALE * size[0], SCALE * size[1]):
        raise UserError(f"{photo.name}: {_size(whole)} pixels are not four times the {_size(low)} of its partner")

    least = SCALE * min(size) if crop is None else min(SCALE * min(size), crop)
    if least < SMALLEST or (crop is not None and SCALE * min(size) < crop):
        raise UserError(f"{photo.name}: {_size(whole)} pixels are fewer than {max(SMALLEST, crop or 0)} on a side")

    if low is None:
        truth = np.ascontiguousarray(center_crop(whole, side=crop))
        return LoadedPhoto(truth, lambda name: DEGRADATIONS[name](truth, degradation_rng(seed, truth)))

    # The crop is cut in the low-resolution photo's pixels, so that the two stay aligned.
    height, width = size if crop is None else (crop // SCALE, crop // SCALE)
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    truth = np.ascontiguousarray(_cut(whole, SCALE * top, SCALE * left, SCALE * height, SCALE * width))
    small = np.ascontiguousarray(_cut(low, top, left, height, width))
    return LoadedPhoto(truth, lambda name: small)


def _cut(pixels: np.ndarray, top: int, left: int, height: int, width: int) -> np.ndarray:
    return pixels[top : top + height, left : left + width]


def _size(pixels: np.ndarray) -> str:
    return f"{pixels.shape[1]} x {pixels.shape[0]}"
