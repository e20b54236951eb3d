"""A restorer is one photo together with a model that can restore it; what is done with one does not ask which.

A family of models has a class of restorers, which says how an ensemble is drawn and how latents become pictures.
`restore` is the use: the steered ensemble, of which the chosen particle is decoded. `real.restorers.compare` is the
experiment.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from real.models.base import Model
from real.sampling import Particles
from real.settings import Settings

__all__ = ["Drawn", "Progress", "Restoration", "Restorer", "Which", "decode_all", "restore"]

Progress = Callable[[Any], object]
Which = Literal["chosen", "all", "first"]


@dataclass
class Drawn:
    """An ensemble and pictures of it.

    Attributes:
        particles: The ensemble.
        images: RGB uint8 (H, W, 3): of every particle, or of the chosen one alone.
        alone: Whether it is the chosen one alone.
        halfway: A picture of the latents halfway from the chosen particle to the ensemble mean; None if `alone`.
    """

    particles: Particles
    images: list[np.ndarray]
    alone: bool
    halfway: np.ndarray | None = None


class Restorer(ABC):
    """One photo, with a model and whatever else is known of the photo.

    Attributes:
        model: The model.
        shown: What the user has: RGB uint8, the low-resolution photo or the photo with its hole in mid-grey.
    """

    model: Model
    shown: np.ndarray

    @abstractmethod
    def sample(
        self, settings: Settings, *, steered: bool = True, first: bool = False, progress: Progress | None = None
    ) -> Particles:
        """Draw the particles that belong to the seed.

        Args:
            settings: Settings of the method.
            steered: False draws the same particles without KDS, each to its end.
            first: Particle 0 alone (without KDS only).
            progress: Callback, called after every model evaluation with a `kds_ref.SamplerState`.
        """

    @abstractmethod
    def decode(self, latents: torch.Tensor) -> list[np.ndarray]:
        """Latents (N, C, h, w) -> N results, RGB uint8 (height, width, 3)."""

    def describe(self, settings: Settings) -> dict[str, Any]:
        """What a result file says of a run besides settings and model, such as the texts; ready for JSON."""
        return {}

    def summary(self, settings: Settings) -> str:
        """One line for the terminal on how the model is run; empty where there is nothing to say."""
        return ""

    def draw(
        self, settings: Settings, *, steered: bool = True, which: Which = "chosen", progress: Progress | None = None
    ) -> Drawn:
        """Draw the particles that belong to the seed, and decode some of them.

        Args:
            settings: Settings of the method.
            steered: False draws the same particles without KDS, each to its end.
            which: "chosen" or "all", the particles to decode; "first" draws particle 0 alone (without KDS only).
            progress: Callback, called after every model evaluation with a `kds_ref.SamplerState`.
        """
        particles = self.sample(settings, steered=steered, first=which == "first", progress=progress)
        # After an early choice the other particles were not sampled to the end.
        if which != "all" or particles.early:
            return Drawn(particles, self.decode(particles.best[None]), alone=True)

        halfway = (particles.best + particles.latents.mean(0)) / 2
        images = self.decode(particles.latents)
        return Drawn(particles, images, alone=False, halfway=self.decode(halfway[None])[0])


@dataclass
class Restoration:
    """A restored photo.

    Attributes:
        image: RGB uint8 (H, W, 3), decoded from the chosen particle.
        plain: The first particle without steering, decoded: what the sampler gives without KDS.
        particles: The steered ensemble: latents, index of the chosen one, evaluations, trace.
    """

    image: np.ndarray
    plain: np.ndarray
    particles: Particles

    @property
    def chosen(self) -> int:
        """Index of the chosen particle."""
        return self.particles.chosen

    @property
    def trace(self) -> list[dict[str, float]]:
        """One row per steered step; look at its effective_particles first: at 1 nothing was steered."""
        return self.particles.trace


def restore(restorer: Restorer, settings: Settings, *, progress: Progress | None = None) -> Restoration:
    """Restore with KDS; only the chosen particle is decoded.

    The plain first particle is drawn too, for comparison; it costs one N-th of the restoration.

    Args:
        restorer: The photo and the model.
        settings: Settings of the method.
        progress: Callback, called after every model evaluation of the ensemble, then of the plain particle.
    """
    steered = restorer.draw(settings, progress=progress)
    plain = restorer.draw(settings, steered=False, which="first", progress=progress)
    return Restoration(steered.images[0], plain.images[0], steered.particles)


def decode_all(restorer: Restorer, particles: Particles) -> list[np.ndarray]:
    """Every particle as a picture, RGB uint8 (H, W, 3), one after the other: memory as for the chosen one alone.

    Args:
        restorer: The photo and the model.
        particles: The ensemble; after an early choice only the chosen particle is there to be decoded.
    """
    return [restorer.decode(latents[None])[0] for latents in particles.latents]
