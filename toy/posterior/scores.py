"""What answers are worth, judged by the exact posterior: squared error, density, and the law of the ensemble.

Every score has one value for each case (or picture); `summarise` makes a mean with its interval of them.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from toy.mixture import Array
from toy.posterior.batch import PosteriorBatch

NORMAL_95 = 1.959964


def answer_scores(answers: Array, posterior: PosteriorBatch, truth: Array) -> dict[str, Array]:
    """Score answers case by case.

    Args:
        answers: (B, n, d); a case's score is the mean over its n answers.
        posterior: the exact posterior of every case.
        truth: what was measured, (B, d).

    Returns:
        error: mean squared error against the truth, for each value of a sample, (B,).
        expected_error: the same against all that the truth can be: distance to the exact mean, squared, plus the
            posterior's variance. Without the chance of the one truth, and without the prior's misfit to photos.
        log_density: log p(answer | y), in nats.
    """
    wide, dimension = answers.astype(np.float64), posterior.dimension
    to_mean = ((wide - posterior.mean()[:, None]) ** 2).sum(-1).mean(1)
    return {
        "error": ((wide - truth[:, None]) ** 2).sum(-1).mean(1) / dimension,
        "expected_error": (to_mean + posterior.total_variance()) / dimension,
        "log_density": posterior.log_density(wide).mean(1),
    }


def ensemble_scores(particles: Array, posterior: PosteriorBatch, truth: Array, exact: Array) -> dict[str, Array]:
    """Score an ensemble as a stand-in for the posterior.

    Args:
        particles: (B, N, d), N at least 2.
        posterior: the exact posterior of every case.
        truth: what was measured, (B, d).
        exact: independent samples of the posterior, (B, M, d).

    Returns:
        energy_distance: 2 E|x - y| - E|x - x'| - E|y - y'| between particles and exact samples, unbiased for
            independent ones: 0 on average if they have the posterior's law. Over sqrt(d).
        within: mean squared distance of two particles.
        to_posterior: that of a particle and a draw from the posterior. Equal to `within` on average if calibrated,
            larger if the ensemble is too sure.
        outside: part of the truth's values that lie outside the range of the particles; 2 / (N + 1) if calibrated.
    """
    x, dimension = particles.astype(np.float64), posterior.dimension
    energy = 2 * distances(x, exact).mean((1, 2)) - _mean_apart(distances(x, x)) - _mean_apart(distances(exact, exact))
    to_mean = ((x - posterior.mean()[:, None]) ** 2).sum(-1).mean(1)
    within = _mean_apart(distances(x, x) ** 2)
    outside = (truth < x.min(1)) | (truth > x.max(1))
    return {
        "energy_distance": energy / math.sqrt(dimension),
        "within": within,
        "to_posterior": to_mean + posterior.total_variance(),
        "outside": outside.mean(-1),
    }


def distances(x: Array, y: Array) -> Array:
    """Euclidean distances of all pairs, (B, n, d), (B, m, d) -> (B, n, m), in float64."""
    squares = (x**2).sum(-1)[:, :, None] + (y**2).sum(-1)[:, None] - 2 * x @ y.swapaxes(1, 2)
    return np.sqrt(np.maximum(squares, 0))


def sliced_distance(x: Array, reference: Array, directions: Array) -> float:
    """Root of the mean of the squared 1-D Wasserstein distances over directions, times sqrt(d).

    The factor makes it comparable with the distance in all dimensions, which it never exceeds.

    Args:
        x: samples, (n, d).
        reference: many samples of the other law, (m, d), m a multiple of n.
        directions: unit vectors, (L, d).

    Raises:
        ValueError: m is not a multiple of n.

    Example:
        >>> import numpy as np
        >>> sliced_distance(np.zeros((2, 1)), np.array([[3.0], [-3.0], [3.0], [-3.0]]), np.ones((1, 1)))
        3.0
    """
    if len(reference) % len(x):
        raise ValueError(f"reference must hold a multiple of {len(x)} samples, got {len(reference)}")
    ordered = np.sort(x @ directions.T, axis=0)  # (n, L)
    quantiles = np.sort(reference @ directions.T, axis=0).reshape(len(x), -1, len(directions))
    squared = ((ordered[:, None] - quantiles) ** 2).mean((0, 1))
    return float(np.sqrt(squared.mean() * x.shape[1]))


def gelbrich_distance(mean_gap: Array, a: Array, b: Array) -> float:
    """2-Wasserstein distance of two Gaussians; of other laws with these moments the least that it can be.

    Gelbrich 1990: ||mean gap||^2 + tr(A + B - 2 (A^1/2 B A^1/2)^1/2), and the root of it.

    Args:
        mean_gap: difference of the means, (d,).
        a: covariance of one, (d, d), positive semi-definite.
        b: covariance of the other.

    Example:
        >>> import numpy as np
        >>> gelbrich_distance(np.array([3.0]), np.array([[1.0]]), np.array([[25.0]]))
        5.0
    """
    values, axes = np.linalg.eigh(a)
    root = (axes * np.sqrt(np.maximum(values, 0))) @ axes.T
    cross = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ b @ root), 0)).sum()
    squared = float((mean_gap**2).sum() + np.trace(a) + np.trace(b) - 2 * cross)
    return math.sqrt(max(squared, 0.0))


def summarise(values: Array) -> dict[str, float]:
    """Mean of independent values and the ends of its 95% normal interval.

    Example:
        >>> import numpy as np
        >>> {name: round(value, 3) for name, value in summarise(np.array([1.0, 3.0])).items()}
        {'mean': 2.0, 'low': 0.04, 'high': 3.96}
    """
    mean = float(values.mean())
    half = NORMAL_95 * float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return {"mean": mean, "low": mean - half, "high": mean + half}


def ratio_of_means(a: Array, b: Array) -> dict[str, float]:
    """Ratio of two means over the same repetitions, and its 95% interval by the delta method.

    Example:
        >>> ratio_of_means(np.array([1.0, 3.0]), np.array([2.0, 6.0]))
        {'mean': 0.5, 'low': 0.5, 'high': 0.5}
    """
    ratio = float(a.mean() / b.mean())
    rest = summarise((a - ratio * b) / b.mean())
    return {"mean": ratio, "low": ratio + rest["low"], "high": ratio + rest["high"]}


def psnr(error: float, scale: float) -> float:
    """PSNR in dB of a mean squared error in the prior's units, for grey values in [0, 1]."""
    return -10 * math.log10(error * scale**2)


def psnr_gain(errors: Array, reference: Array) -> dict[str, float]:
    """PSNR of one mean squared error over that of another, in dB, with its 95% interval.

    Args:
        errors: squared errors of a method, one for each repetition.
        reference: squared errors of the other one, paired.

    Example:
        >>> psnr_gain(np.array([1.0, 2.0]), np.array([10.0, 20.0]))["mean"]
        10.0
    """
    ratio = ratio_of_means(errors, reference)
    # A smaller error is a larger PSNR, so the ends change places.
    return {name: -10 * math.log10(ratio[end]) for name, end in (("mean", "mean"), ("low", "high"), ("high", "low"))}


def _mean_apart(square: Any) -> Array:
    """Mean over the pairs of different members, (B, n, n) -> (B,)."""
    n = square.shape[1]
    off_diagonal: Array = square.sum((1, 2)) - np.trace(square, axis1=1, axis2=2)
    return off_diagonal / (n * (n - 1))
