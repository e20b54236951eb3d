"""The exact density, score and eps of the mixture against scipy, finite differences and torch autograd."""

import math

import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm

from toy.mixture import GaussianMixture, three_modes

ALPHA_BARS = [1.0, 0.9, 0.5, 0.02, 1e-6, 0.0]


def random_mixture(dimension: int, n_components: int = 3, seed: int = 20260101) -> GaussianMixture:
    rng = np.random.default_rng(seed + dimension)
    factors = rng.normal(size=(n_components, dimension, dimension))
    covariances = factors @ factors.swapaxes(1, 2) / dimension + 0.05 * np.eye(dimension)
    weights = rng.uniform(0.2, 1.0, n_components)
    return GaussianMixture(weights / weights.sum(), 2 * rng.normal(size=(n_components, dimension)), covariances)


def points(dimension: int, n: int = 7) -> np.ndarray:
    return 1.5 * np.random.default_rng(11).normal(size=(n, dimension))


def scipy_density(mixture: GaussianMixture, x: np.ndarray, alpha_bar: float) -> np.ndarray:
    total = np.zeros(len(x))
    for weight, mean, covariance in zip(mixture.weights, mixture.means, mixture.covariances, strict=True):
        noised = alpha_bar * covariance + (1 - alpha_bar) * np.eye(mixture.dimension)
        total += weight * multivariate_normal(np.sqrt(alpha_bar) * mean, noised).pdf(x)
    return total


@pytest.mark.parametrize("alpha_bar", ALPHA_BARS)
@pytest.mark.parametrize("dimension", [1, 2, 5])
def test_density_is_that_of_scipy(dimension: int, alpha_bar: float) -> None:
    mixture, x = random_mixture(dimension), points(dimension)
    expected = scipy_density(mixture, x, alpha_bar)
    np.testing.assert_allclose(mixture.density(x, alpha_bar=alpha_bar), expected, rtol=1e-10)
    np.testing.assert_allclose(mixture.log_density(x, alpha_bar=alpha_bar), np.log(expected), rtol=1e-10)


