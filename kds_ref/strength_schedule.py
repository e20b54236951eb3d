"""How strongly to steer at which step: the strength schedule of KDS Eq. 10 (v1).

`KernelDensitySteering` is `steer` with its options and this schedule, in the form that the samplers call.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from numbers import Real

import array_api_compat

from kds_ref._arrays import Array, DType, Namespace, common_namespace, holds
from kds_ref._bandwidth_option import check_bandwidth_option
from kds_ref._checks import check_flag, check_integer, check_number, check_positive
from kds_ref._locations import check_layout_options
from kds_ref.kernels import Kernel, get_kernel
from kds_ref.schedules import noise_to_signal
from kds_ref.steering import SteeringInfo, steer

__all__ = ["KernelDensitySteering", "steering_strength"]


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
        delta_t: a float for a number; for an array a floating array of its shape: of its own dtype if floating, for
        integers of the library's default, at least float32.

    Raises:
        TypeError: If t is neither a number nor a real array, or an option has the wrong type.
        ValueError: If t is outside [0, T] or an option is out of range.

    Example:
        >>> [steering_strength(t, 1000) for t in (999, 300, 299)]
        [0.3, 0.3, 0.0]
    """
    total = check_integer("num_train_timesteps", num_train_timesteps, low=1)
    strength = check_number("strength", strength, low=0.0, high=1.0)
    cutoff = check_number("cutoff", cutoff, low=0.0, high=1.0)
    return _strength(t, total, strength, cutoff)


def _strength(t: float | Array, total: int, strength: float, cutoff: float) -> float | Array:
    """Eq. 10 for options that were checked."""
    threshold = cutoff * total
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
        raise TypeError(f"t must be integers or real numbers, got dtype {t.dtype}")
    # Compared in float32 at least: half precision has no 299, and the default dtype may be half precision.
    exact = xp.isdtype(t.dtype, "real floating") and xp.finfo(t.dtype).bits >= 32
    wide = _default_real(t, xp) if xp.isdtype(t.dtype, "integral") else xp.float32
    times = t if exact else xp.astype(t, wide)
    if not holds(lambda v: (v >= 0.0) & (v <= float(total)), times, xp):
        raise ValueError(f"t must be in [0, {total}], got other values in shape {tuple(t.shape)}")

    dtype = t.dtype if xp.isdtype(t.dtype, "real floating") else wide
    return xp.astype(times >= threshold, dtype) * strength


def _default_real(like: Array, xp: Namespace) -> DType:
    """The library's default real dtype, or float32 where that is narrower."""
    default = xp.asarray(0.0, device=array_api_compat.device(like)).dtype
    return default if xp.finfo(default).bits >= 32 else xp.float32


