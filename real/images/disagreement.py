"""What the pictures of an ensemble agree on, their average, and where they are unsure: a map of their spread."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from real.images.photos import save_png

__all__ = ["average_picture", "draw_spread", "save_spread", "spread_map"]

STRIP = 64  # rows


def average_picture(images: Sequence[np.ndarray]) -> np.ndarray:
    """Mean of pictures, RGB uint8 (H, W, 3)."""
    mean: np.ndarray = np.mean([image.astype(np.float64) for image in images], axis=0)
    return np.rint(mean).astype(np.uint8)


def spread_map(particles: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
    """Standard deviation over the particles at every pixel, the root of the mean of the channels' variances.

    Args:
        particles: Decoded images, N of (H, W, C), or latents, N of (h, w, C), of any scale; N at least 2.

    Returns:
        float64 (H, W), in the units of the particles. The variance is the unbiased one: it does not grow with N.

    Raises:
        ValueError: Another shape, fewer than two particles, or NaN or infinity.
    """
    shapes = {np.shape(particle) for particle in particles}
    shape = next(iter(shapes), ())
    if len(particles) < 2 or len(shapes) != 1 or len(shape) != 3 or 0 in shape:
        raise ValueError(f"particles must be (N, H, W, C) with N at least 2, got {len(particles)} of {sorted(shapes)}")

    # In strips: ten photos of 8192 x 8192 as float64 would take 16 GB.
    spread = np.empty(shape[:2])
    for top in range(0, shape[0], STRIP):
        values = np.stack([particle[top : top + STRIP] for particle in particles]).astype(np.float64)
        if not np.isfinite(values).all():
            raise ValueError("particles must be finite, got NaN or infinity")
        spread[top : top + STRIP] = np.sqrt(values.var(axis=0, ddof=1).mean(axis=-1))
    return spread


def draw_spread(spread: np.ndarray, *, largest: float | None = None, scale: int = 1) -> tuple[np.ndarray, float]:
    """Colours of a map: black where all particles agree, light yellow from `largest` on.

    Args:
        spread: Map, (H, W), not negative.
        largest: What the lightest colour means; None: the value that one pixel in a hundred exceeds.
        scale: Pixels of the picture for a value of the map, along each side: 4 for latents of a quarter of the size.

    Returns:
        (picture, largest): RGB uint8 (scale * H, scale * W, 3), and what the lightest colour means.

    Raises:
        ValueError: The map is no map, or a number is out of range.
    """
    from matplotlib import colormaps

    if spread.ndim != 2 or 0 in spread.shape or not (np.isfinite(spread).all() and (spread >= 0.0).all()):
        raise ValueError(f"spread must be (H, W), finite and not negative, got shape {spread.shape}")
    if scale < 1 or (largest is not None and not 0.0 < largest < np.inf):
        raise ValueError(f"scale must be at least 1 and largest positive, got {scale} and {largest}")
    top = float(np.quantile(spread, 0.99)) if largest is None else largest
    part = np.clip(spread / top, 0.0, 1.0) if top > 0.0 else np.zeros_like(spread)  # all agree: all black
    colours = np.rint(255.0 * colormaps["magma"](part)[..., :3]).astype(np.uint8)
    return np.kron(colours, np.ones((scale, scale, 1), dtype=np.uint8)), top


def save_spread(path: Path, spread: np.ndarray) -> dict[str, float]:
    """Write a map as PNG; what a record of the run should say of it is returned.

    Returns:
        `largest`, what the lightest colour means, and `mean`, the root of the mean variance, in the map's units.
    """
    picture, top = draw_spread(spread)
    save_png(path, picture)
    return {"largest": top, "mean": float(np.sqrt(np.square(spread).mean()))}
