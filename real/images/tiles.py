"""Large images in overlapping tiles whose results are blended: memory depends on the tile, not on the image.

The denoiser is applied tile by tile at every step and the decoder once at the end, while the latents stay whole; so
steering and the choice of the particle see the whole image, and no tile can disagree with its neighbour.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

__all__ = ["fitted_tile", "map_tiles", "tile_starts"]


def tile_starts(length: int, tile: int, overlap: int) -> list[int]:
    """First pixels of tiles that cover `length` pixels with at least `overlap` in common; evenly spread.

    One tile, starting at 0, if the length fits into it.
    """
    if not 0 <= overlap < tile:
        raise ValueError(f"overlap must be at least 0 and less than the tile's {tile} pixels, got {overlap}")
    if length <= tile:
        return [0]
    count = -(-(length - overlap) // (tile - overlap))
    return [round(i * (length - tile) / (count - 1)) for i in range(count)]


def fitted_tile(length: int, tile: int, overlap: int, *, multiple: int = 1) -> int:
    """Side of the smallest tiles that cover `length` pixels with no more of them than tiles of `tile` pixels need.

    A fixed side would be wasteful: 130 pixels in tiles of 128 with 12 in common would be worked on nearly twice.

    Args:
        length: Pixels to cover.
        tile: Largest side; a multiple of `multiple`.
        overlap: Pixels that neighbouring tiles have in common at least.
        multiple: What the side must be a multiple of, unless one tile covers everything.

    Returns:
        The side, `length` itself where one tile suffices.
    """
    if length <= tile:
        return length
    count = -(-(length - overlap) // (tile - overlap))
    side = -(-(length + (count - 1) * overlap) // count)
    return min(tile, -(-side // multiple) * multiple)


def map_tiles(
    function: Callable[[torch.Tensor], torch.Tensor],
    x: torch.Tensor,
    *,
    tile: int,
    overlap: int,
    scale: int = 1,
    multiple: int = 1,
) -> torch.Tensor:
    """Apply `function` to overlapping tiles of x and blend the results.

    Args:
        function: (B, C, h, w) -> (B, K, scale * h, scale * w), for h, w up to `tile`.
        x: (B, C, H, W).
        tile: Largest side of a tile in pixels of x.
        overlap: Pixels of x that neighbouring tiles have in common at least; the weights fall linearly there.
        scale: Magnification of `function`.
        multiple: What the sides of tiles must be multiples of, in pixels of x.

    Returns:
        (B, K, scale * H, scale * W). An image that fits into one tile gives `function(x)` itself.
    """
    height, width = x.shape[-2:]
    if height <= tile and width <= tile:
        return function(x)

    total: torch.Tensor | None = None
    weights = torch.zeros(scale * height, scale * width, dtype=x.dtype, device=x.device)
    # Tiles of one size, spread evenly, so that no strip at the end is thin.
    rows, columns = (fitted_tile(side, tile, overlap, multiple=multiple) for side in (height, width))
    weight = scale_ramp(rows, overlap, scale, x)[:, None] * scale_ramp(columns, overlap, scale, x)[None, :]

    for top in tile_starts(height, rows, min(overlap, rows - 1)):
        for left in tile_starts(width, columns, min(overlap, columns - 1)):
            result = function(x[..., top : top + rows, left : left + columns])
            if total is None:
                total = result.new_zeros((*result.shape[:2], scale * height, scale * width))
            place = (slice(scale * top, scale * (top + rows)), slice(scale * left, scale * (left + columns)))
            total[(..., *place)] += result * weight
            weights[place] += weight

    assert total is not None
    return total / weights


def scale_ramp(length: int, overlap: int, scale: int, like: torch.Tensor) -> torch.Tensor:
    """Weights along one axis of a tile, (scale * length,): 1 inside, falling linearly over the overlap, never 0."""
    position = torch.arange(scale * length, dtype=like.dtype, device=like.device) + 0.5
    from_edge = torch.minimum(position, scale * length - position)
    return (from_edge / max(1, scale * overlap)).clamp(max=1.0)
