"""The methods that KDS competes with, as functions that the samplers take.

High-density sampling and density guidance change the score of one particle; each wraps a denoiser that predicts
noise. `mean_then_renoise` spends an ensemble on the noisy part of the way only, at the cost of choosing early.
The toy's study of posteriors and `real.bench` compare them with KDS.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import Protocol

from kds_ref._arrays import Array, check_same_shape, prepare
from kds_ref._checks import check_callable, check_integer, check_number
from kds_ref._locations import check_layout
from kds_ref._sampler_run import Denoiser, Steering
from kds_ref.diffusion import add_noise
from kds_ref.samplers import SamplerResult
from kds_ref.schedules import NoiseSchedule
from kds_ref.strength_schedule import steering_strength

__all__ = ["density_guidance", "high_density_sampling", "mean_then_renoise", "median_norm"]


class Sampler(Protocol):
    """What `mean_then_renoise` needs of a sampler: `ddim`, `dpm_solver_pp_2s` and `dpm_solver_pp_2m` have it."""

    def __call__(
        self,
        denoiser: Denoiser,
        x_T: Array,
        *,
        schedule: NoiseSchedule,
        timesteps: Sequence[int],
        steering: Steering | None = None,
    ) -> SamplerResult:
        """Sample from x_T down to clean data."""


def high_density_sampling(
    denoiser: Denoiser, *, cutoff: float = 0.3, factor: float = 2.0, num_train_timesteps: int = 1000
) -> Denoiser:
    """Denoiser whose score is doubled late on the way: Karczewski et al. 2024 (arXiv 2411.01293).

    eps' = factor * eps where t/T < cutoff, else eps. With the factor 2 a sampler of the probability-flow ODE
    follows the modes of p_t instead of its samples. It needs one particle and no ensemble.

    Args:
        denoiser: (x_t, t) -> noise prediction of the same shape.
        cutoff: The t/T below which the score is scaled, in [0, 1]; 0 changes nothing, 1 scales every step except t = T.
        factor: What the score is multiplied by, at least 0; 2 is the source's.
        num_train_timesteps: T, the number of TRAINING steps.

    Returns:
        A denoiser for the samplers' prediction_type "epsilon".

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If an option is out of range.

    Example:
        >>> import numpy as np
        >>> sharper = high_density_sampling(lambda x_t, t: x_t, cutoff=0.3)
        >>> [float(sharper(np.ones(1), t)[0]) for t in (300, 299)]
        [1.0, 2.0]
    """
    check_callable("denoiser", denoiser)
    factor = check_number("factor", factor, low=0.0)
    steering_strength(0, num_train_timesteps, cutoff=cutoff)  # checks both now, not at the first step

    def scaled(x_t: Array, t: int) -> Array:
        eps = denoiser(x_t, t)
        # KDS steers where t/T >= cutoff, this rival where it does not.
        early = steering_strength(t, num_train_timesteps, strength=1.0, cutoff=cutoff)
        return eps if early else factor * eps

    return scaled


def density_guidance(denoiser: Denoiser, *, quantile: float, sample_ndim: int | None = None) -> Denoiser:
    """Denoiser that aims at a quantile of the log-density: Karczewski et al. 2025 (arXiv 2502.05807).

    eps' = eps * (1 + sqrt(2 D) Phi^-1(q) / ||eps||^2), with D values in a sample and the norm over all of them. A
    quantile above 0.5 leads to samples of higher density, 0.5 changes nothing. Start from `median_norm(x_T)`.

    Args:
        denoiser: (x_t, t) -> noise prediction of the same shape.
        quantile: q, in (0, 1).
        sample_ndim: Number of trailing axes that form one sample. None: 1 for (N, D), 3 for four or more axes
            (three axes are ambiguous and refused).

    Returns:
        A denoiser for the samplers' prediction_type "epsilon".

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If the quantile is not in (0, 1); while sampling, if the shape does not fit.

    Notes:
        The formula is for a high dimension D, where ||eps||^2 is near D and the correction is small. In a few
        dimensions a small prediction is blown up without bound; a prediction of exactly 0 stays 0.

    Example:
        >>> import numpy as np
        >>> eps = density_guidance(lambda x_t, t: x_t, quantile=0.9)(np.ones((1, 800)), 500)
        >>> round(float(eps[0, 0]), 4)  # 1 + sqrt(2 / 800) * 1.2816
        1.0641
    """
    check_callable("denoiser", denoiser)
    if not 0.0 < check_number("quantile", quantile) < 1.0:
        raise ValueError(f"quantile must be in (0, 1), got {quantile}; 0.5 changes nothing")
    wanted = NormalDist().inv_cdf(quantile)

    def guided(x_t: Array, t: int) -> Array:
        xp, dtype, (eps,) = prepare(eps=denoiser(x_t, t))
        shape = check_layout("eps", eps, None, None, sample_ndim).sample
        squared = xp.sum(eps * eps, axis=tuple(range(-len(shape), 0)), keepdims=True)
        # A prediction of 0 has no direction to go.
        squared = xp.where(squared > 0.0, squared, xp.full_like(squared, math.inf))
        factor = 1.0 + math.sqrt(2.0 * math.prod(shape)) * wanted / squared
        return xp.astype(factor * eps, dtype, copy=False)

    return guided


def median_norm(x_T: Array, *, sample_ndim: int | None = None) -> Array:
    """Initial noise scaled to the median length of its kind, where density guidance starts (arXiv 2502.05807).

    The squared length of D standard normal values has a chi-squared distribution; its median is taken as
    D (1 - 2 / (9 D))^3 (Wilson and Hilferty), which is right to 4% for D = 1 and to 0.1% for D = 10.

    Args:
        x_T: Initial noise, (..., N, *sample), any real floating dtype.
        sample_ndim: Number of trailing axes that form one sample, as in `density_guidance`.

    Returns:
        x_T with every sample's length set to that median; shape, dtype and device of x_T.

    Raises:
        TypeError: If x_T is not a real floating array or sample_ndim is not an integer.
        ValueError: If the shape does not fit, a value is NaN or infinite, or a sample is all zeros.

    Example:
        >>> import numpy as np
        >>> x_T = median_norm(np.random.default_rng(0).standard_normal((3, 100)))
        >>> np.round((x_T**2).sum(-1), 3)
        array([99.335, 99.335, 99.335])
    """
    xp, dtype, (x,) = prepare(x_T=x_T)
    shape = check_layout("x_T", x, None, None, sample_ndim).sample
    size = math.prod(shape)
    norm = xp.sqrt(xp.sum(x * x, axis=tuple(range(-len(shape), 0)), keepdims=True))
    if not bool(xp.all(norm > 0.0)):
        raise ValueError("x_T must hold no sample of zeros only, got one; draw it from a normal distribution")
    median = math.sqrt(size * (1.0 - 2.0 / (9.0 * size)) ** 3)
    return xp.astype(x * (median / norm), dtype, copy=False)


def mean_then_renoise(
    sampler: Sampler,
    denoiser: Denoiser,
    x_T: Array,
    noise: Array,
    *,
    schedule: NoiseSchedule,
    timesteps: Sequence[int],
    cutoff: float = 0.3,
    steering: Steering | None = None,
    sample_ndim: int | None = None,
) -> SamplerResult:
    """Average the ensemble at the cut-off, add noise again, and let one particle go on.

    All particles are sampled where t/T >= cutoff. The mean of their last clean predictions is noised to the next
    timestep (KDS Eq. 3, v1), from which one particle is sampled to the end. We know of no source that names this; it
    is the consensus that KDS looks for, taken once and in full, and it costs what choosing one particle at the
    cut-off costs.

    Args:
        sampler: `ddim`, `dpm_solver_pp_2s` or `dpm_solver_pp_2m`.
        denoiser: (x_t, t) -> noise prediction of the same shape.
        x_T: Initial noise, (..., N, *sample), any real floating dtype.
        noise: Standard normal noise for the one particle, (..., 1, *sample), in the dtype of x_T.
        schedule: Noise schedule of the model.
        timesteps: As for the sampler; the cut-off must leave at least one on each side.
        cutoff: The t/T down to which (inclusive) all particles are sampled, in [0, 1].
        steering: For the ensemble, as for the sampler; None for the plain one.
        sample_ndim: Number of trailing axes that form one sample, as in `select_particle`.

    Returns:
        `SamplerResult` with x0 of shape (..., 1, *sample), and the number of calls of the denoiser (those above the
        cut-off are of N particles, the others of one).

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If shapes do not fit, or the cut-off leaves no timestep above or below it.

    Example:
        >>> import numpy as np
        >>> from kds_ref import ddim, linear_schedule, time_grid
        >>> rng = np.random.default_rng(0)
        >>> x_T, noise = rng.standard_normal((10, 3)), rng.standard_normal((1, 3))
        >>> result = mean_then_renoise(
        ...     ddim, lambda x_t, t: x_t, x_T, noise, schedule=linear_schedule(), timesteps=time_grid(10)
        ... )
        >>> result.x0.shape, result.num_model_evaluations
        ((1, 3), 10)
    """
    check_callable("sampler", sampler)
    xp, _, (x, fresh) = prepare(x_T=x_T, noise=noise)
    sample = check_layout("x_T", x, None, None, sample_ndim).sample
    axis = -1 - len(sample)
    one_particle = x[(..., slice(1), *(slice(None) for _ in sample))]
    check_same_shape(**{"one particle of x_T": one_particle, "noise": fresh})

    if not isinstance(schedule, NoiseSchedule):
        raise TypeError(f"schedule must be a NoiseSchedule, e.g. linear_schedule(), got {type(schedule).__name__}")
    total = schedule.num_train_timesteps
    grid = tuple(check_integer("timesteps", t, low=0, high=total - 1) for t in timesteps)
    early = tuple(t for t in grid if steering_strength(t, total, strength=1.0, cutoff=cutoff))
    late = grid[len(early) :]
    if not grid:
        raise ValueError("timesteps must hold at least two, got none; see time_grid")
    if not early or not late:
        raise ValueError(f"cutoff must leave timesteps on both sides, got {cutoff} for {grid[0]} to {grid[-1]}")

    # A sampler's last step goes to its clean prediction: what the particles agree on at the cut-off.
    ensemble = sampler(denoiser, x_T, schedule=schedule, timesteps=early, steering=steering)
    mean = xp.mean(ensemble.x0, axis=axis, keepdims=True)
    restart = add_noise(mean, noise, schedule.alpha_bar(late[0]))
    one = sampler(denoiser, restart, schedule=schedule, timesteps=late)
    return SamplerResult(one.x0, ensemble.num_model_evaluations + one.num_model_evaluations)
