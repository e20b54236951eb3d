"""Steps of DPM-Solver++ (Lu et al. 2022): exact in lambda = log(alpha / sigma) except for the data prediction.

2S and 2M take the same steps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from kds_ref._arrays import Array


def second_order_step(x: Array, data: Array, other: Array, alpha_bars: Sequence[float]) -> Array:
    """Step with the data prediction at `here` and a second one at any `elsewhere`.

    alpha_bars are those of here, elsewhere and there. The line in lambda through both predictions is taken in
    the middle of the step: 1 - 1/(2r) and 1/(2r) for 2S (r > 0), 1 + 1/(2r) and -1/(2r) for 2M.
    """
    here, _, there = alpha_bars
    lambda_here, lambda_elsewhere, lambda_there = (_half_log_snr(level) for level in alpha_bars)
    slope = (lambda_there - lambda_here) / (lambda_elsewhere - lambda_here) / 2.0
    return exponential_step(x, (1.0 - slope) * data + slope * other, here, there)


def _half_log_snr(alpha_bar: float) -> float:
    """Lambda = log(alpha / sigma) (DPM-Solver), infinite at alpha_bar = 1."""
    return math.inf if alpha_bar == 1.0 else 0.5 * (math.log(alpha_bar) - math.log1p(-alpha_bar))


def exponential_step(x: Array, data: Array, here: float, there: float) -> Array:
    """(sigma_t/sigma) x - alpha_t (e^-hh - 1) data: exact from `here` to `there` for constant data."""
    scale = math.sqrt((1.0 - there) / (1.0 - here))
    return scale * x - math.sqrt(there) * math.expm1(_half_log_snr(here) - _half_log_snr(there)) * data
