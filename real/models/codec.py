"""Between pictures and latents: the condition of super-resolution, encoding and decoding, large ones in tiles."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from real.degradations.simple import SCALE
from real.images.pixels import signed_tensor
from real.images.tiles import map_tiles
from real.models.latent import LatentModel

__all__ = ["OVERLAP", "TILE", "decode", "encode", "encode_photo", "padded_condition"]

TILE = 128  # latent pixels, at most
OVERLAP = 10
DECODED_AT_ONCE = 4  # decoding takes more memory than denoising


def padded_condition(low: np.ndarray, model: LatentModel) -> torch.Tensor:
    """RGB uint8 (h, w, 3) -> (1, 3, H, W) in [-1, 1], padded at the bottom and right to what the UNet divides by."""
    # The UNet halves its input several times and needs sides that it can halve.
    factor = model.divisor
    height, width = (-(-side // factor) * factor for side in low.shape[:2])
    padded = np.pad(low, ((0, height - low.shape[0]), (0, width - low.shape[1]), (0, 0)), mode="edge")
    return signed_tensor(padded).to(model.device)


@torch.no_grad()
def encode(model: LatentModel, x: torch.Tensor) -> torch.Tensor:
    """RGB in [-1, 1], (B, 3, 4h, 4w) -> latents before quantisation, (B, 3, h, w); large ones in blended tiles."""

    def one_tile(blocks: torch.Tensor) -> torch.Tensor:
        latents: torch.Tensor = model.vqvae.encode(pixel_shuffle(blocks, SCALE)).latents
        return latents

    return map_tiles(one_tile, pixel_unshuffle(x, SCALE), tile=TILE, overlap=OVERLAP)  # one block per latent pixel


def encode_photo(model: LatentModel, photo: np.ndarray) -> torch.Tensor:
    """RGB uint8 (4h, 4w, 3) -> latents before quantisation, float32 (3, h, w)."""
    return encode(model, signed_tensor(photo).to(model.device))[0]


@torch.no_grad()
def decode(model: LatentModel, latents: torch.Tensor, *, height: int, width: int) -> np.ndarray:
    """Latents (..., 3, h, w) -> RGB uint8 (..., height, width, 3); the padding at the bottom and right is cut off."""
    images = []
    for part in latents.reshape(-1, *latents.shape[-3:]).split(DECODED_AT_ONCE):
        image = map_tiles(lambda z: model.vqvae.decode(z).sample, part, tile=TILE, overlap=OVERLAP, scale=4)
        pixels = ((image.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
        images.append(pixels.permute(0, 2, 3, 1).cpu().numpy()[:, :height, :width])
    return np.concatenate(images).reshape(*latents.shape[:-3], height, width, 3)
