"""Bandwidths: rules that read h off the particles.

Every function of the package that takes `bandwidth` accepts a number, an array with one h per ensemble (in
`steer` also per location), or the name of a rule here. The rules are those of the Gaussian kernel, take each
ensemble by itself and are scale-equivariant: particles multiplied by c have a bandwidth multiplied by c.
An ensemble of equal particles, or of one, has no scale: there each rule gives 0, and `mean_shift` and `steer`
take the limit h -> 0, in which nothing that lies on a particle moves.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

from kds_ref._arrays import Array, Namespace, check_points, prepare, root, trailing
from kds_ref._blocks import most_elements
from kds_ref._leave_one_out import LeaveOneOut, highest_maximum

__all__ = ["likelihood_bandwidth", "median_bandwidth", "scott_bandwidth", "silverman_bandwidth"]

# (particles, their number of dimensions, namespace) -> h
_Rule: TypeAlias = Callable[[Array, Array | int, Namespace], Array]


def median_bandwidth(particles: Array) -> Array:
    """Median heuristic: h = median of ||x_i - x_k|| over all pairs i < k, divided by sqrt(2).

    So the kernel exp(-||x_i - x_k||^2 / 2h^2) is 1/e at the median distance (Garreau, Jitkrittum and Kanagawa,
    2017, arXiv 1707.07269, for large-sample properties; the form without the sqrt(2) is in use as well).

    Args:
        particles: The ensemble, (..., N, D), any real floating dtype. Leading axes are separate ensembles.

    Returns:
        h, (...), in the units of the particles, of their dtype and device; at least 0, and 0 if N = 1 or more
        than half of the pairs are equal.

    Raises:
        TypeError: If particles is not a real floating array.
        ValueError: If it has fewer than two axes, an empty one, or holds NaN or infinity.

    Notes:
        Grows like sqrt(D). Of an even number of pairs the median is the mean of the middle two. Costs N^2 D and a
        sort of N^2 numbers.

    Example:
        >>> import numpy as np
        >>> float(median_bandwidth(np.asarray([[0.0], [1.0], [3.0]])) * np.sqrt(2.0))  # distances 1, 2 and 3
        2.0
    """
    return _of_ensembles("median", particles)


def scott_bandwidth(particles: Array) -> Array:
    """Scott's rule: h = s N^(-1/(D+4)) (Scott, 1992, Multivariate Density Estimation, Eq. 6.42).

    s^2 is the sample variance (divided by N - 1), averaged over the D dimensions, since our kernel is the same
    in all directions.

    Args:
        particles: The ensemble, (..., N, D), any real floating dtype. Leading axes are separate ensembles.

    Returns:
        h, (...), in the units of the particles, of their dtype and device; at least 0, and 0 if N = 1 or all
        particles are equal.

    Raises:
        TypeError: If particles is not a real floating array.
        ValueError: If it has fewer than two axes, an empty one, or holds NaN or infinity.

    Example:
        >>> import numpy as np
        >>> float(scott_bandwidth(np.asarray([[-1.0], [1.0]])) / np.sqrt(2.0))  # s = sqrt(2), N^(-1/5) is left
        0.8705505632961241
    """
    return _of_ensembles("scott", particles)


def silverman_bandwidth(particles: Array) -> Array:
    """Silverman's rule: h = s (N (D + 2) / 4)^(-1/(D+4)) (Silverman, 1986, Density Estimation, Eq. 4.14).

    It minimises the asymptotic mean integrated squared error for normal data. s^2 is the sample variance
    (divided by N - 1) averaged over the D dimensions, as in Silverman's Section 4.3.2.

    Args:
        particles: The ensemble, (..., N, D), any real floating dtype. Leading axes are separate ensembles.

    Returns:
        h, (...), in the units of the particles, of their dtype and device; at least 0, and 0 if N = 1 or all
        particles are equal.

    Raises:
        TypeError: If particles is not a real floating array.
        ValueError: If it has fewer than two axes, an empty one, or holds NaN or infinity.

    Notes:
        In two dimensions it is Scott's rule.

    Example:
        >>> import numpy as np
        >>> float(silverman_bandwidth(np.asarray([[-1.0, 0.0], [1.0, 0.0]]))) == 2 ** (-1 / 6)  # s = 1, N = 2
        True
    """
    return _of_ensembles("silverman", particles)


def likelihood_bandwidth(particles: Array) -> Array:
    """Leave-one-out likelihood: the h under which each particle is best explained by the others.

    h = argmax_h sum_i log( 1/(N-1) sum_{k != i} h^-D exp(-||x_i - x_k||^2 / 2h^2) )
    (Habbema, Hermans and van den Broek, 1974; Duin, 1976, IEEE Trans. Comput. C-25(11):1175-1179).

    Args:
        particles: The ensemble, (..., N, D), any real floating dtype. Leading axes are separate ensembles.

    Returns:
        h, (...), in the units of the particles, of their dtype and device; at least 0, and 0 if N = 1 or all
        particles are equal.

    Raises:
        TypeError: If particles is not a real floating array.
        ValueError: If it has fewer than two axes, an empty one, or holds NaN or infinity.

    Notes:
        If every particle has a copy the likelihood grows without bound as h -> 0; the search ends at the
        rounding error of the distances. A single outlier widens h much: it must be explained too.
        The maximum is searched between the root mean squared distance to the nearest particle and to all
        particles, each divided by sqrt(D); outside the likelihood is monotone. Costs N^2 D and then 56 evaluations
        of the likelihood, N^2 each, one after the other: on an accelerator some 1,400 operations a call.

    Example:
        Of two particles h is the distance divided by sqrt(D).

        >>> import numpy as np
        >>> round(float(likelihood_bandwidth(np.asarray([[0.0], [3.0]]))), 6)
        3.0
    """
    return _of_ensembles("likelihood", particles)


def _of_ensembles(name: str, particles: Array) -> Array:
    xp, dtype, (x,) = prepare(particles=particles)
    check_points("particles", x)
    return xp.astype(rule_bandwidth(name, x, xp), dtype, copy=False)


def rule_bandwidth(name: str, particles: Array, xp: Namespace, dimensions: Array | int | None = None) -> Array:
    """One rule's h of checked particles (..., N, D): (...), in the dtype of the maths.

    `dimensions` counts those that carry data, where padding fills the rest: a number or an array like h.
    """
    # Differences to the first particle are exactly zero for equal ones; a unit scale keeps squares in range.
    offset = particles - particles[..., :1, :]
    scale = xp.max(xp.max(xp.abs(offset), axis=-1), axis=-1)  # (...)
    if particles.shape[-2] == 1:
        return scale
    unit = offset / trailing(xp.where(scale > 0.0, scale, 1.0), 2, xp)
    return scale * RULES[name](unit, particles.shape[-1] if dimensions is None else dimensions, xp)


def _median(x: Array, dimensions: Array | int, xp: Namespace) -> Array:
    n = x.shape[-2]
    squared = xp.sort(xp.reshape(_squared_distances(x, xp), (*x.shape[:-2], n * n)), axis=-1)
    # The n smallest are the zeros of the diagonal, then every pair comes twice. The root comes last, since it has no
    # derivative at the diagonal.
    pairs = n * (n - 1) // 2
    low, high = (root(squared[..., n + 2 * middle], xp) for middle in ((pairs - 1) // 2, pairs // 2))
    return (0.5 * low + 0.5 * high) / math.sqrt(2.0)


def _scott(x: Array, dimensions: Array | int, xp: Namespace) -> Array:
    return _spread(x, dimensions, xp) * x.shape[-2] ** (-1.0 / (dimensions + 4.0))


def _silverman(x: Array, dimensions: Array | int, xp: Namespace) -> Array:
    return _spread(x, dimensions, xp) * (x.shape[-2] * (dimensions + 2.0) / 4.0) ** (-1.0 / (dimensions + 4.0))


def _spread(x: Array, dimensions: Array | int, xp: Namespace) -> Array:
    """Root of the sample variance, averaged over dimensions: (...)."""
    centred = x - xp.mean(x, axis=-2, keepdims=True)
    return root(xp.sum(xp.sum(centred * centred, axis=-1), axis=-1) / (x.shape[-2] - 1) / dimensions, xp)


def _likelihood(x: Array, dimensions: Array | int, xp: Namespace) -> Array:
    likelihood = LeaveOneOut(_squared_distances(x, xp), dimensions, xp)
    h = highest_maximum(likelihood, xp)
    # The search only compares values, which hides from gradients how h depends on the particles. At the maximum one
    # step of Newton's method changes h by no more than rounding, and its derivative is that of the maximiser.
    return h * xp.exp(likelihood.newton_step(h))


def _squared_distances(x: Array, xp: Namespace) -> Array:
    """||x_i - x_k||^2, (..., N, N): from differences, so that it is exactly symmetric and 0 for equal points."""
    n = x.shape[-2]
    # One particle against all at a time stays in a CPU's cache; an accelerator takes as many as its memory holds.
    block = max(1, min(n, most_elements(x, 0, xp) // math.prod(x.shape)))
    targets = xp.expand_dims(x, axis=-3)
    rows = [
        xp.sum((targets - xp.expand_dims(x[..., i : i + block, :], axis=-2)) ** 2, axis=-1) for i in range(0, n, block)
    ]
    return rows[0] if len(rows) == 1 else xp.concat(rows, axis=-2)


# PAPER-GAP: CR Table 13 chooses h by a "median heuristic" without a formula. We read the median of the pairwise
# distances over sqrt(2), of each patch location by itself and anew at every step.
RULES: dict[str, _Rule] = {"median": _median, "scott": _scott, "silverman": _silverman, "likelihood": _likelihood}
