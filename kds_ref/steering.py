"""Kernel Density Steering itself: one function of the predicted clean latents.

KDS Eq. 7, 8 and 10 (v1), as Algorithm 2 uses them. `steer` moves the patches of every particle along the mean
shift of its ensemble. `KernelDensitySteering` is `steer` with its options and the strength schedule, in the
form that the samplers call.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from kds_ref._arrays import Array, check_bandwidth, check_integer, check_number, common_namespace, prepare
from kds_ref._pairwise import Problem
from kds_ref._samples import check_sample_ndim, from_locations, sample_shape, to_locations
from kds_ref.kernels import Kernel, get_kernel
from kds_ref.mean_shift import shift_and_effective_particles


class SteeringInfo(NamedTuple):
    """Diagnostics of one call of `steer`; they never change the result.

    Attributes:
        effective_particles: 1 / sum_k w_ik^2 per particle and location, (..., N, L), from 1 (a patch sees
            only itself: no steering) to N (all weights equal: the plain mean).
        shift_norm: ||m|| per particle and location, before the multiplication by strength, (..., N, L).
        bandwidth: The bandwidth h that was used, in the units of the latent.
    """

    effective_particles: Array
    shift_norm: Array
    bandwidth: float


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
    if not bool(xp.all((times >= 0.0) & (times <= float(total)))):
        raise ValueError(f"t of shape {tuple(t.shape)} holds values outside [0, {total}]; give timesteps")
    return xp.astype(times >= threshold, times.dtype) * strength


def steer(
    x0_pred: Array,
    *,
    bandwidth: float = 0.3,
    strength: float = 0.3,
    patch_size: int | None = 1,
    kernel: str | Kernel = "gaussian",
    sample_ndim: int | None = None,
) -> tuple[Array, SteeringInfo]:
    """Move every particle's patches towards the mode of its ensemble: KDS Eq. 7 and 8 (v1), Algorithm 2.

    At each location, p <- p + strength * m with m the mean shift over that location's N patches. All
    particles move at once, from the old patches. The steered patch stays in the convex hull of the ensemble.

    Args:
        x0_pred: Predicted clean latents, (..., N, C, H, W); with patch_size=None any (..., N, *sample).
            Leading axes are separate ensembles and never mix.
        bandwidth: h, the kernel's standard deviation in the units of the latent; the paper uses 0.3. It is
            absolute: a latent of another scale, or longer patches, need another h.
        strength: Part of the shift to go, in [0, 1]; the paper uses 0.3 (Eq. 10). 0 changes nothing.
        patch_size: Side of the patches in latent pixels; the paper uses 1. None: the whole sample is one
            patch.
        kernel: Name of the kernel.
        sample_ndim: Number of trailing axes that form one sample. None: 3 with an integer patch_size; with
            patch_size=None 1 for (N, D) and 3 for four or more axes (three axes are ambiguous and refused).

    Returns:
        (x0_steered, info): the steered latents, of the shape, dtype and device of x0_pred, and a
        `SteeringInfo`.

    Raises:
        TypeError: If x0_pred is not a real floating array or an option has the wrong type.
        ValueError: If the shape does not fit, a value is NaN or infinite, or an option is out of range.

    Notes:
        Costs N^2 times the size of one sample. Half precision is computed in float32. A shift of exactly zero
        (N = 1, strength 0, tiny h, equal particles) returns the latents bit for bit.

    Example:
        Two particles of one pixel, 0.2 apart, come closer.

        >>> import numpy as np
        >>> x0_steered, info = steer(np.asarray([0.0, 0.2]).reshape(2, 1, 1, 1))
        >>> np.round(x0_steered.ravel(), 4)
        array([0.0267, 0.1733])
        >>> np.round(info.effective_particles.ravel(), 2)
        array([1.98, 1.98])
    """
    xp, dtype, (x,) = prepare(x0_pred=x0_pred)
    kernel_ = get_kernel(kernel)
    strength = check_number("strength", strength, low=0.0, high=1.0)
    bandwidth = check_bandwidth(bandwidth, x, xp)
    sample = sample_shape("x0_pred", x, patch_size, sample_ndim)
    patches = to_locations(x, sample, patch_size, xp)  # (..., L, N, D)
    shift, effective = shift_and_effective_particles(Problem(xp, dtype, patches, patches, bandwidth), kernel_)
    # Minus (0 - step): where nothing moves this keeps even the sign of a zero, and gradients pass.
    moved = patches - (0.0 - strength * shift)
    norm = xp.sqrt(xp.sum(shift * shift, axis=-1))
    info = SteeringInfo(
        xp.astype(xp.matrix_transpose(effective), dtype, copy=False),
        xp.astype(xp.matrix_transpose(norm), dtype, copy=False),
        bandwidth,
    )
    return xp.astype(from_locations(moved, sample, patch_size, xp), dtype, copy=False), info


@dataclass(frozen=True, kw_only=True)
class KernelDensitySteering:
    """`steer` with its options and the strength schedule of KDS Eq. 10 (v1), as the samplers call it.

    Attributes:
        num_train_timesteps: T of the schedule, the number of TRAINING steps.
        bandwidth: h, in the units of the latent.
        strength: delta in [0, 1].
        cutoff: The t/T down to which (inclusive) to steer, in [0, 1]; 0 steers to the end.
        patch_size: Side of the patches, or None for the whole sample.
        kernel: Name of the kernel.
        sample_ndim: Number of trailing axes that form one sample; see `steer`.

    Example:
        >>> import numpy as np
        >>> steering = KernelDensitySteering(bandwidth=0.3)
        >>> x0_pred = np.asarray([0.0, 0.2]).reshape(2, 1, 1, 1)
        >>> x0_steered, info = steering(x0_pred, 999)
        >>> steering(x0_pred, 100) == (x0_pred, None)  # below the cut-off
        True
    """

    num_train_timesteps: int = 1000
    bandwidth: float = 0.3
    strength: float = 0.3
    cutoff: float = 0.3
    patch_size: int | None = 1
    kernel: str | Kernel = "gaussian"
    sample_ndim: int | None = None

    def __post_init__(self) -> None:
        """Check the options now, not at the first step of a long run."""
        steering_strength(0, self.num_train_timesteps, strength=self.strength, cutoff=self.cutoff)
        if check_number("bandwidth", self.bandwidth) <= 0.0:
            raise ValueError(f"bandwidth is {self.bandwidth}; it must be positive (strength=0 switches steering off)")
        get_kernel(self.kernel)
        check_sample_ndim(self.patch_size, self.sample_ndim)

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
            kernel=self.kernel,
            sample_ndim=self.sample_ndim,
        )
