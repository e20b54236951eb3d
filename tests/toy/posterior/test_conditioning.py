"""The closed-form posterior against numerical integration, against sampling, and against the textbook's Gaussian."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from toy.mixture import GaussianMixture, three_modes
from toy.posterior.batch import PosteriorBatch
from toy.posterior.conditioning import condition, condition_many


def normal(x: np.ndarray, mean: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    return np.asarray(multivariate_normal(mean, covariance).pdf(x))


@pytest.mark.parametrize("measurement", [-2.0, 0.1, 3.0])
def test_in_one_dimension_it_is_the_normalised_product(measurement: float) -> None:
    prior = GaussianMixture([0.3, 0.7], [[-1.0], [0.8]], [[[0.2]], [[0.05]]])
    posterior = condition(prior, np.array([[0.5]]), np.array([measurement]), noise_covariance=np.array([[0.3]]))
    x = np.linspace(-6, 6, 20_001)[:, None]
    product = prior.density(x) * normal(measurement - 0.5 * x, np.zeros(1), np.array([[0.3]]))
    step = 12 / 20_000
    np.testing.assert_allclose(posterior.density(x), product / (product.sum() * step), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("operator", [[[1.0, 0.0], [0.0, 1.0]], [[0.3, -1.0]], [[1.0, 1.0], [0.0, 2.0], [1.0, -1.0]]])
def test_in_two_dimensions_it_is_the_normalised_product_and_so_are_its_moments(operator: list[list[float]]) -> None:
    a = np.array(operator)
    noise = 0.2 * np.eye(len(a)) + 0.05
    y = a @ np.array([0.7, -0.4]) + 0.1
    posterior = condition(three_modes(), a, y, noise_covariance=noise)
    ticks = np.linspace(-5, 5, 401)
    grid = np.stack(np.meshgrid(ticks, ticks), axis=-1)
    product = three_modes().density(grid) * normal(y - grid @ a.T, np.zeros(len(a)), noise)
    expected = product / (product.sum() * (ticks[1] - ticks[0]) ** 2)
    np.testing.assert_allclose(posterior.density(grid), expected, rtol=1e-6, atol=1e-9)

    weights = expected / expected.sum()
    mean = np.einsum("ij,ijd->d", weights, grid)
    np.testing.assert_allclose(posterior.mean(), mean, atol=1e-8)
    centred = grid - mean
    np.testing.assert_allclose(
        posterior.covariance(), np.einsum("ij,ijd,ije->de", weights, centred, centred), atol=1e-8
    )


def test_it_is_what_is_left_of_many_samples_with_nearly_this_measurement() -> None:
    rng = np.random.default_rng(0)
    x = three_modes().sample(400_000, rng)
    y = x[:, 1] + 0.3 * rng.standard_normal(len(x))
    near = x[np.abs(y - 0.4) < 0.02]
    assert len(near) > 4000
    posterior = condition(three_modes(), np.array([[0.0, 1.0]]), np.array([0.4]), noise_covariance=0.09 * np.eye(1))
    error = np.sqrt(np.diag(posterior.covariance()) / len(near))
    assert (np.abs(near.mean(0) - posterior.mean()) < 4 * error).all()
    np.testing.assert_allclose(np.cov(near.T), posterior.covariance(), atol=0.04)


def test_one_gaussian_is_the_textbooks() -> None:
    covariance = np.array([[2.0, 0.5], [0.5, 1.0]])
    prior = GaussianMixture([1.0], [[1.0, -1.0]], covariance[None])
    a, r = np.array([[1.0, 2.0]]), np.array([[0.5]])
    posterior = condition(prior, a, np.array([3.0]), noise_covariance=r)
    precision = np.linalg.inv(covariance) + a.T @ np.linalg.inv(r) @ a
    np.testing.assert_allclose(posterior.covariances[0], np.linalg.inv(precision), rtol=1e-12)
    mean = np.linalg.solve(precision, np.linalg.solve(covariance, [1.0, -1.0]) + a[0] * 3.0 / 0.5)
    np.testing.assert_allclose(posterior.means[0], mean, rtol=1e-12)


def test_many_measurements_are_those_one_by_one() -> None:
    rng = np.random.default_rng(1)
    a, noise = rng.standard_normal((3, 2)), np.diag([0.1, 0.2, 0.3])
    y = rng.standard_normal((5, 3))
    batch = condition_many(three_modes(), a, y, noise_covariance=noise)
    x = rng.standard_normal((5, 7, 2))
    for case in range(5):
        one = condition(three_modes(), a, y[case], noise_covariance=noise)
        np.testing.assert_allclose(batch.log_density(x)[case], one.log_density(x[case]), rtol=1e-9)
        for level in (0.0, 0.4, 1.0):
            np.testing.assert_allclose(
                batch.eps(x, alpha_bar=level)[case], one.eps(x[case], alpha_bar=level), rtol=1e-9, atol=1e-12
            )
        np.testing.assert_allclose(batch.mean()[case], one.mean())
        np.testing.assert_allclose(batch.covariance()[case], one.covariance())
        np.testing.assert_allclose(batch.total_variance()[case], np.trace(one.covariance()))
        np.testing.assert_allclose(batch.responsibilities(x)[case], one.responsibilities(x[case]), atol=1e-12)


def test_single_precision_is_nearly_double() -> None:
    y = np.random.default_rng(2).standard_normal((4, 2))
    batch = condition_many(three_modes(), np.eye(2), y, noise_covariance=np.eye(2))
    x = np.random.default_rng(3).standard_normal((4, 6, 2))
    single = batch.eps(x.astype(np.float32), alpha_bar=0.3)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, batch.eps(x, alpha_bar=0.3), atol=1e-5)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    y = np.random.default_rng(4).standard_normal((9, 2))
    batch = condition_many(three_modes(), np.eye(2), y, noise_covariance=np.eye(2))
    x = np.random.default_rng(5).standard_normal((9, 3, 2))
    whole = batch.eps(x, alpha_bar=0.5), batch.log_density(x)
    monkeypatch.setattr("toy.posterior.batch.CACHED", 1)
    np.testing.assert_allclose(batch.eps(x, alpha_bar=0.5), whole[0], rtol=1e-12)
    np.testing.assert_allclose(batch.log_density(x), whole[1], rtol=1e-12)


def test_samples_have_the_posteriors_moments() -> None:
    batch = condition_many(
        three_modes(), np.array([[0.0, 1.0]]), np.array([[0.5], [-1.5]]), noise_covariance=0.1 * np.eye(1)
    )
    x = batch.sample(100_000, np.random.default_rng(6))
    np.testing.assert_allclose(x.mean(1), batch.mean(), atol=0.02)
    for case in range(2):
        np.testing.assert_allclose(np.cov(x[case].T), batch.covariance()[case], atol=0.02)


def test_a_component_that_underflows_is_left_out() -> None:
    prior = GaussianMixture([0.5, 0.5], [[-100.0], [100.0]], [[[0.01]], [[0.01]]])
    posterior = condition(prior, np.eye(1), np.array([100.0]), noise_covariance=0.01 * np.eye(1))
    assert posterior.weights.tolist() == [1.0]
    batch = condition_many(prior, np.eye(1), np.array([[100.0]]), noise_covariance=0.01 * np.eye(1))
    assert np.isfinite(batch.eps(np.full((1, 2, 1), -100.0), alpha_bar=0.9)).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"operator": np.eye(3)}, r"operator must have shape \(m, 2\) to fit the prior, got \(3, 3\)"),
        ({"operator": np.ones(2)}, "operator must have two axes"),
        ({"operator": np.full((2, 2), np.nan)}, "operator must be finite"),
        ({"measurements": np.ones((4, 3))}, r"measurements must have shape \(B, 2\)"),
        ({"noise_covariance": np.eye(3)}, r"noise_covariance must have shape \(2, 2\)"),
        ({"noise_covariance": np.zeros((2, 2))}, "noise_covariance must be symmetric and positive definite"),
        ({"noise_covariance": np.array([[1.0, 0.5], [0.0, 1.0]])}, "noise_covariance must be symmetric"),
    ],
)
def test_what_does_not_fit_is_named(change: dict[str, np.ndarray], message: str) -> None:
    arguments = {"operator": np.eye(2), "measurements": np.ones((4, 2)), "noise_covariance": np.eye(2), **change}
    with pytest.raises(ValueError, match=f"^{message}"):
        condition_many(three_modes(), **arguments)


def test_a_batch_checks_itself() -> None:
    good = {"log_weights": np.zeros((2, 1)), "means": np.zeros((2, 1, 3)), "covariances": np.eye(3)[None]}
    for change, message in (
        ({"log_weights": np.zeros((2, 2))}, "log_weights must have shape"),
        ({"log_weights": np.ones((2, 1))}, "log_weights must be those of weights that sum to 1"),
        ({"covariances": np.eye(2)[None]}, "covariances must have shape"),
        ({"covariances": -np.eye(3)[None]}, "covariances must be positive definite"),
    ):
        with pytest.raises(ValueError, match=message):
            PosteriorBatch(**{**good, **change})
    with pytest.raises(ValueError, match="x must have shape"):
        PosteriorBatch(**good).eps(np.zeros((3, 4, 3)), alpha_bar=0.5)
    with pytest.raises(ValueError, match="measurement must have shape"):
        condition(three_modes(), np.eye(2), np.ones((1, 2)), noise_covariance=np.eye(2))
