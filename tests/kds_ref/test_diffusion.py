"""add_noise, predictions and velocity: by hand, as inverses, with a noise level per sample."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kds_ref import (
    add_noise,
    predict_eps,
    predict_eps_from_v,
    predict_score,
    predict_x0,
    predict_x0_from_v,
    scaled_linear_schedule,
    velocity,
)

R = np.random.default_rng(3)
X0, EPS = R.normal(size=(4, 3, 2, 2)), R.normal(size=(4, 3, 2, 2))
SEVEN = [add_noise, predict_x0, predict_eps, predict_score, velocity, predict_x0_from_v, predict_eps_from_v]


def test_worked_by_hand(xp: Any) -> None:
    # alpha_bar = 0.36: sqrt = 0.6, sqrt(1 - 0.36) = 0.8
    x0, eps = xp.array([2.0]), xp.array([-1.0])
    x_t = add_noise(x0, eps, 0.36)
    v = velocity(x0, eps, 0.36)
    expected = [(x_t, 0.4), (v, -2.2)]
    expected += [(predict_x0(x_t, eps, 0.36), 2.0), (predict_eps(x_t, x0, 0.36), -1.0)]
    expected += [(predict_x0_from_v(x_t, v, 0.36), 2.0), (predict_eps_from_v(x_t, v, 0.36), -1.0)]
    expected += [(predict_score(x_t, x0, 0.36), 1.25)]  # -eps / 0.8
    for value, number in expected:
        xp.check_like(value, x0)
        assert float(xp.numpy(value)[0]) == pytest.approx(number, rel=1e-14)


@given(st.floats(1e-4, 1.0 - 1e-4))
def test_predictions_invert_the_forward_process(xp: Any, alpha_bar: float) -> None:
    x0, eps = xp.array(X0), xp.array(EPS)
    x_t, v = add_noise(x0, eps, alpha_bar), velocity(x0, eps, alpha_bar)
    for value, expected in [
        (predict_x0(x_t, eps, alpha_bar), X0),
        (predict_eps(x_t, x0, alpha_bar), EPS),
        (predict_x0_from_v(x_t, v, alpha_bar), X0),
        (predict_eps_from_v(x_t, v, alpha_bar), EPS),
    ]:
        np.testing.assert_allclose(xp.numpy(value), expected, rtol=1e-11, atol=1e-11)


def test_velocity_is_the_derivative_along_the_circle() -> None:
    # alpha = cos(phi), sigma = sin(phi): v = d x_t / d phi
    phi, step = 0.7, 1e-6
    up, down = (add_noise(X0, EPS, math.cos(phi + s) ** 2) for s in (step, -step))
    np.testing.assert_allclose(velocity(X0, EPS, math.cos(phi) ** 2), (up - down) / (2 * step), rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("function", SEVEN)
@pytest.mark.parametrize("level_dtype", ["float32", "float64"])
def test_a_level_per_sample_is_a_loop(xp: Any, function: Callable[..., Any], level_dtype: str) -> None:
    levels = np.asarray([0.1, 0.5, 0.9, 0.99], dtype=level_dtype)
    values = function(xp.array(X0), xp.array(EPS), xp.array(levels.reshape(4, 1, 1, 1), level_dtype))
    for i in range(4):
        one = function(X0[i], EPS[i], float(levels[i]))
        tolerance = 1e-13 if level_dtype == "float64" else 2e-6
        np.testing.assert_allclose(xp.numpy(values)[i], one, rtol=tolerance, atol=tolerance)


def test_levels_in_float64_keep_their_precision_for_float32_samples() -> None:
    level = 1.0 - 1e-9  # rounds to 1 in float32
    x0 = np.zeros((1, 2), dtype=np.float32)
    noisy = add_noise(x0, np.ones((1, 2), dtype=np.float32), np.full((1, 1), level))
    np.testing.assert_allclose(noisy, math.sqrt(1e-9), rtol=1e-6)


@pytest.mark.parametrize("function", SEVEN)
def test_numpy_scalars_and_0d_arrays_are_levels(function: Callable[..., Any]) -> None:
    level = scaled_linear_schedule().alphas_cumprod[500]
    expected = function(X0, EPS, float(level))
    np.testing.assert_array_equal(function(X0, EPS, level), expected)
    np.testing.assert_array_equal(function(X0, EPS, np.asarray(level)), expected)


def test_ends_of_the_process() -> None:
    np.testing.assert_array_equal(add_noise(X0, EPS, 1.0), X0)
    np.testing.assert_array_equal(add_noise(X0, EPS, 0.0), EPS)
    np.testing.assert_array_equal(predict_x0(X0, EPS, 1.0), X0)
    np.testing.assert_array_equal(predict_x0_from_v(EPS, -X0, 0.0), X0)  # v works at zero signal


def test_the_steered_noise_is_that_of_algorithm_2_and_the_score_identity_holds() -> None:
    # (1 - delta) s + delta stilde is the score at z0 + delta m;
    # the extra score is delta sqrt(abar) m / (1 - abar)
    alpha_bar, delta, m = 0.4, 0.3, R.normal(size=X0.shape)
    z_t = add_noise(X0, EPS, alpha_bar)

    def score(z0: np.ndarray) -> np.ndarray:
        return -predict_eps(z_t, z0, alpha_bar) / math.sqrt(1.0 - alpha_bar)

    mixed = (1.0 - delta) * score(X0) + delta * score(X0 + m)
    np.testing.assert_allclose(mixed, score(X0 + delta * m), rtol=1e-11, atol=1e-12)
    extra = delta * math.sqrt(alpha_bar) * m / (1.0 - alpha_bar)
    np.testing.assert_allclose(score(X0 + delta * m) - score(X0), extra, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("function", SEVEN)
def test_inputs_are_never_written_to(xp: Any, function: Callable[..., Any]) -> None:
    x, other, level = xp.array(X0), xp.array(EPS), xp.array(np.full((4, 1, 1, 1), 0.3))
    function(x, other, level)
    np.testing.assert_array_equal(xp.numpy(x), X0)
    np.testing.assert_array_equal(xp.numpy(other), EPS)
    np.testing.assert_array_equal(xp.numpy(level), 0.3)
