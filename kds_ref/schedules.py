"""Noise schedules (the alpha_bar_t of KDS Eq. 3, v1) and time grids (which timesteps a sampler visits).

The formulas are those of diffusers' `beta_schedule` "linear", "scaled_linear" and "squaredcos_cap_v2", in
float64. Callers hand both to the samplers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kds_ref._checks import check_integer, check_positive, shown
from kds_ref._continuous import log_level_and_rate

__all__ = ["NoiseSchedule", "cosine_schedule", "linear_schedule", "scaled_linear_schedule", "time_grid"]


def noise_to_signal(alpha_bar: float) -> float:
    """Noise-to-signal ratio sqrt((1 - alpha_bar) / alpha_bar) of latents of unit scale; infinite at alpha_bar = 0."""
    return math.sqrt((1.0 - alpha_bar) / alpha_bar) if alpha_bar > 0.0 else math.inf


@dataclass(frozen=True, eq=False)
class NoiseSchedule:
    """Cumulative alphas of the forward process, one per training timestep.

    Attributes:
        alphas_cumprod: alpha_bar_t for t = 0 .. T-1, float64 of shape (T,), read-only: strictly decreasing,
            below 1, not negative (0 only at the end, for schedules with zero terminal signal).

    Example:
        >>> schedule = NoiseSchedule(np.asarray([0.9, 0.5, 0.1]))
        >>> schedule.num_train_timesteps, schedule.alpha_bar(1)
        (3, 0.5)
    """

    alphas_cumprod: NDArray[np.float64]

    def __post_init__(self) -> None:
        """Copy to a read-only float64 array and check it."""
        try:
            values = np.array(self.alphas_cumprod, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise TypeError(
                f"alphas_cumprod must be a sequence of T numbers, got {shown(self.alphas_cumprod)}"
            ) from error
        if values.ndim != 1 or values.size == 0:
            raise ValueError(f"alphas_cumprod must have one axis of length T >= 1, got shape {values.shape}")
        if not (np.all(np.isfinite(values)) and values[-1] >= 0.0 and values[0] < 1.0 and np.all(np.diff(values) < 0)):
            raise ValueError(
                "alphas_cumprod must be finite, strictly decreasing and in [0, 1) from t = 0 (clean) to T-1 "
                f"(noise), got {shown(values.tolist())}; pass the cumulative product of 1 - beta"
            )

        values.setflags(write=False)
        object.__setattr__(self, "alphas_cumprod", values)

    @property
    def num_train_timesteps(self) -> int:
        """T, the number of training timesteps."""
        return int(self.alphas_cumprod.shape[0])

    def alpha_bar(self, t: int) -> float:
        """Cumulative alpha at a training timestep, 0 <= t < T."""
        return float(self.alphas_cumprod[check_integer("t", t, low=0, high=self.num_train_timesteps - 1)])

    def noise_to_signal(self, t: int) -> float:
        """Noise-to-signal ratio sigma = sqrt((1 - alpha_bar) / alpha_bar) at a training timestep; see `cutoff_nsr`."""
        return noise_to_signal(self.alpha_bar(t))

    def continuous_alpha_bar(self, t: float) -> float:
        """Cumulative alpha at a real time, 0 <= t <= T - 1; at an integer it is that of the timestep.

        Between timesteps log alpha_bar is a monotone cubic, so that `continuous_beta` has no jumps.
        """
        rise, _ = log_level_and_rate(self.alphas_cumprod, t)
        # At a timestep the table itself, bit for bit.
        return self.alpha_bar(int(t)) if float(t).is_integer() else math.exp(rise)

    def continuous_beta(self, t: float) -> float:
        """Rate of the noise at a real time, 0 <= t <= T - 1: beta = g^2 = -d log alpha_bar / dt, per timestep.

        Both need two timesteps at least; where alpha_bar falls to 0 at the end, t is at most T - 2.
        """
        _, rate = log_level_and_rate(self.alphas_cumprod, t)
        return rate


def linear_schedule(
    num_train_timesteps: int = 1000, *, beta_start: float = 0.0001, beta_end: float = 0.02
) -> NoiseSchedule:
    """Schedule with betas on a straight line (DDPM).

    Args:
        num_train_timesteps: T, at least 1.
        beta_start: First beta, in (0, 1).
        beta_end: Last beta, in (0, 1).

    Returns:
        The schedule.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If an argument is out of range.

    Example:
        >>> round(linear_schedule().alpha_bar(0), 6)
        0.9999
    """
    total, start, end = _check_betas(num_train_timesteps, beta_start, beta_end)
    return _from_betas(np.linspace(start, end, total))


def scaled_linear_schedule(
    num_train_timesteps: int = 1000, *, beta_start: float = 0.00085, beta_end: float = 0.012
) -> NoiseSchedule:
    """Schedule with the square roots of the betas on a straight line (latent diffusion).

    Args:
        num_train_timesteps: T, at least 1.
        beta_start: First beta, in (0, 1); 0.00085 is Stable Diffusion's, LDM-SR has 0.0015.
        beta_end: Last beta, in (0, 1); 0.012 is Stable Diffusion's, LDM-SR has 0.0155.

    Returns:
        The schedule.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If an argument is out of range.

    Example:
        >>> round(scaled_linear_schedule().alpha_bar(999), 5)
        0.00466
    """
    total, start, end = _check_betas(num_train_timesteps, beta_start, beta_end)
    return _from_betas(np.linspace(math.sqrt(start), math.sqrt(end), total) ** 2)


def cosine_schedule(num_train_timesteps: int = 1000, *, max_beta: float = 0.999) -> NoiseSchedule:
    """Schedule whose alpha_bar follows a squared cosine (Nichol and Dhariwal 2021), with betas capped.

    Args:
        num_train_timesteps: T, at least 1.
        max_beta: Largest beta allowed, in (0, 1); it keeps alpha_bar above 0 at the end.

    Returns:
        The schedule.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If an argument is out of range.

    Example:
        >>> round(cosine_schedule().alpha_bar(499), 4)
        0.4938
    """
    total = check_integer("num_train_timesteps", num_train_timesteps, low=1)
    cap = check_positive("max_beta", max_beta, below=1.0)
    level = np.cos((np.arange(total + 1) / total + 0.008) / 1.008 * math.pi / 2) ** 2
    return _from_betas(np.minimum(1.0 - level[1:] / level[:-1], cap))


def time_grid(
    num_inference_steps: int,
    num_train_timesteps: int = 1000,
    *,
    spacing: str = "leading",
    steps_offset: int = 0,
) -> tuple[int, ...]:
    """Timesteps at which a sampler evaluates the model.

    Args:
        num_inference_steps: S, the number of model evaluations.
        num_train_timesteps: T of the schedule.
        spacing: "leading", "trailing" or "linspace" as in diffusers' DDIMScheduler; "dpm" as in its
            DPMSolverSinglestepScheduler (linspace over S + 1 points without t = 0).
        steps_offset: Added to every timestep of "leading"; the other spacings do not use it, as in diffusers.

    Returns:
        S timesteps, strictly descending, in [0, T-1]. The step after the last goes to alpha_bar = 1.

    Raises:
        TypeError: If a number is not an integer.
        ValueError: If spacing is unknown, S is larger than the grid allows, or the offset leads out of [0,
            T-1].

    Example:
        >>> time_grid(4)
        (750, 500, 250, 0)
        >>> time_grid(4, spacing="trailing")
        (999, 749, 499, 249)
    """
    if not isinstance(spacing, str) or spacing not in _SPACINGS:
        raise ValueError(f"spacing must be one of {', '.join(_SPACINGS)}, got {spacing!r}")
    total = check_integer("num_train_timesteps", num_train_timesteps, low=1)
    most = total - 1 if spacing == "dpm" else total
    steps = check_integer("num_inference_steps", num_inference_steps, low=1, high=most)
    offset = check_integer("steps_offset", steps_offset, low=0)

    grid = _SPACINGS[spacing](steps, total) + (offset if spacing == "leading" else 0)
    if grid[0] > total - 1:
        raise ValueError(
            f"steps_offset must leave the first timestep at most num_train_timesteps - 1 = {total - 1}, got {offset} "
            f"and timestep {grid[0]}; use a smaller offset or fewer steps"
        )
    return tuple(int(t) for t in grid)


def _leading(steps: int, total: int) -> NDArray[np.int64]:
    return np.arange(steps, dtype=np.int64)[::-1] * (total // steps)


def _trailing(steps: int, total: int) -> NDArray[np.int64]:
    # The slice drops the extra point that rounding in arange adds for some S.
    return np.round(np.arange(total, 0, -total / steps)).astype(np.int64)[:steps] - 1


def _linspace(steps: int, total: int) -> NDArray[np.int64]:
    return np.linspace(0, total - 1, steps).round()[::-1].astype(np.int64)


def _dpm(steps: int, total: int) -> NDArray[np.int64]:
    return np.linspace(0, total - 1, steps + 1).round()[:0:-1].astype(np.int64)


_SPACINGS: dict[str, Callable[[int, int], NDArray[np.int64]]] = {
    "leading": _leading,
    "trailing": _trailing,
    "linspace": _linspace,
    "dpm": _dpm,
}


def _from_betas(betas: NDArray[np.floating]) -> NoiseSchedule:
    return NoiseSchedule(np.cumprod(1.0 - betas, dtype=np.float64))


def _check_betas(num_train_timesteps: int, beta_start: float, beta_end: float) -> tuple[int, float, float]:
    total = check_integer("num_train_timesteps", num_train_timesteps, low=1)
    return total, check_positive("beta_start", beta_start, below=1.0), check_positive("beta_end", beta_end, below=1.0)
