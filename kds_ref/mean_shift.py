"""The mean shift (KDS Eq. 5 and 7, v1): the step from a point towards the weighted mean of the particles."""

from __future__ import annotations

from kds_ref._arrays import Array, Namespace
from kds_ref._distances import Problem, above_zero, check_problem, finite_peak, pairwise_blocks
from kds_ref._fast_shift import own_weight_is_largest, shift_by_pairs, suits_pairs
from kds_ref.kernels import Kernel, get_kernel, log_profile

__all__ = ["mean_shift"]


def mean_shift(
    query: Array, particles: Array, *, bandwidth: float | str | Array, kernel: str | Kernel = "gaussian"
) -> Array:
    """Mean-shift vector of every query point: KDS Eq. 5 (v1).

    m(x) = sum_k w_k (x_k - x), with w_k = G(||x - x_k||^2 / h^2) / sum_l G(||x - x_l||^2 / h^2).
    For the Gaussian kernel m = h^2 * grad log phat exactly; with another kernel G the shift climbs the density
    of its shadow, see `shadow_kernel`. A point that is itself a particle counts in the sum.

    Args:
        query: Points to move, (..., M, D), any real floating dtype.
        particles: The ensemble, (..., N, D), N >= 1; the same dtype. Leading axes are separate ensembles
            (equal or 1).
        bandwidth: Length scale h of the kernel (the Gaussian's standard deviation), in the units of the
            points; finite and positive. Or an array, one per ensemble (leading axes equal or 1), or the name of
            a rule that reads it off the particles: "median", "scott", "silverman", "likelihood".
        kernel: G of the weights: "gaussian", "laplacian", "epanechnikov", "flat", "l2" (equal weights, without
            regard to h), or a `Kernel` of your own.

    Returns:
        The shift m, (..., M, D), in the dtype and on the device of query. Exactly zero where only the point
        itself (or copies of it) has weight, and where a compact kernel reaches no particle.

    Raises:
        TypeError: If an input is not a real floating array, or dtypes or libraries differ.
        ValueError: If shapes do not fit, a value is NaN or infinite, or bandwidth is not positive.

    Notes:
        Where a rule finds equal particles its h is 0, and the limit h -> 0 is taken: the step to the nearest
        particle (none with a compact kernel that does not reach it). Points and bandwidth multiplied by c have a
        shift multiplied by c, as long as they are finite.
        Costs M * N * D; extra memory is a few times the particles' size. Half precision is computed in
        float32.

    Example:
        Two particles at 0 and 2 pull a point at their centre equally; a wide kernel pulls all to the mean.

        >>> import numpy as np
        >>> particles = np.asarray([[0.0], [2.0]])
        >>> mean_shift(np.asarray([[1.0]]), particles, bandwidth=0.5)
        array([[0.]])
        >>> mean_shift(particles, particles, bandwidth=1e9)
        array([[ 1.],
               [-1.]])
    """
    problem, kernel_ = above_zero(check_problem(query, particles, bandwidth)), get_kernel(kernel)
    shift, _ = shift_and_effective_particles(problem, kernel_)
    return problem.xp.astype(shift, problem.dtype, copy=False)


def shift_and_effective_particles(problem: Problem, kernel: Kernel) -> tuple[Array, Array]:
    """Mean shift (..., M, D) and effective number of particles (..., M), in the dtype of the maths."""
    return (shift_by_pairs if suits_pairs(problem, kernel) else plain_shift)(problem, kernel)


def plain_shift(problem: Problem, kernel: Kernel) -> tuple[Array, Array]:
    """`shift_and_effective_particles` by its formula: the reference that `_fast_shift` is tested against.

    It serves every library, gradients, compilers, accelerators, and kernels of a user's own.
    """
    xp = problem.xp
    weighted = own_weighted_shift if own_weight_is_largest(problem, kernel) else weighted_shift
    # A particle finds itself; any other query may find nothing within reach, and takes the limit h -> 0 then.
    pairs = pairwise_blocks(problem, limit=problem.extreme and problem.query is not problem.particles)
    blocks = [weighted(difference, log_profile(kernel, u), xp) for difference, u in pairs]
    if len(blocks) == 1:
        return blocks[0]
    shifts, effective = zip(*blocks, strict=True)
    return xp.concat(shifts, axis=-2), xp.concat(effective, axis=-1)


def weighted_shift(difference: Array, log_weights: Array, xp: Namespace) -> tuple[Array, Array]:
    """Softmax-weighted sum of differences (..., m, N, D) with log-weights (..., m, N), and 1 / sum w^2.

    Where every log-weight is -inf both are 0.
    """
    # The largest weight becomes exp(0) = 1, so the sum is at least 1: never 0/0, whatever the dimension or
    # bandwidth. Only a kernel that is 0 at every particle leaves no weight at all; then nothing moves.
    weights = xp.exp(log_weights - finite_peak(log_weights, xp))
    total = xp.sum(weights, axis=-1)
    squares = xp.sum(weights * weights, axis=-1)
    alone = total == 0.0
    effective = total * total / xp.where(alone, 1.0, squares)

    divisor = xp.expand_dims(xp.where(alone, 1.0, total), axis=-1)
    shift = xp.sum(xp.expand_dims(weights, axis=-1) * difference, axis=-2) / divisor
    return shift, effective


def own_weighted_shift(difference: Array, log_weights: Array, xp: Namespace) -> tuple[Array, Array]:
    """`weighted_shift` in fewer operations, where the largest log-weight is the query's own, 0."""
    weights = xp.exp(log_weights)
    total = xp.sum(weights, axis=-1)
    effective = total * total / xp.sum(weights * weights, axis=-1)
    shift = xp.sum(xp.expand_dims(weights, axis=-1) * difference, axis=-2) / xp.expand_dims(total, axis=-1)
    return shift, effective
