"""Differences and scaled distances between query points and particles, a block of queries at a time.

Shared by `density` and `mean_shift`. Differences x_k - x are formed before anything else: the Gram form
||x||^2 - 2<x, y> + ||y||^2 cancels for nearby points, and only differences make a zero shift exactly zero.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import zip_longest
from typing import NamedTuple

import array_api_compat

from kds_ref._arrays import Array, DType, Namespace, prepare, trailing
from kds_ref._bandwidths import resolve_bandwidth

# Blocks of at least this many elements keep the loop short for small inputs (1 MiB in float64).
_MIN_BLOCK = 2**17
# Up to here squared distances are summed dimension by dimension.
_FEW_DIMENSIONS = 16
# Distances of a block, which are gone through several times: 256 KiB in float64 stay in the cache.
_DISTANCES = 2**15


class Problem(NamedTuple):
    """Checked inputs: namespace, dtype that came in, query (..., M, D), particles (..., N, D), bandwidth.

    The bandwidth is a positive float or an array that broadcasts to the leading axes.
    """

    xp: Namespace
    dtype: DType
    query: Array
    particles: Array
    bandwidth: float | Array


def check_problem(query: Array, particles: Array, bandwidth: float | str | Array) -> Problem:
    """Check shapes, dtypes and values of a density or mean-shift problem; a rule's bandwidth may be 0 here."""
    xp, dtype, (query_, particles_) = prepare(query=query, particles=particles)
    for name, x in (("query", query_), ("particles", particles_)):
        if x.ndim < 2 or 0 in x.shape:
            raise ValueError(f"{name} has shape {tuple(x.shape)}; it needs axes (..., points, dimensions), none empty")
    if query_.shape[-1] != particles_.shape[-1]:
        raise ValueError(
            f"query has {query_.shape[-1]} dimensions (shape {tuple(query_.shape)}) but particles have "
            f"{particles_.shape[-1]} (shape {tuple(particles_.shape)}); the last axes must be equal"
        )
    lead = []
    for a, b in zip_longest(reversed(query_.shape[:-2]), reversed(particles_.shape[:-2]), fillvalue=1):
        if a != b and 1 not in (a, b):
            raise ValueError(
                f"leading axes of query {tuple(query_.shape)} and particles {tuple(particles_.shape)} "
                "do not match; they must be equal or 1"
            )
        lead.append(max(a, b))
    return Problem(xp, dtype, query_, particles_, resolve_bandwidth(bandwidth, particles_, tuple(lead[::-1]), xp))


def above_zero(bandwidth: float | Array, xp: Namespace) -> float | Array:
    """The least bandwidth instead of a rule's 0: the limit h -> 0, in which equal particles stay."""
    if type(bandwidth) is float:
        return bandwidth
    h: Array = bandwidth
    return xp.clip(h, min=float(xp.finfo(h.dtype).smallest_normal))


def pairwise_blocks(problem: Problem) -> Iterator[tuple[Array, Array]]:
    """Yield (difference, u) for consecutive blocks of m queries.

    difference = x_k - x of shape (..., m, N, D); u = ||x_k - x||^2 / h^2 of shape (..., m, N).
    A block holds one query of every ensemble, or more while it stays small, so the extra memory stays near a
    few times the input's.
    """
    xp, _, query, particles, h = problem
    block = max(1, _MIN_BLOCK // (_ensembles(problem) * math.prod(particles.shape[-2:])))
    h = trailing(h, 2, xp)
    targets = xp.expand_dims(particles, axis=-3)  # (..., 1, N, D)
    count = query.shape[-2]
    for start in range(0, count, block):
        origins = xp.expand_dims(query[..., start : min(start + block, count), :], axis=-2)  # (..., m, 1, D)
        difference = targets - origins
        yield difference, scaled_distance(xp.sum(difference * difference, axis=-1), h, xp)


def distance_blocks(problem: Problem) -> Iterator[Array]:
    """Yield u = ||x_k - x||^2 / h^2, (..., m, N), for consecutive blocks of m queries.

    The same as in `pairwise_blocks`, but for few dimensions without the tensor of all differences: it is D times
    as large, and sums over a short last axis are slow.
    """
    xp, _, query, particles, h = problem
    if query.shape[-1] > _FEW_DIMENSIONS:
        yield from (u for _, u in pairwise_blocks(problem))
        return
    block = max(1, _DISTANCES // (_ensembles(problem) * particles.shape[-2]))
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
        least = xp.clip(h, max=1.0)  # so that the product stays finite
        squared = xp.clip(squared, max=largest / 4.0 * least * least)
    elif h < 2.0:
        # An array, not a number: xp.clip looks at a number's value, which stops torch.compile where h may vary.
        most = xp.full((), largest / 4.0 * h * h, dtype=squared.dtype, device=array_api_compat.device(squared))
        squared = xp.minimum(squared, most)
    # Two divisions: h * h alone may underflow.
    return squared / h / h


def log_sum_exp(logits: Array, xp: Namespace) -> Array:
    """log(sum(exp(logits))) over the last axis; -inf where every logit is -inf."""
    peak = finite_peak(logits, xp)
    total = xp.sum(xp.exp(logits - peak), axis=-1)
    log_total = xp.log(xp.where(total > 0.0, total, xp.ones_like(total)))
    return xp.where(total > 0.0, xp.squeeze(peak, axis=-1) + log_total, xp.full_like(total, -math.inf))


def finite_peak(logits: Array, xp: Namespace) -> Array:
    """Largest logit along the last axis, which is kept; 0 where all are -inf, so that no inf - inf appears."""
    peak = xp.max(logits, axis=-1, keepdims=True)
    return xp.where(xp.isfinite(peak), peak, xp.zeros_like(peak))