@dataclass(frozen=True, kw_only=True, eq=False)
class KernelDensitySteering:
    """`steer` with its options and the strength schedule of KDS Eq. 10 (v1), as the samplers call it.

    Attributes:
        num_train_timesteps: T of the schedule, the number of TRAINING steps.
        bandwidth: h, in the units of the latent; a number, an array or the name of a rule, see `steer`. A rule
            is applied anew at every step.
        strength: delta in [0, 1].
        cutoff: The t/T down to which (inclusive) to steer, in [0, 1]; 0 steers to the end. None: 0.3, as in the
            paper, unless `cutoff_nsr` is given instead.
        cutoff_nsr: The noise-to-signal ratio sigma = sqrt((1 - alpha_bar) / alpha_bar) down to which (inclusive) to
            steer, positive; see the notes. Giving it and `cutoff` is an error.
        patch_size: Side of the patches, or None for the whole sample.
        stride: Distance between neighbouring patches; None: no overlap.
        kernel: G of the weights, see `mean_shift`.
        sample_ndim: Number of trailing axes that form one sample; see `steer`.
        scale_with_dimension: Multiply h by the square root of the number of values in a patch; see `steer`.

    Notes:
        A cut-off in t/T means a noise level that depends on the schedule: at t/T = 0.3 the noise-to-signal ratio is
        1.126 with LDM-SR's schedule. The ratio that matters is that over the standard deviation of the latents: where
        latents are s times as large, the same cut-off lies s times lower against the picture. `cutoff_nsr` is the
        ratio itself; `NoiseSchedule.noise_to_signal` says what it is at a timestep, and for latents s times as large
        it is multiplied by s. The samplers and `ProbabilityFlowODE` pass the noise level; a call by hand, or from a
        wrapper, has to give alpha_bar.

    Example:
        >>> import numpy as np
        >>> steering = KernelDensitySteering(bandwidth=0.3)
        >>> x0_pred = np.asarray([0.0, 0.2]).reshape(2, 1, 1, 1)
        >>> x0_steered, info = steering(x0_pred, 999)
        >>> steering(x0_pred, 100) == (x0_pred, None)  # below the cut-off
        True
        >>> by_ratio = KernelDensitySteering(cutoff_nsr=1.0)  # steers while the noise is as large as the signal
        >>> by_ratio.strength_at(300, alpha_bar=0.5), by_ratio.strength_at(299, alpha_bar=0.51)
        (0.3, 0.0)
    """

    num_train_timesteps: int = 1000
    bandwidth: float | str | Array = 0.3
    strength: float = 0.3
    cutoff: float | None = None
    cutoff_nsr: float | None = None
    patch_size: int | None = 1
    stride: int | None = None
    kernel: str | Kernel = "gaussian"
    sample_ndim: int | None = None
    scale_with_dimension: bool = False

    def __post_init__(self) -> None:
        """Check the options now, not at the first step of a long run."""
        if self.cutoff_nsr is None and self.cutoff is None:
            object.__setattr__(self, "cutoff", 0.3)
        if self.cutoff_nsr is not None and self.cutoff is not None:
            raise ValueError(f"cutoff must be None where cutoff_nsr is given, got {self.cutoff}; give one of the two")
        if self.cutoff_nsr is not None:
            check_positive("cutoff_nsr", self.cutoff_nsr, remedy="; cutoff=0 steers to the end")

        cutoff = 0.0 if self.cutoff is None else self.cutoff
        steering_strength(0, self.num_train_timesteps, strength=self.strength, cutoff=cutoff)
        check_bandwidth_option(self.bandwidth)
        get_kernel(self.kernel)
        check_layout_options(self.patch_size, self.stride, self.sample_ndim)
        check_flag("scale_with_dimension", self.scale_with_dimension)

    @property
    def needs_alpha_bar(self) -> bool:
        """Whether a call has to say the noise level."""
        return self.cutoff_nsr is not None

    def strength_at(self, t: float, *, alpha_bar: float | None = None) -> float:
        """delta_t at timestep t and noise level alpha_bar in [0, 1], which only `cutoff_nsr` needs."""
        if self.cutoff_nsr is None:
            cutoff = 0.3 if self.cutoff is None else self.cutoff
            return float(_strength(t, self.num_train_timesteps, self.strength, cutoff))
        if alpha_bar is None:
            raise ValueError("alpha_bar must be given with cutoff_nsr, got None; the samplers of kds_ref pass it")
        level = check_number("alpha_bar", alpha_bar, low=0.0, high=1.0)
        # Levels of a schedule may come in float32, where 1 - alpha_bar cancels; neighbouring timesteps differ by more.
        return self.strength if noise_to_signal(level) >= self.cutoff_nsr * (1.0 - 1e-4) else 0.0

    def __call__(
        self, x0_pred: Array, t: float, *, alpha_bar: float | None = None
    ) -> tuple[Array, SteeringInfo | None]:
        """Steer at timestep t (and noise level); below the cut-off return x0_pred itself and None."""
        delta = self.strength_at(t, alpha_bar=alpha_bar)
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

    def __eq__(self, other: object) -> bool:
        """Equal options; bandwidths that are arrays are equal if library, dtype, device and all values are."""
        if not isinstance(other, KernelDensitySteering):
            return NotImplemented
        names = [field.name for field in fields(self) if field.name != "bandwidth"]
        same = all(getattr(self, name) == getattr(other, name) for name in names)
        return same and _same_bandwidth(self.bandwidth, other.bandwidth)

    def __hash__(self) -> int:
        """Hash of all options except the bandwidth, since two equal arrays need not share a hash."""
        return hash(tuple(getattr(self, field.name) for field in fields(self) if field.name != "bandwidth"))


def _same_bandwidth(one: float | str | Array, other: float | str | Array) -> bool:
    numbers = [isinstance(h, str | Real) for h in (one, other)]
    if any(numbers):
        return all(numbers) and bool(one == other)
    a: Array = one
    b: Array = other
    if type(a) is not type(b) or tuple(a.shape) != tuple(b.shape) or a.dtype != b.dtype:
        return False
    if array_api_compat.device(a) != array_api_compat.device(b):
        return False
    return bool(common_namespace(bandwidth=a).all(a == b))
