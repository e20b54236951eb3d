"""What all problems have in common: an ensemble, and pictures of any of its particles.

`EnsembleProblem` turns these two into a `Problem`. The studies need no more of one, so they take all its kinds alike:
those of the core's samplers, of DiffBIR and SeeSR, and of whole pipelines of diffusers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol

import numpy as np
import torch

from real.restorers.base import Drawn, Progress, Which
from real.sampling import Particles
from real.settings import Settings

__all__ = ["EnsembleProblem", "StudyModel"]


class StudyModel(Protocol):
    """What the studies ask of a model, whichever kind it is."""

    @property
    def num_train_timesteps(self) -> int:
        """T of the noise schedule."""

    @property
    def device(self) -> torch.device:
        """Where the networks live."""


class EnsembleProblem(ABC):
    """A photo and a model; a `Problem`.

    Attributes:
        model: The model.
        shown: What the user has: RGB uint8, the low-resolution photo or the photo with its hole in mid-grey.
    """

    model: StudyModel
    shown: np.ndarray

    @abstractmethod
    def particles(
        self, settings: Settings, *, steered: bool = True, first: bool = False, progress: Progress | None = None
    ) -> Particles:
        """Draw the particles that belong to the seed.

        Args:
            settings: Of the method.
            steered: False draws the same particles without KDS, each to its end.
            first: Particle 0 alone (without KDS only).
            progress: Called after every model evaluation with a `kds_ref.SamplerState`.
        """

    @abstractmethod
    def images(self, latents: torch.Tensor) -> list[np.ndarray]:
        """Latents (N, C, h, w) -> N results, RGB uint8 (height, width, 3)."""

    def draw(
        self, settings: Settings, *, steered: bool = True, which: Which = "chosen", progress: Progress | None = None
    ) -> Drawn:
        """See `Problem.draw`; progress gets a `kds_ref.SamplerState`."""
        particles = self.particles(settings, steered=steered, first=which == "first", progress=progress)
        alone = which != "all" or particles.early
        if alone:
            return Drawn(particles, self.images(particles.best[None]), alone)
        halfway = (particles.best + particles.latents.mean(0)) / 2
        return Drawn(particles, self.images(particles.latents), alone, self.images(halfway[None])[0])
