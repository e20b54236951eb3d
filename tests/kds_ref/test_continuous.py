"""The noise schedule between timesteps: the table at the integers, a smooth and falling curve in between."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kds_ref import NoiseSchedule, cosine_schedule, linear_schedule, scaled_linear_schedule

MAKERS = [linear_schedule, scaled_linear_schedule, cosine_schedule]
LEVELS = st.lists(st.floats(1e-6, 0.9999), min_size=2, max_size=12, unique=True).map(lambda v: sorted(v, reverse=True))


@pytest.mark.parametrize("make", MAKERS)
def test_at_the_timesteps_it_is_the_table(make: Callable[..., Any]) -> None:
    schedule = make()
    assert [schedule.continuous_alpha_bar(t) for t in range(1000)] == schedule.alphas_cumprod.tolist()
    assert schedule.continuous_alpha_bar(999.0) == schedule.alpha_bar(999)


def test_a_rate_on_a_straight_line_is_met_exactly() -> None:
    # beta(t) = 1e-4 + 2e-5 t: log alpha_bar is a parabola
    t = np.arange(1000)
    schedule = NoiseSchedule(np.exp(-(0.001 + 1e-4 * t + 1e-5 * t**2)))
    for time in (0.0, 0.3, 1.0, 17.77, 500.5, 998.2, 999.0):
        level = np.exp(-(0.001 + 1e-4 * time + 1e-5 * time**2))
        assert schedule.continuous_alpha_bar(time) == pytest.approx(level, rel=1e-12)
        assert schedule.continuous_beta(time) == pytest.approx(1e-4 + 2e-5 * time, rel=1e-9)


@given(LEVELS)
def test_every_schedule_falls_and_beta_is_its_slope(levels: list[float]) -> None:
    schedule = NoiseSchedule(levels)
    times = np.linspace(0.0, len(levels) - 1.0, 40 * (len(levels) - 1) + 1)
    log_level = np.log([schedule.continuous_alpha_bar(t) for t in times])
    beta = np.asarray([schedule.continuous_beta(t) for t in times])
    assert np.all(np.diff(log_level) <= 1e-15)
    assert np.all(beta >= -1e-12 * beta.max())
    # beta is a parabola between timesteps: Simpson's rule is exact
    thirds = (beta[:-1:2] + 4.0 * beta[1::2] + beta[2::2]) * (times[2] - times[0]) / 6.0
    np.testing.assert_allclose(-np.diff(log_level[::2]), thirds, atol=1e-12)
    # and continuous: the two sides of a timestep meet
    for t in range(1, len(levels) - 1):
        sides = [schedule.continuous_beta(t + e) for e in (-1e-9, 0.0, 1e-9)]
        np.testing.assert_allclose(sides, sides[1], atol=1e-7 * beta.max())


@pytest.mark.parametrize(
    "rates", [(0.2, 0.4), (0.1, 1.0), (1.0, 0.1), (0.1, 0.2, 0.8), (0.1, 0.2, 0.8, 0.8), (0.8, 0.1, 0.2)]
)
def test_beta_at_a_timestep_is_the_mean_of_both_rates_or_thrice_the_smaller(rates: tuple[float, ...]) -> None:
    schedule = NoiseSchedule(np.exp(-0.1 - np.append(0.0, np.cumsum(rates))))
    for t in range(1, len(rates)):
        expected = min((rates[t - 1] + rates[t]) / 2.0, 3.0 * min(rates[t - 1], rates[t]))
        for time in (t - 1e-9, t, t + 1e-9):
            assert schedule.continuous_beta(time) == pytest.approx(expected, rel=1e-6)


def test_two_timesteps_are_joined_by_a_constant_rate() -> None:
    schedule = NoiseSchedule([0.8, 0.2])
    assert schedule.continuous_alpha_bar(0.5) == pytest.approx(0.4, rel=1e-14)
    assert [schedule.continuous_beta(t) for t in (0.0, 0.4, 1.0)] == pytest.approx([np.log(4.0)] * 3)


def test_zero_terminal_signal_is_left_out() -> None:
    schedule = NoiseSchedule([0.9, 0.5, 0.1, 0.0])
    known = NoiseSchedule([0.9, 0.5, 0.1])
    assert schedule.continuous_beta(1.7) == known.continuous_beta(1.7)
    assert schedule.continuous_alpha_bar(2.0) == 0.1
    for method in (schedule.continuous_beta, schedule.continuous_alpha_bar):
        with pytest.raises(ValueError, match=r"^t must be finite and in .0, 2., got 2.1"):
            method(2.1)


@pytest.mark.parametrize("name", ["continuous_beta", "continuous_alpha_bar"])
def test_the_error_names_the_argument(name: str) -> None:
    method = getattr(linear_schedule(), name)
    for t in (-0.1, 999.1, np.nan, np.inf):
        with pytest.raises(ValueError, match=r"^t must be"):
            method(t)
    for t in (None, "0", np.zeros(2), True):
        with pytest.raises(TypeError, match=r"^t must be one Python number"):
            method(t)
    for levels in ([0.5], [0.5, 0.0]):
        with pytest.raises(ValueError, match=r"^schedule must have two timesteps with alpha_bar > 0 .*, got 1"):
            getattr(NoiseSchedule(levels), name)(0.0)
