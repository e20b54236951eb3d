"""log_density and its gradient against scipy, scikit-learn, torch's autograd and finite differences."""

import math
from typing import Any

import numpy as np
import pytest

from kds_ref import _distances, log_density, log_density_gradient, mean_shift

R = np.random.default_rng(11)
PARTICLES = R.normal(size=(7, 3))
QUERY = R.normal(size=(5, 3))


def test_worked_by_hand(xp: Any) -> None:
    # particles at 0 and 2, h = 1, at x = 1: both kernels are exp(-1/2) / sqrt(2 pi)
    value = log_density(xp.array([[1.0]]), xp.array([[0.0], [2.0]]), bandwidth=1.0)
    assert float(xp.numpy(value)[0]) == pytest.approx(-0.5 - 0.5 * math.log(2.0 * math.pi), rel=1e-14)


@pytest.mark.parametrize("bandwidth", [0.3, 1.0, 2.5])
def test_equals_plain_loops(xp: Any, oracle: Any, bandwidth: float) -> None:
    query = xp.array(QUERY)
    value = log_density(query, xp.array(PARTICLES), bandwidth=bandwidth)
    xp.check_like(value, query, shape=(5,))
    expected = oracle.log_density(QUERY, PARTICLES, bandwidth)
    np.testing.assert_allclose(xp.numpy(value), expected, rtol=1e-12)


@pytest.mark.parametrize("bandwidth", [0.3, 1.0])
@pytest.mark.parametrize("dimension", [1, 2, 6])
def test_equals_scikit_learn(bandwidth: float, dimension: int) -> None:
    neighbors = pytest.importorskip("sklearn.neighbors")
    r = np.random.default_rng(dimension)
    particles, query = r.normal(size=(12, dimension)), r.normal(size=(8, dimension))
    reference = neighbors.KernelDensity(kernel="gaussian", bandwidth=bandwidth, rtol=0, atol=0).fit(particles)
    value = log_density(query, particles, bandwidth=bandwidth)
    np.testing.assert_allclose(value, reference.score_samples(query), rtol=1e-10)


@pytest.mark.parametrize("bandwidth", [0.3, 1.0])
@pytest.mark.parametrize("dimension", [1, 2, 4])
def test_equals_scipy_gaussian_kde(bandwidth: float, dimension: int) -> None:
    # scipy's kernel has covariance factor^2 * cov(data): whiten the data, and the factor is the bandwidth
    stats = pytest.importorskip("scipy.stats")
    r = np.random.default_rng(dimension)
    raw = r.normal(size=(15, dimension))
    centred = raw - raw.mean(axis=0)
    inverse_root = np.linalg.inv(np.linalg.cholesky(np.atleast_2d(np.cov(centred.T))))
    particles, query = centred @ inverse_root.T, r.normal(size=(8, dimension))
    reference = stats.gaussian_kde(particles.T, bw_method=bandwidth)
    np.testing.assert_allclose(reference.covariance, bandwidth**2 * np.eye(dimension), atol=1e-12)
    value = log_density(query, particles, bandwidth=bandwidth)
    np.testing.assert_allclose(value, reference.logpdf(query.T), rtol=1e-9)


@pytest.mark.parametrize("dimension", [1, 2])
def test_integrates_to_one(dimension: int) -> None:
    axis = np.linspace(-6.0, 6.0, 241)
    grid = np.stack(np.meshgrid(*[axis] * dimension, indexing="ij"), axis=-1).reshape(-1, dimension)
    particles = np.random.default_rng(2).normal(size=(4, dimension))
    density = np.exp(log_density(grid, particles, bandwidth=0.3))
    assert density.sum() * (axis[1] - axis[0]) ** dimension == pytest.approx(1.0, abs=1e-8)


