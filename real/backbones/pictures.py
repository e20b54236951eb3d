"""Between photos and Stable Diffusion's latents: sizes, enlarging, the autoencoder, large photos in tiles."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.nn.functional import interpolate, pad, pixel_shuffle, pixel_unshuffle

from real.images.pixels import unit_tensor
from real.images.tiles import map_tiles
from real.models.autoencoders import latents_of, scale_of

__all__ = [
    "FACTOR",
    "decode",
    "encode",
    "enlarge",
    "enlarge_in_steps",
    "pad_to",
    "resize",
    "work_size",
]

FACTOR = 8  # pixels per latent pixel
TILE, TILE_TO_SAVE, OVERLAP = 128, 64, 16  # latent pixels


def work_size(height: int, width: int, *, least: int) -> tuple[int, int]:
    """The size at which a photo is restored, where the result has another: its shorter side is at least `least`."""
    shorter = min(height, width)
    if shorter >= least:
        return height, width
    return height * least // shorter, width * least // shorter


def enlarge(low: np.ndarray, size: tuple[int, int]) -> torch.Tensor:
    """RGB uint8 (h, w, 3), bicubic to a height and width, (1, 3, H, W) in [0, 1], rounded to 8 bit."""
    return unit_tensor(np.asarray(Image.fromarray(low).resize(size[::-1], Image.Resampling.BICUBIC)))


def enlarge_in_steps(low: np.ndarray, *, least: int) -> torch.Tensor:
    """RGB uint8 (h, w, 3) at the size that SeeSR's authors restore it at, by their steps: (1, 3, H, W) in [0, 1].

    Each step is bicubic and rounded to 8 bit: a photo whose shorter side is under a quarter of `least` is enlarged to
    that; then four times; then to multiples of eight.
    """
    image = Image.fromarray(low)
    smallest = least // 4
    if min(image.size) < smallest:
        scale = smallest / min(image.size)
        image = _bicubic(image, int(scale * image.width), int(scale * image.height))
    image = _bicubic(image, 4 * image.width, 4 * image.height)
    return unit_tensor(np.asarray(_bicubic(image, image.width // 8 * 8, image.height // 8 * 8)))


def _bicubic(image: Image.Image, width: int, height: int) -> Image.Image:
    return image.resize((width, height), Image.Resampling.BICUBIC)


def resize(x: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """(1, 3, h, w) -> (1, 3, H, W), bicubic with antialiasing; the tensor itself if it has the size."""
    return x if x.shape[-2:] == size else interpolate(x, size=size, mode="bicubic", antialias=True)


def pad_to(x: torch.Tensor, multiple: int) -> torch.Tensor:
    """Zeros at the bottom and the right, up to multiples of a number of pixels."""
    rows, columns = (-side % multiple for side in x.shape[-2:])
    return pad(x, (0, columns, 0, rows))


@torch.no_grad()
def encode(vae: Any, x: torch.Tensor, *, tiling: bool = False) -> torch.Tensor:
    """RGB in [0, 1], (1, 3, 8h, 8w) -> scaled latent (1, C, h, w): the mode of what the encoder gives, in float32.

    Args:
        vae: diffusers' AutoencoderKL or AutoencoderTiny of factor 8.
        x: The photo.
        tiling: Smaller tiles: less memory, more seams.
    """

    def one_tile(blocks: torch.Tensor) -> torch.Tensor:
        photo = pixel_shuffle(blocks, FACTOR)
        return latents_of(vae.encode(2.0 * photo - 1.0))

    blocks = pixel_unshuffle(x.to(vae.dtype), FACTOR)  # one block per latent pixel
    latents = map_tiles(one_tile, blocks, tile=TILE_TO_SAVE if tiling else TILE, overlap=OVERLAP)
    return latents.float() * scale_of(vae)


@torch.no_grad()
def decode(vae: Any, latents: torch.Tensor, *, tiling: bool = False) -> torch.Tensor:
    """Scaled latents (1, C, h, w) -> RGB (1, 3, 8h, 8w), float32, mostly within [0, 1]; the way back from `encode`."""

    def one_tile(z: torch.Tensor) -> torch.Tensor:
        photo: torch.Tensor = vae.decode(z).sample
        return photo

    z = latents.to(vae.dtype) / scale_of(vae)
    tile = TILE_TO_SAVE if tiling else TILE
    return map_tiles(one_tile, z, tile=tile, overlap=OVERLAP, scale=FACTOR).float() / 2.0 + 0.5
