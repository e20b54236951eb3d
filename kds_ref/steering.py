"""Kernel Density Steering itself: one function of the predicted clean latents.

KDS Eq. 7 and 8 (v1), as Algorithm 2 uses them: `steer` moves the patches of every particle along the mean shift of its
ensemble. `strength_schedule` says how strongly at which step (Eq. 10).
"""

from __future__ import annotations

import math
from typing import NamedTuple

from kds_ref._arrays import Array, Namespace, prepare
from kds_ref._bandwidth_option import per_location, resolve_bandwidth
from kds_ref._checks import check_flag, check_number
from kds_ref._distances import above_zero, lengths, problem_of
from kds_ref._locations import (
    Layout,
    check_layout,
    from_locations,
    location_dimensions,
    swap_points,
    to_locations,
)
from kds_ref.kernels import Kernel, get_kernel
from kds_ref.mean_shift import shift_and_effective_particles

__all__ = ["SteeringInfo", "steer"]


class SteeringInfo(NamedTuple):
    """Diagnostics of one call of `steer`; they never change the result.

    Attributes:
        effective_particles: 1 / sum_k w_ik^2 per particle and location, (..., N, L), from 1 (a patch sees
            only itself: no steering) to N (all weights equal: the plain mean).
        shift_norm: ||m|| per particle and location, before the multiplication by strength, (..., N, L).
        bandwidth: The h that was used, in the units of the latent: a float if it is one number, else an array
            (..., L), one per ensemble and location. 0 where a rule found equal particles.
    """

    effective_particles: Array
    shift_norm: Array
    bandwidth: float | Array


