"""Mode seeking: the mean shift iterated until it vanishes, and the merging of the points where it ends.

One KDS step goes a part of one mean shift; these functions go all the way (Fukunaga and Hostetler 1975; Cheng
1995; Comaniciu and Meer 2002).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import array_api_compat

from kds_ref._arrays import Array, check_points, prepare, trailing
from kds_ref._bandwidth_option import resolve_bandwidth
from kds_ref._checks import check_integer, check_number
from kds_ref._distances import Problem, above_zero, check_problem, lengths, pairwise_blocks, problem_of
from kds_ref._merging import components, modes_of_one, padded
from kds_ref.kernels import Kernel, get_kernel
from kds_ref.mean_shift import shift_and_effective_particles

__all__ = ["MergedModes", "ModeSeekingResult", "blurring_mean_shift", "merge_modes", "seek_modes"]


class ModeSeekingResult(NamedTuple):
    """Where iterated mean shift ended.

    Attributes:
        points: End point of every query, (..., M, D), in the dtype of the query.
        num_iterations: How many shifts each query made, (..., M), integer.
        converged: Whether its next shift is within the tolerance, (..., M), bool; False where
            max_iterations came first.
    """

    points: Array
    num_iterations: Array
    converged: Array


class MergedModes(NamedTuple):
    """Distinct modes among end points. K is the number of modes; of several ensembles, the largest number.

    Attributes:
        modes: Mean of the points of each mode, (..., K, D); the mode with most points comes first. An
            ensemble with fewer modes has NaN in the rows that are left.
        labels: For every point the row of its mode, (..., M), integer.
        sizes: How many points each mode has, (..., K), integer; 0 in the rows that are left.
    """

    modes: Array
    labels: Array
    sizes: Array


def seek_modes(
    query: Array,
    particles: Array,
    *,
    bandwidth: float | str | Array,
    kernel: str | Kernel = "gaussian",
    tolerance: float = 1e-5,
    max_iterations: int = 1000,
) -> ModeSeekingResult:
    """Climb from every query point to a mode of the kernel density estimate of the particles, held fixed.

    x <- x + m(x) with the full mean shift m of KDS Eq. 5 (v1), until ||m(x)|| <= tolerance * bandwidth: the
    mean-shift procedure of Comaniciu and Meer (2002). With a falling profile G the density of its shadow, `log_density`
    with `shadow_kernel(kernel)`, never falls on the way, and the end points are stationary: m = 0.

    Args:
        query: Starting points, (..., M, D), any real floating dtype; often the particles themselves.
        particles: The ensemble, (..., N, D), N >= 1; the same dtype. Leading axes are separate ensembles
            (equal or 1).
        bandwidth: Length scale h of the kernel, in the units of the points; finite and positive. Or an array, one
            per ensemble, or the name of a rule that reads it off the particles once, see `kds_ref.bandwidths`.
        kernel: G of the weights, see `mean_shift`.
        tolerance: Largest length of the shift at an end point, in bandwidths, at least 0. A shift as short as
            the rounding of the point itself counts as zero, so 0 asks for the precision of the dtype.
        max_iterations: Most shifts that a query makes, at least 1.

    Returns:
        A `ModeSeekingResult`; the axes before M are those of query and particles together.

    Raises:
        TypeError: If an input is not a real floating array, dtypes or libraries differ, or an option has the
            wrong type.
        ValueError: If shapes do not fit, a value is NaN or infinite, or an option is out of range.

    Notes:
        Costs M * N * D per iteration, until the slowest query has arrived. The Gaussian converges linearly
        (Carreira-Perpinan 2007), slowly where two modes are about to become one: a short shift is then not a
        short way to the mode. A query on the border between two modes may end at a saddle point. Half
        precision is computed in float32.

    Example:
        Two groups of particles on a line have one mode each.

        >>> import numpy as np
        >>> particles = np.asarray([[0.0], [0.2], [5.0], [5.4]])
        >>> result = seek_modes(particles, particles, bandwidth=0.5)
        >>> np.round(result.points.ravel(), 4)
        array([0.1, 0.1, 5.2, 5.2])
        >>> result.converged.all()
        np.True_
    """
    problem, kernel_ = above_zero(check_problem(query, particles, bandwidth)), get_kernel(kernel)
    tolerance, max_iterations = _check_stop(tolerance, max_iterations)
    xp = problem.xp
    limit = tolerance * trailing(problem.bandwidth, 1, xp)

    def move(x: Array) -> tuple[Array, Array]:
        shift, _ = shift_and_effective_particles(problem._replace(query=x), kernel_)
        return x + shift, _is_long(shift, x, limit, problem)

    lead = xp.broadcast_arrays(problem.query[..., 0, 0], problem.particles[..., 0, 0])[0].shape
    return _iterate(xp.broadcast_to(problem.query, (*lead, *problem.query.shape[-2:])), move, max_iterations, problem)


def blurring_mean_shift(
    particles: Array,
    *,
    bandwidth: float | str | Array,
    kernel: str | Kernel = "gaussian",
    tolerance: float = 1e-3,
    max_iterations: int = 1000,
) -> ModeSeekingResult:
    """Move all particles at once by their full mean shift, again and again: blurring mean shift.

    x_i <- x_i + m(x_i) with the particles themselves as the data, which thereby becomes sharper in every iteration
    (Fukunaga and Hostetler 1975; Cheng 1995; Carreira-Perpinan 2006), until no shift of the ensemble is
    longer than tolerance * bandwidth. It is `steer` with strength 1, repeated.

    Args:
        particles: The ensemble, (..., N, D), N >= 1, any real floating dtype. Leading axes are separate
            ensembles; each stops by itself.
        bandwidth: Length scale h of the kernel, in the units of the points; finite and positive. Or an array, one
            per ensemble, or the name of a rule that reads it off the particles once, see `kds_ref.bandwidths`.
        kernel: G of the weights, see `mean_shift`.
        tolerance: Longest shift of an ensemble that stops, in bandwidths, at least 0; see the notes. As in
            `seek_modes` a shift as short as rounding counts as zero.
        max_iterations: Most iterations, at least 1.

    Returns:
        A `ModeSeekingResult` with M = N; all particles of an ensemble have the same number of iterations.

    Raises:
        TypeError: If particles is not a real floating array or an option has the wrong type.
        ValueError: If the shape does not fit, a value is NaN or infinite, or an option is out of range.

    Notes:
        Costs N^2 * D per iteration. A group collapses to a point within a few iterations (Gaussian: with
        cubic convergence, Carreira-Perpinan 2006), but its end point is near a mode of the original density,
        not at it. The Gaussian reaches everywhere, so that groups then drift together, and all end in one
        point if nothing stops them (Cheng 1995): the tolerance does. Two groups of one size stay apart if
        their distance is d bandwidths with d * exp(-d^2 / 2) below the tolerance: above 4.1 at 1e-3, 5.2 at
        1e-5.

    Example:
        >>> import numpy as np
        >>> particles = np.asarray([[0.0], [0.2], [5.0], [5.4]])
        >>> result = blurring_mean_shift(particles, bandwidth=0.5)
        >>> np.round(result.points.ravel(), 4)
        array([0.1   , 0.1   , 5.1999, 5.2001])
        >>> result.num_iterations
        array([2, 2, 2, 2])
    """
    problem, kernel_ = _one_cloud("particles", particles, bandwidth), get_kernel(kernel)
    tolerance, max_iterations = _check_stop(tolerance, max_iterations)
    xp = problem.xp
    limit = tolerance * trailing(problem.bandwidth, 1, xp)

    def move(x: Array) -> tuple[Array, Array]:
        shift, _ = shift_and_effective_particles(problem._replace(query=x, particles=x), kernel_)
        long = _is_long(shift, x, limit, problem)
        return x + shift, xp.broadcast_to(xp.any(long, axis=-1, keepdims=True), long.shape)

    return _iterate(problem.query, move, max_iterations, problem)


def merge_modes(points: Array, *, bandwidth: float | Array, merge_distance: float = 0.1) -> MergedModes:
    """Take end points that are near each other as one mode.

    Two points belong to one mode if a chain of points joins them in which neighbours are at most
    merge_distance * bandwidth apart: the connected components of Carreira-Perpinan (2015), or single linkage.
    The groups do not depend on the order of the points.

    Args:
        points: End points of `seek_modes` or `blurring_mean_shift`, (..., M, D), any real floating dtype.
            Leading axes are separate ensembles.
        bandwidth: The bandwidth that they were found with, in the units of the points; finite and positive; a
            number, or an array, one per ensemble.
        merge_distance: Largest distance of neighbours, in bandwidths, at least 0. It should be well above the
            tolerance of the search, since end points scatter around their mode by more than it.

    Returns:
        A `MergedModes`. Modes are in the order of falling size; of equal size, in that of their first
        coordinate, then the second and so on.

    Raises:
        TypeError: If points is not a real floating array or an option has the wrong type.
        ValueError: If the shape does not fit, a value is NaN or infinite, or an option is out of range.

    Notes:
        Costs M^2 * D, and memory for a few M^2 numbers per ensemble.

    Example:
        >>> import numpy as np
        >>> merged = merge_modes(np.asarray([[5.0], [0.0], [0.01]]), bandwidth=0.5)
        >>> merged.modes
        array([[0.005],
               [5.   ]])
        >>> merged.labels, merged.sizes
        (array([1, 0, 0]), array([2, 1]))
    """
    if isinstance(bandwidth, str):
        raise TypeError(f"bandwidth must be the number that the search used, got {bandwidth!r}; no end point shows it")
    problem = _one_cloud("points", points, bandwidth)
    limit = check_number("merge_distance", merge_distance, low=0.0)
    xp = problem.xp

    near = xp.concat([u <= limit * limit for _, u in pairwise_blocks(problem)], axis=-2)  # (..., M, M)
    *lead, count, dimension = problem.query.shape
    flat = xp.reshape(problem.query, (-1, count, dimension))
    labels = xp.reshape(components(near, xp), (-1, count))

    # How many modes an ensemble has depends on its points: one after the other, then filled up to the largest.
    ensembles = [modes_of_one(flat[i, ...], labels[i, ...], xp) for i in range(flat.shape[0])]
    largest = max(modes.shape[0] for modes, _, _ in ensembles)
    modes = xp.stack([padded(modes, largest, xp.nan, xp) for modes, _, _ in ensembles])
    sizes = xp.stack([padded(sizes, largest, 0, xp) for _, _, sizes in ensembles])

    return MergedModes(
        xp.astype(xp.reshape(modes, (*lead, largest, dimension)), problem.dtype, copy=False),
        xp.reshape(xp.stack([labels for _, labels, _ in ensembles]), (*lead, count)),
        xp.reshape(sizes, (*lead, largest)),
    )


def _one_cloud(name: str, x: Array, bandwidth: float | str | Array) -> Problem:
    """Check points (..., M, D) that are queries and data at once."""
    xp, dtype, (x,) = prepare(**{name: x})
    check_points(name, x)
    h = resolve_bandwidth(bandwidth, x, tuple(x.shape[:-2]), xp)
    return above_zero(problem_of(xp, dtype, x, x, h))


def _check_stop(tolerance: float, max_iterations: int) -> tuple[float, int]:
    return check_number("tolerance", tolerance, low=0.0), check_integer("max_iterations", max_iterations, low=1)


def _is_long(shift: Array, x: Array, limit: float | Array, problem: Problem) -> Array:
    """Whether each shift (..., M, D) is longer than the limit and than the rounding of its point."""
    # Rounding x moves it by up to eps/2 ||x||; without this bound a point far from the origin would hop between
    # neighbouring numbers for ever.
    xp, rounding = problem.xp, 2.0 * float(problem.xp.finfo(x.dtype).eps)
    length = lengths(shift, -1, problem.extreme, xp)
    return (length > limit) & (length > rounding * lengths(x, -1, problem.extreme, xp))


def _iterate(
    x: Array, move: Callable[[Array], tuple[Array, Array]], max_iterations: int, problem: Problem
) -> ModeSeekingResult:
    """Repeat x (..., M, D) -> (x moved, which points (..., M) still move) until none does."""
    xp = problem.xp
    moved, moving = move(x)
    device = array_api_compat.device(x)
    made = xp.zeros(moving.shape, dtype=xp.arange(1, device=device).dtype, device=device)  # JAX has int32
    for _ in range(max_iterations):
        if not bool(xp.any(moving)):
            break
        x = xp.where(xp.expand_dims(moving, axis=-1), moved, x)
        made = made + xp.astype(moving, made.dtype)
        moved, moving = move(x)
    return ModeSeekingResult(xp.astype(x, problem.dtype, copy=False), made, ~moving)
