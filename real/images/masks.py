"""Which pixels of a photo are to be painted: masks from a file, a box in the centre, and the grid of the latents.

`real.images.holes` draws random ones, `real.images.filling` says what is put where nothing is known.
"""

from __future__ import annotations

import math
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from real.errors import UserError
from real.images.photos import read_picture
from real.images.pixels import to_mask

__all__ = ["as_mask", "center_box", "check_mask", "grow_to_cells", "latent_mask", "load_mask"]


def load_mask(path: str | Path) -> np.ndarray:
    """Read a mask: bool (H, W), True where the picture is light (grey 128 and more), which is what gets painted.

    What is transparent is known, whatever its colour.

    Raises:
        UserError: As `real.images.photos.load_photo`, naming the mask.
    """
    return read_picture(path, to_mask, argument="mask")


def as_mask(value: Any) -> np.ndarray:
    """A file, a PIL image, a tensor or an array as a mask, bool (H, W), True where to paint.

    Args:
        value: A file or a PIL image, light where to paint (see `load_mask`); a tensor, bool or of floats from 0 to 1
            with 0.5 and more where to paint, (H, W), (1, H, W) or (1, 1, H, W), as diffusers' pipelines take it; or an
            array, which is returned as it is and checked with the photo.

    Raises:
        TypeError: It is none of those.
        UserError: A tensor has another shape or other numbers; a file cannot be read.
    """
    if isinstance(value, str | PathLike):
        return load_mask(str(value))
    if isinstance(value, Image.Image):
        return to_mask(value)
    if isinstance(value, torch.Tensor):
        return _of_tensor(value)
    if isinstance(value, np.ndarray):
        return value
    raise TypeError(f"mask must be a file, a PIL image, a tensor or bool (H, W), got a {type(value).__name__}")


def _of_tensor(value: torch.Tensor) -> np.ndarray:
    mask = value.detach().cpu()
    while mask.ndim > 2 and mask.shape[0] == 1:
        mask = mask[0]
    if mask.ndim != 2:
        raise _refusal(f"must be a tensor (H, W), (1, H, W) or (1, 1, H, W), got {tuple(value.shape)}")
    if mask.dtype != torch.bool:
        if not mask.is_floating_point() or not bool(((mask >= 0) & (mask <= 1)).all()):
            raise _refusal(f"must be a tensor of bool or of floats from 0 to 1, got {mask.dtype}")
        mask = mask >= 0.5
    pixels: np.ndarray = mask.numpy()
    return pixels


def _refusal(message: str) -> UserError:
    return UserError(message, argument="mask")


def center_box(height: int, width: int, fraction: float, *, by: str = "area") -> np.ndarray:
    """A box in the centre with the sides of the photo in proportion: bool (height, width), True inside.

    Args:
        height: Height of the photo.
        width: Width of the photo.
        fraction: Part of the photo, above 0 and below 1; the paper uses 0.3.
        by: What the fraction is of: "area", or "side" (then the box has fraction^2 of the area). PAPER-GAP: the
            paper's "central 30% square region" can be either; the area fits its PSNR better.

    Raises:
        ValueError: The fraction or `by` is not one of those, or the box has no pixel.
    """
    if not 0.0 < fraction < 1.0:
        raise UserError(f"must be a part of the photo above 0 and below 1, got {fraction:g}", argument="fraction")
    if by not in ("area", "side"):
        raise UserError(f"must be area or side, got {by!r}", argument="by")

    # The box has the photo's shape, so that its area is the square of the part of each side.
    part = math.sqrt(fraction) if by == "area" else fraction
    h, w = round(part * height), round(part * width)
    if min(h, w) < 1 or (h, w) == (height, width):
        box = f"a box of {w} x {h} in {width} x {height} pixels"
        why = f"must hide a part of the photo and not all of it, got {fraction:g}, {box}; take another"
        raise UserError(why, argument="fraction")

    mask = np.zeros((height, width), dtype=bool)
    top, left = (height - h) // 2, (width - w) // 2
    mask[top : top + h, left : left + w] = True
    return mask


def check_mask(mask: np.ndarray, image: np.ndarray) -> None:
    """ValueError unless `mask` is bool (H, W) like the image, with pixels to paint and pixels that are known."""
    height, width = image.shape[:2]
    if mask.dtype != bool or mask.ndim != 2:
        raise _refusal(f"must be bool (H, W), True where it is to be painted, got {mask.dtype} {mask.shape}")

    # Swapped sides have a likely cause, which the sizes alone do not tell.
    if mask.shape != (height, width):
        turned = (
            "; turned by a quarter it would fit: one of the two may have an EXIF rotation, which is applied"
            if mask.shape == (width, height)
            else ""
        )
        raise _refusal(
            f"must have the image's {width} x {height} pixels (width x height), got {mask.shape[1]} x "
            f"{mask.shape[0]}{turned}"
        )

    # A photo without known pixels would be painted from nothing.
    if not mask.any() or mask.all():
        which = "no pixel" if not mask.any() else "every pixel"
        raise _refusal(
            f"must have pixels to paint (light) and known ones (dark or transparent), got a mask where {which} is "
            "to be painted"
        )


def grow_to_cells(mask: np.ndarray, cell: int) -> np.ndarray:
    """Grow a mask to whole cells of cell x cell pixels: bool (H, W), H and W multiples of cell.

    A model sees the mask at the size of its latents. A cell that is only partly to be painted would else count as
    known, with the hole's grey in it.
    """
    return np.kron(_by_cell(mask, cell).any(axis=(1, 3)), np.ones((cell, cell), dtype=bool))


def latent_mask(mask: np.ndarray, *, factor: int = 4) -> torch.Tensor:
    """The hole on the grid of the latents: the share of each latent pixel to be painted, from -1 (none) to 1 (all).

    Args:
        mask: bool (H, W), multiples of factor.
        factor: Pixels of the photo per latent pixel, along each axis.

    Returns:
        float32 (H / factor, W / factor). Of a scratch of one pixel the share says that three quarters of a latent pixel
        are known. The latent diffusion paper's inpainting model has only -1 and 1, as a mask of whole cells gives
        them (`grow_to_cells`).

    Raises:
        ValueError: A side is no multiple of factor.
    """
    return torch.from_numpy(2.0 * _by_cell(mask, factor).mean(axis=(1, 3), dtype=np.float32) - 1.0)


def _by_cell(mask: np.ndarray, cell: int) -> np.ndarray:
    """Bool (H, W) -> a view (H / cell, cell, W / cell, cell)."""
    if mask.ndim != 2 or any(side % cell for side in mask.shape):
        raise _refusal(f"must have two sides that are multiples of {cell}, got shape {mask.shape}")
    height, width = mask.shape
    return mask.reshape(height // cell, cell, width // cell, cell)
