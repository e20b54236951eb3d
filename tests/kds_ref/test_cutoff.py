"""Down to which noise level is steered: the cut-off as a time and as a noise-to-signal ratio."""

from typing import Any

import numpy as np
import pytest

from kds_ref import (
    KernelDensitySteering,
    ProbabilityFlowODE,
    SamplerState,
    cosine_schedule,
    ddim,
    dpm_solver_pp_2m,
    dpm_solver_pp_2s,
    scaled_linear_schedule,
    steering_strength,
    time_grid,
)

# LDM-SR's
SCHEDULE = scaled_linear_schedule(beta_start=0.0015, beta_end=0.0155)
X = np.random.default_rng(0).normal(size=(4, 2, 3, 3))
SAMPLERS = (ddim, dpm_solver_pp_2m, dpm_solver_pp_2s)


def steered_at(sampler: Any, steering: Any, schedule: Any = SCHEDULE, timesteps: Any = None) -> list[int]:
    """The timesteps of a run at which something was steered."""
    states: list[SamplerState] = []
    grid = time_grid(50) if timesteps is None else timesteps
    sampler(
        lambda x, t: 0.5 * x, X, schedule=schedule, timesteps=grid, steering=steering, callback=states.append
    )
    return [state.t for state in states if state.info is not None]


def test_the_ratio_of_ldm_sr_is_the_known_one() -> None:
    assert SCHEDULE.noise_to_signal(999) == pytest.approx(38.7, abs=0.05)
    assert SCHEDULE.noise_to_signal(300) == pytest.approx(1.13, abs=0.005)
    level = SCHEDULE.alpha_bar(300)
    assert SCHEDULE.noise_to_signal(300) == np.sqrt((1.0 - level) / level)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_ratio_at_300_is_the_papers_cutoff_step_by_step(sampler: Any) -> None:
    by_ratio = KernelDensitySteering(cutoff_nsr=SCHEDULE.noise_to_signal(300))
    by_time = KernelDensitySteering(cutoff=0.3)
    grid = tuple(range(310, 290, -1))  # every timestep around it
    assert steered_at(sampler, by_ratio, timesteps=grid) == list(range(310, 299, -1))  # 300 is inside
    assert steered_at(sampler, by_ratio, timesteps=grid) == steered_at(sampler, by_time, timesteps=grid)
    documented = KernelDensitySteering(cutoff_nsr=1.126)  # the number that the pages give
    assert steered_at(sampler, documented, timesteps=grid) == steered_at(sampler, by_time, timesteps=grid)
    results = [
        sampler(lambda x, t: 0.5 * x, X, schedule=SCHEDULE, timesteps=time_grid(50), steering=steering).x0
        for steering in (by_ratio, by_time)
    ]
    np.testing.assert_array_equal(*results)


def test_the_same_ratio_is_another_time_of_another_schedule() -> None:
    ratio = SCHEDULE.noise_to_signal(300)
    cosine = cosine_schedule()
    steered = steered_at(ddim, KernelDensitySteering(cutoff_nsr=ratio), cosine, range(999, -1, -1))
    assert steered == [t for t in range(999, -1, -1) if cosine.noise_to_signal(t) >= ratio]
    assert 500 < min(steered) < 600


@pytest.mark.parametrize(("scale", "t"), [(2.5, 542), (16.0, 895)])
def test_latents_of_another_scale_have_the_papers_cutoff_at_another_time(scale: float, t: int) -> None:
    # method: where the noise is as large against the picture as the paper's at t = 300
    steering = KernelDensitySteering(cutoff_nsr=scale * SCHEDULE.noise_to_signal(300))
    steered = [s for s in range(1000) if steering.strength_at(s, alpha_bar=SCHEDULE.alpha_bar(s)) > 0.0]
    assert min(steered) == pytest.approx(t, abs=1)


def test_pure_noise_is_steered_and_clean_data_is_not() -> None:
    steering = KernelDensitySteering(cutoff_nsr=1e-3, strength=0.7)
    assert steering.strength_at(999, alpha_bar=0.0) == 0.7
    assert steering.strength_at(0, alpha_bar=1.0) == 0.0


def test_a_level_in_single_precision_is_still_at_the_cutoff() -> None:
    for t in range(1, 1000, 37):
        steering = KernelDensitySteering(cutoff_nsr=SCHEDULE.noise_to_signal(t))
        below = SCHEDULE.alpha_bar(t - 1)
        assert steering.strength_at(t, alpha_bar=float(np.float32(SCHEDULE.alpha_bar(t)))) == 0.3
        assert steering.strength_at(t - 1, alpha_bar=below) == 0.0


