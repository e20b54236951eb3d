"""The samplers against the paper's algorithms, line by line, and against closed forms."""

import math
from collections.abc import Callable
from typing import Any

import array_api_compat
import numpy as np
import pytest

from kds_ref import (
    KernelDensitySteering,
    NoiseSchedule,
    SamplerState,
    add_noise,
    cosine_schedule,
    ddim,
    dpm_solver_pp_2m,
    dpm_solver_pp_2s,
    linear_schedule,
    predict_eps,
    predict_x0,
    scaled_linear_schedule,
    steer,
    steering_strength,
    time_grid,
)

SCHEDULE = scaled_linear_schedule()
SAMPLERS = [ddim, dpm_solver_pp_2m, dpm_solver_pp_2s]
STEPS = [1, 2, 7, 30, 50]
X_T = np.random.default_rng(5).normal(size=(6, 2, 3, 3))


def model(x: Any, t: int) -> Any:
    """Some smooth nonlinear network, on any array library."""
    xp = array_api_compat.array_namespace(x)
    return 0.5 * xp.tanh(1.3 * x + t / 1000.0) + 0.3 * x


def grid_of(sampler: Callable[..., Any], steps: int) -> tuple[int, ...]:
    return time_grid(steps, spacing="leading" if sampler is ddim else "dpm")


def run(sampler: Callable[..., Any], x: Any, steps: int, **options: Any) -> tuple[Any, list[SamplerState]]:
    """Run a sampler on `model`; return the result and every state."""
    states: list[SamplerState] = []
    options = {"schedule": SCHEDULE, "callback": states.append, **options}
    options["timesteps"] = options.get("timesteps") or grid_of(sampler, steps)
    return sampler(options.pop("denoiser", model), x, **options), states


# ---- literal transcriptions of the paper's algorithms


def algorithm_2(x: np.ndarray, grid: tuple[int, ...], bandwidth: float) -> list[np.ndarray]:
    """DDIM + KDS, line by line, with the noise recomputed from the steered latent."""
    path = []
    for i, t in enumerate(grid):
        here = SCHEDULE.alpha_bar(t)
        there = SCHEDULE.alpha_bar(grid[i + 1]) if i + 1 < len(grid) else 1.0
        z0 = (x - math.sqrt(1 - here) * model(x, t)) / math.sqrt(here)
        z0, _ = steer(z0, bandwidth=bandwidth, strength=0.3 if t / 1000 >= 0.3 else 0.0)
        eps = (x - math.sqrt(here) * z0) / math.sqrt(1 - here)
        x = math.sqrt(there) * z0 + math.sqrt(1 - there) * eps
        path.append(x)
    return path


def algorithm_4(x: np.ndarray, grid: tuple[int, ...], bandwidth: float) -> list[np.ndarray]:
    """DPM-Solver++ (2S) + KDS for an odd number of evaluations: pairs, then a first-order step."""

    def data(z: np.ndarray, t: int) -> np.ndarray:
        here = SCHEDULE.alpha_bar(t)
        z0 = (z - math.sqrt(1 - here) * model(z, t)) / math.sqrt(here)
        return steer(z0, bandwidth=bandwidth, strength=0.3 if t / 1000 >= 0.3 else 0.0)[0]

    path = []
    alpha = {t: math.sqrt(SCHEDULE.alpha_bar(t)) for t in grid}
    sigma = {t: math.sqrt(1 - SCHEDULE.alpha_bar(t)) for t in grid}
    lam = {t: math.log(alpha[t] / sigma[t]) for t in grid}
    for prev, s, t in zip(grid[:-2:2], grid[1::2], grid[2::2], strict=True):
        hh = lam[t] - lam[prev]
        r = (lam[s] - lam[prev]) / hh
        z0 = data(x, prev)
        u = sigma[s] / sigma[prev] * x - alpha[s] * (math.exp(-r * hh) - 1) * z0
        u0 = data(u, s)
        d = (1 - 1 / (2 * r)) * z0 + 1 / (2 * r) * u0
        x = sigma[t] / sigma[prev] * x - alpha[t] * (math.exp(-hh) - 1) * d
        path += [u, x]
    return [*path, data(x, grid[-1])]


