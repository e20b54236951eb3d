"""The linear theory against runs of the sampler, to three digits and more, and the bound against what reaches it."""

import numpy as np
import pytest

import kds_ref
from toy.posterior.methods import SCHEDULE, Method, Steering, run, timesteps
from toy.posterior.scores import gelbrich_distance
from toy.posterior.theory import best_error, linear_run, spread_left


class Gaussian:
    """The exact model of independent Gaussians with these variances."""

    def __init__(self, *variances: float) -> None:
        self.variances = np.array(variances)

    def eps(self, x: np.ndarray, *, alpha_bar: float) -> np.ndarray:
        return x * np.sqrt(1 - alpha_bar) / (alpha_bar * self.variances + 1 - alpha_bar)


def options(method: Method) -> dict[str, object]:
    return {"schedule": SCHEDULE, "timesteps": timesteps(method)}


@pytest.mark.parametrize("steps", [1, 7, 50])
@pytest.mark.parametrize("cutoff", [0.3, 0.0])
def test_with_equal_weights_the_formula_holds_in_every_ensemble(cutoff: float, steps: int) -> None:
    variances = (1.0, 0.1, 0.01)
    noise = np.random.default_rng(0).standard_normal((10, 8, 3))
    method = Method(name="", steps=steps, steering=Steering(cutoff=cutoff, kernel="l2"))
    steered = run(method, Gaussian(*variances), noise, channels=3)
    plain = run(Method(name="", steps=steps), Gaussian(*variances), noise, channels=3)
    np.testing.assert_allclose(steered.mean(1), plain.mean(1), rtol=1e-9)  # the mean does not move
    for axis, variance in enumerate(variances):
        factor = linear_run(variance, cutoff=cutoff, **options(method)).x_spread[-1]
        spread = steered[..., axis].std(1) / noise[..., axis].std(0)
        np.testing.assert_allclose(spread, factor, rtol=1e-9)


@pytest.mark.parametrize("bandwidth", [0.1, 0.3, 1.0])
def test_with_many_particles_the_formula_holds_for_every_bandwidth(bandwidth: float) -> None:
    noise = np.random.default_rng(1).standard_normal((2000, 2, 1))
    method = Method(name="", steps=10, particles=2000, steering=Steering(cutoff=0.0, bandwidth=bandwidth))
    steered = run(method, Gaussian(0.5), noise)
    found = np.sqrt(steered.var(1, ddof=1).mean() / noise.var(0, ddof=1).mean())
    expected = linear_run(0.5, cutoff=0.0, bandwidth=bandwidth, **options(method)).x_spread[-1]
    assert found == pytest.approx(expected, rel=3e-3)


def test_the_spread_on_the_way_is_that_of_the_states() -> None:
    noise = np.random.default_rng(2).standard_normal((10, 1, 1))
    seen: list[kds_ref.SamplerState] = []
    method = Method(name="")
    model = Gaussian(0.3)
    kds_ref.ddim(
        lambda x, t: model.eps(x, alpha_bar=SCHEDULE.alpha_bar(t)),
        noise[:, 0],
        **options(method),
        steering=kds_ref.KernelDensitySteering(kernel="l2", patch_size=None, sample_ndim=1),
        callback=seen.append,
    )
    found = linear_run(0.3, **options(method))
    for name, values in (("x_t", found.x_spread[:-1]), ("x0_pred", found.x0_spread)):
        spread = np.array([getattr(state, name).std() for state in seen]) / noise.std()
        np.testing.assert_allclose(values, spread, rtol=1e-9)
    np.testing.assert_allclose(found.sigma, [np.sqrt(1 / state.alpha_bar - 1) for state in seen])


@pytest.mark.parametrize("variance", [1.0, 0.1, 0.001])
@pytest.mark.parametrize("strength", [0.1, 0.3, 0.9])
def test_many_steps_leave_what_the_limit_says(variance: float, strength: float) -> None:
    grid = tuple(range(999, -1, -1))
    for cutoff in (0.1, 0.3):
        steered = linear_run(variance, schedule=SCHEDULE, timesteps=grid, cutoff=cutoff, strength=strength)
        plain = linear_run(variance, schedule=SCHEDULE, timesteps=grid, strength=0.0)
        level = SCHEDULE.alpha_bar(round(1000 * cutoff))
        expected = spread_left(variance, np.sqrt(1 / level - 1), strength=strength)
        assert steered.x_spread[-1] / plain.x_spread[-1] == pytest.approx(expected, rel=2e-2 * strength)


def test_samples_moved_towards_the_mean_reach_the_bound() -> None:
    covariance = np.array([[2.0, 0.3], [0.3, 0.5]])
    total = float(np.trace(covariance))
    for gamma in (0.0, 0.3, 0.8, 1.0):
        distance = gelbrich_distance(np.zeros(2), covariance, gamma**2 * covariance)
        assert distance == pytest.approx((1 - gamma) * np.sqrt(total), abs=1e-7)
        assert best_error(total, distance) == pytest.approx(total * (1 + gamma**2), abs=1e-6)


def test_no_gaussian_answer_is_below_the_bound() -> None:
    rng = np.random.default_rng(3)
    covariance = np.diag([2.0, 0.5, 0.1])
    for _ in range(200):
        root = rng.standard_normal((3, 3)) * rng.uniform(0, 1.5)
        shift = rng.standard_normal(3) * rng.uniform(0, 1)
        distance = gelbrich_distance(shift, covariance, root @ root.T)
        error = np.trace(covariance) + (shift**2).sum() + (root**2).sum()
        assert error >= best_error(np.trace(covariance), distance) - 1e-9
