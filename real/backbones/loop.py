"""The reverse process with any scheduler of diffusers, steered or not."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch

__all__ = ["sample"]


@torch.no_grad()
def sample(
    denoise: Callable[[torch.Tensor, int], torch.Tensor],
    latents: torch.Tensor,
    scheduler: Any,
    *,
    generators: torch.Generator | Sequence[torch.Generator] | None = None,
    progress: Callable[[int, torch.Tensor], object] | None = None,
) -> torch.Tensor:
    """Sample from start latents to clean ones.

    Args:
        denoise: (x_t, timestep) -> noise or velocity, such as a `real.backbones.denoiser.Denoiser`.
        latents: Start, (B, C, h, w), from `real.backbones.starts.start_latents`: of unit variance, so the scheduler
            has to be variance preserving. With a scheduler from `real.steer_scheduler` the rows are the particles.
        scheduler: Of diffusers, after `set_timesteps`.
        generators: For the noise of stochastic schedulers, one a row; None: torch's global one, or the `seed` of
            a steered scheduler.
        progress: Called after every step with its timestep and the new latents.

    Returns:
        As `latents`; with `hand_on="chosen"` of a steered scheduler the chosen row of each image.
    """
    extra: dict[str, Any] = {}
    if generators is not None and "generator" in inspect.signature(scheduler.step).parameters:
        extra["generator"] = list(generators) if isinstance(generators, Sequence) else generators
    numbers = [int(t) for t in scheduler.timesteps.tolist()]  # read once: they may lie on a GPU
    for t, number in zip(scheduler.timesteps, numbers, strict=True):
        output = denoise(scheduler.scale_model_input(latents, t), number)
        latents = scheduler.step(output, t, latents, **extra).prev_sample
        if progress is not None:
            progress(number, latents)
    return latents
