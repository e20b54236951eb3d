"""Noise schedules and time grids: formulas, invariants, and diffusers' own."""

import dataclasses
import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest

from kds_ref import NoiseSchedule, cosine_schedule, linear_schedule, scaled_linear_schedule, time_grid

SCHEDULES = [linear_schedule, scaled_linear_schedule, cosine_schedule]
STEPS = [1, 2, 7, 30, 50, 999]


@pytest.mark.parametrize("make", SCHEDULES)
@pytest.mark.parametrize("total", [1, 10, 1000, 4000])
def test_alphas_cumprod_is_a_decreasing_float64_sequence_below_one(
    make: Callable[..., NoiseSchedule], total: int
) -> None:
    schedule = make(total)
    values = schedule.alphas_cumprod
    assert schedule.num_train_timesteps == total
    assert values.dtype == np.float64
    assert values.shape == (total,)
    assert 0.0 < values[-1] <= values[0] < 1.0
    assert np.all(np.diff(values) < 0.0)
    assert all(schedule.alpha_bar(t) == values[t] for t in (0, total // 2, total - 1))


def test_linear_worked_by_hand() -> None:
    schedule = linear_schedule(3, beta_start=0.1, beta_end=0.3)
    np.testing.assert_allclose(schedule.alphas_cumprod, [0.9, 0.9 * 0.8, 0.9 * 0.8 * 0.7], rtol=1e-14)


def test_scaled_linear_worked_by_hand() -> None:
    schedule = scaled_linear_schedule(3, beta_start=0.01, beta_end=0.09)
    np.testing.assert_allclose(schedule.alphas_cumprod, [0.99, 0.99 * 0.96, 0.99 * 0.96 * 0.91], rtol=1e-14)


def test_cosine_follows_the_squared_cosine_until_the_cap() -> None:
    schedule = cosine_schedule(1000)

    def level(u: float) -> float:
        return math.cos((u + 0.008) / 1.008 * math.pi / 2.0) ** 2

    for t in (0, 100, 500, 990):
        assert schedule.alpha_bar(t) == pytest.approx(level((t + 1) / 1000) / level(0.0), rel=1e-10)
    assert schedule.alpha_bar(999) == pytest.approx(schedule.alpha_bar(998) * 0.001, rel=1e-9)


@pytest.mark.parametrize(
    ("make", "name", "betas"),
    [
        (linear_schedule, "linear", {"beta_start": 0.0001, "beta_end": 0.02}),
        (scaled_linear_schedule, "scaled_linear", {"beta_start": 0.00085, "beta_end": 0.012}),
        (scaled_linear_schedule, "scaled_linear", {"beta_start": 0.0015, "beta_end": 0.0155}),
        (cosine_schedule, "squaredcos_cap_v2", {}),
    ],
)
def test_equals_diffusers(make: Callable[..., NoiseSchedule], name: str, betas: dict[str, float]) -> None:
    # diffusers computes in float32: rounding of 1 - beta adds up over the product to some 1e-5
    diffusers = pytest.importorskip("diffusers")
    reference = diffusers.DDIMScheduler(beta_schedule=name, **betas).alphas_cumprod.numpy()
    np.testing.assert_allclose(make(1000, **betas).alphas_cumprod, reference, rtol=2e-5)


def test_default_betas_are_those_of_ddpm_and_of_stable_diffusion() -> None:
    first = {make: 1.0 - make().alpha_bar(0) for make in SCHEDULES}
    assert first[linear_schedule] == pytest.approx(0.0001)
    assert first[scaled_linear_schedule] == pytest.approx(0.00085)
    last = {make: 1.0 - make().alpha_bar(999) / make().alpha_bar(998) for make in SCHEDULES}
    assert list(last.values()) == pytest.approx([0.02, 0.012, 0.999])


def test_schedule_cannot_be_changed() -> None:
    raw = np.asarray([0.9, 0.5, 0.1])
    schedule = NoiseSchedule(raw)
    with pytest.raises(ValueError, match="read-only"):
        schedule.alphas_cumprod[0] = 0.5
    with pytest.raises(dataclasses.FrozenInstanceError):
        schedule.alphas_cumprod = raw  # type: ignore[misc]
    raw[0] = 0.6  # the schedule has its own copy
    assert schedule.alpha_bar(0) == 0.9


def test_zero_terminal_signal_is_allowed_at_the_end_only() -> None:
    assert NoiseSchedule(np.asarray([0.9, 0.0])).alpha_bar(1) == 0.0
    with pytest.raises(ValueError, match="alphas_cumprod"):
        NoiseSchedule(np.asarray([0.9, 0.0, 0.0]))


# ---- time grids


@pytest.mark.parametrize(
    ("spacing", "steps", "expected"),
    [
        ("leading", 4, (750, 500, 250, 0)),
        ("leading", 3, (666, 333, 0)),
        ("trailing", 4, (999, 749, 499, 249)),
        ("trailing", 3, (999, 666, 332)),
        ("linspace", 4, (999, 666, 333, 0)),
        ("linspace", 1, (0,)),
        ("dpm", 4, (999, 749, 500, 250)),
        ("dpm", 1, (999,)),
    ],
)
def test_grid_worked_by_hand(spacing: str, steps: int, expected: tuple[int, ...]) -> None:
    assert time_grid(steps, 1000, spacing=spacing) == expected


def test_a_schedule_of_one_timestep_has_a_grid() -> None:
    assert time_grid(1, 1) == time_grid(1, 1, spacing="trailing") == (0,)


def test_offset_shifts_leading() -> None:
    assert time_grid(4, 1000, steps_offset=1) == (751, 501, 251, 1)
    assert time_grid(4, 1000, spacing="trailing", steps_offset=1) == time_grid(4, 1000, spacing="trailing")


@pytest.mark.parametrize("spacing", ["leading", "trailing", "linspace", "dpm"])
@pytest.mark.parametrize("total", [2, 10, 1000])
def test_every_grid_descends_strictly_within_range(spacing: str, total: int) -> None:
    most = total - 1 if spacing == "dpm" else total
    for steps in range(1, most + 1):
        grid = time_grid(steps, total, spacing=spacing)
        assert len(grid) == steps
        assert all(type(t) is int for t in grid)
        assert grid[0] <= total - 1
        assert grid[-1] >= 0
        assert all(a > b for a, b in itertools.pairwise(grid))


@pytest.mark.parametrize("total", [1000, 777])
@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize(("spacing", "offset"), [("leading", 0), ("leading", 1), ("trailing", 0), ("linspace", 0)])
def test_grid_equals_diffusers_ddim(spacing: str, offset: int, steps: int, total: int) -> None:
    diffusers = pytest.importorskip("diffusers")
    steps = min(steps, total - 1)
    reference = diffusers.DDIMScheduler(num_train_timesteps=total, timestep_spacing=spacing, steps_offset=offset)
    reference.set_timesteps(steps)
    assert time_grid(steps, total, spacing=spacing, steps_offset=offset) == tuple(reference.timesteps.tolist())


@pytest.mark.parametrize("total", [1000, 777])
@pytest.mark.parametrize("steps", STEPS)
def test_grid_equals_diffusers_dpm_solver_singlestep(steps: int, total: int) -> None:
    diffusers = pytest.importorskip("diffusers")
    steps = min(steps, total - 1)
    reference = diffusers.DPMSolverSinglestepScheduler(num_train_timesteps=total, lower_order_final=True)
    reference.set_timesteps(steps)
    assert time_grid(steps, total, spacing="dpm") == tuple(reference.timesteps.tolist())
