"""What a sampler reports and keeps: counts, callbacks, noise, dtypes, untouched inputs, the last step."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import array_api_compat
import numpy as np
import pytest

from kds_ref import (
    KernelDensitySteering,
    NoiseSchedule,
    SamplerResult,
    SamplerState,
    SteeringInfo,
    ddim,
    dpm_solver_pp_2m,
    dpm_solver_pp_2s,
    scaled_linear_schedule,
    time_grid,
)

SCHEDULE = scaled_linear_schedule()
SAMPLERS = [ddim, dpm_solver_pp_2m, dpm_solver_pp_2s]
PREDICTIONS = ["epsilon", "v_prediction", "sample"]
STEPS = [1, 2, 3, 7, 30]
X_T = np.random.default_rng(5).normal(size=(4, 2, 3, 3))


def model(x: Any, t: int) -> Any:
    """Some smooth nonlinear network, on any array library."""
    xp = array_api_compat.array_namespace(x)
    return 0.5 * xp.tanh(1.3 * x + t / 1000.0) + 0.3 * x


def run(sampler: Callable[..., Any], x: Any, steps: int, **options: Any) -> tuple[Any, list[SamplerState]]:
    states: list[SamplerState] = []
    grid = time_grid(steps, spacing="dpm")
    options = {"schedule": SCHEDULE, "timesteps": grid, "callback": states.append, **options}
    return sampler(options.pop("denoiser", model), x, **options), states


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("steps", STEPS)
def test_counts_every_model_evaluation(sampler: Callable[..., Any], steps: int) -> None:
    calls = []

    def counting(x: np.ndarray, t: int) -> np.ndarray:
        calls.append(t)
        return model(x, t)

    result, states = run(sampler, X_T, steps, denoiser=counting, steering=KernelDensitySteering())
    assert isinstance(result, SamplerResult)
    assert result.num_model_evaluations == len(calls) == len(states) == steps
    assert tuple(calls) == time_grid(steps, spacing="dpm")
    assert all(type(t) is int for t in calls)
    assert [s.num_model_evaluations for s in states] == list(range(1, steps + 1))


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("steps", STEPS)
def test_callback_sees_every_state(xp: Any, sampler: Callable[..., Any], steps: int) -> None:
    x = xp.array(X_T, "float32")
    seen = []

    def recording(x_t: Any, t: int) -> Any:
        seen.append(x_t)
        return model(x_t, t)

    result, states = run(sampler, x, steps, denoiser=recording, steering=KernelDensitySteering(bandwidth=1.0))
    grid = time_grid(steps, spacing="dpm")
    assert [s.step for s in states] == list(range(steps))
    assert {s.num_steps for s in states} == {steps}
    assert tuple(s.t for s in states) == grid
    assert [s.alpha_bar for s in states] == [SCHEDULE.alpha_bar(t) for t in grid]
    np.testing.assert_array_equal(xp.numpy(states[0].x_t), xp.numpy(x))
    np.testing.assert_array_equal(xp.numpy(states[-1].x_next), xp.numpy(result.x0))
    for state, x_t in zip(states, seen, strict=True):
        np.testing.assert_array_equal(xp.numpy(state.x_t), xp.numpy(x_t))
        for array in (state.x_t, state.x0_pred, state.x0_steered, state.x_next):
            xp.check_like(array, x)
        assert isinstance(state.info, SteeringInfo) == (state.t >= 300)
    for state, following in itertools.pairwise(states):
        np.testing.assert_array_equal(xp.numpy(state.x_next), xp.numpy(following.x_t))


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_states_say_what_was_steered(sampler: Callable[..., Any]) -> None:
    _, states = run(sampler, X_T, 10, steering=KernelDensitySteering(bandwidth=1.0))
    for state in states:
        expected, _ = KernelDensitySteering(bandwidth=1.0)(state.x0_pred, state.t)
        np.testing.assert_array_equal(state.x0_steered, expected)
        assert (np.abs(state.x0_steered - state.x0_pred).max() > 0.0) == (state.t >= 300)
    _, plain = run(sampler, X_T, 10)
    assert all(state.info is None for state in plain)
    assert all(np.array_equal(state.x0_steered, state.x0_pred) for state in plain)


@pytest.mark.parametrize("sampler", [dpm_solver_pp_2m, dpm_solver_pp_2s])
def test_every_data_prediction_of_the_solver_is_steered(sampler: Callable[..., Any]) -> None:
    # Algorithms 4 and 5: both predictions of a pair, so every evaluation above the cut-off
    calls = []

    def steering(x0_pred: np.ndarray, t: int) -> tuple[np.ndarray, None]:
        calls.append(t)
        return x0_pred, None

    run(sampler, X_T, 9, steering=steering)
    assert tuple(calls) == time_grid(9, spacing="dpm")


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("prediction_type", PREDICTIONS)
@pytest.mark.parametrize("steps", STEPS)
def test_last_step_ends_at_clean_data(sampler: Callable[..., Any], prediction_type: str, steps: int) -> None:
    result, states = run(
        sampler, X_T, steps, prediction_type=prediction_type, steering=KernelDensitySteering(cutoff=0.0)
    )
    np.testing.assert_array_equal(result.x0, states[-1].x0_steered)


@pytest.mark.parametrize("steps", [2, 4, 8])
def test_two_last_steps_of_an_even_solver_run_are_first_order(steps: int) -> None:
    # a first-order step depends on its own prediction only: (sigma_t/sigma) x - alpha_t (e^-hh - 1) x0
    _, states = run(dpm_solver_pp_2s, X_T, steps)
    before = states[-2]
    here, there = before.alpha_bar, states[-1].alpha_bar
    ratio = math.sqrt((1 - there) / (1 - here))
    expected = ratio * before.x_t + (math.sqrt(there) - ratio * math.sqrt(here)) * before.x0_pred
    np.testing.assert_allclose(states[-1].x_t, expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dtype_and_device_go_in_and_come_out(xp: Any, sampler: Callable[..., Any], dtype: str) -> None:
    x = xp.array(X_T, dtype)
    result, _ = run(sampler, x, 5, steering=KernelDensitySteering())
    xp.check_like(result.x0, x)
    np.testing.assert_array_equal(xp.numpy(x), X_T.astype(dtype))  # never written to


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_model_of_another_precision_does_not_change_the_dtype(sampler: Callable[..., Any]) -> None:
    def half(x: np.ndarray, t: int) -> np.ndarray:
        return model(x, t).astype(np.float16)

    result, _ = run(sampler, X_T.astype(np.float32), 5, denoiser=half)
    assert result.x0.dtype == np.float32


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_v_prediction_and_sample_agree_with_epsilon(sampler: Callable[..., Any]) -> None:
    # one model of the clean data, wrapped three ways
    def clean(x: np.ndarray, t: int) -> np.ndarray:
        return np.tanh(x + t / 1000)

    def eps(x: np.ndarray, t: int) -> np.ndarray:
        a = SCHEDULE.alpha_bar(t)
        return (x - math.sqrt(a) * clean(x, t)) / math.sqrt(1 - a)

    def v(x: np.ndarray, t: int) -> np.ndarray:
        a = SCHEDULE.alpha_bar(t)
        return math.sqrt(a) * eps(x, t) - math.sqrt(1 - a) * clean(x, t)

    steering = KernelDensitySteering(bandwidth=1.0)
    results = [
        run(sampler, X_T, 9, denoiser=f, prediction_type=p, steering=steering)[0].x0
        for f, p in [(clean, "sample"), (eps, "epsilon"), (v, "v_prediction")]
    ]
    np.testing.assert_allclose(results[1], results[0], rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(results[2], results[0], rtol=1e-9, atol=1e-10)


def test_zero_terminal_signal_works_with_v_prediction() -> None:
    schedule = NoiseSchedule(np.append(SCHEDULE.alphas_cumprod[:-1], 0.0))
    result, states = run(
        ddim, X_T, 5, schedule=schedule, prediction_type="v_prediction", steering=KernelDensitySteering()
    )
    assert states[0].alpha_bar == 0.0
    assert np.all(np.isfinite(result.x0))


# ---- the stochastic sampler


def test_noise_gets_the_step_and_is_not_drawn_for_the_last() -> None:
    steps = []

    def noise(x: np.ndarray, step: int) -> np.ndarray:
        steps.append(step)
        return np.zeros_like(x)

    run(ddim, X_T, 5, eta=1.0, noise=noise)
    assert steps == [0, 1, 2, 3]


def test_noise_is_not_drawn_without_eta() -> None:
    def noise(x: np.ndarray, step: int) -> np.ndarray:
        raise AssertionError("eta is 0")

    result, _ = run(ddim, X_T, 5, noise=noise)
    np.testing.assert_array_equal(result.x0, run(ddim, X_T, 5)[0].x0)


@pytest.mark.parametrize("eta", [0.3, 1.0])
def test_stochastic_step_has_the_variance_of_the_paper(eta: float) -> None:
    def noise(x: np.ndarray, step: int) -> np.ndarray:
        return np.full_like(x, 1.7)

    def silent(x: np.ndarray, step: int) -> np.ndarray:
        return np.zeros_like(x)

    grid = (600, 400)
    _, noisy = run(ddim, X_T, 2, timesteps=grid, eta=eta, noise=noise)
    _, quiet = run(ddim, X_T, 2, timesteps=grid, eta=eta, noise=silent)
    here, there = (SCHEDULE.alpha_bar(t) for t in grid)
    sigma = eta * math.sqrt((1 - there) / (1 - here) * (1 - here / there))
    np.testing.assert_allclose(noisy[0].x_next - quiet[0].x_next, 1.7 * sigma, rtol=1e-12)
    direction = math.sqrt(1 - there - sigma**2)
    expected = math.sqrt(there) * quiet[0].x0_pred + direction * model(X_T, 600)
    np.testing.assert_allclose(quiet[0].x_next, expected, rtol=1e-12, atol=1e-13)
