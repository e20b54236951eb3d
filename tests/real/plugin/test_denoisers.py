"""KDS is a function on predicted clean samples: a steered scheduler and a steered denoiser see and make the same x0."""

import math

import pytest
import torch
from diffusers import DDIMScheduler, EulerDiscreteScheduler

from kds_ref import NoiseSchedule, SteeredDenoiser, predict_eps, vp_denoiser
from real.plugin import steer_scheduler

N = 4
SCHEDULE = NoiseSchedule(DDIMScheduler().alphas_cumprod.double().numpy())


def network(x_t: torch.Tensor, t: int) -> torch.Tensor:
    """The noise that goes with a smooth guess of the clean sample."""
    return predict_eps(x_t, 1.2 * torch.tanh(1.3 * x_t + t / 1000.0), SCHEDULE.alpha_bar(t))


def run_scheduler(scheduler: DDIMScheduler | EulerDiscreteScheduler, noise: torch.Tensor) -> torch.Tensor:
    scheduler.set_timesteps(8)
    x = noise * scheduler.init_noise_sigma
    for t in scheduler.timesteps:
        x = scheduler.step(network(scheduler.scale_model_input(x, t), int(t)), t, x).prev_sample
    return x


@pytest.mark.parametrize("kind", [DDIMScheduler, EulerDiscreteScheduler])
def test_one_x0(kind: type[DDIMScheduler] | type[EulerDiscreteScheduler]) -> None:
    noise = torch.randn(2 * N, 2, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    options = {"clip_sample": False} if kind is DDIMScheduler else {"timestep_spacing": "leading"}
    scheduler = steer_scheduler(kind(**options), num_particles=N, bandwidth=0.4)
    steered = run_scheduler(scheduler, noise)
    grid = [int(t) for t in scheduler.timesteps]
    sigmas = [math.sqrt((1 - SCHEDULE.alpha_bar(t)) / SCHEDULE.alpha_bar(t)) for t in grid]
    cutoff_sigma = min(sigma for sigma, t in zip(sigmas, grid, strict=True) if t >= 300)
    denoiser = SteeredDenoiser(
        vp_denoiser(network, schedule=SCHEDULE), cutoff_sigma=cutoff_sigma, num_particles=N, bandwidth=0.4
    )
    start = 1 / math.sqrt(SCHEDULE.alpha_bar(grid[0])) if kind is DDIMScheduler else float(scheduler.init_noise_sigma)
    x = noise * start
    for here, there in zip(sigmas, [*sigmas[1:], 0.0], strict=True):
        x = x + (x - denoiser(x, here)) / here * (there - here)
    torch.testing.assert_close(x, steered, rtol=1e-4, atol=1e-5)  # the schedulers' own numbers are float32
    assert (run_scheduler(kind(**options), noise) - steered).abs().max() > 0.02
