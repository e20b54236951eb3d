"""Every state of the samplers against diffusers' schedulers on the same noise, plain and steered.

diffusers keeps alphas_cumprod and sigmas in float32. Each trajectory is compared twice: with the scheduler
as it comes (float32, tolerance 1e-5 of the largest value), and with our float64 levels put into it (1e-10).
"""

import itertools
import math
import sys
from collections.abc import Callable
from typing import Any
from unittest import mock

import numpy as np
import pytest

from kds_ref import (
    KernelDensitySteering,
    SamplerState,
    ddim,
    dpm_solver_pp_2m,
    dpm_solver_pp_2s,
    linear_schedule,
    scaled_linear_schedule,
    time_grid,
)

STEPS = [1, 2, 7, 30, 50]  # 7 and 30 do not divide 1000
PREDICTIONS = ["epsilon", "v_prediction", "sample"]
SCHEDULES = {"linear": linear_schedule(), "scaled_linear": scaled_linear_schedule()}
BETAS = {
    "linear": {"beta_start": 0.0001, "beta_end": 0.02},
    "scaled_linear": {"beta_start": 0.00085, "beta_end": 0.012},
}
GRIDS = [("leading", 0), ("leading", 1), ("trailing", 0), ("linspace", 0)]
TOLERANCE = {"float32": 1e-5, "float64": 1e-10}

torch = pytest.importorskip("torch")
diffusers = pytest.importorskip("diffusers")


def model(x: Any, t: int) -> Any:
    return 0.5 * torch.tanh(1.3 * x + t / 1000.0) + 0.3 * x


def start(dtype: str) -> Any:
    x = np.random.default_rng(5).normal(size=(3, 2, 4, 4))
    return torch.from_numpy(x).to(getattr(torch, dtype))


def variance_noise(x: Any, step: int) -> Any:
    return torch.from_numpy(np.random.default_rng(step).normal(size=tuple(x.shape))).to(x.dtype)


class Gap:
    """Stands in for num_inference_steps, so that diffusers' DDIM steps to the next entry of the grid.

    By itself it steps to t - T // num_inference_steps, which leaves its own grid where that is not the gap.
    """

    def __init__(self, gap: int) -> None:
        self.gap = gap

    def __rfloordiv__(self, total: int) -> int:
        return self.gap


def lands_on_its_grid(grid: tuple[int, ...]) -> bool:
    jump = 1000 // len(grid)
    return all(a - jump == b for a, b in itertools.pairwise(grid)) and grid[-1] - jump < 0


def rewritten(output: Any, x: Any, t: int, kind: str, alpha_bar: float, steering: Any) -> Any:
    """The model output that makes an unmodified scheduler use the steered clean latent."""
    if steering is None:
        return output
    a, s = math.sqrt(alpha_bar), math.sqrt(1.0 - alpha_bar)
    scale, factor = {"epsilon": (1 / a, -s / a), "v_prediction": (a, -s), "sample": (0.0, 1.0)}[kind]
    return (steering(scale * x + factor * output, t)[0] - scale * x) / factor


def assert_same_path(states: list[SamplerState], path: list[Any], dtype: str) -> None:
    assert len(states) == len(path)
    for state, expected in zip(states, path, strict=True):
        assert state.x_next.dtype == expected.dtype == getattr(torch, dtype)
        worst = float((state.x_next - expected).abs().max() / expected.abs().max())
        assert worst < TOLERANCE[dtype], f"step {state.step}, t = {state.t}: {worst}"


def compare_ddim(
    name: str,
    spacing: str,
    offset: int,
    steps: int,
    kind: str,
    dtype: str,
    eta: float,
    steering: Any,
    own_step: bool,
) -> None:
    schedule = SCHEDULES[name]
    scheduler = diffusers.DDIMScheduler(
        beta_schedule=name,
        clip_sample=False,
        set_alpha_to_one=True,
        prediction_type=kind,
        timestep_spacing=spacing,
        steps_offset=offset,
        **BETAS[name],
    )
    scheduler.set_timesteps(steps)
    grid = time_grid(steps, spacing=spacing, steps_offset=offset)
    assert grid == tuple(scheduler.timesteps.tolist())
    if dtype == "float64":
        scheduler.alphas_cumprod = torch.tensor(schedule.alphas_cumprod)
        scheduler.final_alpha_cumprod = torch.tensor(1.0, dtype=torch.float64)
    x, path = start(dtype), []
    for step, t in enumerate(grid):
        if not own_step:
            scheduler.num_inference_steps = Gap(t - grid[step + 1] if step + 1 < steps else t + 1)
        output = rewritten(model(x, t), x, t, kind, schedule.alpha_bar(t), steering)
        noise = {"variance_noise": variance_noise(x, step)} if eta > 0 else {}
        x = scheduler.step(output, t, x, eta=eta, **noise).prev_sample
        path.append(x)
    states: list[SamplerState] = []
    ddim(
        model,
        start(dtype),
        schedule=schedule,
        timesteps=grid,
        steering=steering,
        eta=eta,
        noise=variance_noise,
        prediction_type=kind,
        callback=states.append,
    )
    assert_same_path(states, path, dtype)


