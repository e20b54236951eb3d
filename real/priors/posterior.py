"""Posterior sampling with a denoiser: particles go down the noise levels, by DDIM with the noise of DDPM.

Song et al. 2021, "Denoising diffusion implicit models", Eq. 12 and 16 with eta = 1, for x = x0 + sigma n. From a photo
with noise of level sigma on it, the loop started at that photo samples what the clean photo may have been: noise is a
state of the diffusion. For other measurements the clean sample is made to agree with them before every step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import torch

__all__ = ["noise_levels", "particle_noise", "sample_posterior"]

Denoiser = Callable[[torch.Tensor, float], torch.Tensor]


def noise_levels(steps: int, *, largest: float, smallest: float = 1.0 / 255.0) -> tuple[float, ...]:
    """Levels in even ratios, from `largest` to `smallest`, one per step."""
    return tuple(float(level) for level in np.geomspace(largest, smallest, steps))


def particle_noise(num_particles: int, shape: Sequence[int], *, seed: Sequence[int], draws: int) -> torch.Tensor:
    """Standard normal noise (draws, N, *shape); particle i has the same whatever N is.

    Args:
        num_particles: N.
        shape: Shape of one photo, (3, H, W).
        seed: Whole numbers that name the photo.
        draws: How many each particle needs: its start and every step but the last.
    """
    generators = (np.random.default_rng([*seed, i]) for i in range(num_particles))
    noise = [generator.standard_normal((draws, *shape), np.float32) for generator in generators]
    return torch.from_numpy(np.stack(noise, axis=1))


@torch.no_grad()
def sample_posterior(
    denoiser: Denoiser,
    x: torch.Tensor,
    *,
    sigmas: Sequence[float],
    noise: torch.Tensor,
    agree: Callable[[torch.Tensor], torch.Tensor] | None = None,
) -> torch.Tensor:
    """Sample clean photos from noisy ones.

    Args:
        denoiser: (x, sigma) -> x0_pred, e.g. `FFDNet` or a `kds_ref.SteeredDenoiser` around it.
        x: The start at the first noise level, (N, 3, H, W).
        sigmas: Noise levels, descending and positive; the last step goes to 0.
        noise: Standard normal, (len(sigmas) - 1, N, 3, H, W).
        agree: Function that makes a predicted clean sample agree with what is known; None: nothing else is known.

    Returns:
        Clean samples, like x.

    Raises:
        ValueError: The noise levels do not descend, or there is too little noise.
    """
    if not sigmas or any(a <= b for a, b in pairwise([*sigmas, 0.0])):
        raise ValueError(f"sigmas must be at least one positive number, descending, got {tuple(sigmas)[:4]}")
    if len(noise) < len(sigmas) - 1:
        raise ValueError(f"noise must have {len(sigmas) - 1} draws, one between two levels, got {len(noise)}")
    for step, (here, there) in enumerate(pairwise([*sigmas, 0.0])):
        x0 = denoiser(x, here)
        x0 = x0 if agree is None else agree(x0)
        # Of the noise that stays, this part is drawn anew and the rest is the predicted one.
        fresh = there * math.sqrt(1.0 - (there / here) ** 2)
        x = x0 + math.sqrt(there**2 - fresh**2) * (x - x0) / here
        if there > 0.0:
            x = x + fresh * noise[step]
    return x
