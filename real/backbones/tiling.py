"""Latents in overlapping tiles blended by Gaussian weights, as in StableSR, DiffBIR and SeeSR.

`real.images.tiles` spreads its tiles evenly and lets weights fall linearly; these have a fixed stride and weights that
are off centre by half a row, so that results are those of the official code.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

__all__ = ["Window", "blend_windows", "gaussian_weights", "windows"]

VARIANCE = 0.01  # in squares of the side
Window = tuple[slice, slice]


def gaussian_weights(
    height: int, width: int, *, dtype: torch.dtype = torch.float64, device: torch.device | str = "cpu"
) -> torch.Tensor:
    """Weights of a tile, (height, width), largest in its middle; a common factor has no effect.

    The middle is (width - 1) / 2 along a row, but height / 2 along a column: the official code's asymmetry is kept.
    """

    def profile(length: int, middle: float) -> torch.Tensor:
        distance = (torch.arange(length, dtype=dtype, device=device) - middle) / length
        return torch.exp(-(distance**2) / (2 * VARIANCE)) / math.sqrt(2 * math.pi * VARIANCE)

    return profile(height, height / 2)[:, None] * profile(width, (width - 1) / 2)[None, :]


def _window_starts(length: int, tile: int, stride: int) -> list[int]:
    """First pixels of tiles: multiples of the stride, and the last one shifted inside; [0] if the length fits."""
    last = max(0, length - tile)
    return [*range(0, last, stride), last]


def windows(height: int, width: int, *, tile: int, stride: int) -> list[Window]:
    """Rows and columns of the tiles of an image, row by row.

    Args:
        height: Height of the image.
        width: Width of the image.
        tile: Largest side of a tile.
        stride: Distance between tiles, 1 to `tile`.

    Raises:
        ValueError: `tile` or `stride` is out of range.
    """
    if tile < 1 or not 1 <= stride <= tile:
        raise ValueError(f"tile must be at least 1 and stride from 1 to tile, got {tile} and {stride}")
    rows, columns = min(tile, height), min(tile, width)
    return [
        (slice(top, top + rows), slice(left, left + columns))
        for top in _window_starts(height, tile, stride)
        for left in _window_starts(width, tile, stride)
    ]


def blend_windows(
    function: Callable[[torch.Tensor, Window], torch.Tensor], x: torch.Tensor, *, tile: int, stride: int
) -> torch.Tensor:
    """Apply a function to tiles of x and take the weighted mean where they overlap.

    Args:
        function: (tile of x, its window) -> a tensor of the tile's shape; the window crops what goes with x.
        x: (B, C, H, W).
        tile: Side of a tile; where x is smaller, its smaller side, so that tiles are square.
        stride: Distance between tiles, 1 to `tile`; where x is smaller, the overlap stays.

    Returns:
        A tensor of the shape of x. One that fits into a tile gives `function` of all of it.

    Raises:
        ValueError: `tile` or `stride` is out of range.
    """
    height, width = x.shape[-2:]
    if height * width <= tile**2:
        return function(x, (slice(0, height), slice(0, width)))
    # Tiles are square and overlap by as much as full-sized ones, whatever the shape of the photo.
    side = min(tile, height, width)
    places = windows(height, width, tile=side, stride=max(1, stride - tile + side))
    weight = gaussian_weights(side, side, dtype=torch.float32, device=x.device)  # not every device has float64
    total = torch.zeros_like(x, dtype=torch.float32)
    weights = torch.zeros(height, width, dtype=torch.float32, device=x.device)
    for place in places:
        total[(..., *place)] += function(x[(..., *place)], place).float() * weight
        weights[place] += weight
    return (total / weights).to(x.dtype)
