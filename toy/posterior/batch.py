"""Many mixtures at once that share their covariances: the posteriors of many measurements, or their models.

What `toy.mixture` is for one mixture this is for B of them, each with its own weights and means. Sampling a
thousand posteriors with ten particles evaluates the score 500,000 times, so it is two matrix products over all
components instead of a loop.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from scipy.special import logsumexp

from toy.mixture import Array

CACHED = 2**19  # numbers in a block of cases: small enough for the processor's cache, large enough for BLAS
NO_WEIGHT = -1e4  # for a component whose log weight is -inf: exp is 0 in every precision


@dataclass(frozen=True, eq=False)
class PosteriorBatch:
    """B mixtures of K Gaussians in d dimensions with common covariances.

    Args:
        log_weights: (B, K), logarithms of weights that sum to 1; -inf leaves a component out.
        means: (B, K, d).
        covariances: (K, d, d), symmetric and positive definite.

    Raises:
        ValueError: a shape does not fit, the weights of a mixture do not sum to 1, or a covariance is not positive
            definite.

    Example:
        >>> import numpy as np
        >>> normal = PosteriorBatch(np.zeros((2, 1)), np.array([[[0.0]], [[5.0]]]), np.ones((1, 1, 1)))
        >>> normal.eps(np.array([[[1.0]], [[1.0]]]), alpha_bar=0.64).round(6).ravel().tolist()
        [0.6, -1.8]
    """

    log_weights: Array
    means: Array
    covariances: Array
    _variances: Array = field(init=False, repr=False)  # (K, d): eigenvalues of each covariance
    _axes: Array = field(init=False, repr=False)  # (d, K * d): eigenvectors of all components side by side
    _places: Array = field(init=False, repr=False)  # (B, K, d): the means in the axes of their component

    def __post_init__(self) -> None:
        cases, n_components, dimension = self.means.shape
        if self.log_weights.shape != (cases, n_components):
            raise ValueError(f"log_weights must have shape ({cases}, {n_components}), got {self.log_weights.shape}")
        if self.covariances.shape != (n_components, dimension, dimension):
            expected = (n_components, dimension, dimension)
            raise ValueError(f"covariances must have shape {expected}, got {self.covariances.shape}")
        sums = np.exp(self.log_weights).sum(1)
        if not np.allclose(sums, 1.0):
            got = f"{sums.min():.6g} to {sums.max():.6g}"
            raise ValueError(f"log_weights must be those of weights that sum to 1, got {got}; subtract their logsumexp")

        # One diagonalisation serves all cases and noise levels, as they share the covariances.
        variances, axes = np.linalg.eigh(self.covariances)
        if not (variances > 0).all():
            raise ValueError(f"covariances must be positive definite, got eigenvalue {variances.min():.3g}")

        object.__setattr__(self, "log_weights", np.maximum(self.log_weights, NO_WEIGHT))
        object.__setattr__(self, "_variances", variances)
        object.__setattr__(self, "_axes", np.ascontiguousarray(axes.transpose(1, 0, 2).reshape(dimension, -1)))
        object.__setattr__(self, "_places", np.einsum("bkd,kde->bke", self.means, axes))

    @property
    def n_cases(self) -> int:
        """Number of mixtures B."""
        return int(self.means.shape[0])

    @property
    def dimension(self) -> int:
        """Number of dimensions d."""
        return int(self.means.shape[2])

    def take(self, cases: slice | Array) -> PosteriorBatch:
        """Return some of the mixtures."""
        return PosteriorBatch(self.log_weights[cases], self.means[cases], self.covariances)

    def mean(self) -> Array:
        """Exact mean of every mixture, (B, d): the answer with the least expected squared error."""
        return np.einsum("bk,bkd->bd", np.exp(self.log_weights), self.means)

    def total_variance(self) -> Array:
        """Trace of every mixture's covariance, (B,): the least expected squared error itself."""
        weights = np.exp(self.log_weights)
        between = ((self.means - self.mean()[:, None]) ** 2).sum(-1)
        return (weights * (between + np.trace(self.covariances, axis1=1, axis2=2))).sum(1)

    def covariance(self) -> Array:
        """Covariance of every mixture, within plus between components, (B, d, d)."""
        weights = np.exp(self.log_weights)
        centred = self.means - self.mean()[:, None]
        between = np.einsum("bk,bki,bkj->bij", weights, centred, centred)
        return between + np.einsum("bk,kij->bij", weights, self.covariances)

    def log_density(self, x: Array) -> Array:
        """Exact log density of points (B, n, d) under their own mixture, (B, n), computed in float64."""
        found = np.empty(x.shape[:2])
        for block in self._blocks(x):
            joint, _ = self._joint(x[block].astype(np.float64), block, 1.0)
            found[block] = logsumexp(joint, axis=-1)
        return found

    def responsibilities(self, x: Array) -> Array:
        """Posterior probability of each component at points (B, n, d), (B, n, K), in float64."""
        found = np.empty((*x.shape[:2], self.log_weights.shape[1]))
        for block in self._blocks(x):
            joint, _ = self._joint(x[block].astype(np.float64), block, 1.0)
            found[block] = np.exp(joint - logsumexp(joint, axis=-1, keepdims=True))
        return found

    def eps(self, x: Array, *, alpha_bar: float) -> Array:
        """Exact noise prediction, the ideal denoiser: eps = -sqrt(1 - alpha_bar) grad log p_t.

        Args:
            x: noisy points x_t, (B, n, d), n of each mixture.
            alpha_bar: noise level in [0, 1].

        Returns:
            E[eps | x_t], (B, n, d), in the dtype of x, which is that of the computation: float32 is twice as
            fast, and 1e-6 is far below what any number of a study shows.
        """
        found = np.empty_like(x)
        axes = self._axes.astype(x.dtype)
        for block in self._blocks(x):
            joint, pulls = self._joint(x[block], block, alpha_bar)
            joint -= joint.max(-1, keepdims=True)
            share = np.exp(joint, out=joint)
            share /= share.sum(-1, keepdims=True)
            pulls *= share[..., None]
            found[block] = (pulls.reshape(-1, axes.shape[1]) @ axes.T).reshape(found[block].shape)
        found *= x.dtype.type(math.sqrt(1 - alpha_bar))
        return found

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """Draw n independent points from every mixture, (B, n, d), float64."""
        cumulative = np.exp(self.log_weights).cumsum(1)  # (B, K)
        drawn = rng.random((self.n_cases, n)) * cumulative[:, -1:]
        component = (drawn[..., None] > cumulative[:, None]).sum(-1)  # (B, n)
        x = np.take_along_axis(self.means, component[..., None], axis=1)
        roots = np.linalg.cholesky(self.covariances)
        normal = rng.standard_normal((self.n_cases, n, self.dimension))
        for k, root in enumerate(roots):
            mine = component == k
            x[mine] += normal[mine] @ root.T
        return x

    def _blocks(self, x: Array) -> Iterator[slice]:
        """Yield the cases in blocks that stay in the cache."""
        if x.ndim != 3 or (x.shape[0], x.shape[2]) != (self.n_cases, self.dimension):
            raise ValueError(f"x must have shape ({self.n_cases}, n, {self.dimension}), got {x.shape}")
        size = max(1, CACHED // (max(1, x.shape[1]) * self._axes.shape[1]))
        yield from (slice(start, start + size) for start in range(0, self.n_cases, size))

    def _joint(self, x: Array, block: slice, alpha_bar: float) -> tuple[Array, Array]:
        """Return log(weight_k N(x; k)), (b, n, K), and (x - mean_k) / variance in component k's axes, (b, n, K, d)."""
        variances = alpha_bar * self._variances + (1 - alpha_bar)  # (K, d)
        constant = self.log_weights[block] - 0.5 * np.log(2 * np.pi * variances).sum(-1)
        flat = x.reshape(-1, self.dimension)  # one large product instead of one for each case
        along = (flat @ self._axes.astype(x.dtype)).reshape(*x.shape[:2], *variances.shape)
        along -= (math.sqrt(alpha_bar) * self._places[block]).astype(x.dtype)[:, None]
        pulls = along * (1 / variances).astype(x.dtype)
        squares = np.einsum("bnkd,bnkd->bnk", along, pulls)
        return constant.astype(x.dtype)[:, None] - x.dtype.type(0.5) * squares, pulls
