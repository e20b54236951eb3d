"""The posterior of a mixture of Gaussians after a linear measurement is a mixture of Gaussians, in closed form.

For x ~ sum_k w_k N(mu_k, Sigma_k) and y = A x + n with n ~ N(0, R), component k keeps its place in the sum:
S_k = A Sigma_k A^T + R, gain G_k = Sigma_k A^T S_k^-1, mean mu_k + G_k (y - A mu_k), covariance
(I - G_k A) Sigma_k, weight proportional to w_k N(y; A mu_k, S_k). Neither S_k nor the covariances depend on y, so
thousands of measurements share them. `methods` samples from the result, `scores` judges with it.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import cho_solve, solve_triangular
from scipy.special import logsumexp

from toy.mixture import Array, GaussianMixture
from toy.posterior.batch import PosteriorBatch


def condition_many(
    prior: GaussianMixture, operator: Array, measurements: Array, *, noise_covariance: Array
) -> PosteriorBatch:
    """Return the exact posteriors of B measurements made with one operator.

    Args:
        prior: the mixture of x, in d dimensions.
        operator: A, (m, d).
        measurements: y, (B, m).
        noise_covariance: R, (m, m), symmetric and positive definite.

    Returns:
        B posteriors with the components of the prior; see `PosteriorBatch`.

    Raises:
        ValueError: a shape does not fit, a value is not finite, or R is not symmetric positive definite.

    Example:
        >>> import numpy as np
        >>> prior = GaussianMixture([1.0], [[0.0]], [[[1.0]]])
        >>> batch = condition_many(prior, np.eye(1), np.array([[2.0], [-4.0]]), noise_covariance=np.eye(1))
        >>> batch.mean().round(9).ravel().tolist(), round(batch.covariances.item(), 9)
        ([1.0, -2.0], 0.5)
    """
    a, r, y = _check(prior, operator, noise_covariance, measurements)
    n_components, dimension = prior.means.shape
    log_weights = np.empty((len(y), n_components))
    means = np.empty((len(y), n_components, dimension))
    covariances = np.empty((n_components, dimension, dimension))

    for k, (mean, covariance) in enumerate(zip(prior.means, prior.covariances, strict=True)):
        root = np.linalg.cholesky(a @ covariance @ a.T + r)  # of S_k, lower
        gain = cho_solve((root, True), a @ covariance).T  # (d, m)
        offset = y - a @ mean  # (B, m)
        means[:, k] = mean + offset @ gain.T
        # Joseph's form of (I - G A) Sigma: a sum of squares, so it stays positive definite in floating point.
        rest = np.eye(dimension) - gain @ a
        covariances[k] = rest @ covariance @ rest.T + gain @ r @ gain.T
        whitened = solve_triangular(root, offset.T, lower=True)  # (m, B)
        log_weights[:, k] = np.log(prior.weights[k]) - np.log(np.diag(root)).sum() - 0.5 * (whitened**2).sum(0)

    log_weights -= logsumexp(log_weights, axis=1, keepdims=True)
    return PosteriorBatch(log_weights, means, (covariances + covariances.swapaxes(1, 2)) / 2)


def condition(
    prior: GaussianMixture, operator: Array, measurement: Array, *, noise_covariance: Array
) -> GaussianMixture:
    """Return the exact posterior of one measurement y = A x + noise.

    Args:
        prior: the mixture of x, in d dimensions.
        operator: A, (m, d).
        measurement: y, (m,).
        noise_covariance: R, (m, m), symmetric and positive definite.

    Returns:
        The posterior; components whose weight underflows to 0 are left out.

    Raises:
        ValueError: as in `condition_many`.

    Example:
        Two equal modes at -1 and 1; the measurement says that x is near 1.

        >>> import numpy as np
        >>> prior = GaussianMixture([0.5, 0.5], [[-1.0], [1.0]], [[[0.1]], [[0.1]]])
        >>> posterior = condition(prior, np.eye(1), np.array([0.8]), noise_covariance=0.1 * np.eye(1))
        >>> posterior.weights.round(4).tolist()
        [0.0003, 0.9997]
    """
    measurement = np.asarray(measurement)
    if measurement.ndim != 1:
        raise ValueError(f"measurement must have shape (m,), got {measurement.shape}; condition_many takes (B, m)")
    batch = condition_many(prior, operator, measurement[None], noise_covariance=noise_covariance)
    weights = np.exp(batch.log_weights[0])
    kept = weights > 0
    return GaussianMixture(weights[kept] / weights[kept].sum(), batch.means[0, kept], batch.covariances[kept])


def _check(
    prior: GaussianMixture, operator: Array, noise_covariance: Array, measurements: Array
) -> tuple[Array, Array, Array]:
    """Return operator, noise covariance and measurements in float64, or say what does not fit."""
    named = {"operator": operator, "noise_covariance": noise_covariance, "measurements": measurements}
    a, r, y = (np.asarray(value, dtype=np.float64) for value in named.values())
    for name, value in zip(named, (a, r, y), strict=True):
        if value.ndim != 2:
            raise ValueError(f"{name} must have two axes, got shape {value.shape}")
        if not np.isfinite(value).all():
            raise ValueError(f"{name} must be finite, got NaN or infinity")

    rows = a.shape[0]
    if a.shape != (rows, prior.dimension) or rows == 0:
        raise ValueError(f"operator must have shape (m, {prior.dimension}) to fit the prior, got {a.shape}")
    if r.shape != (rows, rows):
        raise ValueError(f"noise_covariance must have shape ({rows}, {rows}) to fit operator, got {r.shape}")
    if y.shape[1] != rows:
        raise ValueError(f"measurements must have shape (B, {rows}) to fit operator, got {y.shape}")

    if not np.allclose(r, r.T, rtol=1e-10, atol=0) or np.linalg.eigvalsh(r)[0] <= 0:
        raise ValueError(
            "noise_covariance must be symmetric and positive definite, got one that is not; "
            "without noise pass a small one"
        )

    return a, r, y
