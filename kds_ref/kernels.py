"""Kernels of the density estimate and of the mean shift (KDS Eq. 1 and 5, v1).

A kernel is a profile of u = ||x - x_k||^2 / h^2. `kernel=` names the function in the equation that is called:
K of the density in `log_density` and its gradient, G of the weights in `mean_shift` and `steer`. A mean shift
with weights G climbs the density whose profile is the *shadow* S of G, -2 S'(u) = c G(u) with a constant c > 0
(Cheng, 1995, IEEE Trans. PAMI 17(8), Theorem 1), because

    m_G(x) = h^2 * sum_k S(u_k) / sum_k (-2 S'(u_k)) * grad log phat_S(x).

| kernel       | profile (0 beyond u = 1 if compact) | shadow       | m_G / grad log phat_S           |
|--------------|-------------------------------------|--------------|---------------------------------|
| gaussian     | exp(-u/2)                           | gaussian     | h^2                             |
| laplacian    | exp(-sqrt(u))                       | matern32     | h^2 sum_k S / sum_k G           |
| epanechnikov | 1 - u, compact                      | biweight     | h^2 sum_k S / (4 sum_k G)       |
| flat         | 1, compact                          | epanechnikov | h^2 sum_k S / (2 sum_k G)       |
| l2           | 1                                   | none         | see `L2`                        |
| biweight     | (1 - u)^2, compact                  | not included | (a shadow, for densities)       |
| matern32     | (1 + sqrt(u)) exp(-sqrt(u))         | not included | (a shadow, for densities)       |

So `kernel="flat"` is the plain mean of the particles within h in `mean_shift`, the share of particles within h
(per volume) in `log_density`, and that shift climbs `log_density(..., kernel="epanechnikov")`.
A new kernel is one more entry in `KERNELS`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import array_api_compat

from kds_ref._arrays import Array, holds
from kds_ref._checks import check_callable, shown
from kds_ref._profiles import (
    biweight_log_slope,
    biweight_log_volume,
    epanechnikov_log_slope,
    epanechnikov_log_volume,
    gaussian_log_volume,
    laplacian_log_slope,
    laplacian_log_volume,
    log_ball,
    log_inside,
    log_one,
    log_one_minus_u,
    log_zero,
    matern_log_profile,
    matern_log_volume,
    minus_half_u,
    minus_root,
    two_log_one_minus_u,
)

__all__ = ["Kernel", "shadow_kernel"]


class Kernel(NamedTuple):
    """A radial kernel, in the log domain.

    Attributes:
        name: The name that users give.
        log_profile: u -> log K(u), not normalised; u >= 0 of any shape, -inf where K is 0. It is all that
            `mean_shift` and `steer` need.
        log_slope: u -> log(-2 K'(u)), on the same scale as the profile; for `log_density_gradient`.
        log_volume: d -> log of the integral of K(||x||^2) over R^d, which normalises `log_density`.
        shadow: The kernel (or its name) whose density the mean shift with this one climbs; None if there is
            none or it is not known.
        citation: Where the kernel comes from.

    Notes:
        The result of a function of your own must be of the library, dtype and shape of u, without NaN and
        +inf. The bandwidth is the profile's length scale: the standard deviation of the Gaussian, the radius
        of a compact kernel, the decay length of the Laplacian.

    Example:
        Heavier tails than the Gaussian's: weights 1 / (1 + u).

        >>> import numpy as np
        >>> from kds_ref import mean_shift
        >>> cauchy = Kernel("cauchy", log_profile=lambda u: -np.log1p(u))
        >>> particles = np.asarray([[0.0], [1.0]])  # seen from the first: weights 1 and 1/2
        >>> mean_shift(particles[:1], particles, bandwidth=1.0, kernel=cauchy)
        array([[0.33333333]])
    """

    name: str
    log_profile: Callable[[Array], Array]
    log_slope: Callable[[Array], Array] | None = None
    log_volume: Callable[[int], float] | None = None
    shadow: str | Kernel | None = None
    citation: str = ""


# PAPER-GAP: the paper says only "Gaussian kernel". We read K(u) = exp(-u/2), so that h is the standard
# deviation; exp(-u) would mean a bandwidth smaller by a factor of sqrt(2). For it -2 K'(u) = K(u).
GAUSSIAN = Kernel(
    "gaussian",
    minus_half_u,
    minus_half_u,
    gaussian_log_volume,
    shadow="gaussian",
    citation="Hu et al. (2025), Eq. 1 and 7 (v1); its own shadow: Cheng (1995), IEEE Trans. PAMI 17(8):790-799",
)

# PAPER-GAP: CR Table 12 has a "Laplacian" kernel without a formula. We read the radial exp(-||d|| / h).
LAPLACIAN = Kernel(
    "laplacian",
    minus_root,
    laplacian_log_slope,
    laplacian_log_volume,
    shadow="matern32",
    citation="Hu et al. (2025), Table 12 (CR), there without a formula",
)

EPANECHNIKOV = Kernel(
    "epanechnikov",
    log_one_minus_u,
    epanechnikov_log_slope,
    epanechnikov_log_volume,
    shadow="biweight",
    citation="Epanechnikov (1969), Theory Probab. Appl. 14(1):153-158",
)

FLAT = Kernel(
    "flat",
    log_inside,
    log_zero,
    log_ball,
    shadow="epanechnikov",
    citation="Fukunaga and Hostetler (1975), IEEE Trans. Inf. Theory 21(1):32-40; Cheng (1995)",
)

# PAPER-GAP: CR Table 12 has a variant "L2" without a formula. We read equal weights, m = mean - p: the limit
# h -> inf of every kernel here. A constant has no integral, so it has neither a density nor a shadow that is one;
# but m = (H^2/2) mean_k(1 - U_k) grad log phat, with phat the Epanechnikov estimate of any bandwidth H that
# reaches all particles, U_k = ||x - x_k||^2 / H^2.
L2 = Kernel("l2", log_one, citation="Hu et al. (2025), Table 12 (CR), there without a formula")

BIWEIGHT = Kernel(
    "biweight",
    two_log_one_minus_u,
    biweight_log_slope,
    biweight_log_volume,
    citation="Silverman (1986), Density Estimation, Table 3.1",
)

MATERN32 = Kernel(
    "matern32",
    matern_log_profile,
    minus_root,
    matern_log_volume,
    citation="Rasmussen and Williams (2006), Gaussian Processes, Eq. 4.17, length scale sqrt(3) h",
)

KERNELS: dict[str, Kernel] = {
    kernel.name: kernel for kernel in (GAUSSIAN, LAPLACIAN, EPANECHNIKOV, FLAT, L2, BIWEIGHT, MATERN32)
}


def get_kernel(kernel: str | Kernel) -> Kernel:
    """Look up a kernel by name; a `Kernel` passes through.

    Args:
        kernel: A name in `KERNELS`, or a `Kernel` of your own.

    Returns:
        The kernel.

    Raises:
        ValueError: If the name is not known; the message lists the known ones.
        TypeError: If it is neither a name nor a `Kernel`, or one of its functions cannot be called.

    Example:
        >>> get_kernel("gaussian").name
        'gaussian'
    """
    if isinstance(kernel, Kernel):
        check_callable("kernel.log_profile", kernel.log_profile)
        check_callable("kernel.log_slope", kernel.log_slope, optional=True)
        check_callable("kernel.log_volume", kernel.log_volume, optional=True)
        return kernel
    names = ", ".join(KERNELS)
    if not isinstance(kernel, str):
        raise TypeError(f"kernel must be a name ({names}) or a Kernel, got {type(kernel).__name__} ({shown(kernel)})")
    if kernel not in KERNELS:
        raise ValueError(f"kernel must be one of {names}, got {kernel!r}")
    return KERNELS[kernel]


def shadow_kernel(kernel: str | Kernel) -> Kernel:
    """The kernel S whose density the mean shift with this kernel climbs (Cheng, 1995).

    m_G(x) = h^2 * sum_k S(u_k) / sum_k (-2 S'(u_k)) * grad log phat_S(x), a positive multiple.

    Args:
        kernel: Name of a kernel, or a `Kernel` of your own with a shadow.

    Returns:
        The shadow, for `log_density` and `log_density_gradient`.

    Raises:
        TypeError: If kernel is neither a name nor a `Kernel`.
        ValueError: If the name is not known, or the kernel names no shadow.

    Example:
        >>> shadow_kernel("flat").name, shadow_kernel("gaussian").name
        ('epanechnikov', 'gaussian')
    """
    kernel_ = get_kernel(kernel)
    if kernel_.shadow is None:
        raise ValueError(f"kernel must have a shadow, got {kernel_.name!r} without; give a Kernel with shadow=")
    return get_kernel(kernel_.shadow)


def log_profile(kernel: Kernel, u: Array) -> Array:
    """Log K(u), checked if the kernel is a user's own."""
    return _checked(kernel, "log_profile", kernel.log_profile(u), u)


def log_slope(kernel: Kernel, u: Array) -> Array:
    """log(-2 K'(u)), checked if the kernel is a user's own."""
    if kernel.log_slope is None:
        raise ValueError(f"kernel must have a log_slope for the gradient, got {kernel.name!r} without; add one")
    return _checked(kernel, "log_slope", kernel.log_slope(u), u)


def log_volume(kernel: Kernel, dimension: int) -> float:
    """Log of the integral of K(||x||^2) over R^dimension."""
    if kernel.log_volume is None:
        raise ValueError(f"kernel must have a log_volume for a density, got {kernel.name!r} without; add one if it has")
    return kernel.log_volume(dimension)


def _checked(kernel: Kernel, part: str, values: Array, u: Array) -> Array:
    if KERNELS.get(kernel.name) is kernel:
        return values

    what = f"{part} of kernel {kernel.name!r}"
    if type(values) is not type(u) or values.dtype != u.dtype:
        came = f"{type(values).__name__} of dtype {getattr(values, 'dtype', None)}"
        raise TypeError(f"{what} must return the library and dtype of u, {u.dtype}, got {came}")
    if tuple(values.shape) != tuple(u.shape):
        raise ValueError(f"{what} must return the shape of u, {tuple(u.shape)}, got {tuple(values.shape)}")

    xp = array_api_compat.array_namespace(u)
    if not holds(lambda v: v < math.inf, values, xp):  # false of NaN too
        raise ValueError(f"{what} must return less than +inf, got NaN or +inf for u up to {float(xp.max(u)):.3g}")
    return values