def test_the_ode_tells_the_level_too() -> None:
    steering = KernelDensitySteering(cutoff_nsr=SCHEDULE.noise_to_signal(300))
    ode = ProbabilityFlowODE(lambda x, t: 0.5 * x, X, schedule=SCHEDULE, steering=steering)
    plain = ProbabilityFlowODE(lambda x, t: 0.5 * x, X, schedule=SCHEDULE)
    y = ode.flatten(X)
    assert not np.array_equal(ode(300.0, y), plain(300.0, y))
    np.testing.assert_array_equal(ode(299.5, y), plain(299.5, y))


def test_a_callable_without_the_wish_is_called_with_the_time_alone() -> None:
    seen = []
    ddim(
        lambda x, t: 0.5 * x,
        X,
        schedule=SCHEDULE,
        timesteps=(500, 0),
        steering=lambda x0_pred, t: seen.append(t) or (x0_pred, None),
    )
    assert seen == [500, 0]


def test_without_an_option_the_cutoff_is_the_papers() -> None:
    steering = KernelDensitySteering()
    assert (steering.cutoff, steering.cutoff_nsr, steering.needs_alpha_bar) == (0.3, None, False)
    assert [steering.strength_at(t) for t in (300, 299)] == [0.3, 0.0]
    assert KernelDensitySteering(cutoff=0.0).strength_at(0) == 0.3


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"cutoff": 0.3, "cutoff_nsr": 1.0}, ValueError, "cutoff must be None where cutoff_nsr is given, got 0.3"),
        ({"cutoff_nsr": 0.0}, ValueError, "cutoff_nsr must be finite and positive, got 0.0"),
        ({"cutoff_nsr": float("nan")}, ValueError, "cutoff_nsr must be finite and positive, got nan"),
        ({"cutoff_nsr": "1"}, TypeError, "cutoff_nsr must be one Python number, got str"),
    ],
)
def test_what_is_refused(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{message}"):
        KernelDensitySteering(**options)


def test_a_call_by_hand_has_to_say_the_level() -> None:
    steering = KernelDensitySteering(cutoff_nsr=1.0)
    with pytest.raises(ValueError, match=r"^alpha_bar must be given with cutoff_nsr, got None"):
        steering(X, 999)
    with pytest.raises(ValueError, match=r"^alpha_bar must be finite and in \[0, 1\], got 1.5"):
        steering(X, 999, alpha_bar=1.5)
    x0_steered, info = steering(X, 0, alpha_bar=0.2)
    assert info is not None
    assert np.abs(x0_steered - X).max() > 0.0
    assert steering(X, 999, alpha_bar=0.9) == (X, None)


# ---- timesteps that come as arrays


def test_integers_are_compared_as_they_are_whatever_the_default_dtype() -> None:
    torch = pytest.importorskip("torch")
    t = torch.tensor([299, 300, 301])
    try:
        for default in (torch.bfloat16, torch.float16):
            torch.set_default_dtype(default)
            strength = steering_strength(t, 1000)
            assert strength.dtype == torch.float32
            assert strength.tolist() == pytest.approx([0.0, 0.3, 0.3])
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_compared_in_single(dtype: str) -> None:
    torch = pytest.importorskip("torch")
    half = getattr(torch, dtype)
    t = torch.tensor([256.0, 512.0]).to(half)
    strength = steering_strength(t, 1000, cutoff=0.2561)  # 256.1, which is 256 in bfloat16 and in float16
    assert strength.dtype == half
    assert strength.tolist() == [0.0, float(torch.tensor(0.3).to(half))]
    # 998 is a float16, 999 * 0.999 = 998.001 is not
    t = np.asarray([998.0, 999.0], dtype=np.float16)
    assert steering_strength(t, 999, cutoff=0.999).tolist() == [0.0, float(np.float16(0.3))]


def test_a_steering_that_needs_the_noise_level_gets_the_timestep_too() -> None:
    seen: list[tuple[int, float]] = []

    class Watch:
        needs_alpha_bar = True

        def __call__(self, x0: Any, t: int, *, alpha_bar: float) -> tuple[Any, None]:
            seen.append((t, alpha_bar))
            return x0, None

    schedule, grid = scaled_linear_schedule(), (900, 500, 100)
    ddim(lambda x, t: x, np.ones((2, 3)), schedule=schedule, timesteps=grid, steering=Watch())
    assert seen == [(t, schedule.alpha_bar(t)) for t in grid]
