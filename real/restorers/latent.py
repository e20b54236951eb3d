"""What all problems of networks in LDM's shape have in common: a condition beside the noisy latents, and a decoder."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from real.images.seeds import photo_seed
from real.models.codec import decode
from real.models.latent import LatentModel
from real.parallel.ranks import Ranks
from real.restorers.base import Progress
from real.restorers.ensemble import EnsembleProblem
from real.sampling import Particles, sample
from real.settings import Settings

__all__ = ["LatentProblem"]


class LatentProblem(EnsembleProblem):
    """A photo and a model that the core's samplers drive.

    Attributes:
        model: The model.
        condition: What the denoiser is told, (1, C, h, w), of the size of the latents.
        height: Of the result, in pixels; the rest of what is decoded is padding.
        width: Likewise.
        shown: What the user has: RGB uint8, the low-resolution photo or the photo with its hole in mid-grey.
        ranks: Processes that share the particles.
    """

    model: LatentModel

    def __init__(
        self,
        model: LatentModel,
        condition: torch.Tensor,
        *,
        height: int,
        width: int,
        shown: np.ndarray,
        ranks: Ranks | None = None,
    ) -> None:
        self.model, self.condition, self.height, self.width = model, condition, height, width
        self.shown, self.ranks = shown, ranks

    def particles(
        self, settings: Settings, *, steered: bool = True, first: bool = False, progress: Progress | None = None
    ) -> Particles:
        """See `EnsembleProblem.particles`."""
        return sample(
            self.model,
            self.condition,
            replace(settings, seed=photo_seed(settings.seed, self.shown)),
            steered=steered,
            particles=[0] if first else None,
            progress=progress,
            ranks=None if first else self.ranks,
        )

    def images(self, latents: torch.Tensor) -> list[np.ndarray]:
        """See `EnsembleProblem.images`."""
        return list(decode(self.model, latents, height=self.height, width=self.width))
