"""Photos in memory and random crops of them: the one source of training data for all stages.

`load_photos` walks folders; `CropSampler` draws square crops, photos in proportion to their area, with flips and
transposition. All arrays here are RGB, uint8, (H, W, 3).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError
from tqdm import tqdm

from real.errors import UserError
from real.images.photos import SUFFIXES
from real.images.pixels import to_rgb

__all__ = ["CropSampler", "load_photos"]


def load_photos(
    folders: Sequence[str | os.PathLike[str]], *, min_side: int = 64, max_pixels: int = 512 * 512, progress: bool = True
) -> tuple[list[np.ndarray], dict[str, int]]:
    """Decode every photo under `folders` (searched recursively) into memory.

    Args:
        folders: Folders of photos; files with another suffix than those of photos are ignored.
        min_side: Photos with a shorter side than this, in pixels, are left out.
        max_pixels: A larger photo is downsampled to this many pixels, so that memory is bounded (0.8 MB per photo at
            the default) whatever the photos' size.
        progress: Whether to show a progress bar.

    Returns:
        The photos, in the order of their sorted paths, and a count of the files used, unreadable and too small.

    Raises:
        UserError: A folder does not exist, or no usable photo was found.
    """
    paths: list[Path] = []
    for folder in folders:
        root = Path(folder)
        if not root.is_dir():
            raise UserError(f"must be folders that hold photos, got {str(root)!r}", argument="photos")
        paths += sorted(p for p in root.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())

    photos, counts = [], {"used": 0, "unreadable": 0, "too_small": 0}
    for path in tqdm(paths, desc="reading photos", unit="photo", disable=not progress):
        try:
            with Image.open(path) as image:
                photo = _prepare(Image.fromarray(to_rgb(image)), max_pixels)
        except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            # A folder of thousands may hold some that cannot be read; they are counted, for the record.
            counts["unreadable"] += 1
            continue

        if min(photo.shape[:2]) < min_side:
            counts["too_small"] += 1
            continue
        photos.append(photo)
        counts["used"] += 1

    if not photos:
        raise UserError(
            f"must hold photos of at least {min_side} pixels on the short side ({', '.join(sorted(SUFFIXES))}), "
            f"got none among {len(paths)} files under {[str(f) for f in folders]}",
            argument="photos",
        )
    return photos, counts


def _prepare(image: Image.Image, max_pixels: int) -> np.ndarray:
    scale = (max_pixels / (image.width * image.height)) ** 0.5
    if scale < 1:
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        image = image.resize(size, Image.Resampling.LANCZOS)
    return np.asarray(image)


class CropSampler:
    """Random square crops of photos, with flips and transposition.

    Args:
        photos: RGB uint8 arrays (H, W, 3), each at least `size` on both sides.
        size: Side of a crop in pixels.
        rng: Source of all randomness; its state is what a checkpoint has to keep.
    """

    def __init__(self, photos: Sequence[np.ndarray], *, size: int, rng: np.random.Generator) -> None:
        self.photos = [p for p in photos if min(p.shape[:2]) >= size]
        if not self.photos:
            raise UserError(
                f"must have a photo of at least {size} pixels on both sides, got none; use smaller crops or larger "
                "photos",
                argument="photos",
            )
        self.size = size
        self.rng = rng
        area = np.array([p.shape[0] * p.shape[1] for p in self.photos], dtype=np.float64)
        self._cumulative = np.cumsum(area) / area.sum()

    def draw(self, batch: int) -> np.ndarray:
        """Draw `batch` crops: uint8, (batch, size, size, 3)."""
        crops = np.empty((batch, self.size, self.size, 3), dtype=np.uint8)
        for i in range(batch):
            photo = self.photos[int(np.searchsorted(self._cumulative, self.rng.random(), side="right"))]
            y = int(self.rng.integers(photo.shape[0] - self.size + 1))
            x = int(self.rng.integers(photo.shape[1] - self.size + 1))
            crop = photo[y : y + self.size, x : x + self.size]
            crop = crop[:, ::-1] if self.rng.random() < 0.5 else crop
            crop = crop[::-1] if self.rng.random() < 0.5 else crop
            crops[i] = crop.transpose(1, 0, 2) if self.rng.random() < 0.5 else crop
        return crops
