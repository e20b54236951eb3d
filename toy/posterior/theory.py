"""KDS on a Gaussian posterior is linear: how the ensemble's spread evolves over the steps, in closed form.

Along an axis of a Gaussian posterior with variance lam, the exact prediction is x0 = m + g (x_t - sqrt(ab) m) with
g = sqrt(ab) lam / (ab lam + 1 - ab). With equal weights a shift moves particles towards their mean, so that deviations
from it are multiplied by 1 - delta and the mean stays. DDIM is linear, too; each step multiplies deviations by one
number. docs/explanation/linear-theory.md derives what follows from it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

import kds_ref
from toy.mixture import Array


class LinearRun(NamedTuple):
    """Deviations from the ensemble's mean over a run of DDIM, for one standard deviation of initial noise.

    Attributes:
        sigma: noise-to-signal ratio sqrt((1 - ab) / ab) at each step, (S,).
        x0_spread: standard deviation of the clean predictions at each step, before steering, (S,).
        x_spread: that of x_t at each step, and at the end of the clean samples, (S + 1,).
    """

    sigma: Array
    x0_spread: Array
    x_spread: Array


def linear_run(
    variance: float,
    *,
    schedule: kds_ref.NoiseSchedule,
    timesteps: Sequence[int],
    strength: float = 0.3,
    cutoff: float = 0.3,
    bandwidth: float = math.inf,
) -> LinearRun:
    """Follow DDIM + KDS on a Gaussian posterior along one of its axes.

    Args:
        variance: lam, of the posterior along the axis, positive.
        schedule: noise schedule.
        timesteps: timesteps, as for `kds_ref.ddim`.
        strength: delta of KDS Eq. 8 (v1); 0 is plain DDIM, and also what the ensemble's mean follows.
        cutoff: cut-off of KDS Eq. 10 (v1).
        bandwidth: h. Infinite: equal weights, exact for every number of particles. Finite: the Gaussian kernel with
            many particles, for which the shift is h^2 / (h^2 + v) of the way to the mean, v the variance of the
            predictions along the axis (of a patch of one value, or of the whole sample as one patch).

    Returns:
        The spread at every step. The variance of N particles around their mean is x_spread**2 in expectation; that
        of one particle over many ensembles is (1 - 1/N) x_spread**2 plus the plain run's x_spread**2 / N.

    Example:
        Plain DDIM nearly ends with the posterior's own spread; steering to the end leaves a third.

        >>> grid = kds_ref.time_grid(50)
        >>> options = {"schedule": kds_ref.scaled_linear_schedule(), "timesteps": grid}
        >>> plain = linear_run(1.0, strength=0.0, **options)
        >>> steered = linear_run(1.0, cutoff=0.0, **options)
        >>> round(float(plain.x_spread[-1]), 3), round(float(steered.x_spread[-1]), 3)
        (0.972, 0.297)
    """
    levels = [schedule.alpha_bar(t) for t in timesteps] + [1.0]
    x_spread, x0_spread = [1.0], []
    for t, here, there in zip(timesteps, levels[:-1], levels[1:], strict=True):
        gain = math.sqrt(here) * variance / (here * variance + 1 - here)
        predicted = gain * x_spread[-1]
        delta = kds_ref.steering_strength(t, schedule.num_train_timesteps, strength=strength, cutoff=cutoff)
        way = 1.0 if math.isinf(bandwidth) else bandwidth**2 / (bandwidth**2 + predicted**2)
        steered = (1 - delta * way) * predicted
        # DDIM (KDS Eq. 4, v1) with the noise that belongs to the steered prediction (Algorithm 2).
        eps = (x_spread[-1] - math.sqrt(here) * steered) / math.sqrt(1 - here)
        x0_spread.append(predicted)
        x_spread.append(math.sqrt(there) * steered + math.sqrt(1 - there) * eps)
    sigma = np.sqrt((1 - np.array(levels[:-1])) / np.array(levels[:-1]))
    return LinearRun(sigma, np.array(x0_spread), np.array(x_spread))


def spread_left(variance: float | Array, sigma: float, *, strength: float = 0.3) -> float | Array:
    """Part of the spread that steering down to a noise level leaves, in the limit of many small steps.

    (sigma^2 / (lam + sigma^2))^(strength / 2), relative to plain sampling, with equal weights and from pure noise.
    It stays what it is after the cut-off, and does not depend on the number of steps.

    Args:
        variance: lam, of the posterior along an axis.
        sigma: noise-to-signal ratio sqrt((1 - ab) / ab) at the cut-off.
        strength: delta.

    Example:
        The paper's cut-off leaves 92% of a spread as large as the picture's, and all of a small one.

        >>> round(spread_left(1.0, 1.13), 3), round(spread_left(0.01, 1.13), 3)
        (0.917, 0.999)
    """
    return (sigma**2 / (variance + sigma**2)) ** (strength / 2)


def best_error(total_variance: float | Array, distance: float | Array) -> float | Array:
    """Least expected squared error of answers whose law lies this far from the posterior's.

    V + max(sqrt(V) - W, 0)^2, with V the posterior's variance in all and W the 2-Wasserstein distance. The exact mean
    lies at W = sqrt(V), samples at W = 0, and x_gamma = mean + gamma (sample - mean) on the way between them. It holds
    for every posterior: the mean is a point, so the distance of an answer's law to it is its root mean squared error,
    and the triangle inequality gives the rest. See Blau and Michaeli 2018, Freirich et al. 2021.

    Args:
        total_variance: V, trace of the posterior's covariance.
        distance: W.

    Example:
        >>> [best_error(4.0, w) for w in (0.0, 1.0, 2.0, 3.0)]
        [8.0, 5.0, 4.0, 4.0]
    """
    shortfall = np.maximum(np.sqrt(total_variance) - distance, 0)
    found = total_variance + shortfall**2
    return float(found) if np.ndim(found) == 0 else found
