"""Kernels of the density estimate and of the mean shift (KDS Eq. 1 and 5, v1).

A kernel is a profile K(u) of u = ||x - x_k||^2 / h^2. The mean shift that climbs the density with profile K
weighs particles by the slope -K'(u); for the Gaussian both are the same function up to a factor.
Used by `density` and `mean_shift`. A new kernel is one more entry in `KERNELS`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from kds_ref._arrays import Array


class Kernel(NamedTuple):
    """A radial kernel, in the log domain.

    Attributes:
        name: The name that users give.
        log_profile: u -> log K(u), not normalised; u >= 0 of any shape.
        log_slope: u -> log(-2 K'(u)): the weights of the mean shift, on the same scale as the profile.
        log_volume: d -> log of the integral of K(||x||^2) over R^d, which normalises the density.
    """

    name: str
    log_profile: Callable[[Array], Array]
    log_slope: Callable[[Array], Array]
    log_volume: Callable[[int], float]


def _gaussian_log_profile(u: Array) -> Array:
    return -0.5 * u


def _gaussian_log_volume(dimension: int) -> float:
    return 0.5 * dimension * math.log(2.0 * math.pi)


# PAPER-GAP: the paper says only "Gaussian kernel". We read K(u) = exp(-u/2), so that h is the standard
# deviation; exp(-u) would mean a bandwidth smaller by a factor of sqrt(2). For it -2 K'(u) = K(u).
GAUSSIAN = Kernel("gaussian", _gaussian_log_profile, _gaussian_log_profile, _gaussian_log_volume)

KERNELS: dict[str, Kernel] = {kernel.name: kernel for kernel in (GAUSSIAN,)}


def get_kernel(kernel: str | Kernel) -> Kernel:
    """Look up a kernel by name; a `Kernel` passes through.

    Args:
        kernel: A name in `KERNELS` (now: "gaussian"), or a `Kernel` of your own.

    Returns:
        The kernel.

    Raises:
        ValueError: If the name is not known; the message lists the known ones.
        TypeError: If it is neither a name nor a `Kernel`.

    Example:
        >>> get_kernel("gaussian").name
        'gaussian'
    """
    if isinstance(kernel, Kernel):
        return kernel
    if not isinstance(kernel, str):
        raise TypeError(f"kernel is a {type(kernel).__name__}; pass a name ({', '.join(sorted(KERNELS))}) or a Kernel")
    if kernel not in KERNELS:
        raise ValueError(f"kernel is {kernel!r}; known kernels: {', '.join(sorted(KERNELS))}")
    return KERNELS[kernel]
