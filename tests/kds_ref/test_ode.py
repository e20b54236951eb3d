"""The ODE against CR Eq. 3 written out, closed forms and the samplers, which must converge to its solution."""

import math
from collections.abc import Callable
from typing import Any

import array_api_compat
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kds_ref import (
    KernelDensitySteering,
    ProbabilityFlowODE,
    SamplerState,
    cosine_schedule,
    ddim,
    dpm_solver_pp_2m,
    dpm_solver_pp_2s,
    linear_schedule,
    log_density_gradient,
    mean_shift,
    predict_score,
    scaled_linear_schedule,
    steer,
)

toy = pytest.importorskip("toy.mixture")
integrate = pytest.importorskip("scipy.integrate")

SCHEDULE = linear_schedule()
MIXTURE = toy.three_modes()
SEEDS = st.integers(0, 2**32 - 1)
TIMES = st.floats(0.0, 999.0)


def points(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def exact_eps(x: np.ndarray, t: float) -> np.ndarray:
    return MIXTURE.eps(x, alpha_bar=SCHEDULE.continuous_alpha_bar(t))


def exact_x0(x: np.ndarray, alpha_bar: float) -> np.ndarray:
    return (x + (1.0 - alpha_bar) * MIXTURE.score(x, alpha_bar=alpha_bar)) / math.sqrt(alpha_bar)


def tanh_model(x: Any, t: float) -> Any:
    """A model on any array library."""
    return array_api_compat.array_namespace(x).tanh(x)


def smooth_strength(t: float) -> float:
    return 0.6 * math.sin(math.pi * t / 1000.0) ** 2


def smooth_steering(x0_pred: Any, t: float) -> tuple[Any, None]:
    return steer(x0_pred, bandwidth=0.3, strength=smooth_strength(t), patch_size=None)[0], None


# ---- the score


@given(SEEDS, st.floats(1e-4, 0.999), st.floats(0.0, 1.0), st.floats(0.1, 3.0))
def test_mixing_two_scores_is_the_score_at_the_steered_latent(
    xp: Any, seed: int, alpha_bar: float, delta: float, h: float
) -> None:
    z, z0 = xp.array(points(seed, 5, 2)), xp.array(points(seed + 1, 5, 2))
    shift = xp.numpy(mean_shift(z0, z0, bandwidth=h))
    score = xp.numpy(predict_score(z, z0, alpha_bar))
    full, _ = steer(z0, bandwidth=h, strength=1.0, patch_size=None)
    steered, _ = steer(z0, bandwidth=h, strength=delta, patch_size=None)
    mixed = (1.0 - delta) * score + delta * xp.numpy(predict_score(z, full, alpha_bar))
    scale = 1e-13 / (1.0 - alpha_bar)
    np.testing.assert_allclose(xp.numpy(predict_score(z, steered, alpha_bar)), mixed, rtol=1e-11, atol=10 * scale)
    extra = delta * math.sqrt(alpha_bar) * shift / (1.0 - alpha_bar)
    np.testing.assert_allclose(mixed, score + extra, rtol=1e-11, atol=10 * scale)


@pytest.mark.parametrize("alpha_bar", [0.01, 0.5, 0.99])
def test_the_score_at_the_exact_prediction_is_the_exact_score(xp: Any, alpha_bar: float) -> None:
    # E[x0 | x_t] of the mixture as a weighted mean of its components' own predictions, not through any score
    x = points(3, 20, 2)
    x0 = np.zeros_like(x)
    share = MIXTURE.responsibilities(x, alpha_bar=alpha_bar)
    for k in range(3):
        mean, cov = MIXTURE.means[k], MIXTURE.covariances[k]
        gain = math.sqrt(alpha_bar) * cov @ np.linalg.inv(alpha_bar * cov + (1 - alpha_bar) * np.eye(2))
        x0 += share[:, k : k + 1] * (mean + (x - math.sqrt(alpha_bar) * mean) @ gain.T)
    score = xp.numpy(predict_score(xp.array(x), xp.array(x0), alpha_bar))
    np.testing.assert_allclose(score, MIXTURE.score(x, alpha_bar=alpha_bar), rtol=1e-9, atol=1e-10)


# ---- the right-hand side


@given(SEEDS, TIMES, st.sampled_from(["epsilon", "sample", "v_prediction"]))
def test_the_right_hand_side_is_equation_3(xp: Any, seed: int, t: float, prediction_type: str) -> None:
    z = points(seed, 5, 2)
    alpha_bar, beta = SCHEDULE.continuous_alpha_bar(t), SCHEDULE.continuous_beta(t)
    a, s = math.sqrt(alpha_bar), math.sqrt(1.0 - alpha_bar)
    z0 = np.tanh(z + t / 1000.0)
    eps = (z - a * z0) / s
    output = {"epsilon": eps, "sample": z0, "v_prediction": a * eps - s * z0}[prediction_type]
    # CR Eq. 1 to 3 with the sign of a score, line by line
    delta = smooth_strength(t)
    z0_tilde = z0 + mean_shift(z0, z0, bandwidth=0.3)
    score, score_tilde = (-(z - a * clean) / (1.0 - alpha_bar) for clean in (z0, z0_tilde))
    f, g_squared = -0.5 * beta, beta
    expected = f * z - 0.5 * g_squared * ((1.0 - delta) * score + delta * score_tilde)

    ode = ProbabilityFlowODE(
        lambda x, t: xp.array(output),
        xp.array(z),
        schedule=SCHEDULE,
        steering=smooth_steering,
        prediction_type=prediction_type,
    )
    ours = ode(t, z.ravel())
    assert ours.dtype == np.float64
    assert ours.shape == (10,)
    np.testing.assert_allclose(ours.reshape(5, 2), expected, rtol=1e-9, atol=1e-11)


@given(SEEDS, TIMES, st.floats(0.1, 2.0))
def test_in_reverse_time_steering_moves_up_the_density_of_the_ensemble(seed: int, t: float, h: float) -> None:
    # v1 Eq. 2, read literally, moves down
    z = points(seed, 6, 2)
    steered, plain = (
        ProbabilityFlowODE(lambda x, t: np.tanh(x), z, schedule=SCHEDULE, steering=steering, prediction_type="sample")
        for steering in (lambda x0, t: steer(x0, bandwidth=h, strength=0.3, patch_size=None), None)
    )
    change = (steered(t, z.ravel()) - plain(t, z.ravel())).reshape(6, 2)
    slope = log_density_gradient(np.tanh(z), np.tanh(z), bandwidth=h)
    norm = np.linalg.norm(slope, axis=-1)
    cosine = (-change * slope).sum(axis=-1) / (np.linalg.norm(change, axis=-1) * norm + 1e-300)
    assert np.all(cosine[norm > 1e-6] > 0.999)


def test_without_a_shift_it_is_the_plain_ode_bit_for_bit(xp: Any) -> None:
    z = xp.array(points(1, 5, 2))
    steering = KernelDensitySteering(bandwidth=1e-6, strength=1.0, cutoff=0.0, patch_size=None)
    plain, steered = (ProbabilityFlowODE(tanh_model, z, schedule=SCHEDULE, steering=s) for s in (None, steering))
    y = plain.flatten(z)
    assert plain(300.5, y).tobytes() == steered(300.5, y).tobytes()


# ---- solutions in closed form


class Gaussian:
    """Exact noise prediction for data N(mu, c^2 I)."""

    def __init__(self, schedule: Any, mu: float, c: float) -> None:
        self.schedule, self.mu, self.c = schedule, mu, c

    def variance(self, t: float) -> float:
        return self.schedule.continuous_alpha_bar(t) * (self.c**2 - 1.0) + 1.0

    def __call__(self, x: np.ndarray, t: float) -> np.ndarray:
        a = self.schedule.continuous_alpha_bar(t)
        return math.sqrt(1 - a) * (x - math.sqrt(a) * self.mu) / self.variance(t)


@pytest.mark.parametrize("make", [linear_schedule, scaled_linear_schedule, cosine_schedule])
@pytest.mark.parametrize("strength", [0.0, 0.3, 1.0])
def test_a_gaussian_steered_to_the_mean_has_its_closed_solution(make: Callable[..., Any], strength: float) -> None:
    # h = infinity: m = mean - z0. The ensemble mean follows the plain flow, with a factor sqrt(v_s / v_t), and the
    # deviations have the factor (v_s / v_t)^((1 - delta)/2) * (sigma_s / sigma_t)^delta
    exact = Gaussian(make(), mu=1.5, c=0.7)
    x = points(2, 6, 2)
    ode = ProbabilityFlowODE(
        exact,
        x,
        schedule=exact.schedule,
        steering=lambda x0, t: steer(x0, bandwidth=1e9, strength=strength, patch_size=None),
    )
    start, end = 950.0, 20.5
    path = integrate.solve_ivp(ode, (start, end), ode.flatten(x), rtol=1e-7, atol=1e-8)
    here, there = (exact.schedule.continuous_alpha_bar(t) for t in (start, end))
    v, sigma = exact.variance(end) / exact.variance(start), math.sqrt((1 - there) / (1 - here))
    mean = x.mean(axis=0)
    factor = v ** ((1.0 - strength) / 2.0) * sigma**strength
    expected = math.sqrt(there) * 1.5 + math.sqrt(v) * (mean - math.sqrt(here) * 1.5) + factor * (x - mean)
    np.testing.assert_allclose(ode.unflatten(path.y[:, -1]), expected, rtol=1e-5, atol=1e-6)


# ---- the samplers are discretisations of it


@pytest.fixture(scope="module")
def solution() -> tuple[np.ndarray, np.ndarray]:
    """Noise at t = 960 and where the steered ODE takes it by t = 64, for the exact score of the mixture."""
    x = points(0, 12, 2)
    ode = ProbabilityFlowODE(exact_eps, x, schedule=SCHEDULE, steering=smooth_steering)
    path = integrate.solve_ivp(ode, (960.0, 64.0), ode.flatten(x), method="DOP853", rtol=1e-9, atol=1e-10)
    return x, ode.unflatten(path.y[:, -1])


def errors_of(sampler: Callable[..., Any], solution: tuple[np.ndarray, np.ndarray], steering: Any) -> np.ndarray:
    """Largest error at t = 64 for 56, 112, 224 and 448 equal steps from t = 960."""
    errors = []
    for intervals in (56, 112, 224, 448):
        grid = tuple(range(960, 63, -896 // intervals))
        states: list[SamplerState] = []
        sampler(exact_eps, solution[0], schedule=SCHEDULE, timesteps=grid, steering=steering, callback=states.append)
        errors.append(np.abs(states[-1].x_t - solution[1]).max())
    return np.asarray(errors)


@pytest.mark.parametrize(("sampler", "order"), [(ddim, 1.0), (dpm_solver_pp_2m, 2.0), (dpm_solver_pp_2s, 2.0)])
def test_steered_samplers_converge_to_the_steered_ode(sampler: Any, order: float, solution: Any) -> None:
    errors = errors_of(sampler, solution, smooth_steering)
    slope = -np.polyfit(np.log([56, 112, 224, 448]), np.log(errors), 1)[0]
    assert slope == pytest.approx(order, abs=0.25), errors
    assert errors[-1] < {1.0: 0.02, 2.0: 1e-3}[order]


def test_plain_samplers_do_not_converge_to_the_steered_ode(solution: Any) -> None:
    # the difference that the test above sees is not small
    assert np.all(errors_of(dpm_solver_pp_2s, solution, None) > 0.1)


def test_the_last_step_of_a_sampler_is_the_prediction(xp: Any) -> None:
    x = xp.array(points(4, 5, 2))
    steering = KernelDensitySteering(bandwidth=0.8, cutoff=0.0, patch_size=None)
    ode = ProbabilityFlowODE(tanh_model, x, schedule=SCHEDULE, steering=steering)
    expected = ddim(tanh_model, x, schedule=SCHEDULE, timesteps=(40,), steering=steering).x0
    np.testing.assert_array_equal(xp.numpy(ode.predict_x0(40.0, ode.flatten(x))), xp.numpy(expected))
    xp.check_like(ode.predict_x0(40.5, ode.flatten(x)), x)


# ---- states


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_flatten_and_unflatten_are_inverse(xp: Any, dtype: str) -> None:
    x = xp.array(points(5, 3, 4, 1, 2), dtype)
    seen = []

    def denoiser(x_t: Any, t: float) -> Any:
        seen.append((x_t, t))
        return x_t

    ode = ProbabilityFlowODE(denoiser, x, schedule=SCHEDULE)
    y = ode.flatten(x)
    assert y.dtype == np.float64
    np.testing.assert_array_equal(y, xp.numpy(x).ravel())
    y[0] = 7.0  # the caller's own
    assert float(xp.numpy(x)[0, 0, 0, 0]) != 7.0
    back = ode.unflatten(y)
    y[0] = 8.0
    assert float(xp.numpy(back)[0, 0, 0, 0]) == 7.0
    xp.check_like(back, x)
    ode(10.25, y)
    ode(np.float64(10.5), y)
    for x_t, _ in seen:
        xp.check_like(x_t, x)
    assert [(t, type(t)) for _, t in seen] == [(10.25, float), (10.5, float)]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_is_for_the_model_only(dtype: str) -> None:
    torch = pytest.importorskip("torch")
    half = getattr(torch, dtype)

    def model(x: Any, t: float) -> Any:
        assert x.dtype == half
        return torch.tanh(x)

    x = torch.from_numpy(points(6, 5, 2)).to(half)
    steering = KernelDensitySteering(bandwidth=0.8, patch_size=None)
    ours = ProbabilityFlowODE(model, x, schedule=SCHEDULE, steering=steering)
    wide = ProbabilityFlowODE(
        lambda x, t: model(x.to(half), t).float(), x.float(), schedule=SCHEDULE, steering=steering
    )
    y = ours.flatten(x) + 1e-4  # not a number of half precision
    np.testing.assert_array_equal(ours(500.0, y), wide(500.0, y))
    assert torch.equal(ours.predict_x0(500.0, y), wide.predict_x0(500.0, y).to(half))
