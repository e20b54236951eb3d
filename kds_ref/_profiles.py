"""Logarithms of the profiles of `kernels` as functions of u = ||x - x_k||^2 / h^2, and of their integrals.

They are functions with names, so that a kernel, and what holds one, can be pickled.

Where a formula is undefined, `where` stands inside and outside of it, so that libraries that differentiate see no
infinite derivative.
"""

from __future__ import annotations

import math

import array_api_compat

from kds_ref._arrays import Array


def log_zero(u: Array) -> Array:
    """Log of zero, everywhere."""
    return array_api_compat.array_namespace(u).full_like(u, -math.inf)


def log_one(u: Array) -> Array:
    """Log of one, everywhere."""
    return array_api_compat.array_namespace(u).zeros_like(u)


def minus_half_u(u: Array) -> Array:
    """Gaussian."""
    return -0.5 * u


def minus_root(u: Array) -> Array:
    """Laplacian: -sqrt(u)."""
    xp = array_api_compat.array_namespace(u)
    root = xp.sqrt(xp.where(u > 0.0, u, 1.0))
    return xp.where(u > 0.0, -root, 0.0)


def laplacian_log_slope(u: Array) -> Array:
    """Log of exp(-sqrt(u)) / sqrt(u)."""
    # At the cusp u = 0 the slope is infinite and every direction as good as its
    # opposite: the weight there is 0, which gives the subgradient 0.
    xp = array_api_compat.array_namespace(u)
    positive = xp.where(u > 0.0, u, 1.0)
    return xp.where(u > 0.0, -xp.sqrt(positive) - 0.5 * xp.log(positive), -math.inf)


def matern_log_profile(u: Array) -> Array:
    """Log of (1 + sqrt(u)) exp(-sqrt(u))."""
    # Where u has left the range of numbers, infinity less infinity would be NaN.
    xp, log_exp = array_api_compat.array_namespace(u), minus_root(u)
    finite = xp.where(log_exp > -math.inf, log_exp, 0.0)
    return xp.where(log_exp > -math.inf, xp.log1p(-finite) + finite, -math.inf)


def log_one_minus_u(u: Array) -> Array:
    """Log of max(1 - u, 0)."""
    xp = array_api_compat.array_namespace(u)
    return xp.where(u < 1.0, xp.log1p(-xp.where(u < 1.0, u, 0.0)), -math.inf)


def log_inside(u: Array) -> Array:
    """Log of one up to u = 1, of zero beyond."""
    # The edge u = 1 belongs to the ball, as in Cheng (1995).
    return array_api_compat.array_namespace(u).where(u <= 1.0, log_one(u), log_zero(u))


def two_log_one_minus_u(u: Array) -> Array:
    """Biweight."""
    return 2.0 * log_one_minus_u(u)


def epanechnikov_log_slope(u: Array) -> Array:
    """Log of two up to u = 1, of zero beyond."""
    return log_inside(u) + math.log(2.0)


def biweight_log_slope(u: Array) -> Array:
    """Log of 4 max(1 - u, 0)."""
    return log_one_minus_u(u) + math.log(4.0)


# ---- logarithms of the integrals over R^d, d -> float


def log_ball(d: int) -> float:
    """Volume of the unit ball: what the flat kernel integrates to."""
    return 0.5 * d * math.log(math.pi) - math.lgamma(0.5 * d + 1.0)


def gaussian_log_volume(d: int) -> float:
    """Integral of exp(-||x||^2 / 2)."""
    return 0.5 * d * math.log(2.0 * math.pi)


def laplacian_log_volume(d: int) -> float:
    """Integral of exp(-||x||)."""
    return log_ball(d) + math.lgamma(d + 1.0)


def epanechnikov_log_volume(d: int) -> float:
    """Integral of max(1 - ||x||^2, 0)."""
    return log_ball(d) + math.log(2.0 / (d + 2.0))


def biweight_log_volume(d: int) -> float:
    """Integral of max(1 - ||x||^2, 0)^2."""
    return log_ball(d) + math.log(8.0 / ((d + 2.0) * (d + 4.0)))


def matern_log_volume(d: int) -> float:
    """Integral of (1 + ||x||) exp(-||x||)."""
    return log_ball(d) + math.lgamma(d + 1.0) + math.log(d + 1.0)
