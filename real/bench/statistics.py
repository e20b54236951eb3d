"""Means with bootstrap intervals, and paired differences with Wilcoxon's test."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import bootstrap, wilcoxon

__all__ = ["LEVEL", "RESAMPLES", "bootstrap_interval", "mean_with_interval", "paired"]

LEVEL = 0.95
RESAMPLES = 10_000
SEED = 0


def bootstrap_interval(values: np.ndarray) -> tuple[float, float] | None:
    """Percentile bootstrap interval of the mean (Efron and Tibshirani 1993, Section 13.3), at level 0.95.

    Photos are resampled with replacement, 10 000 times, by a generator of its own with a fixed seed; every line and
    metric sees the same resamples, so that equal values have equal intervals.

    Args:
        values: One number a photo, (n,).

    Returns:
        The lower and the upper end; None for fewer than two photos.

    Raises:
        ValueError: Not one axis, empty, or a value is NaN or infinite.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all():
        raise ValueError(f"values must be finite numbers (n,), got shape {values.shape}")
    if len(values) < 2:
        return None
    found = bootstrap(
        (values,),
        np.mean,
        n_resamples=RESAMPLES,
        batch=max(1, 2_000_000 // len(values)),  # resamples in memory at a time
        confidence_level=LEVEL,
        method="percentile",
        random_state=np.random.default_rng(SEED),
    ).confidence_interval
    return float(found.low), float(found.high)


def mean_with_interval(values: np.ndarray) -> dict[str, float | None]:
    """Mean and interval of the mean: `mean` (None without photos), `low`, `high` (None for one photo)."""
    if not len(values):
        return {"mean": None, "low": None, "high": None}
    low, high = bootstrap_interval(values) or (None, None)
    return {"mean": float(np.mean(values)), "low": low, "high": high}


def paired(a: np.ndarray, b: np.ndarray) -> dict[str, Any]:
    """Difference a - b photo by photo: `mean`, `low`, `high`, `p`, `positive` (photos where a is larger), `photos`.

    p is that of the two-sided Wilcoxon signed-rank test, 1 where no photo differs.
    """
    difference = np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64)
    p = float(wilcoxon(difference).pvalue) if np.any(difference) else 1.0
    counts = {"positive": int((difference > 0).sum()), "photos": len(difference)}
    return {**mean_with_interval(difference), "p": p, **counts}
