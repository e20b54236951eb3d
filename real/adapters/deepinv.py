"""KDS in deepinv (0.5 or newer): a `Denoiser` that steers what another one returns."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from deepinv.models import Denoiser

from kds_ref import SteeredDenoiser

__all__ = ["KDSDenoiser"]


class KDSDenoiser(Denoiser):
    """A deepinv denoiser with KDS around it, for `PosteriorDiffusion`, an SDE, or any algorithm that takes a denoiser.

    deepinv gives its denoisers photos with black at 0 and white at 1, also where a sampler works between -1 and 1: in
    these units are bandwidth and cut-off.

    Args:
        model: Denoiser, (x, sigma) -> x0.
        kds: Function that makes the steered denoiser: `functools.partial(SteeredDenoiser, ...)` with `num_particles`.

    Example:
        kds = functools.partial(SteeredDenoiser, num_particles=8, cutoff_sigma=0.0, bandwidth=0.1)
        sampler = PosteriorDiffusion(fidelity, KDSDenoiser(model, kds), sde, solver)
        samples = sampler(y, physics, x_init=(8, 3, 64, 64))
    """

    def __init__(self, model: torch.nn.Module, kds: Callable[[Callable[..., torch.Tensor]], SteeredDenoiser]) -> None:
        super().__init__()
        self.model = model
        self.kds = kds
        kds(model)  # wrong options are found here

    def forward(self, x: torch.Tensor, sigma: float | torch.Tensor, **condition: Any) -> torch.Tensor:
        """The steered prediction; the condition, if there is one, goes to the model."""
        model = functools.partial(self.model, **condition) if condition else self.model
        steered: torch.Tensor = self.kds(model)(x, sigma)
        return steered
