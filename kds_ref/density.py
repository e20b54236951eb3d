"""The kernel density estimate (KDS Eq. 1, v1), its logarithm and the gradient of the logarithm.

Steering itself needs only the mean shift; these functions say what it climbs.
"""

from __future__ import annotations

import math

from kds_ref._arrays import Array, holds, trailing
from kds_ref._distances import Problem, check_problem, distance_blocks, log_sum_exp, pairwise_blocks
from kds_ref.kernels import Kernel, get_kernel, log_profile, log_slope, log_volume
from kds_ref.mean_shift import weighted_shift

__all__ = ["log_density", "log_density_gradient"]


def log_density(
    query: Array, particles: Array, *, bandwidth: float | str | Array, kernel: str | Kernel = "gaussian"
) -> Array:
    """Logarithm of the kernel density estimate: KDS Eq. 1 (v1).

    log phat(x) = log( 1/(N h^D) sum_k K(||x - x_k||^2 / h^2) ), normalised so that phat integrates to 1.

    Args:
        query: Points at which to evaluate, (..., M, D), any real floating dtype.
        particles: The ensemble, (..., N, D), N >= 1; the same dtype. Leading axes are separate ensembles
            (equal or 1).
        bandwidth: Length scale h of the kernel (the Gaussian's standard deviation), in the units of the
            points; finite and positive. Or an array, one per ensemble (leading axes equal or 1), or the name of
            a rule that reads it off the particles: "median", "scott", "silverman", "likelihood".
        kernel: K of the density: "gaussian", "laplacian", "epanechnikov", "flat", or a `Kernel` of your own.
            A mean shift with weights G climbs the density with K = `shadow_kernel(G)`.

    Returns:
        log phat, (..., M), in nats, in the dtype and on the device of query.

    Raises:
        TypeError: If an input is not a real floating array, or dtypes or libraries differ.
        ValueError: If shapes do not fit, a value is NaN or infinite, bandwidth is not positive (a rule gives 0
            for equal particles), or the kernel has no density ("l2").

    Notes:
        Costs M * N * D. Computed by log-sum-exp in at least float32, so far points give large negative numbers, not
        -inf, unless they leave the range of a half-precision dtype; a compact kernel gives -inf where it reaches no
        particle.

    Example:
        One particle at the origin in one dimension, h = 1: the standard normal, log(1 / sqrt(2 pi)) at 0.

        >>> import numpy as np
        >>> origin = np.zeros((1, 1))
        >>> round(float(log_density(origin, origin, bandwidth=1.0)[0]), 6)
        -0.918939
    """
    problem, kernel_ = _check(query, particles, bandwidth), get_kernel(kernel)
    xp, n, d = problem.xp, problem.particles.shape[-2], problem.particles.shape[-1]
    sums = [log_sum_exp(log_profile(kernel_, u), xp) for u in distance_blocks(problem)]

    h = problem.bandwidth
    log_h = math.log(h) if type(h) is float else trailing(xp.log(h), 1, xp)
    log_norm = math.log(n) + d * log_h + log_volume(kernel_, d)
    return xp.astype(xp.concat(sums, axis=-1) - log_norm, problem.dtype, copy=False)


def log_density_gradient(
    query: Array, particles: Array, *, bandwidth: float | str | Array, kernel: str | Kernel = "gaussian"
) -> Array:
    """Gradient of `log_density` with respect to the query points.

    With g = -K' (the slope of the profile): grad log phat = (2/h^2) (sum_k g / sum_k K) m_g, where m_g is the
    mean shift weighted by g. For the Gaussian this is m / h^2, the score of the estimate (KDS Eq. 5, v1).

    Args:
        query: Points at which to evaluate, (..., M, D), any real floating dtype.
        particles: The ensemble, (..., N, D), N >= 1; the same dtype. Leading axes are separate ensembles
            (equal or 1).
        bandwidth: Length scale h of the kernel (the Gaussian's standard deviation), in the units of the
            points; finite and positive. Or an array, one per ensemble (leading axes equal or 1), or the name of
            a rule that reads it off the particles: "median", "scott", "silverman", "likelihood".
        kernel: K of the density: "gaussian", "laplacian", "epanechnikov", "flat", or a `Kernel` of your own.
            A mean shift with weights G climbs the density with K = `shadow_kernel(G)`.

    Returns:
        grad log phat, (..., M, D), in inverse units of the points, in the dtype and on the device of query.

    Raises:
        TypeError: If an input is not a real floating array, or dtypes or libraries differ.
        ValueError: If shapes do not fit, a value is NaN or infinite, bandwidth is not positive (a rule gives 0
            for equal particles), or the kernel has no density ("l2").

    Notes:
        Steering by this gradient instead of by the shift is 1/h^2 too strong: 11 times at h = 0.3.
        0 where the density is 0. At a cusp (a particle under the Laplacian) that particle adds nothing, the
        middle of its subgradients; at the edge of a compact kernel the slope is the one from inside.

    Example:
        >>> import numpy as np
        >>> log_density_gradient(np.asarray([[1.0]]), np.zeros((1, 1)), bandwidth=0.5)
        array([[-4.]])
    """
    problem, kernel_ = _check(query, particles, bandwidth), get_kernel(kernel)
    xp, h, gradients = problem.xp, trailing(problem.bandwidth, 2, problem.xp), []

    for difference, u in pairwise_blocks(problem):
        slopes = log_slope(kernel_, u)
        log_p = log_sum_exp(log_profile(kernel_, u), xp)
        somewhere = xp.isfinite(log_p)
        log_ratio = log_sum_exp(slopes, xp) - xp.where(somewhere, log_p, 0.0)
        ratio = xp.where(somewhere, xp.exp(log_ratio), 0.0)  # 2 sum g / sum K; 1 if Gaussian
        shift, _ = weighted_shift(difference, slopes, xp)
        gradients.append(xp.expand_dims(ratio, axis=-1) * shift / h / h)

    return xp.astype(xp.concat(gradients, axis=-2), problem.dtype, copy=False)


def _check(query: Array, particles: Array, bandwidth: float | str | Array) -> Problem:
    """A problem whose bandwidth is positive: at h = 0 there is no density."""
    problem = check_problem(query, particles, bandwidth)
    if type(problem.bandwidth) is not float and not holds(lambda h: h != 0.0, problem.bandwidth, problem.xp):
        raise ValueError(
            f"bandwidth must be positive, got 0 by the rule {bandwidth!r}, since all particles of an ensemble are "
            "equal; pass a number"
        )
    return problem
