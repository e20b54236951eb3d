"""Differences and scaled distances between query points and particles, a block of queries at a time.

Differences x_k - x are formed before anything else: the Gram form ||x||^2 - 2<x, y> + ||y||^2 cancels for nearby
points, and only differences make a zero shift exactly zero.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import zip_longest
from typing import NamedTuple

import array_api_compat

from kds_ref._arrays import Array, DType, Namespace, check_points, holds, prepare, root, trailing
from kds_ref._bandwidth_option import resolve_bandwidth
from kds_ref._blocks import most_elements

# Blocks of at least this many elements keep the loop short for small inputs (1 MiB in float64).
_MIN_BLOCK = 2**17
# Up to here squared distances are summed dimension by dimension.
_FEW_DIMENSIONS = 16
# Distances of a block, which are gone through several times: 256 KiB in float64 stay in the cache.
_DISTANCES = 2**15
# Bandwidths within these limits, at distances up to `_FARTHEST`, may be squared in float32 without a second thought.
_LEAST, _MOST, _FARTHEST = 2.0**-16, 2.0**16, 2.0**40


class Problem(NamedTuple):
    """Checked inputs of a density or a mean shift.

    Attributes:
        xp: Namespace of the arrays.
        dtype: Dtype that came in.
        query: Points, (..., M, D).
        particles: The ensemble, (..., N, D); the same object as query where every particle is moved.
        bandwidth: A positive float, or an array that broadcasts to the leading axes; a rule may give 0.
        extreme: Whether squares of distances in bandwidths may leave the range of the dtype.
    """

    xp: Namespace
    dtype: DType
    query: Array
    particles: Array
    bandwidth: float | Array
    extreme: bool


def problem_of(xp: Namespace, dtype: DType, query: Array, particles: Array, bandwidth: float | Array) -> Problem:
    """Put checked inputs together; the values of h say whether it is extreme."""
    return Problem(xp, dtype, query, particles, bandwidth, _is_extreme(bandwidth, xp))


def check_problem(query: Array, particles: Array, bandwidth: float | str | Array) -> Problem:
    """Check shapes, dtypes and values of a density or mean-shift problem; a rule's bandwidth may be 0 here."""
    same = query is particles
    xp, dtype, (query_, *others) = prepare(query=query) if same else prepare(query=query, particles=particles)
    particles_ = query_ if same else others[0]
    check_points("query", query_)
    check_points("particles", particles_)
    if query_.shape[-1] != particles_.shape[-1]:
        raise ValueError(
            f"particles must have the dimensions of query, {query_.shape[-1]} in shape {tuple(query_.shape)}, got "
            f"{particles_.shape[-1]} in shape {tuple(particles_.shape)}"
        )

    lead = []
    for a, b in zip_longest(reversed(query_.shape[:-2]), reversed(particles_.shape[:-2]), fillvalue=1):
        if a != b and 1 not in (a, b):
            raise ValueError(
                f"particles must have the leading axes of query, {tuple(query_.shape)}, each equal or 1, got "
                f"{tuple(particles_.shape)}"
            )
        lead.append(max(a, b))
    h = resolve_bandwidth(bandwidth, particles_, tuple(lead[::-1]), xp)

    # A query that is no particle may be so far from all of them that only the limit h -> 0 is left.
    points = (query_,) if same else (query_, particles_)
    near = all(holds(lambda x: xp.abs(x) <= _FARTHEST, x, xp, unseen=False) for x in points)
    problem = problem_of(xp, dtype, query_, particles_, h)
    return problem if near else problem._replace(extreme=True)


def _is_extreme(bandwidth: float | Array, xp: Namespace) -> bool:
    """Whether distances have to be divided by h before they are squared.

    True too where an array's values cannot be seen: then the result is right whatever they are.
    """
    if type(bandwidth) is float:
        return not _LEAST <= bandwidth <= _MOST
    return not holds(lambda h: (h >= _LEAST) & (h <= _MOST), bandwidth, xp, unseen=False)


def above_zero(problem: Problem) -> Problem:
    """The least bandwidth instead of a rule's 0: the limit h -> 0, in which equal particles stay."""
    if type(problem.bandwidth) is float or not problem.extreme:
        return problem
    h: Array = problem.bandwidth
    xp = problem.xp
    return problem._replace(bandwidth=xp.where(h > 0.0, h, float(xp.finfo(h.dtype).smallest_normal)))


