"""The same mean shift as `mean_shift.plain_shift`, in a faster order on a CPU: for many small ensembles at once.

It is taken when every particle is also a query, as in KDS Eq. 7 (v1), where each of thousands of patch locations is an
ensemble of its own. What makes it fast:

- locations are the last axis, contiguous in memory, so that every operation runs over long rows;
- a pair (i, k) is visited once: its weight serves both, and the difference of one is minus that of the other;
- a block of locations stays in the processor's cache while all of its pairs are visited.

The plain formula is the definition and this is held to it by `tests/kds_ref/test_fast_shift.py`. It writes into arrays
of its own, so whatever cannot follow that (gradients, compilers, vmap, other libraries) takes the plain formula. So
does an accelerator, where many operations on small blocks cost more than few on large ones.
"""

from __future__ import annotations

import math
from itertools import product

import array_api_compat
import numpy as np

from kds_ref._arrays import Array, Namespace, is_compiling, on_accelerator
from kds_ref._distances import Problem, careful_distance, scaled_distance
from kds_ref.kernels import KERNELS, Kernel, log_profile

# Numbers of particles * dimensions * locations in a block: 1 MiB in float32. A block and what is made of it take
# a little more than three times that.
_BLOCK = 2**18
# Fewer locations than this make rows too short, fewer numbers than this too little work for each operation.
_FEWEST_LOCATIONS, _FEWEST_NUMBERS = 32, 2**12


def own_weight_is_largest(problem: Problem, kernel: Kernel) -> bool:
    """Whether every query is a particle whose own weight is 1 and no other's is larger.

    So it is with the kernels of `KERNELS`: they fall with the distance and are 1 at distance 0. Then no peak has to be
    found before exponentials are taken, and their sum is at least 1.
    """
    return problem.query is problem.particles and KERNELS.get(kernel.name) is kernel


def suits_pairs(problem: Problem, kernel: Kernel) -> bool:
    """Whether `shift_by_pairs` may take this problem, and is likely to be the faster way."""
    x = problem.particles
    return (
        own_weight_is_largest(problem, kernel)
        and x.ndim > 2
        and x.shape[-3] >= _FEWEST_LOCATIONS
        and x.shape[-3] * x.shape[-2] * x.shape[-1] >= _FEWEST_NUMBERS
        and _may_be_written_into(x, problem.xp)
    )


def _may_be_written_into(x: Array, xp: Namespace) -> bool:
    """Whether x is an array of NumPy or torch of which nobody records the operations."""
    if type(x) is np.ndarray:
        return True
    if type(x) is not getattr(xp, "Tensor", None) or on_accelerator(x) or is_compiling(xp) or x.requires_grad:
        return False
    if xp.autograd.forward_ad.unpack_dual(x).tangent is not None:
        return False
    try:
        return bool(x[(0,) * x.ndim] < math.inf)
    except RuntimeError:  # vmap hides the values
        return False


def shift_by_pairs(problem: Problem, kernel: Kernel) -> tuple[Array, Array]:
    """Mean shift (..., L, N, D) and effective number of particles (..., L, N) of all particles (..., L, N, D)."""
    xp, _, _, particles, h, extreme = problem
    *lead, count, n, d = particles.shape
    options = {"dtype": particles.dtype, "device": array_api_compat.device(particles)}
    shift = xp.empty((*lead, n, d, count), **options)
    effective = xp.empty((*lead, n, count), **options)
    by_location = particles if type(h) is float else xp.broadcast_to(h, (*lead, count))
    block = max(1, _BLOCK // (n * d))

    for ensemble in product(*map(range, lead)):
        for start in range(0, count, block):
            part = (*ensemble, slice(start, start + block))
            at = (*ensemble, ..., part[-1])
            sums, total = shift[at], effective[at]  # views
            x = xp.empty(tuple(sums.shape), **options)  # contiguous, whatever the order of the particles in memory
            x[...] = xp.permute_dims(particles[part], (1, 2, 0))
            _visit_pairs(x, h if type(h) is float else by_location[part], extreme, kernel, sums, total, xp)

    k = len(lead)
    axes = tuple(range(k))  # back to (..., L, N, D) and (..., L, N), as views
    return xp.permute_dims(shift, (*axes, k + 2, k, k + 1)), xp.permute_dims(effective, (*axes, k + 1, k))


def _visit_pairs(
    x: Array, h: float | Array, extreme: bool, kernel: Kernel, shift: Array, effective: Array, xp: Namespace
) -> None:
    """Write the shifts (N, D, l) and the effective numbers (N, l) of particles (N, D, l); h is a float or (l,)."""
    shift[...] = 0.0
    total = xp.ones_like(x[:, 0, :])  # of every particle with itself: weight 1, difference 0
    squares = xp.ones_like(total)
    for apart in range(1, x.shape[0]):
        # All pairs (i, k) with k - i = apart. The slices are views: what is added to them lands in the sums.
        difference = x[apart:, ...] - x[:-apart, ...]  # x_k - x_i, (N - apart, D, l)
        if extreme:
            u = careful_distance(difference, h, 1, xp)
        else:
            u = scaled_distance(xp.sum(difference * difference, axis=1), h, xp)
        weight = xp.exp(log_profile(kernel, u))  # (N - apart, l)
        difference *= xp.expand_dims(weight, axis=1)
        _add(shift, difference, apart, -1.0)
        _add(total, weight, apart, 1.0)
        weight *= weight
        _add(squares, weight, apart, 1.0)

    shift /= xp.expand_dims(total, axis=1)
    effective[...] = total * total / squares


def _add(sums: Array, values: Array, apart: int, sign: float) -> None:
    """Add the values of the pairs (i, i + apart) to the sums of both partners, with that sign to the second's."""
    first, second = sums[:-apart, ...], sums[apart:, ...]
    first += values
    if sign > 0.0:
        second += values
    else:
        second -= values
