"""Numbers of an ensemble, one per seed, and their summary: mean, standard error, paired test.

The seeds are the independent repetitions. Particles of one seed steer each other, hence every error bar here
is taken over seeds, never over particles.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import wilcoxon

from toy.mixture import Array, GaussianMixture

Indices = npt.NDArray[np.integer[Any]]

TEST_NAME = "Wilcoxon signed-rank test, two-sided, paired by seed (same initial noise)"

SMALLEST_BASELINE = 1e-12  # a mean below has no meaningful relative change

Summary = dict[str, float | int | None]


def within_mode_variance(x: Array, modes: Indices, n_modes: int) -> Array:
    """Pooled variance of the particles around the mean of their own mode, per axis.

    The trace of the within-mode covariance over d: squared distances to the mode's sample mean, summed over
    all modes, divided by d times the degrees of freedom (particles minus occupied modes), hence unbiased.

    Args:
        x: final particles, (S, N, d), S seeds of N particles.
        modes: index of each particle's mode, (S, N), integers in [0, n_modes).
        n_modes: number of modes K.

    Returns:
        (S,); NaN for a seed in which no mode holds two particles.

    Example:
        >>> import numpy as np
        >>> x = np.array([[[0.0], [2.0], [10.0]]])
        >>> within_mode_variance(x, np.array([[0, 0, 1]]), 2).tolist()
        [2.0]
    """
    member = modes[..., None] == np.arange(n_modes)  # (S, N, K)
    counts = member.sum(axis=1)
    centres = np.einsum("snk,snd->skd", member.astype(x.dtype), x) / np.maximum(counts, 1)[..., None]
    own_centre = np.take_along_axis(centres, modes[..., None], axis=1)  # (S, N, d)
    squares = ((x - own_centre) ** 2).sum(axis=(1, 2))
    freedom = x.shape[1] - (counts > 0).sum(axis=1)
    return np.where(freedom > 0, squares / (x.shape[2] * np.maximum(freedom, 1)), np.nan)


def ensemble_statistics(x: Array, mixture: GaussianMixture) -> dict[str, Array]:
    """Return the statistics of final particles, each with one value per seed.

    Args:
        x: final particles, (S, N, d).
        mixture: the target, which also assigns each particle to its most responsible mode.

    Returns:
        within_mode_variance (S,), see there; distance_to_mode_mean (S,): mean squared distance to the true
        mean of the particle's mode, per axis, which unlike the variance sees a cluster that is tight but off
        its mode; mode_shares (S, K); mean_log_likelihood (S,): mean of log p(x0) over the particles, in nats.
    """
    modes = mixture.responsibilities(x).argmax(axis=-1)  # (S, N)
    from_mean = ((x - mixture.means[modes]) ** 2).sum(axis=-1) / mixture.dimension
    return {
        "within_mode_variance": within_mode_variance(x, modes, mixture.n_components),
        "distance_to_mode_mean": from_mean.mean(axis=1),
        "mode_shares": (modes[..., None] == np.arange(mixture.n_components)).mean(axis=1),
        "mean_log_likelihood": mixture.log_density(x).mean(axis=1),
    }


def summarise(values: Array) -> Summary:
    """Return mean, standard error (sd / sqrt n; None for one seed) and number of the values (S,) without NaN.

    Example:
        >>> import numpy as np
        >>> summarise(np.array([1.0, 3.0]))
        {'mean': 2.0, 'standard_error': 1.0, 'n_seeds': 2}
    """
    known = values[~np.isnan(values)]
    return {
        "mean": float(known.mean()) if known.size else None,
        "standard_error": float(known.std(ddof=1) / math.sqrt(known.size)) if known.size > 1 else None,
        "n_seeds": int(known.size),
    }


def paired_difference(values: Array, baseline: Array) -> Summary:
    """Return the summary of values - baseline, seed by seed, with the p-value of the paired test `TEST_NAME`.

    Args:
        values: (S,), statistics of the steered runs.
        baseline: (S,), the same of the plain runs with the same noise.

    Returns:
        mean, standard_error, n_seeds, p_value (1 if no seed differs, None without a seed) and relative_change
        (mean difference over the baseline's mean; None unless that mean is above rounding errors).
    """
    difference = np.round(values - baseline, 12)  # shares are multiples of 1/N: keep equal differences tied
    known = ~np.isnan(difference)
    summary = summarise(difference)
    base = float(baseline[known].mean()) if known.any() else 0.0
    mean = summary["mean"]
    summary["relative_change"] = mean / base if mean is not None and base > SMALLEST_BASELINE else None
    summary["p_value"] = _p_value(difference[known])
    return summary


def _p_value(difference: Array) -> float | None:
    if difference.size == 0:
        return None
    if not difference.any():  # scipy has no answer for no change at all
        return 1.0
    with warnings.catch_warnings():  # older scipy warns when few seeds make the p-value coarse
        warnings.simplefilter("ignore")
        result: Any = wilcoxon(difference)
    return float(result.pvalue)
