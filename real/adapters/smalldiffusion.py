"""KDS in smalldiffusion (0.5 or newer): a model for its `samples` whose predicted clean sample is steered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from smalldiffusion import ModelMixin

from kds_ref import SteeredDenoiser

__all__ = ["KDSModel"]


class KDSModel(torch.nn.Module, ModelMixin):
    """A model of smalldiffusion with KDS around it: eps' = (x - x0_steered) / sigma, as in Algorithm 2 (v1).

    Args:
        model: Any model that `samples` takes, but those of flow matching (`PredFlow`), whose x is another mixture of
            image and noise.
        kds: Function that makes the steered denoiser: `functools.partial(SteeredDenoiser, ...)` with `num_particles`.

    Example:
        kds = functools.partial(SteeredDenoiser, num_particles=8, cutoff_sigma=0.5, bandwidth=0.3)
        *_, x0 = samples(KDSModel(model, kds), schedule.sample_sigmas(20), batchsize=8)
    """

    def __init__(self, model: Any, kds: Callable[[Callable[..., torch.Tensor]], SteeredDenoiser]) -> None:
        super().__init__()
        self.model: Any = model
        self.kds = kds
        kds(model)  # wrong options are found here

    def rand_input(self, batchsize: int) -> torch.Tensor:
        """Noise, as the model draws it."""
        noise: torch.Tensor = self.model.rand_input(batchsize)
        return noise

    def predict_eps_cfg(
        self, x: torch.Tensor, sigma: torch.Tensor, cond: torch.Tensor | None, cfg_scale: float
    ) -> torch.Tensor:
        """The noise that goes with the steered clean sample, after the model's own guidance."""
        eps: torch.Tensor = self.model.predict_eps_cfg(x, sigma, cond, cfg_scale)
        x0 = x - sigma * eps
        steered = self.kds(lambda x, sigma: x0)(x, sigma)
        return eps - (steered - x0) / sigma  # as a change of eps: without a shift eps keeps its bits