class Wide:
    """Stands in for the torch of diffusers' multistep solver, which rounds every state to float32."""

    float32 = torch.float64

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)


SOLVERS = {
    dpm_solver_pp_2s: diffusers.DPMSolverSinglestepScheduler,
    dpm_solver_pp_2m: diffusers.DPMSolverMultistepScheduler,
}


def compare_dpm(sampler: Callable[..., Any], name: str, steps: int, kind: str, dtype: str, steering: Any) -> None:
    schedule = SCHEDULES[name]
    scheduler = SOLVERS[sampler](
        beta_schedule=name,
        solver_order=2,
        algorithm_type="dpmsolver++",
        solver_type="midpoint",
        lower_order_final=True,
        final_sigmas_type="zero",
        prediction_type=kind,
        **BETAS[name],
    )
    scheduler.set_timesteps(steps)
    grid = time_grid(steps, spacing="dpm")
    assert grid == tuple(scheduler.timesteps.tolist())
    if dtype == "float64":
        levels = schedule.alphas_cumprod[list(grid)]
        scheduler.sigmas = torch.tensor(np.append(np.sqrt((1 - levels) / levels), 0.0))
    x, path = start(dtype), []
    its_torch = Wide() if dtype == "float64" else torch
    with mock.patch.object(sys.modules[type(scheduler).__module__], "torch", its_torch):
        for t in scheduler.timesteps:
            output = rewritten(model(x, int(t)), x, int(t), kind, schedule.alpha_bar(int(t)), steering)
            x = scheduler.step(output, t, x).prev_sample
            path.append(x)
    states: list[SamplerState] = []
    result = sampler(
        model,
        start(dtype),
        schedule=schedule,
        timesteps=grid,
        steering=steering,
        prediction_type=kind,
        callback=states.append,
    )
    assert result.num_model_evaluations == steps
    assert_same_path(states, path, dtype)


ON_GRID = [(s, o, n) for s, o in GRIDS for n in STEPS if lands_on_its_grid(time_grid(n, spacing=s, steps_offset=o))]


def test_untouched_diffusers_is_compared_where_it_keeps_to_its_grid() -> None:
    assert len(ON_GRID) == 14
    assert {n for s, _, n in ON_GRID if s == "leading"} == set(STEPS)


@pytest.mark.parametrize("kind", PREDICTIONS)
@pytest.mark.parametrize("eta", [0.0, 0.6, 1.0])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("spacing", "offset", "steps"), ON_GRID)
def test_ddim_equals_untouched_diffusers(
    spacing: str, offset: int, steps: int, dtype: str, eta: float, kind: str
) -> None:
    compare_ddim("scaled_linear", spacing, offset, steps, kind, dtype, eta, None, own_step=True)


@pytest.mark.parametrize("eta", [0.0, 1.0])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize(("spacing", "offset"), GRIDS)
@pytest.mark.parametrize("kind", PREDICTIONS)
def test_ddim_equals_diffusers_step_to_the_next_of_the_grid(
    kind: str, spacing: str, offset: int, steps: int, dtype: str, eta: float
) -> None:
    compare_ddim("linear", spacing, offset, steps, kind, dtype, eta, None, own_step=False)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("steps", [*STEPS, 3, 8])
@pytest.mark.parametrize("kind", PREDICTIONS)
@pytest.mark.parametrize("name", ["linear", "scaled_linear"])
@pytest.mark.parametrize("sampler", SOLVERS)
def test_dpm_solver_equals_diffusers(sampler: Callable[..., Any], name: str, kind: str, steps: int, dtype: str) -> None:
    compare_dpm(sampler, name, steps, kind, dtype, None)


@pytest.mark.parametrize("steps", [2, 7, 30])
@pytest.mark.parametrize("kind", PREDICTIONS)
@pytest.mark.parametrize("eta", [0.0, 0.6])
def test_steered_ddim_equals_diffusers_with_the_rewritten_output(eta: float, kind: str, steps: int) -> None:
    steering = KernelDensitySteering(bandwidth=0.8)
    compare_ddim("scaled_linear", "leading", 1, steps, kind, "float64", eta, steering, own_step=True)


@pytest.mark.parametrize("steps", [2, 7, 30])
@pytest.mark.parametrize("kind", PREDICTIONS)
@pytest.mark.parametrize("sampler", SOLVERS)
def test_steered_dpm_solver_equals_diffusers_with_the_rewritten_output(
    sampler: Callable[..., Any], kind: str, steps: int
) -> None:
    compare_dpm(sampler, "scaled_linear", steps, kind, "float64", KernelDensitySteering(bandwidth=0.8))


def test_ddim_at_no_noise_matches_the_first_order_solver() -> None:
    # DPM-Solver++ of first order is DDIM: two evaluations of 2S or 2M are both first order
    grid: tuple[int, ...] = (900, 400)
    options: dict[str, Any] = {"schedule": SCHEDULES["linear"], "timesteps": grid}
    samplers: list[Callable[..., Any]] = [ddim, dpm_solver_pp_2s, dpm_solver_pp_2m]
    first, *others = (sampler(model, start("float64"), **options).x0 for sampler in samplers)
    for other in others:
        torch.testing.assert_close(first, other, rtol=1e-12, atol=1e-12)
