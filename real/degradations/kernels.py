"""Blur kernels of blind super-resolution: Gaussian, generalised Gaussian, plateau-shaped and sinc.

The families and the way they are drawn are those of Real-ESRGAN (Wang et al. 2021, sections 3.1 and 3.3). They are
written here since the package that has them, basicsr, is no longer maintained, and what SciPy and scikit-image have is
the plain Gaussian.
"""

from __future__ import annotations

import numpy as np
from scipy.special import j1

__all__ = ["gaussian_kernel", "plateau_kernel", "sinc_kernel"]


def gaussian_kernel(size: int, *, sigma: tuple[float, float], angle: float = 0.0, beta: float = 1.0) -> np.ndarray:
    """Generalised Gaussian exp(-(x^T C^-1 x)^beta / 2), normalised to sum 1.

    Args:
        size: Odd side of the kernel in pixels.
        sigma: Standard deviations along the two principal axes, in pixels.
        angle: Angle of the first principal axis against the x axis, in radians.
        beta: Shape; 1 is the Gaussian, less is heavier-tailed, more is flatter.

    Returns:
        (size, size), float64, sum 1.
    """
    kernel: np.ndarray = np.exp(-0.5 * _squared_distance(size, sigma, angle) ** beta)
    return kernel / kernel.sum()


def plateau_kernel(size: int, *, sigma: tuple[float, float], angle: float = 0.0, beta: float = 1.0) -> np.ndarray:
    """Plateau-shaped 1 / (1 + (x^T C^-1 x)^beta), normalised to sum 1; arguments as for `gaussian_kernel`."""
    kernel: np.ndarray = 1.0 / (1.0 + _squared_distance(size, sigma, angle) ** beta)
    return kernel / kernel.sum()


def sinc_kernel(size: int, *, cutoff: float) -> np.ndarray:
    """Ideal circular low-pass filter w J1(w r) / (2 pi r), cut to a square and normalised: it rings.

    Args:
        size: Odd side of the kernel in pixels.
        cutoff: Angular cut-off frequency w in (0, pi], in radians per pixel.

    Returns:
        (size, size), float64, sum 1; it has negative values.
    """
    if not 0.0 < cutoff <= np.pi:
        raise ValueError(f"cutoff must be an angular frequency in (0, pi], got {cutoff}")
    y, x = _grid(size)
    radius = np.hypot(x, y)
    centre = size // 2
    radius[centre, centre] = 1.0
    kernel: np.ndarray = cutoff * j1(cutoff * radius) / (2.0 * np.pi * radius)
    kernel[centre, centre] = cutoff**2 / (4.0 * np.pi)  # the limit at r = 0
    return kernel / kernel.sum()


def _grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    if size < 1 or size % 2 == 0:
        raise ValueError(f"size must be an odd number of pixels, got {size}")
    axis = np.arange(size, dtype=np.float64) - size // 2
    y, x = np.meshgrid(axis, axis, indexing="ij")
    return y, x


def _squared_distance(size: int, sigma: tuple[float, float], angle: float) -> np.ndarray:
    """x^T C^-1 x with C = R diag(sigma^2) R^T."""
    if min(sigma) <= 0.0:
        raise ValueError(f"sigma must be two positive numbers, got {sigma}")
    y, x = _grid(size)
    along = (np.cos(angle) * x + np.sin(angle) * y) / sigma[0]
    across = (np.cos(angle) * y - np.sin(angle) * x) / sigma[1]
    squared: np.ndarray = along**2 + across**2
    return squared
