"""What the denoiser is trained for: to restore a low-resolution photo, or to fill a hole.

Both are conditioned by channels beside the noisy latents, as in the latent diffusion paper (Rombach et al. 2022):

- super-resolution, 3 + 3 channels: the low-resolution photo, which is as large as the latents;
- inpainting, 3 + 3 + 1 channels: the latents of the photo with its hole filled smoothly, and the hole.
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
from real.images.holes import HOLES, draw_hole
from real.images.pixels import signed_tensor
from real.models.hole_condition import filled, hidden
from real.train.latents import Crop, EncodedPhoto, encode
from real.train.saved import digest_of_arrays, keep, load_kept
from real.train.training_run import RunSettings

__all__ = ["TRAINED_HOLE", "InpaintingTask", "KnownPart", "SuperResolutionTask"]

TRAINED_HOLE = "smooth"  # of `real.models.latent.HOLES`


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

    def prepare(self, pairs: list[EncodedPhoto], vqvae: VQModel, folder: Path, run_settings: RunSettings) -> None:
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
class KnownPart:
    """What is known of a photo with a hole.

    Attributes:
        mask: The hole on the grid of the latents, float32 (1, h, w), as `latent_mask` has it.
        rows: First and last row that the hole touches there.
        columns: First and last column that the hole touches there.
        latents: Latents of the photo with its hole filled smoothly, float16 (3, h, w).
    """

    mask: np.ndarray
    rows: tuple[int, int]
    columns: tuple[int, int]
    latents: np.ndarray


class InpaintingTask:
    """The condition is what is known: latents of the photo with its hole filled smoothly, and the hole.

    The photo with its hole is encoded as a whole, so it is done beforehand: for `holes` holes per photo, all kinds in
    turn (`real.images.holes`). That is also how it has to be: the latents of a photo without a hole tell what is in it,
    some pixels beyond its edge.

    Args:
        holes: Holes per photo.
    """

    stage = "inpainting"
    channels = 4

    def __init__(self, *, holes: int = 3) -> None:
        if holes < 1:
            raise UserError(f"must be a whole number of at least 1, got {holes}", argument="holes")
        self.holes = holes
        self._pairs: list[EncodedPhoto] = []
        self._known: list[list[KnownPart]] = []

    def settings(self) -> dict[str, Any]:
        """How holes are drawn."""
        return {"holes": self.holes, "kinds": list(HOLES)}

    def prepare(self, pairs: list[EncodedPhoto], vqvae: VQModel, folder: Path, run_settings: RunSettings) -> None:
        """Draw the holes and encode the photos with them; kept in `folder/holes.pt`."""
        rng = np.random.default_rng([run_settings.seed, 3])
        kept = folder / "holes.pt"
        made_of = digest_of_arrays((pair.latents for pair in pairs), run_settings.seed, self.settings())
        stored = load_kept(kept, made_of)
        encoded: list[list[torch.Tensor]] = []
        self._pairs, self._known = pairs, []
        for index, pair in enumerate(tqdm(pairs, desc="encoding photos with holes", unit="photo")):
            height, width = pair.photo.shape[:2]
            masks = [draw_hole(kind, height, width, rng) for kind in self._kinds(index)]
            latents = stored[index] if stored else [_encoded(pair.photo, mask, vqvae, run_settings) for mask in masks]
            encoded.append(latents)
            self._known.append([_known_part(mask, z.numpy()) for mask, z in zip(masks, latents, strict=True)])
        if stored is None:
            keep(kept, made_of, encoded)

    def _kinds(self, index: int) -> list[str]:
        """Kinds of a photo's holes: the first is a box, then come two of the other kinds, by turns over photos."""
        box, *others = HOLES
        return [box if k % 3 == 0 else others[(index + k) % len(others)] for k in range(self.holes)]

    def draw(self, index: int, size: int, rng: np.random.Generator) -> Crop:
        """A crop that holds one of the photo's holes, or lies within it, and some of what is around it."""
        pair = self._pairs[index]
        known = self._known[index][int(rng.integers(self.holes))]
        height, width = pair.latents.shape[1:]
        y, x = _start(known.rows, height, size, rng), _start(known.columns, width, size, rng)
        condition = np.concatenate([_cut(known.latents, y, x, size), _cut(known.mask, y, x, size)])
        return Crop(_cut(pair.latents, y, x, size), condition)

    def nothing(self, size: int) -> np.ndarray:
        """Zeros, and the hole is everywhere."""
        return np.concatenate([np.zeros((3, size, size), np.float32), np.ones((1, size, size), np.float32)])


def _encoded(photo: np.ndarray, mask: np.ndarray, vqvae: VQModel, run_settings: RunSettings) -> torch.Tensor:
    x = signed_tensor(photo)
    return torch.from_numpy(encode(filled(x, mask, TRAINED_HOLE), vqvae, run_settings))


def _known_part(mask: np.ndarray, latents: np.ndarray) -> KnownPart:
    cells = hidden(mask, TRAINED_HOLE).numpy()
    rows, columns = (np.flatnonzero((cells > -1.0).any(axis=axis)) for axis in (1, 0))
    return KnownPart(cells[None], (int(rows[0]), int(rows[-1])), (int(columns[0]), int(columns[-1])), latents)


def _start(span: tuple[int, int], length: int, size: int, rng: np.random.Generator) -> int:
    """First of `size` latent pixels, among `length`, that hold the span, or lie within it where it is longer."""
    first, last = span
    least, most = sorted((last + 1 - size, first))
    return int(rng.integers(min(max(0, least), length - size), min(max(0, most), length - size) + 1))


def _cut(channels: np.ndarray, y: int, x: int, size: int) -> np.ndarray:
    return channels[:, y : y + size, x : x + size].astype(np.float32)