@pytest.mark.parametrize("steps", STEPS)
def test_ddim_with_steering_is_algorithm_2(xp: Any, steps: int) -> None:
    _, states = run(ddim, xp.array(X_T), steps, steering=KernelDensitySteering(bandwidth=0.8))
    expected = algorithm_2(X_T, grid_of(ddim, steps), 0.8)
    for state, x_next in zip(states, expected, strict=True):
        np.testing.assert_allclose(xp.numpy(state.x_next), x_next, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("steps", [1, 3, 7, 31])
def test_dpm_solver_with_steering_is_algorithm_4(xp: Any, steps: int) -> None:
    _, states = run(dpm_solver_pp_2s, xp.array(X_T), steps, steering=KernelDensitySteering(bandwidth=0.8))
    expected = algorithm_4(X_T, grid_of(dpm_solver_pp_2s, steps), 0.8)
    for state, x_next in zip(states, expected, strict=True):
        np.testing.assert_allclose(xp.numpy(state.x_next), x_next, rtol=1e-9, atol=1e-11)


def lu_algorithm_2(x: np.ndarray, grid: tuple[int, ...], bandwidth: float) -> list[np.ndarray]:
    """DPM-Solver++ (2M) of Lu et al. (2022), Algorithm 2, with KDS on every prediction; last step to clean data."""
    alpha = [math.sqrt(SCHEDULE.alpha_bar(t)) for t in grid]
    sigma = [math.sqrt(1 - SCHEDULE.alpha_bar(t)) for t in grid]
    lam = [math.log(a / s) for a, s in zip(alpha, sigma, strict=True)]
    buffer, path = [], []
    for i, t in enumerate(grid):
        z0 = (x - sigma[i] * model(x, t)) / alpha[i]
        buffer.append(steer(z0, bandwidth=bandwidth, strength=0.3 if t / 1000 >= 0.3 else 0.0)[0])
        if i + 1 == len(grid):
            return [*path, buffer[i]]
        h, d = lam[i + 1] - lam[i], buffer[i]
        if i > 0:
            r = (lam[i] - lam[i - 1]) / h
            d = (1 + 1 / (2 * r)) * buffer[i] - 1 / (2 * r) * buffer[i - 1]
        x = sigma[i + 1] / sigma[i] * x - alpha[i + 1] * (math.exp(-h) - 1) * d
        path.append(x)
    return path


@pytest.mark.parametrize("steps", STEPS)
def test_multistep_solver_with_steering_is_algorithm_2_of_its_paper(xp: Any, steps: int) -> None:
    _, states = run(dpm_solver_pp_2m, xp.array(X_T), steps, steering=KernelDensitySteering(bandwidth=0.8))
    expected = lu_algorithm_2(X_T, grid_of(dpm_solver_pp_2m, steps), 0.8)
    for state, x_next in zip(states, expected, strict=True):
        np.testing.assert_allclose(xp.numpy(state.x_next), x_next, rtol=1e-9, atol=1e-11)


def test_guidance_inside_the_denoiser_is_algorithm_3() -> None:
    def guided(x: np.ndarray, t: int) -> np.ndarray:
        return 0.1 * x + 2.0 * (model(x, t) - 0.1 * x)

    (x0, _), states = run(ddim, X_T, 10, denoiser=guided, steering=KernelDensitySteering(bandwidth=0.8))
    x = X_T
    for state in states:
        z0 = predict_x0(x, guided(x, state.t), state.alpha_bar)
        strength = steering_strength(state.t, 1000)
        z0 = steer(z0, bandwidth=0.8, strength=strength)[0]
        eps = predict_eps(x, z0, state.alpha_bar)
        nxt = states[state.step + 1].alpha_bar if state.step < 9 else 1.0
        x = add_noise(z0, eps, nxt)
    np.testing.assert_allclose(x0, x, rtol=1e-10, atol=1e-12)


# ---- closed forms


class Gaussian:
    """Exact noise prediction for data N(mu, c^2 I), and the exact solutions that follow from it."""

    def __init__(self, schedule: NoiseSchedule, mu: float, c: float) -> None:
        self.schedule, self.mu, self.c = schedule, mu, c

    def variance(self, alpha_bar: float) -> float:
        return alpha_bar * self.c**2 + 1.0 - alpha_bar

    def __call__(self, x: np.ndarray, t: int) -> np.ndarray:
        a = self.schedule.alpha_bar(t)
        return math.sqrt(1 - a) * (x - math.sqrt(a) * self.mu) / self.variance(a)

    def flow(self, x: np.ndarray, here: float, there: float) -> np.ndarray:
        """The probability-flow ODE, solved exactly."""
        scale = math.sqrt(self.variance(there) / self.variance(here))
        return math.sqrt(there) * self.mu + scale * (x - math.sqrt(here) * self.mu)

    def ddim_step(self, x: np.ndarray, here: float, there: float) -> np.ndarray:
        """One DDIM step in closed form: a linear map of the deviation from the mean."""
        factor = math.sqrt(there * here) * self.c**2 + math.sqrt((1 - there) * (1 - here))
        return math.sqrt(there) * self.mu + factor / self.variance(here) * (x - math.sqrt(here) * self.mu)


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("make", [linear_schedule, scaled_linear_schedule, cosine_schedule])
def test_ddim_on_a_gaussian_equals_its_closed_form_at_every_state(make: Callable[..., Any], steps: int) -> None:
    exact = Gaussian(make(), mu=1.5, c=0.7)
    _, states = run(ddim, X_T, steps, schedule=exact.schedule, denoiser=exact)
    x = X_T
    for state in states:
        there = states[state.step + 1].alpha_bar if state.step + 1 < steps else 1.0
        x = exact.ddim_step(x, state.alpha_bar, there)
        np.testing.assert_allclose(state.x_next, x, rtol=1e-11, atol=1e-12)


def test_ddim_on_a_gaussian_has_the_right_moments() -> None:
    exact = Gaussian(cosine_schedule(), mu=1.5, c=0.7)
    x_t = np.random.default_rng(0).normal(size=(20000, 1))
    (x0, _), _ = run(ddim, x_t, 500, schedule=exact.schedule, denoiser=exact)
    assert x0.mean() == pytest.approx(1.5, abs=0.02)
    assert x0.std() == pytest.approx(0.7, abs=0.02)


@pytest.mark.parametrize(("sampler", "order"), [(ddim, 1.0), (dpm_solver_pp_2m, 2.0), (dpm_solver_pp_2s, 2.0)])
def test_order_of_convergence(sampler: Callable[..., Any], order: float) -> None:
    # error against the exact flow between two fixed times, on grids even in lambda = log(alpha / sigma)
    exact = Gaussian(cosine_schedule(200000), mu=1.5, c=0.7)
    levels = exact.schedule.alphas_cumprod
    lam = 0.5 * np.log(levels / (1 - levels))
    errors = []
    for intervals in (8, 16, 32, 64):
        wanted = np.linspace(-3.0, 2.0, intervals + 1)
        grid = [int(np.argmin(np.abs(lam - value))) for value in wanted]
        _, states = run(sampler, X_T, 1, schedule=exact.schedule, denoiser=exact, timesteps=grid)
        target = exact.flow(X_T, states[0].alpha_bar, states[-1].alpha_bar)
        errors.append(np.abs(states[-1].x_t - target).max())
    slopes = np.log2(np.asarray(errors[:-1]) / np.asarray(errors[1:]))
    assert slopes[-1] == pytest.approx(order, abs=0.15), slopes


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("steps", STEPS)
def test_a_point_of_data_is_reached_whatever_the_steps(sampler: Callable[..., Any], steps: int) -> None:
    exact = Gaussian(SCHEDULE, mu=-0.8, c=0.0)
    (x0, _), _ = run(sampler, X_T, steps, denoiser=exact)
    np.testing.assert_allclose(x0, -0.8, rtol=1e-12)
