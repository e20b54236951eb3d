"""Kernel Density Steering itself: one function of the predicted clean latents.

KDS Eq. 7, 8 and 10 (v1), as Algorithm 2 uses them. `steer` moves the patches of every particle along the mean
shift of its ensemble. `KernelDensitySteering` is `steer` with its options and the strength schedule, in the
form that the samplers call.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from kds_ref._arrays import Array, Namespace, check_flag, check_integer, check_number, common_namespace, holds, prepare
from kds_ref._bandwidths import check_bandwidth_option, per_location, resolve_bandwidth
from kds_ref._pairwise import Problem, above_zero
from kds_ref._samples import (
    Layout,
    check_layout,
    common_dimension,
    from_locations,
    location_dimensions,
    sample_shape,
    swap_points,
    to_locations,
)
from kds_ref.kernels import Kernel, get_kernel
from kds_ref.mean_shift import shift_and_effective_particles

__all__ = ["KernelDensitySteering", "SteeringInfo", "steer", "steering_strength"]


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


def steering_strength(
    t: float | Array, num_train_timesteps: int, *, strength: float = 0.3, cutoff: float = 0.3
) -> float | Array:
    """Strength delta_t at a training timestep: KDS Eq. 10 (v1).

    delta_t = strength if t/T >= cutoff, else 0: steering acts early, on the noisy part of the way.

    Args:
        t: Timestep(s) on the scale of training, 0 <= t <= T; a number or an array.
        num_train_timesteps: T, the number of TRAINING steps (1000), never the number of sampling steps.
        strength: delta in [0, 1]; the paper uses 0.3.
        cutoff: The t/T down to which (inclusive) to steer, in [0, 1]; the paper uses 0.3. 0 steers to the
            end.

    Returns:
        delta_t: a float for a number; for an array a floating array of its shape (its own dtype if floating).

    Raises:
        TypeError: If t is neither a number nor a real array, or an option has the wrong type.
        ValueError: If t is outside [0, T] or an option is out of range.

    Example:
        >>> [steering_strength(t, 1000) for t in (999, 300, 299)]
        [0.3, 0.3, 0.0]
    """
    total = check_integer("num_train_timesteps", num_train_timesteps, low=1)
    strength = check_number("strength", strength, low=0.0, high=1.0)
    threshold = check_number("cutoff", cutoff, low=0.0, high=1.0) * total
    # 0.07 * 100 is 7.000000000000001: snap to the integer meant, so that t/T == cutoff steers for every T.
    if abs(threshold - round(threshold)) < 1e-9 * total:
        threshold = float(round(threshold))
    if not getattr(t, "shape", ()):  # a Python number, a NumPy scalar or a 0-dimensional array
        number = t.item() if hasattr(t, "item") else t
        return strength if check_number("t", number, low=0.0, high=float(total)) >= threshold else 0.0
    return _strength_of_array(t, total, strength, threshold)


def _strength_of_array(t: Array, total: int, strength: float, threshold: float) -> Array:
    xp = common_namespace(t=t)
    if not xp.isdtype(t.dtype, ("integral", "real floating")):
        raise TypeError(f"t has dtype {t.dtype}; pass integers or real numbers")
    times = t if xp.isdtype(t.dtype, "real floating") else xp.astype(t, xp.asarray(0.0).dtype)
    if not holds(lambda v: (v >= 0.0) & (v <= float(total)), times, xp):
        raise ValueError(f"t of shape {tuple(t.shape)} holds values outside [0, {total}]; give timesteps")
    return xp.astype(times >= threshold, times.dtype) * strength


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
    particles move at once, from the old patches. The steered patch stays in the convex hull of the ensemble.
    A value that several patches cover moves by the average of their steps.

    Args:
        x0_pred: Predicted clean latents, (..., N, C, H, W), or with sample_ndim (..., N, C, length) or
            (..., N, C, depth, H, W); with patch_size=None any (..., N, *sample). Leading axes are separate
            ensembles and never mix.
        bandwidth: h, the kernel's length scale (the Gaussian's standard deviation) in the units of the latent;
            the paper uses 0.3. It is absolute: a latent of another scale, or longer patches, need another h.
            An array gives one h per ensemble, (...), or per ensemble and location, (..., L), axes of 1
            allowed; a name ("median", "scott", "silverman", "likelihood", see `kds_ref.bandwidths`) reads h
            off the patches of every location.
        strength: Part of the shift to go, in [0, 1]; the paper uses 0.3 (Eq. 10). 0 changes nothing.
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
        ValueError: If the shape does not fit, a value is NaN or infinite, or an option is out of range.

    Notes:
        Costs N^2 times the size of one sample. Extra memory, the result included, is at most 4 times the latents'
        with patch_size=1; docs/explanation/performance.md has measurements. Half precision is computed in float32.
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
    check_layout(patch_size, stride, sample_ndim)
    layout = Layout(sample_shape("x0_pred", x, patch_size, sample_ndim), patch_size, stride)
    patches = to_locations(x, layout, xp)  # (..., L, N, D)
    h = _bandwidth_of_locations(
        bandwidth, patches, layout, check_flag("scale_with_dimension", scale_with_dimension), xp
    )
    problem = Problem(xp, dtype, patches, patches, above_zero(h, xp))
    shift, effective = shift_and_effective_particles(problem, kernel_)
    squared = xp.matrix_transpose(swap_points(shift * shift, xp))  # (..., N, D, L), as steps by pairs lie in memory
    norm = _root(xp.sum(squared, axis=-2), xp)  # (..., N, L)
    del squared
    # The step is put back, not the patch: what does not move stays exact, even where patches are averaged. Minus
    # (0 - step) keeps even the sign of a zero there, and gradients pass.
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


def _root(squares: Array, xp: Namespace) -> Array:
    """Square roots whose gradient at 0 is 0, not the infinity that turns into NaN one step further back."""
    zero = squares == 0.0
    return xp.where(zero, squares, xp.sqrt(xp.where(zero, xp.ones_like(squares), squares)))


def _bandwidth_of_locations(
    bandwidth: float | str | Array, patches: Array, layout: Layout, scaled: bool, xp: Namespace
) -> float | Array:
    """The h of each location, (..., L), or one float for all; patches are (..., L, N, D)."""
    lead = tuple(patches.shape[:-2])
    bandwidth = per_location(bandwidth, lead)
    dimensions = location_dimensions(patches, layout, xp) if scaled or isinstance(bandwidth, str) else None  # (L,)
    h = resolve_bandwidth(bandwidth, patches, lead, xp, dimensions)
    if scaled and dimensions is not None:
        dimension = common_dimension(layout) if type(h) is float else None
        h = h * (xp.sqrt(dimensions) if dimension is None else math.sqrt(dimension))
    return h if type(h) is float else xp.broadcast_to(h, lead)


@dataclass(frozen=True, kw_only=True)
class KernelDensitySteering:
    """`steer` with its options and the strength schedule of KDS Eq. 10 (v1), as the samplers call it.

    Attributes:
        num_train_timesteps: T of the schedule, the number of TRAINING steps.
        bandwidth: h, in the units of the latent; a number, an array or the name of a rule, see `steer`. A rule
            is applied anew at every step.
        strength: delta in [0, 1].
        cutoff: The t/T down to which (inclusive) to steer, in [0, 1]; 0 steers to the end.
        patch_size: Side of the patches, or None for the whole sample.
        stride: Distance between neighbouring patches; None: no overlap.
        kernel: G of the weights, see `mean_shift`.
        sample_ndim: Number of trailing axes that form one sample; see `steer`.
        scale_with_dimension: Multiply h by the square root of the number of values in a patch; see `steer`.

    Example:
        >>> import numpy as np
        >>> steering = KernelDensitySteering(bandwidth=0.3)
        >>> x0_pred = np.asarray([0.0, 0.2]).reshape(2, 1, 1, 1)
        >>> x0_steered, info = steering(x0_pred, 999)
        >>> steering(x0_pred, 100) == (x0_pred, None)  # below the cut-off
        True
    """

    num_train_timesteps: int = 1000
    bandwidth: float | str | Array = 0.3
    strength: float = 0.3
    cutoff: float = 0.3
    patch_size: int | None = 1
    stride: int | None = None
    kernel: str | Kernel = "gaussian"
    sample_ndim: int | None = None
    scale_with_dimension: bool = False

    def __post_init__(self) -> None:
        """Check the options now, not at the first step of a long run."""
        steering_strength(0, self.num_train_timesteps, strength=self.strength, cutoff=self.cutoff)
        check_bandwidth_option(self.bandwidth)
        get_kernel(self.kernel)
        check_layout(self.patch_size, self.stride, self.sample_ndim)
        check_flag("scale_with_dimension", self.scale_with_dimension)

    def __call__(self, x0_pred: Array, t: float) -> tuple[Array, SteeringInfo | None]:
        """Steer at timestep t; below the cut-off return x0_pred itself and None."""
        delta = steering_strength(t, self.num_train_timesteps, strength=self.strength, cutoff=self.cutoff)
        if delta == 0.0:
            return x0_pred, None
        return steer(
            x0_pred,
            bandwidth=self.bandwidth,
            strength=delta,
            patch_size=self.patch_size,
            stride=self.stride,
            kernel=self.kernel,
            sample_ndim=self.sample_ndim,
            scale_with_dimension=self.scale_with_dimension,
        )
