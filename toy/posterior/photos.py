"""Grey photos, and the pieces of them that the study measures.

The photos are those that scikit-image carries, or those of a folder. A crop of 32 x 32 pixels is cut into
non-overlapping patches. The prior makes patches independent, so the posterior of a crop is the product of those of its
patches, and exact; it would not be with overlapping patches that are averaged.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from toy.mixture import Array

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"}
INCLUDED = ("astronaut", "chelsea", "coffee", "rocket")  # photos in scikit-image's own package: nothing is fetched


def load_photos(folder: Path | None) -> list[Array]:
    """Return photos as grey values in [0, 1], in the order of their names.

    Args:
        folder: folder of the photos, subfolders included; None for those of scikit-image.

    Returns:
        Arrays (height, width), float64.

    Raises:
        ValueError: the folder does not exist, holds no photo, or a photo cannot be read.
    """
    if folder is None:
        from skimage import data

        return [_grey(getattr(data, name)()) for name in INCLUDED]
    if not folder.is_dir():
        raise ValueError(f"photos must be a folder, got {str(folder)!r}")
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise ValueError(f"photos must hold {', '.join(sorted(SUFFIXES))} files, got none in {str(folder)!r}")
    return [_read(path) for path in paths]


def cut_patches(photos: list[Array], n: int, *, size: int, rng: np.random.Generator) -> Array:
    """Return n patches from anywhere in the photos, (n, size * size), as many from each photo as from another.

    Raises:
        ValueError: every photo is smaller than a patch.
    """
    return cut_crops(photos, n, size=size, rng=rng).reshape(n, size * size)


def cut_crops(photos: list[Array], n: int, *, size: int, rng: np.random.Generator) -> Array:
    """Return n square crops, (n, size, size), from the photos in turn; each at a random place.

    Raises:
        ValueError: every photo is smaller than a crop.
    """
    large = [photo for photo in photos if min(photo.shape) >= size]
    if not large:
        raise ValueError(f"photos must have at least {size} pixels on a side, got smaller ones only")
    crops = np.empty((n, size, size))
    for index in range(n):
        photo = large[index % len(large)]
        top, left = (int(rng.integers(length - size + 1)) for length in photo.shape)
        crops[index] = photo[top : top + size, left : left + size]
    return crops


def to_patches(crops: Array, size: int) -> Array:
    """Cut crops (n, side, side) into their patches, (n, patches, size * size), row by row."""
    n, side, _ = crops.shape
    if side % size:
        raise ValueError(f"crops must have a multiple of {size} pixels on a side, got {side}")
    count = side // size
    cut = crops.reshape(n, count, size, count, size).swapaxes(2, 3)
    return cut.reshape(n, count * count, size * size)


def from_patches(patches: Array, size: int) -> Array:
    """Put the patches (n, patches, size * size) of square crops back together, (n, side, side)."""
    n, places, _ = patches.shape
    count = round(places**0.5)
    laid = patches.reshape(n, count, count, size, size).swapaxes(2, 3)
    return laid.reshape(n, count * size, count * size)


def _read(path: Path) -> Array:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            return _grey(np.asarray(picture.convert("RGB")))
    except (OSError, UnidentifiedImageError) as error:
        raise ValueError(f"photos must be readable pictures, got {path.name!r} that is not") from error


def _grey(rgb: Array) -> Array:
    """Luma (Rec. 601) of an 8-bit colour picture, in [0, 1]."""
    return rgb[..., :3].astype(np.float64) @ np.array([0.299, 0.587, 0.114]) / 255
