"""A denoiser for few steps: one step of DDIM as good as several of the network that it learns from.

DDIM is the Euler method in sigma = sqrt((1 - alpha_bar) / alpha_bar): with D the predicted clean latents, a step from
sigma to sigma' goes to D + (sigma' / sigma) * (x - D), where x = x_t / sqrt(alpha_bar). Euler steps lose variance: of a
Gaussian of any width the share h / 2, for steps of h in the logarithm of sigma; h is 0.07 to 0.15 in 50 steps of
LDM-SR's schedule (more below t = 100), so that they draw smoother samples than 250 do. The teacher makes the step in
`substeps` shorter ones; the only D that takes the student there at once is their weighted mean (Salimans and Ho
2022, "Progressive distillation for fast sampling of diffusion models", who halve the number of steps again
and again).

A network trained this way to the end belongs to the number of steps that it was trained for: with more steps, or with a
solver of second order, its samples are too rough.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeAlias

import torch
from diffusers import UNet2DModel

from real.train.loop import RunSettings, autocast
from real.train.record import read_record

__all__ = ["distilled_noise", "load_teacher"]

Denoiser: TypeAlias = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
Teacher: TypeAlias = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


def load_teacher(folder: Path, run_settings: RunSettings, *, in_channels: int, stride: int, substeps: int) -> Teacher:
    """`distilled_noise` of a finished run's network, as a function of noisy latents, condition, t and alphas_cumprod.

    Args:
        folder: Output folder of the run.
        run_settings: Device and precision.
        in_channels: Of the student, to be told a network of another task.
        stride: See `distilled_noise`.
        substeps: See there.

    Raises:
        FileNotFoundError: `folder` holds no finished run.
        ValueError: Its network is of another task.
    """
    read_record(folder, "unet")
    network = UNet2DModel.from_pretrained(folder / "unet").to(run_settings.device).requires_grad_(False).eval()
    if network.config.in_channels != in_channels:
        raise ValueError(
            f"teacher: its network has {network.config.in_channels} input channels, this one {in_channels}; "
            "give a finished run of the same task"
        )

    def predict(condition: torch.Tensor, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        with autocast(run_settings):
            output: torch.Tensor = network(torch.cat([x, condition], dim=1), t).sample
        return output.float()

    @torch.no_grad()
    def learned(x_t: torch.Tensor, condition: torch.Tensor, t: torch.Tensor, alphas: torch.Tensor) -> torch.Tensor:
        return distilled_noise(partial(predict, condition), x_t, t, alphas, stride=stride, substeps=substeps)

    return learned


def distilled_noise(
    teacher: Denoiser, x_t: torch.Tensor, t: torch.Tensor, alphas_cumprod: torch.Tensor, *, stride: int, substeps: int
) -> torch.Tensor:
    """Noise whose prediction takes one step of DDIM to where `substeps` of the teacher's arrive.

    Args:
        teacher: (x_t, t) -> predicted noise, as x_t.
        x_t: Noisy latents (B, C, H, W).
        t: Timesteps (B,), whole numbers.
        alphas_cumprod: alpha_bar by timestep, float, on the device of `x_t`.
        stride: Length of the step in timesteps: num_train_timesteps / num_inference_steps.
        substeps: Steps of the teacher. A step that is shorter than `substeps` timesteps, at the end of the grid, is
            the teacher's own single one.

    Returns:
        The noise, (B, C, H, W): (x_t - sqrt(alpha_bar) D) / sqrt(1 - alpha_bar), with D the weighted mean of the
        teacher's predicted clean latents.
    """
    end = (t - stride).clamp(min=0)
    start = sigma = _sigma(alphas_cumprod, t)
    origin = x = x_t * (1 + sigma.square()).sqrt()  # x_t / sqrt(alpha_bar)
    mean, rest, single = torch.zeros_like(x_t), torch.ones_like(sigma), x_t
    for k in range(substeps):
        now, then = (t - (t - end) * i // substeps for i in (k, k + 1))
        eps = teacher(x * (1 + sigma.square()).rsqrt(), now)
        single = eps if k == 0 else single
        x0, below = x - sigma * eps, _sigma(alphas_cumprod, then)
        ratio = below / sigma
        x, mean, rest = x0 + ratio * (x - x0), ratio * mean + (1 - ratio) * x0, rest * ratio
        sigma = below
    distilled = (origin - mean / (1 - rest)) / start
    return torch.where((t - end >= substeps)[:, None, None, None], distilled, single)


def _sigma(alphas_cumprod: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    alpha_bar = alphas_cumprod[t][:, None, None, None]
    return ((1 - alpha_bar) / alpha_bar).sqrt()
