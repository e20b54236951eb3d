"""Holes in photos: what the encoder sees of a photo with a hole, and the hole on the grid of the latents.

A mask is True, or 1, inside the hole: what is to be filled.
"""

from __future__ import annotations

import torch

__all__ = ["blank", "latent_mask"]


def blank(x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The photo with its hole in mid-grey.

    Args:
        x: RGB in [-1, 1], (..., 3, H, W).
        mask: bool (H, W).

    Returns:
        The same shape as x.
    """
    return x.masked_fill(mask, 0.0)


def latent_mask(mask: torch.Tensor, *, factor: int = 4) -> torch.Tensor:
    """The hole on the grid of the latents: 1 where any of a latent pixel's pixels is to be filled, -1 elsewhere.

    Args:
        mask: bool (H, W), multiples of factor.
        factor: Pixels of the photo a latent pixel, along each axis.

    Returns:
        float32 (H / factor, W / factor), of -1 and 1, as the latent diffusion paper's inpainting model has it.

    Raises:
        ValueError: A side is no multiple of factor.
    """
    if mask.ndim != 2 or any(side % factor for side in mask.shape):
        raise ValueError(f"mask: got shape {tuple(mask.shape)}; give two sides that are multiples of {factor}")
    pooled: torch.Tensor = torch.nn.functional.max_pool2d(mask[None].float(), factor)[0]
    return 2.0 * pooled - 1.0
