"""Three wrong implementations of KDS, for the explorable page: each moves clean points by k m(h) with a wrong k or h.

Right is k = delta and the bandwidth h. Each runs inside `kds_ref.ddim`, so that everything else is as it should be.
`sweep` calls this.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

import kds_ref

Array = NDArray[np.floating]
Steering = Callable[[Array, float], tuple[Array, None]]
TOTAL = 1000  # training timesteps


@dataclass(frozen=True)
class Mistake:
    """What a wrong implementation does.

    Attributes:
        bandwidth: h -> the bandwidth that its weights have.
        factor: (t, h) -> how many times too far it goes along that shift.
    """

    bandwidth: Callable[[Array], Array]
    factor: Callable[[float, Array], Array]

    def steering(self, bandwidths: Array, *, strength: float, cutoff: float) -> Steering:
        """The callable for a sampler; particles are (B, N, d), one ensemble a bandwidth."""
        used = self.bandwidth(bandwidths)

        def steer(x0_pred: Array, t: float) -> tuple[Array, None]:
            delta = kds_ref.steering_strength(t, TOTAL, strength=strength, cutoff=cutoff)
            if delta == 0.0:
                return x0_pred, None
            full, _ = kds_ref.steer(x0_pred, bandwidth=used, strength=1.0, patch_size=None, sample_ndim=1)
            return x0_pred + delta * self.factor(t, bandwidths)[:, None, None] * (full - x0_pred), None

        return steer


def squared_twice(schedule: kds_ref.NoiseSchedule, timesteps: Sequence[int]) -> Mistake:
    """Weights of e^(-d^2 / 2 h^4): those of the bandwidth h^2."""
    return Mistake(lambda h: h**2, lambda t, h: np.ones_like(h))


def score_step(schedule: kds_ref.NoiseSchedule, timesteps: Sequence[int]) -> Mistake:
    """A step along the gradient m / h^2 instead of m."""
    return Mistake(lambda h: h, lambda t, h: 1.0 / h**2)


def old_noise(schedule: kds_ref.NoiseSchedule, timesteps: Sequence[int]) -> Mistake:
    """The model's noise goes on beside the steered clean point.

    z_s then moves by sqrt(alpha_bar_s) for a shift of 1 instead of by c = sqrt(alpha_bar_s) - sqrt(alpha_bar_t (1 -
    alpha_bar_s) / (1 - alpha_bar_t)), what it does with eps'. So the mistake is a shift that is sqrt(alpha_bar_s) / c
    times too long.
    """
    levels = [schedule.alpha_bar(t) for t in timesteps] + [1.0]
    factors = {
        t: there**0.5 / (there**0.5 - (here * (1.0 - there) / (1.0 - here)) ** 0.5)
        for t, (here, there) in zip(timesteps, pairwise(levels), strict=True)
    }
    return Mistake(lambda h: h, lambda t, h: np.full_like(h, factors[int(t)]))


MISTAKES: dict[str, Callable[[kds_ref.NoiseSchedule, Sequence[int]], Mistake]] = {
    "h squared twice": squared_twice,
    "the score as a step": score_step,
    "the old noise kept": old_noise,
}