def pairwise_blocks(problem: Problem, *, limit: bool = False) -> Iterator[tuple[Array, Array]]:
    """Yield (difference, u) for consecutive blocks of m queries.

    difference = x_k - x of shape (..., m, N, D); u = ||x_k - x||^2 / h^2 of shape (..., m, N). With `limit` h is at
    least a tiny part of the distance to the nearest particle, so that u still tells the particles apart.
    A block holds one query of every ensemble, or more while it stays small, so the extra memory stays near a
    few times the input's.
    """
    xp, _, query, particles, h, extreme = problem
    block = max(1, most_elements(particles, _MIN_BLOCK, xp) // (_ensembles(problem) * math.prod(particles.shape[-2:])))
    h = trailing(h, 2, xp)
    targets = xp.expand_dims(particles, axis=-3)  # (..., 1, N, D)
    count = query.shape[-2]
    for start in range(0, count, block):
        origins = xp.expand_dims(query[..., start : min(start + block, count), :], axis=-2)  # (..., m, 1, D)
        difference = targets - origins
        width = _reaching(difference, h, xp) if limit else h
        if extreme or limit:
            yield difference, careful_distance(difference, trailing(width, 1, xp), -1, xp)
        else:
            yield difference, scaled_distance(xp.sum(difference * difference, axis=-1), width, xp)


def distance_blocks(problem: Problem) -> Iterator[Array]:
    """Yield u = ||x_k - x||^2 / h^2, (..., m, N), for consecutive blocks of m queries.

    The same as in `pairwise_blocks`, but for few dimensions without the tensor of all differences: it is D times
    as large, and sums over a short last axis are slow.
    """
    xp, _, query, particles, h, extreme = problem
    if query.shape[-1] > _FEW_DIMENSIONS or extreme:
        yield from (u for _, u in pairwise_blocks(problem))
        return

    block = max(1, most_elements(particles, _DISTANCES, xp) // (_ensembles(problem) * particles.shape[-2]))
    count, h = query.shape[-2], trailing(h, 2, xp)
    targets = xp.expand_dims(xp.matrix_transpose(particles), axis=-3)  # (..., 1, D, N)
    for start in range(0, count, block):
        origins = xp.expand_dims(query[..., start : min(start + block, count), :], axis=-1)  # (..., m, D, 1)
        squared = (targets[..., 0, :] - origins[..., 0, :]) ** 2
        for axis in range(1, query.shape[-1]):
            squared = squared + (targets[..., axis, :] - origins[..., axis, :]) ** 2
        yield scaled_distance(squared, h, xp)


def _ensembles(problem: Problem) -> int:
    """Number of ensembles that the leading axes of query and particles, each equal or 1, make together."""
    leads = (reversed(x.shape[:-2]) for x in (problem.query, problem.particles))
    return math.prod([max(pair) for pair in zip_longest(*leads, fillvalue=1)])


def scaled_distance(squared: Array, h: float | Array, xp: Namespace) -> Array:
    """Squared distances in units of h: u = ||x_k - x||^2 / h^2; an array h broadcasts to them."""
    # u must stay finite in the dtype of the maths, else inf - inf appears in the softmax for a tiny h.
    largest = float(xp.finfo(squared.dtype).max)
    if type(h) is not float:
        least = xp.where(h > 1.0, 1.0, h)  # so that the product stays finite
        squared = xp.minimum(squared, largest / 4.0 * least * least)
    elif h < 2.0:
        # An array, not a number: xp.clip looks at a number's value, which stops torch.compile where h may vary.
        most = xp.full((), largest / 4.0 * h * h, dtype=squared.dtype, device=array_api_compat.device(squared))
        squared = xp.minimum(squared, most)
    # Two divisions: h * h alone may underflow.
    return squared / h / h


def careful_distance(difference: Array, h: float | Array, axis: int, xp: Namespace) -> Array:
    """The same from the differences, summed over an axis, whatever the size of h: scaling all by c changes nothing."""
    largest = float(xp.finfo(difference.dtype).max)
    reach = math.sqrt(largest / 4.0 / difference.shape[axis])  # in bandwidths; beyond it u is as large as it may be
    bound = largest / reach
    widest = reach * (min(h, bound) if type(h) is float else xp.where(h > bound, bound, h))
    # What is too far is replaced before the division, so that gradients meet no infinity.
    near = xp.abs(difference) <= widest
    part = xp.where(near, difference, 0.0) / h
    u = xp.sum(part * part, axis=axis)
    return xp.where(xp.all(near, axis=axis), u, largest / 4.0)


def _reaching(difference: Array, h: float | Array, xp: Namespace) -> Array:
    """h, but at least 2^-50 of the distance to the nearest particle: (..., m, 1) for differences (..., m, N, D)."""
    nearest = xp.min(xp.max(xp.abs(difference), axis=-1), axis=-1, keepdims=True)
    least = 2.0**-50 * nearest
    return xp.where(least > h, least, h)


def lengths(x: Array, axis: int, extreme: bool, xp: Namespace) -> Array:
    """Euclidean norms along an axis, with gradient 0 at 0; the squares may leave the range where it is extreme."""
    if not extreme:
        return root(xp.sum(x * x, axis=axis), xp)
    largest = xp.max(xp.abs(x), axis=axis, keepdims=True)
    unit = x / xp.where(largest > 0.0, largest, 1.0)
    return xp.squeeze(largest, axis=axis) * root(xp.sum(unit * unit, axis=axis), xp)


def log_sum_exp(logits: Array, xp: Namespace) -> Array:
    """log(sum(exp(logits))) over the last axis; -inf where every logit is -inf."""
    peak = finite_peak(logits, xp)
    total = xp.sum(xp.exp(logits - peak), axis=-1)
    log_total = xp.log(xp.where(total > 0.0, total, 1.0))
    return xp.where(total > 0.0, xp.squeeze(peak, axis=-1) + log_total, -math.inf)


def finite_peak(logits: Array, xp: Namespace) -> Array:
    """Largest logit along the last axis, which is kept; 0 where all are -inf, so that no inf - inf appears."""
    peak = xp.max(logits, axis=-1, keepdims=True)
    return xp.where(peak == -math.inf, 0.0, peak)
