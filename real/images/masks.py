"""Which pixels of a photo are to be painted: masks from a file, a box in the centre, and the grid of the latents.

`blank` and `latent_mask` are what a denoiser in the latent diffusion paper's shape is told of a hole.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch

from real.errors import UserError
from real.images.photos import load_photo

__all__ = ["blank", "center_box", "check_mask", "grow_to_cells", "latent_mask", "load_mask"]


def load_mask(path: str | Path) -> np.ndarray:
    """Read a mask: bool (H, W), True where the picture is light (grey 128 and more), which is what gets painted.

    Raises:
        UserError: As `real.images.photos.load_photo`, naming the mask.
    """
    try:
        pixels = load_photo(path)
    except UserError as error:
        raise UserError(error.message, argument="mask") from error
    return np.asarray(pixels.mean(axis=-1) >= 128.0)


def center_box(height: int, width: int, fraction: float, *, by: str = "area") -> np.ndarray:
    """A box in the centre with the sides of the photo in proportion: bool (height, width), True inside.

    Args:
        height: Of the photo.
        width: Of the photo.
        fraction: Part of the photo, above 0 and below 1; the paper uses 0.3.
        by: What the fraction is of: "area", or "side" (then the box has fraction^2 of the area). PAPER-GAP: the
            paper's "central 30% square region" can be either; the area fits its PSNR better.

    Raises:
        ValueError: The fraction or `by` is not one of those, or the box has no pixel.
    """
    if not 0.0 < fraction < 1.0:
        raise UserError(f"got {fraction:g}; give a part of the photo above 0 and below 1", argument="center_box")
    if by not in ("area", "side"):
        raise UserError(f"got {by!r}; known: area, side", argument="by")
    part = math.sqrt(fraction) if by == "area" else fraction
    h, w = round(part * height), round(part * width)
    if min(h, w) < 1 or (h, w) == (height, width):
        raise UserError(
            f"{fraction:g} of {width} x {height} pixels is a box of {w} x {h}; take another", argument="center_box"
        )
    mask = np.zeros((height, width), dtype=bool)
    top, left = (height - h) // 2, (width - w) // 2
    mask[top : top + h, left : left + w] = True
    return mask


def check_mask(mask: np.ndarray, image: np.ndarray) -> None:
    """ValueError unless `mask` is bool (H, W) like the image, with pixels to paint and pixels that are known."""
    if mask.dtype != bool or mask.shape != image.shape[:2]:
        raise UserError(
            f"got {mask.dtype} {mask.shape} for an image of {image.shape[1]} x {image.shape[0]} pixels; give "
            f"bool {image.shape[:2]}, True where it is to be painted",
            argument="mask",
        )
    if not mask.any() or mask.all():
        which = "no pixel" if not mask.any() else "every pixel"
        raise UserError(
            f"{which} is to be painted; it needs both, light where to paint and dark where not", argument="mask"
        )


def grow_to_cells(mask: np.ndarray, cell: int) -> np.ndarray:
    """Grow a mask to whole cells of cell x cell pixels: bool (H, W), H and W multiples of cell.

    A model sees the mask at the size of its latents. A cell that is only partly to be painted would else count as
    known, with the hole's grey in it.
    """
    return np.kron(_cells(mask, cell), np.ones((cell, cell), dtype=bool))


def blank(x: torch.Tensor, mask: np.ndarray) -> torch.Tensor:
    """The photo with its hole in mid-grey: RGB in [-1, 1], (..., 3, H, W), and bool (H, W) -> the shape of x."""
    return x.masked_fill(torch.from_numpy(mask).to(x.device), 0.0)


def latent_mask(mask: np.ndarray, *, factor: int = 4) -> torch.Tensor:
    """The hole on the grid of the latents: 1 where any of a latent pixel's pixels is to be painted, -1 elsewhere.

    Args:
        mask: bool (H, W), multiples of factor.
        factor: Pixels of the photo a latent pixel, along each axis.

    Returns:
        float32 (H / factor, W / factor), of -1 and 1, as the latent diffusion paper's inpainting model has it.

    Raises:
        ValueError: A side is no multiple of factor.
    """
    return 2.0 * torch.from_numpy(_cells(mask, factor)).float() - 1.0


def _cells(mask: np.ndarray, cell: int) -> np.ndarray:
    """Bool (H, W) -> bool (H / cell, W / cell): whether any pixel of a cell is True."""
    if mask.ndim != 2 or any(side % cell for side in mask.shape):
        raise UserError(f"got shape {mask.shape}; give two sides that are multiples of {cell}", argument="mask")
    height, width = mask.shape
    return np.asarray(mask.reshape(height // cell, cell, width // cell, cell).any(axis=(1, 3)))
