"""KDS where models follow k-diffusion's convention, model(x, sigma, **extra_args) -> denoised, one sigma per row.

That is how k-diffusion's samplers call them, and those of the many programs that took these over. Nothing of it is
imported.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch

from kds_ref import SteeredDenoiser

__all__ = ["kds_model"]

Model = Callable[..., torch.Tensor]


def kds_model(model: Model, kds: Callable[[Model], SteeredDenoiser]) -> Model:
    """A model with KDS around it, for `sample_euler`, `sample_dpmpp_2m` and their relatives.

    Args:
        model: (x, sigma, **extra_args) -> predicted clean sample, for x = x0 + sigma n; guidance belongs inside.
        kds: Function that makes the steered denoiser: `functools.partial(SteeredDenoiser, ...)` with `num_particles`.

    Returns:
        A model of the same convention.

    Example:
        kds = functools.partial(SteeredDenoiser, num_particles=8, cutoff_sigma=1.1, bandwidth=0.3)
        x0 = sample_dpmpp_2m(kds_model(model, kds), noise * sigmas[0], sigmas)
    """
    kds(model)  # wrong options are found here

    def steered(x: torch.Tensor, sigma: torch.Tensor, **extra_args: Any) -> torch.Tensor:
        denoised: torch.Tensor = kds(functools.partial(model, **extra_args) if extra_args else model)(x, sigma)
        return denoised

    return steered
