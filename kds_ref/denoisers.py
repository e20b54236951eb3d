"""KDS around any denoiser D(x, sigma) -> x0: the interface on which the libraries of the field agree.

KDS is a function on predicted clean samples (Eq. 7 and 8, v1). A sampler or a scheduler of diffusers predicts x0,
steers it and goes on; a denoiser that steers what it returns does the same in any sampler that calls one: k-diffusion,
EDM, smalldiffusion, deepinv. Here x = x0 + sigma n (variance exploding); `vp_denoiser` makes such a denoiser of a model
that predicts noise or velocity at the timesteps of a schedule.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import TypeAlias

import numpy as np

from kds_ref._arrays import Array, check_same_shape, common_namespace
from kds_ref._checks import check_callable, check_integer, check_number
from kds_ref.diffusion import predict_x0, predict_x0_from_v
from kds_ref.kernels import Kernel
from kds_ref.schedules import NoiseSchedule
from kds_ref.steering import SteeringInfo
from kds_ref.strength_schedule import KernelDensitySteering

__all__ = ["SteeredDenoiser", "vp_denoiser"]

Denoiser: TypeAlias = Callable[[Array, float | Array], Array]


@dataclass(frozen=True)
class SteeredDenoiser:
    """A denoiser whose prediction is steered: D'(x, sigma) = x0 + strength m, with x0 = D(x, sigma).

    m is the mean shift of the ensemble, KDS Eq. 7 (v1). It is a denoiser itself and goes where D went.

    Attributes:
        denoiser: D: (x, sigma) -> predicted clean sample of the shape of x, for x = x0 + sigma n.
        cutoff_sigma: Noise level down to which (inclusive) to steer, in the units of x; 0 steers to the end. KDS
            Eq. 10 (v1) stops at t/T = 0.3, which is 1.1 for LDM-SR's schedule and latents of unit scale.
        num_particles: N. None: x has an axis for the particles, (..., N, *sample), as in `steer`. A number: x has
            rows, (B * N, *sample), as libraries batch them; row b * N + i is particle i of ensemble b.
        bandwidth: h, in the units of x; a number, an array or the name of a rule, see `steer`.
        strength: delta in [0, 1]; 0 is the plain denoiser, bit for bit.
        patch_size: Side of the patches, or None for the whole sample.
        stride: Distance between neighbouring patches; None: no overlap.
        kernel: G of the weights, see `mean_shift`.
        sample_ndim: Number of trailing axes that form one sample; see `steer`.
        scale_with_dimension: Multiply h by the square root of the number of values in a patch; see `steer`.

    Raises:
        TypeError: If an option has the wrong type, or the denoiser returns another kind of array.
        ValueError: If an option is out of range, a shape does not fit, or a value is NaN or infinite.

    Example:
        >>> import numpy as np
        >>> half = lambda x, sigma: 0.5 * x
        >>> steered = SteeredDenoiser(half, cutoff_sigma=0.1, bandwidth=0.3)
        >>> x = np.asarray([0.0, 0.4]).reshape(2, 1, 1, 1)  # two particles of one pixel
        >>> np.round(steered(x, 1.0).ravel(), 4)
        array([0.0267, 0.1733])
        >>> steered(x, 0.05).ravel()  # below the cut-off
        array([0. , 0.2])
    """

    denoiser: Denoiser
    _: KW_ONLY
    cutoff_sigma: float
    num_particles: int | None = None
    bandwidth: float | str | Array = 0.3
    strength: float = 0.3
    patch_size: int | None = 1
    stride: int | None = None
    kernel: str | Kernel = "gaussian"
    sample_ndim: int | None = None
    scale_with_dimension: bool = False

    def __post_init__(self) -> None:
        """Check the options now, not at the first step of a long run."""
        check_callable("denoiser", self.denoiser)
        check_number("cutoff_sigma", self.cutoff_sigma, low=0.0)
        if self.num_particles is not None:
            check_integer("num_particles", self.num_particles, low=1)
        _ = self._steering  # checks the others

    @functools.cached_property
    def _steering(self) -> KernelDensitySteering:
        """`steer` with these options at every timestep; when to steer is decided here, by the noise level."""
        return KernelDensitySteering(
            cutoff=0.0,
            bandwidth=self.bandwidth,
            strength=self.strength,
            patch_size=self.patch_size,
            stride=self.stride,
            kernel=self.kernel,
            sample_ndim=self.sample_ndim,
            scale_with_dimension=self.scale_with_dimension,
        )

    def __call__(self, x: Array, sigma: float | Array) -> Array:
        """The steered prediction at noise level sigma; below the cut-off what the denoiser returned."""
        return self.predict(x, sigma)[0]

    def predict(self, x: Array, sigma: float | Array) -> tuple[Array, SteeringInfo | None]:
        """The same with the diagnostics of `steer`, which are None where nothing was steered.

        sigma is a number, or an array of any shape that holds one noise level: particles of different levels have
        nothing to compare.
        """
        level = _noise_level(sigma)
        x0_pred = self.denoiser(x, sigma)
        xp = common_namespace(**{"x": x, "output of denoiser": x0_pred})
        check_same_shape(**{"x": x, "output of denoiser": x0_pred})

        # A grid in float32 may fall a little short of the cut-off that is meant.
        if self.strength == 0.0 or level < self.cutoff_sigma * (1.0 - 1e-6):
            return x0_pred, None

        steered, info = self._steering(xp.reshape(x0_pred, self._ensembles(tuple(x.shape))), 0)
        return xp.reshape(steered, tuple(x.shape)), info

    def __eq__(self, other: object) -> bool:
        """Equal denoisers and options; as for `KernelDensitySteering`, bandwidths may be arrays."""
        if not isinstance(other, SteeredDenoiser):
            return NotImplemented
        return self._options == other._options

    def __hash__(self) -> int:
        """Hash of denoiser and options, so that it may be a static argument of `jax.jit`."""
        return hash(self._options)

    @property
    def _options(self) -> tuple[object, ...]:
        return (self.denoiser, self.cutoff_sigma, self.num_particles, self._steering)

    def _ensembles(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape with an axis for the particles: (B * N, *sample) -> (B, N, *sample)."""
        if self.num_particles is None:
            return shape
        if not shape or shape[0] % self.num_particles:
            raise ValueError(
                f"x must have a multiple of {self.num_particles} rows, num_particles for every ensemble, "
                f"got shape {shape}"
            )
        return (shape[0] // self.num_particles, self.num_particles, *shape[1:])


def vp_denoiser(
    model: Callable[[Array, int], Array], *, schedule: NoiseSchedule, prediction_type: str = "epsilon"
) -> Denoiser:
    """Denoiser D(x, sigma) of a model that predicts noise or velocity at timesteps (variance preserving).

    With alpha_bar = 1 / (1 + sigma^2), sqrt(alpha_bar) x is what the model was trained on. The clean sample follows by
    KDS Eq. 6 (v1), x0 = x - sigma eps, or by its form for v.

    Args:
        model: (x_t, t) -> model output of the same shape; t is a training timestep (int).
        schedule: Noise schedule of the model.
        prediction_type: What the model predicts: "epsilon", "v_prediction" or "sample".

    Returns:
        (x, sigma) -> x0_pred. sigma is one noise level; the model is asked at the timestep whose level is nearest in
        the logarithm.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If prediction_type is not known.

    Example:
        >>> import numpy as np
        >>> from kds_ref import linear_schedule
        >>> denoiser = vp_denoiser(lambda x_t, t: np.ones_like(x_t), schedule=linear_schedule())
        >>> denoiser(np.asarray([5.0]), 2.0)  # x - sigma eps
        array([3.])
    """
    check_callable("model", model)
    if not isinstance(schedule, NoiseSchedule):
        raise TypeError(f"schedule must be a NoiseSchedule, got {type(schedule).__name__}; see linear_schedule()")
    if not isinstance(prediction_type, str) or prediction_type not in _TO_X0:
        raise ValueError(f"prediction_type must be one of {', '.join(_TO_X0)}, got {prediction_type!r}")
    to_x0, levels = _TO_X0[prediction_type], schedule.alphas_cumprod[schedule.alphas_cumprod > 0.0]
    log_sigmas = 0.5 * np.log((1.0 - levels) / levels)

    def denoiser(x: Array, sigma: float | Array) -> Array:
        level = _noise_level(sigma)
        if level == 0.0:  # x is clean
            return x
        t = int(np.argmin(np.abs(log_sigmas - math.log(level))))
        alpha_bar = 1.0 / (1.0 + level * level)
        x_t = math.sqrt(alpha_bar) * x
        return to_x0(x_t, model(x_t, t), alpha_bar)

    return denoiser


def _noise_level(sigma: float | Array) -> float:
    """The one noise level that a number or an array holds."""
    if not hasattr(sigma, "shape"):
        return check_number("sigma", sigma, low=0.0)
    xp = common_namespace(sigma=sigma)

    # Whether to steer depends on one number, so all rows must have the same level, up to rounding.
    try:
        low, high = (float(xp.min(sigma)), float(xp.max(sigma))) if 0 not in sigma.shape else (math.inf, -math.inf)
    except TypeError as error:  # jax.jit
        raise TypeError(
            "sigma must be a Python number where a compiler hides the values of arrays, got an array; it decides "
            "whether to steer"
        ) from error
    if not low <= high <= low + 1e-6 * abs(low):
        raise ValueError(
            f"sigma must hold one noise level, got {low:g} to {high:g} in shape {tuple(sigma.shape)}; call the "
            "denoiser once per level"
        )

    return check_number("sigma", low, low=0.0)


def _x0_itself(x_t: Array, x0: Array, alpha_bar: float) -> Array:
    return x0


# (x_t, model output, alpha_bar) -> x0_pred
_TO_X0: dict[str, Callable[[Array, Array, float], Array]] = {
    "epsilon": predict_x0,
    "v_prediction": predict_x0_from_v,
    "sample": _x0_itself,
}
