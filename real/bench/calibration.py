"""Are samples of a posterior what they should be? Distances and ranks, judged without any steering.

Samples x_1 ... x_N of a calibrated posterior p(x | y) are exchangeable with the truth x: nothing tells it from them.

- *Distances.* E||x_i - x_j||^2 = E||x_i - x||^2. A ratio below 1 means overconfident samples, which differ less from
  each other than from the truth; above 1 they differ too much.
- *Ranks.* Among the N + 1 values that a linear feature takes on samples and truth, the truth's rank is uniform on
  0 ... N (Talagrand et al. 1997; Hamill 2001, "Interpretation of rank histograms for verifying ensemble forecasts"). A
  histogram shaped like a U means samples that differ too little, like a hill too much, a slope a bias.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

__all__ = ["distances", "exchangeability", "hole_ranks", "rank_counts", "truth_ranks"]

BOXES = (1, 4, 16)  # sides, in latent pixels, of the boxes whose means are the features
_PLACES = 16  # of each size, in each channel


def distances(samples: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Mean squared distances per value: between two different samples, and from a sample to the truth.

    Args:
        samples: (N, ...), N at least 2.
        truth: (...), the shape of one sample.

    Returns:
        `between` and `to_truth`, both means over samples (or pairs of them) and over values.

    Raises:
        ValueError: The shapes do not fit, or there are fewer than two samples.
    """
    if samples.shape[1:] != truth.shape or len(samples) < 2:
        raise ValueError(f"samples must be (N, ...) of the truth's {truth.shape} with N >= 2, got {samples.shape}")
    values = samples.astype(np.float64)
    # Mean over pairs of ||x_i - x_j||^2 is twice the unbiased variance over the samples.
    between = 2.0 * values.var(axis=0, ddof=1).mean()
    return {"between": float(between), "to_truth": float(np.square(values - truth).mean())}


def exchangeability(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Ratio of the two distances, each averaged over photos first: 1 where samples are exchangeable with the truth.

    Args:
        rows: `distances` of every photo.

    Returns:
        `ratio`, and its `standard_error` over photos by the jackknife (0 for one photo); NaN where all samples are the
        truth.
    """
    between, to_truth = (np.array([row[name] for row in rows]) for name in ("between", "to_truth"))
    n = len(rows)
    if not to_truth.any():  # samples that are the truth, such as those of flat photos
        return {"ratio": float("nan"), "standard_error": float("nan")}
    ratio = between.sum() / to_truth.sum()
    with np.errstate(divide="ignore", invalid="ignore"):  # where one photo alone is not exact: no error is known
        left_out = (between.sum() - between) / (to_truth.sum() - to_truth) if n > 1 else np.array([ratio])
        if not np.isfinite(left_out).all():
            return {"ratio": float(ratio), "standard_error": float("nan")}
    error = np.sqrt((n - 1) / n * np.square(left_out - left_out.mean()).sum())
    return {"ratio": float(ratio), "standard_error": float(error)}


def truth_ranks(samples: np.ndarray, truth: np.ndarray) -> dict[str, list[int]]:
    """Rank of the truth among the samples at fixed linear features: means of boxes at places that are always the same.

    Args:
        samples: Latents (N, C, h, w).
        truth: Latents (C, h, w).

    Returns:
        Numbers of samples below the truth, 0 to N, one per feature, by side of the box (as text); a size that does not
        fit into the latents is left out.
    """
    rng = np.random.default_rng(20251)
    stack = np.concatenate([samples, truth[None]]).astype(np.float64)
    ranks = {}
    for side in BOXES:
        places = rng.random((_PLACES, 2))
        if side <= min(stack.shape[-2:]):
            features = _box_means(stack, side, places)  # (N + 1, places, C)
            ranks[str(side)] = [int(rank) for rank in (features[:-1] < features[-1]).sum(axis=0).ravel()]
    return ranks


def hole_ranks(samples: np.ndarray, truth: np.ndarray, hole: np.ndarray) -> dict[str, list[int]]:
    """The same of what fills a hole: means over the part of the hole that lies in a box around a pixel of it.

    Args:
        samples: Latents (N, C, h, w).
        truth: Latents (C, h, w).
        hole: bool (h, w), True inside, with at least one True; the places depend on it alone.

    Returns:
        What `truth_ranks` returns; a box that is larger than the hole holds the whole of it.
    """
    rng = np.random.default_rng(20252)
    stack = np.concatenate([samples, truth[None]]).astype(np.float64)
    inside = np.argwhere(hole)
    centres = inside[rng.integers(len(inside), size=_PLACES)]
    ranks = {}
    for side in BOXES:
        features = np.stack([_mean_around(stack, hole, y, x, side) for y, x in centres], axis=1)  # (N + 1, places, C)
        ranks[str(side)] = [int(rank) for rank in (features[:-1] < features[-1]).sum(axis=0).ravel()]
    return ranks


def _mean_around(stack: np.ndarray, hole: np.ndarray, y: int, x: int, side: int) -> np.ndarray:
    rows, columns = (slice(max(0, c - side // 2), c - side // 2 + side) for c in (y, x))
    mean: np.ndarray = stack[..., rows, columns][..., hole[rows, columns]].mean(-1)
    return mean


def _box_means(stack: np.ndarray, side: int, places: np.ndarray) -> np.ndarray:
    corners = (places * (np.array(stack.shape[-2:]) - side + 1)).astype(int)
    return np.stack([stack[..., y : y + side, x : x + side].mean((-2, -1)) for y, x in corners], axis=1)


def rank_counts(ranks: Sequence[Mapping[str, Sequence[int]]], num_particles: int) -> dict[str, list[int]]:
    """How often each rank from 0 to N came up over all photos, by side of the box; small photos lack large boxes."""
    sides = sorted({side for row in ranks for side in row}, key=int)
    joined = {side: np.concatenate([np.asarray(row[side]) for row in ranks if side in row]) for side in sides}
    return {side: np.bincount(values, minlength=num_particles + 1).tolist() for side, values in joined.items()}
