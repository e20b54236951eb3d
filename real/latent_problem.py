"""What all problems of networks in LDM's shape have in common: a condition beside the noisy latents, and a decoder."""

from __future__ import annotations

import numpy as np
import torch

from real.codec import decode
from real.models import LatentModel
from real.problems import Drawn, Progress, Which
from real.ranks import Ranks
from real.sampling import Settings, sample

__all__ = ["LatentProblem"]


class LatentProblem:
    """A photo and a model that the core's samplers drive; a `Problem`.

    Attributes:
        model: The model.
        condition: What the denoiser is told, (1, C, h, w), of the size of the latents.
        height: Of the result, in pixels; the rest of what is decoded is padding.
        width: Likewise.
        shown: What the user has: RGB uint8, the low-resolution photo or the photo with its hole in mid-grey.
        ranks: Processes that share the particles.
    """

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

    def draw(
        self, settings: Settings, *, steered: bool = True, which: Which = "chosen", progress: Progress | None = None
    ) -> Drawn:
        """See `Problem.draw`; progress gets a `kds_ref.SamplerState`."""
        particles = sample(
            self.model,
            self.condition,
            settings,
            steered=steered,
            particles=[0] if which == "first" else None,
            progress=progress,
            ranks=None if which == "first" else self.ranks,
        )
        alone = which != "all" or particles.early
        return Drawn(particles, self.images(particles.best[None] if alone else particles.latents), alone)

    def images(self, latents: torch.Tensor) -> list[np.ndarray]:
        """Latents (N, 3, h, w) -> N results, RGB uint8 (height, width, 3)."""
        return list(decode(self.model, latents, height=self.height, width=self.width))
