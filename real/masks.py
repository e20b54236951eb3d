"""Which pixels of a photo are to be painted: masks from a file, a box in the centre, and the grid of the latents.

`blank` and `latent_mask` are what a denoiser in the latent diffusion paper's shape is told of a hole.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch

from real.cli import UserError
from real.images import load_photo

__all__ = ["center_box", "check_mask", "fill_smoothly", "grow_to_cells", "latent_mask", "load_mask"]


def load_mask(path: str | Path) -> np.ndarray:
    """Read a mask: bool (H, W), True where the picture is light (grey 128 and more), which is what gets painted.

    Raises:
        UserError: As `real.images.load_photo`, naming the mask.
    """
    try:
        pixels = load_photo(path)
    except UserError as error:
        raise UserError(str(error).replace("IMAGE:", "--mask:", 1)) from error
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
        raise ValueError(f"center_box: got {fraction:g}; give a part of the photo above 0 and below 1")
    if by not in ("area", "side"):
        raise ValueError(f"by: got {by!r}; known: area, side")
    part = math.sqrt(fraction) if by == "area" else fraction
    h, w = round(part * height), round(part * width)
    if min(h, w) < 1 or (h, w) == (height, width):
        raise ValueError(f"center_box: {fraction:g} of {width} x {height} pixels is a box of {w} x {h}; take another")
    mask = np.zeros((height, width), dtype=bool)
    top, left = (height - h) // 2, (width - w) // 2
    mask[top : top + h, left : left + w] = True
    return mask


def check_mask(mask: np.ndarray, image: np.ndarray) -> None:
    """ValueError unless `mask` is bool (H, W) like the image, with pixels to paint and pixels that are known."""
    if mask.dtype != bool or mask.shape != image.shape[:2]:
        raise ValueError(
            f"mask: got {mask.dtype} {mask.shape} for an image of {image.shape[1]} x {image.shape[0]} pixels; give "
            f"bool {image.shape[:2]}, True where it is to be painted"
        )
    if not mask.any() or mask.all():
        which = "no pixel" if not mask.any() else "every pixel"
        raise ValueError(f"mask: {which} is to be painted; it needs both, light where to paint and dark where not")


def grow_to_cells(mask: np.ndarray, cell: int) -> np.ndarray:
    """Grow a mask to whole cells of cell x cell pixels: bool (H, W), H and W multiples of cell.

    A model sees the mask at the size of its latents. A cell that is only partly to be painted would else count as
    known, with the hole's grey in it.
    """
    return np.kron(_cells(mask, cell), np.ones((cell, cell), dtype=bool))


def fill_smoothly(x: torch.Tensor, mask: np.ndarray) -> torch.Tensor:
    """The photo with its hole filled by a smooth interpolation of what is around it, which any method would begin with.

    Known pixels are averaged over ever larger cells until every cell knows something, and what is missing is read off
    the next larger cells (the pull-push algorithm; Gortler et al. 1996, "The Lumigraph").

    Args:
        x: RGB in [-1, 1], (B, 3, H, W).
        mask: bool (H, W), True inside the hole, with at least one False.

    Returns:
        (B, 3, H, W), equal to x outside the hole and independent of it inside.
    """
    known = torch.from_numpy(~mask)[None, None].to(x)
    return _pull_push(x * known, known)


def _pull_push(total: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """Sums of known values and their weights, (B, C, H, W) and (1, 1, H, W) in [0, 1] -> values everywhere."""
    if bool((known >= 1.0).all()):
        return total
    coarse = _halved(total), _halved(known)
    weight = coarse[1].clamp(max=0.25) / coarse[1].clamp(min=1e-6)  # a quarter of the pixels is as good as all
    guess = _pull_push(coarse[0] * weight * 4.0, (coarse[1] * 4.0).clamp(max=1.0))
    size = total.shape[-2:]
    smooth = torch.nn.functional.interpolate(guess, scale_factor=2.0, mode="bilinear")[..., : size[0], : size[1]]
    return total + (1.0 - known) * smooth


def _halved(values: torch.Tensor) -> torch.Tensor:
    """Means of 2 x 2 pixels; an odd side gets a border of zeros."""
    padding = (0, values.shape[-1] % 2, 0, values.shape[-2] % 2)
    return torch.nn.functional.avg_pool2d(torch.nn.functional.pad(values, padding), 2)


def latent_mask(mask: np.ndarray, *, factor: int = 4) -> torch.Tensor:
    """The hole on the grid of the latents: the share of each latent pixel to be painted, from -1 (none) to 1 (all).

    Args:
        mask: bool (H, W), multiples of factor.
        factor: Pixels of the photo a latent pixel, along each axis.

    Returns:
        float32 (H / factor, W / factor). The latent diffusion paper's inpainting model has only -1 and 1; of a scratch
        of one pixel the share says that three quarters of a latent pixel are known.

    Raises:
        ValueError: A side is no multiple of factor.
    """
    check_multiples(mask, factor)
    cells = mask.reshape(mask.shape[0] // factor, factor, mask.shape[1] // factor, factor)
    return torch.from_numpy(2.0 * cells.mean(axis=(1, 3), dtype=np.float32) - 1.0)


def _cells(mask: np.ndarray, cell: int) -> np.ndarray:
    """Bool (H, W) -> bool (H / cell, W / cell): whether any pixel of a cell is True."""
    check_multiples(mask, cell)
    height, width = mask.shape
    return np.asarray(mask.reshape(height // cell, cell, width // cell, cell).any(axis=(1, 3)))


def check_multiples(mask: np.ndarray, cell: int) -> None:
    """ValueError unless the mask has two sides that are multiples of `cell`."""
    if mask.ndim != 2 or any(side % cell for side in mask.shape):
        raise ValueError(f"mask must have two sides that are multiples of {cell}, got shape {mask.shape}")
