"""What the denoiser is trained for: to restore a low-resolution photo, or to fill a hole.

Both are conditioned by channels beside the noisy latents, as in the latent diffusion paper (Rombach et al. 2022):

- super-resolution, 3 + 3 channels: the low-resolution photo, which is as large as the latents;
- inpainting, 3 + 3 + 1 channels: the latents of the photo with the hole in mid-grey, and the hole itself.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import VQModel
from tqdm import tqdm

from real.degradations.simple import SCALE, Degradation
from real.errors import UserError
from real.images.files import write_atomically
from real.images.masks import blank, latent_mask
from real.train.latents import Crop, EncodedPhoto, encode
from real.train.loop import RunSettings
from real.train.saved import load_saved

__all__ = ["Hole", "InpaintingTask", "SuperResolutionTask", "draw_box"]


class SuperResolutionTask:
    """The condition is the crop of the photo, degraded on the fly, in [-1, 1]; nothing is mid-grey.

    Args:
        degradation: What makes the low-resolution photo.
    """

    stage = "unet"
    channels = 3

    def __init__(self, degradation: Degradation) -> None:
        self.degradation = degradation
        self._pairs: list[EncodedPhoto] = []

    def settings(self) -> dict[str, Any]:
        """The ranges of the degradation."""
        return asdict(self.degradation)

    def prepare(
        self, pairs: list[EncodedPhoto], vqvae: VQModel, folder: Path, run_settings: RunSettings, size: int
    ) -> None:
        """Nothing can be computed beforehand."""
        self._pairs = pairs

    def draw(self, index: int, size: int, rng: np.random.Generator) -> Crop:
        """A crop from anywhere in the photo."""
        pair = self._pairs[index]
        y, x = (int(rng.integers(side - size + 1)) for side in pair.latents.shape[1:])
        truth = pair.photo[SCALE * y : SCALE * (y + size), SCALE * x : SCALE * (x + size)]
        low = self.degradation(truth, rng)
        return Crop(_cut(pair.latents, y, x, size), low.transpose(2, 0, 1).astype(np.float32) / 127.5 - 1)

    def nothing(self, size: int) -> np.ndarray:
        """Mid-grey."""
        return np.zeros((3, size, size), np.float32)


@dataclass(frozen=True)
class Hole:
    """A hole in a photo.

    Attributes:
        box: Top, left, bottom and right in pixels, the last two not included.
        latents: Of the photo with the hole in mid-grey, float16 (3, h, w).
    """

    box: tuple[int, int, int, int]
    latents: np.ndarray


class InpaintingTask:
    """The condition is what is known: latents of the photo with a hole, and the hole.

    The photo with its hole is encoded as a whole, so it is done beforehand, for `holes` boxes a photo. That is also
    how it has to be: the latents of a photo without a hole tell what is in it, some pixels beyond its edge.

    Args:
        holes: Boxes a photo.
        sides: Smallest and largest side of a box, as a share of the crop's.
    """

    stage = "inpainting"
    channels = 4

    def __init__(self, *, holes: int = 2, sides: tuple[float, float] = (0.25, 0.75)) -> None:
        if holes < 1:
            raise UserError(f"must be a whole number of at least 1, got {holes}", argument="holes")
        if not 0.0 < sides[0] <= sides[1] < 1.0:
            raise UserError(f"must be two shares of the side, 0 < low <= high < 1, got {sides}", argument="sides")
        self.holes, self.sides = holes, sides
        self._pairs: list[EncodedPhoto] = []
        self._holes: list[list[Hole]] = []

    def settings(self) -> dict[str, Any]:
        """How holes are drawn."""
        return {"holes": self.holes, "sides": list(self.sides)}

    def prepare(
        self, pairs: list[EncodedPhoto], vqvae: VQModel, folder: Path, run_settings: RunSettings, size: int
    ) -> None:
        """Draw the holes and encode the photos with them; kept in `folder/holes.pt`."""
        rng = np.random.default_rng([run_settings.seed, 3])
        kept = folder / "holes.pt"
        known = load_saved(kept) if kept.exists() else None
        self._pairs, self._holes = pairs, []
        for index, pair in enumerate(tqdm(pairs, desc="encoding photos with holes", unit="photo")):
            height, width = pair.photo.shape[:2]
            boxes = [draw_box(height, width, SCALE * size, self.sides, rng) for _ in range(self.holes)]
            if known is not None:
                self._holes.append([Hole(box, z.numpy()) for box, z in zip(boxes, known[index], strict=True)])
                continue
            x = torch.from_numpy(pair.photo).permute(2, 0, 1)[None].float() / 127.5 - 1
            masks = [_mask(box, height, width) for box in boxes]
            encoded = [encode(blank(x, mask), vqvae, run_settings) for mask in masks]
            self._holes.append([Hole(box, z) for box, z in zip(boxes, encoded, strict=True)])
        if known is None:
            tensors = [[torch.from_numpy(hole.latents) for hole in holes] for holes in self._holes]
            write_atomically(kept, lambda path: torch.save(tensors, path))

    def draw(self, index: int, size: int, rng: np.random.Generator) -> Crop:
        """A crop that holds one of the photo's holes and some of what is around it."""
        pair = self._pairs[index]
        hole = self._holes[index][int(rng.integers(self.holes))]
        height, width = pair.latents.shape[1:]
        y = _start(hole.box[0], hole.box[2], height, size, rng)
        x = _start(hole.box[1], hole.box[3], width, size, rng)
        mask = latent_mask(_mask(hole.box, *pair.photo.shape[:2])).numpy()[None]
        known = np.concatenate([_cut(hole.latents, y, x, size), _cut(mask, y, x, size)])
        return Crop(_cut(pair.latents, y, x, size), known)

    def nothing(self, size: int) -> np.ndarray:
        """Zeros, and the hole is everywhere."""
        return np.concatenate([np.zeros((3, size, size), np.float32), np.ones((1, size, size), np.float32)])


def draw_box(
    height: int, width: int, crop: int, sides: tuple[float, float], rng: np.random.Generator
) -> tuple[int, int, int, int]:
    """A random box in a photo of height x width pixels; its sides are shares of `crop`, uniform in `sides`.

    Returns:
        Top, left, bottom, right in pixels, the last two not included.
    """
    rows, columns = (max(1, round(crop * rng.uniform(*sides))) for _ in range(2))
    top, left = int(rng.integers(height - rows + 1)), int(rng.integers(width - columns + 1))
    return top, left, top + rows, left + columns


def _mask(box: tuple[int, int, int, int], height: int, width: int) -> np.ndarray:
    mask = np.zeros((height, width), dtype=bool)
    mask[box[0] : box[2], box[1] : box[3]] = True
    return mask


def _start(low: int, high: int, length: int, size: int, rng: np.random.Generator) -> int:
    """First latent pixel of a crop of `size` that holds the pixels low to high - 1, among `length` latent pixels."""
    least = max(0, -(-high // SCALE) - size)
    most = min(low // SCALE, length - size)
    return int(rng.integers(least, most + 1))


def _cut(channels: np.ndarray, y: int, x: int, size: int) -> np.ndarray:
    return channels[:, y : y + size, x : x + size].astype(np.float32)
