"""Mixture of Gaussians whose density, score and noise prediction are exact at every noise level.

Under the forward process (KDS Eq. 3 (v1)) a component N(mu, Sigma) becomes N(sqrt(ab) mu, ab Sigma + (1 - ab)
I) with the same weight, so that nothing here is learned or approximated. Each covariance is diagonalised
once; the noised one has the same axes and the variances ab lambda + (1 - ab).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import logsumexp

Array = npt.NDArray[np.floating[Any]]

WEIGHT_SUM_TOLERANCE = 1e-8
SYMMETRY_TOLERANCE = 1e-10
CONDITION_TOLERANCE = 1e-13


@dataclass(frozen=True, eq=False)
class GaussianMixture:
    """A mixture of K Gaussians in d dimensions with full covariances.

    Args:
        weights: (K,), each > 0, summing to 1.
        means: (K, d), finite.
        covariances: (K, d, d), each symmetric and positive definite.

    Raises:
        ValueError: a shape does not fit, a number is not finite, a weight is not positive, the weights do not
            sum to 1, or a covariance is not symmetric positive definite.
        TypeError: an argument does not hold real numbers.

    Example:
        >>> import numpy as np
        >>> normal = GaussianMixture([1.0], [[0.0, 0.0]], [np.eye(2)])
        >>> normal.score(np.array([[1.0, -2.0]]), alpha_bar=0.5).tolist()
        [[-1.0, 2.0]]
    """

    weights: Array
    means: Array
    covariances: Array
    _variances: Array = field(init=False, repr=False)  # (K, d): eigenvalues of each covariance
    _axes: Array = field(init=False, repr=False)  # (K, d, d): eigenvectors in columns

    def __post_init__(self) -> None:
        weights = _real(self.weights, "weights", ndim=1, layout="(K,)")
        means = _real(self.means, "means", ndim=2, layout="(K, d)")
        covariances = _real(self.covariances, "covariances", ndim=3, layout="(K, d, d)")
        n_components, dimension = means.shape

        # Shapes before values: a message about values would make no sense for arrays that do not fit.
        if n_components == 0 or dimension == 0:
            raise ValueError(f"means must hold at least one component and dimension, got shape {means.shape}")
        if weights.shape != (n_components,):
            raise ValueError(f"weights must have shape ({n_components},) to fit means, got {weights.shape}")
        if covariances.shape != (n_components, dimension, dimension):
            expected = (n_components, dimension, dimension)
            raise ValueError(f"covariances must have shape {expected} to fit means, got {covariances.shape}")

        if not (weights > 0).all():
            raise ValueError(f"weights must be positive, got {weights.tolist()}; leave empty components out")
        if abs(weights.sum() - 1) > WEIGHT_SUM_TOLERANCE:
            total = float(weights.sum())
            raise ValueError(f"weights must sum to 1, got a sum of {total:.9g}; divide them by it")

        # The axes diagonalise the covariances at every noise level; read-only, so that this stays true.
        variances, axes = _diagonalise(covariances)
        values = {"weights": weights, "means": means, "covariances": covariances}
        for name, value in {**values, "_variances": variances, "_axes": axes}.items():
            value.setflags(write=False)
            object.__setattr__(self, name, value)

    @property
    def n_components(self) -> int:
        """Number of components K."""
        return int(self.means.shape[0])

    @property
    def dimension(self) -> int:
        """Number of dimensions d."""
        return int(self.means.shape[1])

    def mean(self) -> Array:
        """Mean of the mixture, (d,)."""
        return self.weights @ self.means

    def covariance(self) -> Array:
        """Covariance of the mixture, within plus between components, (d, d)."""
        centred = self.means - self.mean()
        between = np.einsum("k,ki,kj->ij", self.weights, centred, centred)
        return np.einsum("k,kij->ij", self.weights, self.covariances) + between

    def log_density(self, x: Array, *, alpha_bar: float = 1.0) -> Array:
        """Exact log density of the noised mixture, log p_t(x).

        Args:
            x: points, (..., d), floating point, finite.
            alpha_bar: noise level in [0, 1]; 1 is the mixture itself, 0 the standard normal distribution.

        Returns:
            (...), in the dtype of x (computed in float64).

        Raises:
            ValueError: x has a wrong last axis or is not finite, or alpha_bar lies outside [0, 1].
            TypeError: x is not floating point.

        Example:
            >>> import numpy as np
            >>> round(float(three_modes().log_density(np.zeros(2), alpha_bar=0.0)), 6)  # -log(2 pi)
            -1.837877
        """
        x = np.asarray(x)
        joint, _ = self._joint(x, alpha_bar)
        return np.asarray(logsumexp(joint, axis=-1)).astype(x.dtype)

    def density(self, x: Array, *, alpha_bar: float = 1.0) -> Array:
        """Exact density of the noised mixture, p_t(x); arguments and errors as in `log_density`."""
        return np.exp(self.log_density(x, alpha_bar=alpha_bar))

    def responsibilities(self, x: Array, *, alpha_bar: float = 1.0) -> Array:
        """Posterior probability of each component at x; (..., d) -> (..., K), summing to 1."""
        x = np.asarray(x)
        joint, _ = self._joint(x, alpha_bar)
        return np.exp(joint - logsumexp(joint, axis=-1, keepdims=True)).astype(x.dtype)

    def score(self, x: Array, *, alpha_bar: float = 1.0) -> Array:
        """Exact score grad_x log p_t(x); (..., d) -> (..., d). Errors: see `log_density`."""
        x = np.asarray(x)
        joint, pulls = self._joint(x, alpha_bar)
        share = np.exp(joint - logsumexp(joint, axis=-1, keepdims=True))
        return np.einsum("...k,...kd->...d", share, pulls).astype(x.dtype)

    def eps(self, x: Array, *, alpha_bar: float) -> Array:
        """Exact noise prediction eps = -sqrt(1 - alpha_bar) score, the ideal denoiser of a sampler.

        Args:
            x: noisy points x_t, (..., d), floating point, finite.
            alpha_bar: noise level in [0, 1].

        Returns:
            E[eps | x_t], (..., d), in the dtype of x.

        Raises:
            ValueError: as in `log_density`.
            TypeError: as in `log_density`.

        Example:
            >>> import numpy as np
            >>> np.round(three_modes().eps(np.array([0.5, -1.0]), alpha_bar=0.0), 12)  # pure noise: eps is x
            array([ 0.5, -1. ])
        """
        score = self.score(x, alpha_bar=alpha_bar)
        return (-math.sqrt(1 - alpha_bar) * score).astype(score.dtype)

    def sample(self, n_samples: int, rng: np.random.Generator) -> Array:
        """Draw independent points from the mixture.

        Args:
            n_samples: how many, >= 0.
            rng: an explicit numpy Generator; the global one is never used.

        Returns:
            (n_samples, d), float64.

        Raises:
            TypeError: rng is not a numpy Generator.
            ValueError: n_samples is negative.
        """
        if not isinstance(rng, np.random.Generator):
            raise TypeError(f"rng must be a numpy Generator, got {type(rng).__name__}; use default_rng(0)")
        if n_samples < 0:
            raise ValueError(f"n_samples must be >= 0, got {n_samples}")
        component = rng.choice(self.n_components, size=n_samples, p=self.weights)
        scaled = rng.standard_normal((n_samples, self.dimension)) * np.sqrt(self._variances[component])
        return self.means[component] + np.einsum("nij,nj->ni", self._axes[component], scaled)

    def _joint(self, x: Array, alpha_bar: float) -> tuple[Array, Array]:
        """Return log(weight_k N(x; k)), (..., K), and each component's own score, (..., K, d)."""
        if not np.issubdtype(x.dtype, np.floating):
            raise TypeError(f"x must be floating point, got dtype {x.dtype}; use x.astype(float)")
        if x.ndim == 0 or x.shape[-1] != self.dimension:
            raise ValueError(f"x must have shape (..., {self.dimension}), got {x.shape}")
        if not np.isfinite(x).all():
            raise ValueError("x must be finite, got NaN or infinity")
        if not 0 <= alpha_bar <= 1:  # refuses NaN, too
            raise ValueError(f"alpha_bar must lie in [0, 1], got {alpha_bar}")
        offset = x[..., None, :].astype(np.float64) - math.sqrt(alpha_bar) * self.means  # (..., K, d)
        along = np.einsum("...ki,kij->...kj", offset, self._axes)  # coordinates along the principal axes
        variances = alpha_bar * self._variances + (1 - alpha_bar)
        constant = np.log(self.weights) - 0.5 * np.log(2 * np.pi * variances).sum(-1)
        joint = constant - 0.5 * (along**2 / variances).sum(-1)
        return joint, -np.einsum("kij,...kj->...ki", self._axes, along / variances)