@pytest.mark.parametrize("bandwidth", [0.3, 1.0, 2.5])
def test_gradient_equals_central_differences(xp: Any, bandwidth: float) -> None:
    query, step = xp.array(QUERY), 1e-5
    gradient = log_density_gradient(query, xp.array(PARTICLES), bandwidth=bandwidth)
    xp.check_like(gradient, query)
    for axis in range(3):
        offset = step * np.eye(3)[axis]
        up, down = (log_density(QUERY + s * offset, PARTICLES, bandwidth=bandwidth) for s in (1.0, -1.0))
        np.testing.assert_allclose(xp.numpy(gradient)[:, axis], (up - down) / (2 * step), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("bandwidth", [0.1, 0.3, 1.0])
def test_gradient_equals_autograd_of_an_independent_kde(bandwidth: float) -> None:
    torch = pytest.importorskip("torch")
    query = torch.tensor(QUERY, requires_grad=True)
    particles = torch.tensor(PARTICLES)
    kernel = torch.distributions.MultivariateNormal(particles, bandwidth**2 * torch.eye(3, dtype=torch.float64))
    log_p = torch.logsumexp(kernel.log_prob(query[:, None, :]), dim=1) - math.log(7)
    (expected,) = torch.autograd.grad(log_p.sum(), query)
    np.testing.assert_allclose(log_density(QUERY, PARTICLES, bandwidth=bandwidth), log_p.detach().numpy(), rtol=1e-10)
    gradient = log_density_gradient(QUERY, PARTICLES, bandwidth=bandwidth)
    np.testing.assert_allclose(gradient, expected.numpy(), rtol=1e-9, atol=1e-9)


def test_torch_can_differentiate_our_own_density() -> None:
    torch = pytest.importorskip("torch")
    query = torch.tensor(QUERY, requires_grad=True)
    log_p = log_density(query, torch.tensor(PARTICLES), bandwidth=0.5)
    (expected,) = torch.autograd.grad(log_p.sum(), query)
    gradient = log_density_gradient(QUERY, PARTICLES, bandwidth=0.5)
    np.testing.assert_allclose(gradient, expected.numpy(), rtol=1e-10)


@pytest.mark.parametrize("bandwidth", [0.05, 0.3, 1.0, 10.0])
def test_mean_shift_is_h_squared_times_the_gradient(xp: Any, bandwidth: float) -> None:
    query, particles = xp.array(QUERY), xp.array(PARTICLES)
    shift = mean_shift(query, particles, bandwidth=bandwidth)
    gradient = log_density_gradient(query, particles, bandwidth=bandwidth)
    np.testing.assert_allclose(xp.numpy(shift), bandwidth**2 * xp.numpy(gradient), rtol=1e-13, atol=1e-15)


def test_leading_axes_are_a_loop_and_broadcast(xp: Any) -> None:
    r = np.random.default_rng(4)
    query, particles = r.normal(size=(2, 3, 4, 2)), r.normal(size=(2, 1, 6, 2))
    value = xp.numpy(log_density(xp.array(query), xp.array(particles), bandwidth=0.6))
    gradient = xp.numpy(log_density_gradient(xp.array(query), xp.array(particles), bandwidth=0.6))
    assert value.shape == (2, 3, 4)
    for i, j in np.ndindex(2, 3):
        one = log_density(query[i, j], particles[i, 0], bandwidth=0.6)
        np.testing.assert_allclose(value[i, j], one, rtol=1e-13)
        slope = log_density_gradient(query[i, j], particles[i, 0], bandwidth=0.6)
        np.testing.assert_allclose(gradient[i, j], slope, rtol=1e-12)


def test_far_points_stay_finite_in_float32(xp: Any) -> None:
    value = log_density(xp.array([[1e4]], "float32"), xp.array([[0.0]], "float32"), bandwidth=1e-3)
    # log phat = -u/2 - log(h) - log(2 pi)/2 with u = 1e14
    assert float(xp.numpy(value)[0]) == pytest.approx(-5e13, rel=1e-6)


def test_several_blocks_of_several_ensembles_equal_one(xp: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    query, particles = (xp.array(np.random.default_rng(6).normal(size=(2, n, 3))) for n in (5, 4))
    for function in (log_density, log_density_gradient):
        with monkeypatch.context() as patch:
            whole = function(query, particles, bandwidth=0.7)
            patch.setattr(_distances, "_MIN_BLOCK", 48)  # two queries of both ensembles
            patch.setattr(_distances, "_DISTANCES", 16)
            np.testing.assert_allclose(xp.numpy(function(query, particles, bandwidth=0.7)), xp.numpy(whole), rtol=1e-13)


def test_more_queries_than_one_block_holds() -> None:
    r = np.random.default_rng(5)
    query, particles = r.normal(size=(3001, 2)), r.normal(size=(50, 2))
    value = log_density(query, particles, bandwidth=0.4)
    for i in (0, 1310, 1311, 3000):
        one = log_density(query[i : i + 1], particles, bandwidth=0.4)
        np.testing.assert_allclose(value[i], one[0], rtol=1e-14)