@pytest.mark.parametrize("alpha_bar", ALPHA_BARS)
@pytest.mark.parametrize("dimension", [1, 2, 5])
def test_score_is_the_finite_difference_of_scipys_log_density(dimension: int, alpha_bar: float) -> None:
    mixture, x = random_mixture(dimension), points(dimension)
    step = 1e-5
    expected = np.empty_like(x)
    for axis, shift in enumerate(step * np.eye(dimension)):
        above, below = (scipy_density(mixture, x + sign * shift, alpha_bar) for sign in (1, -1))
        expected[:, axis] = (np.log(above) - np.log(below)) / (2 * step)
    np.testing.assert_allclose(mixture.score(x, alpha_bar=alpha_bar), expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("alpha_bar", [1.0, 0.5, 0.02])
@pytest.mark.parametrize("dimension", [1, 2, 5])
def test_score_is_torchs_gradient_of_the_log_density(dimension: int, alpha_bar: float) -> None:
    torch = pytest.importorskip("torch")
    mixture = random_mixture(dimension)
    x = torch.tensor(points(dimension), requires_grad=True)
    means = math.sqrt(alpha_bar) * torch.tensor(np.array(mixture.means))
    covariances = alpha_bar * torch.tensor(np.array(mixture.covariances)) + (1 - alpha_bar) * torch.eye(
        dimension, dtype=torch.float64
    )
    components = torch.distributions.MultivariateNormal(means, covariance_matrix=covariances)
    choice = torch.distributions.Categorical(probs=torch.tensor(np.array(mixture.weights)))
    torch.distributions.MixtureSameFamily(choice, components).log_prob(x).sum().backward()
    score = mixture.score(x.detach().numpy(), alpha_bar=alpha_bar)
    np.testing.assert_allclose(score, x.grad.numpy(), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("alpha_bar", [0.9, 0.5, 0.02])
def test_eps_is_the_mean_of_the_noise_given_x_t(alpha_bar: float) -> None:
    # E[eps | x_t] by quadrature over x0: the definition of the ideal denoiser, without any score.
    mixture = GaussianMixture([0.3, 0.7], [[-1.0], [0.8]], [[[0.2]], [[0.05]]])
    x0 = np.linspace(-6, 6, 20_001)
    prior = 0.3 * norm.pdf(x0, -1.0, math.sqrt(0.2)) + 0.7 * norm.pdf(x0, 0.8, math.sqrt(0.05))
    for x_t in (-1.3, 0.1, 2.0):
        eps = (x_t - math.sqrt(alpha_bar) * x0) / math.sqrt(1 - alpha_bar)
        posterior = prior * norm.pdf(eps)
        expected = (eps * posterior).sum() / posterior.sum()
        assert mixture.eps(np.array([x_t]), alpha_bar=alpha_bar)[0] == pytest.approx(expected, rel=1e-8, abs=1e-10)


def test_eps_and_score_differ_by_the_noises_standard_deviation() -> None:
    mixture, x = random_mixture(2), points(2)
    for alpha_bar in ALPHA_BARS:
        expected = -math.sqrt(1 - alpha_bar) * mixture.score(x, alpha_bar=alpha_bar)
        np.testing.assert_allclose(mixture.eps(x, alpha_bar=alpha_bar), expected, rtol=1e-14)


@pytest.mark.parametrize("dimension", [1, 2, 5])
def test_pure_noise_is_standard_normal(dimension: int) -> None:
    mixture, x = random_mixture(dimension), points(dimension)
    np.testing.assert_allclose(mixture.log_density(x, alpha_bar=0.0), norm.logpdf(x).sum(-1), rtol=1e-12)
    np.testing.assert_allclose(mixture.score(x, alpha_bar=0.0), -x, rtol=1e-12)
    np.testing.assert_allclose(mixture.eps(x, alpha_bar=1e-12), x, rtol=0, atol=1e-4)


def test_responsibilities_are_bayes_rule_and_survive_far_points() -> None:
    mixture = GaussianMixture([0.25, 0.75], [[0.0], [2.0]], [[[1.0]], [[1.0]]])
    at_middle = mixture.responsibilities(np.array([[1.0], [1e6], [-1e6]]))
    np.testing.assert_allclose(at_middle, [[0.25, 0.75], [0.0, 1.0], [1.0, 0.0]], atol=1e-15)


def test_leading_axes_are_free() -> None:
    mixture = random_mixture(2)
    x = points(2, 24).reshape(2, 3, 4, 2)
    one_by_one = np.array([mixture.score(point, alpha_bar=0.4) for point in x.reshape(-1, 2)]).reshape(x.shape)
    np.testing.assert_allclose(mixture.score(x, alpha_bar=0.4), one_by_one, rtol=1e-14)
    assert mixture.log_density(x).shape == (2, 3, 4)
    assert mixture.responsibilities(x).shape == (2, 3, 4, 3)


def test_dtype_in_is_dtype_out_and_the_input_stays() -> None:
    mixture = three_modes()
    x = points(2).astype(np.float32)
    x.setflags(write=False)
    for result in (mixture.score(x), mixture.eps(x, alpha_bar=0.5), mixture.log_density(x)):
        assert result.dtype == np.float32
    np.testing.assert_allclose(mixture.score(x), mixture.score(x.astype(np.float64)), rtol=1e-6)


def test_samples_have_the_moments_of_the_mixture() -> None:
    mixture = random_mixture(3)
    n = 200_000
    x = mixture.sample(n, np.random.default_rng(7))
    spread = np.sqrt(np.diag(mixture.covariance()) / n)
    assert (np.abs(x.mean(0) - mixture.mean()) < 4.5 * spread).all()
    np.testing.assert_allclose(np.cov(x.T), mixture.covariance(), atol=0.03)
    shares = np.bincount(three_modes().responsibilities(
        three_modes().sample(n, np.random.default_rng(8))).argmax(-1)) / n  # fmt: skip
    np.testing.assert_allclose(shares, three_modes().weights, atol=4.5 * math.sqrt(0.25 / n))


def test_the_default_target_is_what_its_docstring_says() -> None:
    mixture = three_modes()
    np.testing.assert_allclose(mixture.mean(), 0, atol=1e-12)
    assert np.trace(mixture.covariance()) / 2 == pytest.approx(1.0, abs=0.01)
    np.testing.assert_allclose(np.trace(mixture.covariances, axis1=1, axis2=2) / 2, 0.3**2)


EYE = np.eye(2)


@pytest.mark.parametrize(
    ("weights", "means", "covariances", "message"),
    [
        ([0.5, 0.6], [[0, 0], [1, 1]], [EYE, EYE], r"weights must sum to 1, got a sum of 1\.1"),
        ([1.5, -0.5], [[0, 0], [1, 1]], [EYE, EYE], "weights must be positive"),
        ([1.0, 0.0], [[0, 0], [1, 1]], [EYE, EYE], "weights must be positive"),
        ([math.nan, 1.0], [[0, 0], [1, 1]], [EYE, EYE], "weights must be finite"),
        ([1.0], [[0, 0], [1, 1]], [EYE, EYE], r"weights must have shape \(2,\)"),
        ([1.0], [0, 0], [EYE], r"means must have shape \(K, d\)"),
        ([1.0], [[0, math.inf]], [EYE], "means must be finite"),
        ([], np.zeros((0, 2)), np.zeros((0, 2, 2)), "at least one component"),
        ([1.0], [[0, 0]], [np.eye(3)], r"covariances must have shape \(1, 2, 2\)"),
        ([1.0], [[0, 0]], EYE, r"covariances must have shape \(K, d, d\)"),
        ([1.0], [[0, 0]], [[[1, 0.2], [0.1, 1]]], r"covariances\[0\] must be symmetric"),
        ([1.0], [[0, 0]], [[[1, 2], [2, 1]]], "must be positive definite"),
        # singular, though its smaller eigenvalue rounds to 1.4e-17
        (
            [1.0],
            [[0, 0]],
            [[[1.1, 1.1 / 3], [1.1 / 3, 1.1 / 9]]],
            "must be positive definite",
        ),
    ],
)
def test_an_impossible_mixture_is_refused(weights: list, means: list, covariances: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GaussianMixture(weights, means, covariances)


def test_arguments_of_a_wrong_kind_are_refused() -> None:
    mixture = three_modes()
    with pytest.raises(TypeError, match="means must hold real numbers"):
        GaussianMixture([1.0], [[1j, 0]], [EYE])
    with pytest.raises(TypeError, match="x must be floating point"):
        mixture.score(np.array([[1, 2]]))
    with pytest.raises(ValueError, match=r"x must have shape \(\.\.\., 2\), got \(4, 3\)"):
        mixture.score(np.zeros((4, 3)))
    with pytest.raises(ValueError, match="x must be finite"):
        mixture.log_density(np.array([0.0, math.nan]))
    for alpha_bar in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match="alpha_bar must lie in"):
            mixture.eps(np.zeros(2), alpha_bar=alpha_bar)
    with pytest.raises(TypeError, match="rng must be a numpy Generator"):
        mixture.sample(3, np.random)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="n_samples must be >= 0"):
        mixture.sample(-1, np.random.default_rng(0))


def test_a_mixture_cannot_be_changed_from_outside() -> None:
    means = np.zeros((1, 2))
    mixture = GaussianMixture([1.0], means, [EYE])
    means += 5
    assert mixture.means.tolist() == [[0.0, 0.0]]
    with pytest.raises(ValueError, match="read-only"):
        mixture.means[0, 0] = 1.0