def three_modes() -> GaussianMixture:
    """Return the default target of the toy: three well separated modes in the plane.

    PAPER-GAP: the paper does not give the mixture of its Fig. 2. This one has mean 0 and a variance of about
    1 per axis, as the latents of a diffusion model have. Every mode has a variance of 0.09 = 0.3^2 per axis
    (two elongated modes, one round): the bandwidth h = 0.3 is one standard deviation of a mode. The weights
    differ, so that a change of the modes' shares can be seen.

    Example:
        >>> three_modes().weights.tolist()
        [0.4, 0.35, 0.25]
    """
    weights = np.array([0.40, 0.35, 0.25])
    means = np.array([[-1.10, 0.53], [1.20, 0.53], [0.08, -1.59]])
    covariances = np.array([[[0.12, 0.03], [0.03, 0.06]], [[0.06, -0.03], [-0.03, 0.12]], [[0.09, 0.0], [0.0, 0.09]]])
    return GaussianMixture(weights, means, covariances)


def _real(value: Array | Sequence[Any], name: str, *, ndim: int, layout: str) -> Array:
    """Return an own float64 copy of an argument, or say what is wrong with it."""
    array = np.asarray(value)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{name} must hold real numbers, got dtype {array.dtype}")
    if array.ndim != ndim:
        raise ValueError(f"{name} must have shape {layout}, got shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite, got NaN or infinity")
    return np.array(array, dtype=np.float64)


def _diagonalise(covariances: Array) -> tuple[Array, Array]:
    """Return eigenvalues (K, d) and eigenvectors (K, d, d); check that every matrix is a covariance."""
    for index, matrix in enumerate(covariances):
        if np.abs(matrix - matrix.T).max() > SYMMETRY_TOLERANCE * max(1.0, float(np.abs(matrix).max())):
            raise ValueError(f"covariances[{index}] must be symmetric, got {matrix.tolist()}")
    variances, axes = np.linalg.eigh(covariances)
    for index, (smallest, largest) in enumerate(zip(variances[:, 0], variances[:, -1], strict=True)):
        if not smallest > CONDITION_TOLERANCE * largest:  # a singular matrix may round to an eigenvalue > 0
            raise ValueError(f"covariances[{index}] must be positive definite, got eigenvalue {smallest:.3g}")
    return variances, axes
