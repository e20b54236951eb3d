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
        scheduler: Scheduler of diffusers, after `set_timesteps`.
        generators: Sources of the noise of stochastic schedulers, one per row; None: torch's global one, or the `seed`
            of a steered scheduler.
        progress: Callback, called after every step with its timestep and the new latents.

    Returns:
        The clean latents, shaped like `latents`; a steered scheduler with `hand_on="chosen"` gives one row per image.
    """
    extra: dict[str, Any] = {}
    if generators is not None and "generator" in inspect.signature(scheduler.step).parameters:
        extra["generator"] = list(generators) if isinstance(generators, Sequence) else generators
    numbers = [int(t) for t in scheduler.timesteps.tolist()]  # read once: they may lie on a GPU

    # Steered: Algorithm 2 (v1) with DDIM, 4 and 5 (CR) with DPM-Solver++ 2S; other schedulers by their own step.
    for t, number in zip(scheduler.timesteps, numbers, strict=True):
        output = denoise(scheduler.scale_model_input(latents, t), number)
        latents = scheduler.step(output, t, latents, **extra).prev_sample
        if progress is not None:
            progress(number, latents)
    return latents