def steer(
    x0_pred: Array,
    *,
    bandwidth: float | str | Array = 0.3,
    strength: float = 0.3,
    patch_size: int | None = 1,
    stride: int | None = None,
    kernel: str | Kernel = "gaussian",
    sample_ndim: int | None = None,
    scale_with_dimension: bool = False,
) -> tuple[Array, SteeringInfo]:
    """Move every particle's patches towards the mode of its ensemble: KDS Eq. 7 and 8 (v1), Algorithm 2.

    At each location, p <- p + strength * m with m the mean shift over that location's N patches. All
    particles move at once, from the old patches. Without overlap the steered patch stays in the convex hull of the
    ensemble at its place. A value that several patches cover moves by the average of their steps.

    Args:
        x0_pred: Predicted clean latents, (..., N, C, H, W), or with sample_ndim (..., N, C, length) or
            (..., N, C, depth, H, W); with patch_size=None any (..., N, *sample). Leading axes are separate
            ensembles and never mix.
        bandwidth: h, the kernel's length scale (the Gaussian's standard deviation) in the units of the latent;
            the paper uses 0.3. It is absolute: a latent of another scale, or longer patches, need another h.
            An array gives one h per ensemble, (...), or per ensemble and location, (..., L), axes of 1
            allowed; a name ("median", "scott", "silverman", "likelihood", see `kds_ref.bandwidths`) reads h
            off the patches of every location.
        strength: Fraction of the shift to apply, in [0, 1]; the paper uses 0.3 (Eq. 10). 0 changes nothing.
        patch_size: Side of the patches in latent pixels; the paper uses 1. None: the whole sample is one
            patch.
        stride: Distance between neighbouring patches, in [1, patch_size]; None (the paper): no overlap.
        kernel: G of the weights, see `mean_shift`.
        sample_ndim: Number of trailing axes that form one sample. None: 3 with an integer patch_size; with
            patch_size=None 1 for (N, D) and 3 for four or more axes (three axes are ambiguous and refused).
        scale_with_dimension: True multiplies h by the square root of the number of values in the patch, as
            distances grow, so that one h serves all patch sizes. False is the paper. The median already grows
            so; the other rules are per dimension.

    Returns:
        (x0_steered, info): the steered latents, of the shape, dtype and device of x0_pred, and a
        `SteeringInfo`.

    Raises:
        TypeError: If x0_pred is not a real floating array or an option has the wrong type.
        ValueError: If the shape does not fit, a value is NaN or infinite (see the notes), or an option is out of
            range.

    Notes:
        Costs N^2 times the size of one sample. Extra memory, the result included, is at most 4 times the latents'
        with a number as bandwidth, patch_size=1 and three channels or more, from some 1 MiB of latents on; half
        precision is widened first, and a rule holds several N x N matrices per location. See
        docs/explanation/performance.md for measurements. On an accelerator the differences of
        all pairs are taken at once, in blocks of at most 256 MiB, and values are not checked, so that nothing waits
        for the device: a NaN in the latents is a NaN in the result. Half precision is computed in float32.
        A shift of exactly zero (N = 1, strength 0, tiny h, equal particles) returns the latents bit for bit.

    Example:
        Two particles of one pixel, 0.2 apart, come closer.

        >>> import numpy as np
        >>> x0_steered, info = steer(np.asarray([0.0, 0.2]).reshape(2, 1, 1, 1))
        >>> np.round(x0_steered.ravel(), 4)
        array([0.0267, 0.1733])
        >>> np.round(info.effective_particles.ravel(), 2)
        array([1.98, 1.98])

        A rule reads h off the patches of every location, here of two overlapping patches; info says which h it was.

        >>> particles = np.asarray([[0.0, 1.0, 5.0], [2.0, 1.0, 5.0]]).reshape(2, 1, 3)  # signals of three values
        >>> _, info = steer(particles, bandwidth="median", patch_size=2, stride=1, sample_ndim=2)
        >>> np.round(info.bandwidth, 4)
        array([1.4142, 0.    ])
    """
    xp, dtype, (x,) = prepare(x0_pred=x0_pred)
    kernel_ = get_kernel(kernel)
    strength = check_number("strength", strength, low=0.0, high=1.0)
    layout = check_layout("x0_pred", x, patch_size, stride, sample_ndim)
    scaled = check_flag("scale_with_dimension", scale_with_dimension)

    # Every location's N patches are an ensemble of their own: (..., L, N, D).
    patches = to_locations(x, layout, xp)
    h = _bandwidth_of_locations(bandwidth, patches, layout, scaled, xp)

    # Eq. 7: m, the mean shift of every patch.
    problem = above_zero(problem_of(xp, dtype, patches, patches, h))
    shift, effective = shift_and_effective_particles(problem, kernel_)
    # (..., N, D, L) is the order in which `shift_by_pairs` leaves its steps in memory.
    norm = lengths(xp.matrix_transpose(swap_points(shift, xp)), -2, problem.extreme, xp)  # (..., N, L)

    # Eq. 8: p <- p + strength * m. The step is put back, not the patch: what does not move stays exact, even where
    # patches are averaged. Minus (0 - step) keeps even the sign of a zero there, and gradients pass.
    step = from_locations(strength * shift, layout, xp)
    del shift  # as large as the latents
    minus_step = 0.0 - step
    del step
    moved = x - minus_step

    info = SteeringInfo(
        xp.astype(xp.matrix_transpose(effective), dtype, copy=False),
        xp.astype(norm, dtype, copy=False),
        h if type(h) is float else xp.astype(h, dtype, copy=False),
    )
    return xp.astype(moved, dtype, copy=False), info


def _bandwidth_of_locations(
    bandwidth: float | str | Array, patches: Array, layout: Layout, scaled: bool, xp: Namespace
) -> float | Array:
    """The h of each location, (..., L), or one float for all; patches are (..., L, N, D)."""
    lead = tuple(patches.shape[:-2])
    bandwidth = per_location(bandwidth, lead)
    dimensions = location_dimensions(patches, layout, xp) if scaled or isinstance(bandwidth, str) else None  # (L,)
    h = resolve_bandwidth(bandwidth, patches, lead, xp, dimensions)
    if scaled and dimensions is not None:
        # One number for all stays one number, where the patches allow it.
        dimension = layout.common_dimension if type(h) is float else None
        h = h * (xp.sqrt(dimensions) if dimension is None else math.sqrt(dimension))
    return h if type(h) is float else xp.broadcast_to(h, lead)
