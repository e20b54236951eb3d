"""The noise level between the timesteps of a schedule, for the ODE."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from kds_ref._checks import check_number

# PAPER-GAP: the paper writes the ODE with f(t) and g(t) and does not say what they are between timesteps. We
# join the values of log alpha_bar by a cubic: straight lines would make beta jump at every timestep, and a solver
# of high order stumble there. The slopes at the timesteps are kept small enough for a monotone curve (Fritsch and
# Carlson 1980), so beta is never negative.


def log_level_and_rate(alphas_cumprod: NDArray[np.float64], t: float) -> tuple[float, float]:
    """Logarithm of alpha_bar, and beta = -d log alpha_bar / dt at a real time of the schedule."""
    count = int(np.count_nonzero(alphas_cumprod))  # alpha_bar may be 0 at the end, where beta is infinite
    if count < 2:
        raise ValueError(f"schedule must have two timesteps with alpha_bar > 0 for continuous time, got {count}")
    time = check_number("t", t, low=0.0, high=count - 1.0)
    n = min(int(time), count - 2)
    part = time - n

    start = max(n - 1, 0)
    rates = -np.diff(np.log(alphas_cumprod[start : min(n + 3, count)]))  # of up to three intervals
    before, here, after = _three(rates.tolist(), n - start)
    left, right = _slope(before, here), _slope(here, after)

    bend = 3.0 * part**2 - 2.0 * part**3
    rise = part * (1.0 - part) ** 2 * left + bend * here - part**2 * (1.0 - part) * right
    rate = 6.0 * part * (1.0 - part) * here + (1.0 - part) * (1.0 - 3.0 * part) * left
    return math.log(alphas_cumprod[n]) - rise, rate - part * (2.0 - 3.0 * part) * right


def _three(rates: list[float], here: int) -> tuple[float, float, float]:
    """Mean rates before, in and after an interval; beyond the ends they go on in a straight line."""
    if len(rates) == 1:
        return rates[0], rates[0], rates[0]
    if here == 0:
        return max(2.0 * rates[0] - rates[1], 0.0), rates[0], rates[1]
    return rates[0], rates[1], rates[2] if len(rates) == 3 else max(2.0 * rates[1] - rates[0], 0.0)


def _slope(before: float, after: float) -> float:
    """Slope at a timestep, from the mean rates of the two intervals that it joins."""
    return min(0.5 * (before + after), 3.0 * before, 3.0 * after)
