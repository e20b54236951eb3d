"""The particles of one photo: what can be picked from them, or made of them, and its scores.

Decoding is lazy: an ending that needs one particle decodes one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from skimage.measure import blur_effect

from kds_ref import select_particle
from real.bench.metrics import REPORTED
from real.errors import UserError
from real.images.colour import fix_colours
from real.metrics.score import ImageMetric, Score, score_by
from real.restorers.base import Restorer

__all__ = ["DrawnEnsemble", "bench_score", "sharpness"]


def sharpness(image: np.ndarray) -> float:
    """Blur effect of Crete et al. 2007, by scikit-image: 0 (sharp) to 1 (blurred); needs no truth, RGB uint8 (H, W, 3).

    It says how much another blur would change the image. It is no judge of quality: noise counts as sharp. A flat
    image, which no blur changes, counts as blurred.
    """
    if (image == image[0, 0]).all():
        return 1.0  # scikit-image divides zero by zero
    return float(blur_effect(image, channel_axis=-1))


def bench_score(metrics: Mapping[str, ImageMetric]) -> Score:
    """What `real.metrics.score.score_by` gives, and the blur effect."""
    score = score_by(metrics)
    return lambda image, truth: {**score(image, truth), "blur_effect": sharpness(image)}


@dataclass
class DrawnEnsemble:
    """The particles of one photo, with what can be made of them.

    Attributes:
        latents: (N, C, h, w), or (1, C, h, w) where the draw ends with one particle.
        truth: RGB uint8 (H, W, 3).
        restorer: Restorer, which decodes.
        score: Metrics of an image against the truth.
        evaluations: Model evaluations of all particles together.
        at_cutoff: Predicted clean latents at the last evaluation with t/T at or above the cut-off, (N, C, h, w).
        until_cutoff: How many evaluations of a particle that took.
        metrics: Metrics that a best of N is picked by, by the name of their number.
    """

    latents: torch.Tensor
    truth: np.ndarray
    restorer: Restorer
    score: Score
    evaluations: int
    at_cutoff: torch.Tensor | None = None
    until_cutoff: int = 0
    metrics: Mapping[str, ImageMetric] = field(default_factory=dict)
    _images: dict[int, np.ndarray] = field(default_factory=dict)
    _scores: dict[int, dict[str, float]] = field(default_factory=dict)

    def images(self, indices: Sequence[int]) -> list[np.ndarray]:
        """Decoded particles, RGB uint8 (H, W, 3), each decoded once."""
        missing = [i for i in indices if i not in self._images]
        if missing:
            self._images |= zip(missing, self.restorer.decode(self.latents[missing]), strict=True)
        return [self._images[i] for i in indices]

    def decode(self, latents: torch.Tensor) -> np.ndarray:
        """A picture of latents (C, h, w) that are no particle."""
        return self.restorer.decode(latents[None])[0]

    def scores(self, indices: Sequence[int]) -> list[dict[str, float]]:
        """Scores of particles, each computed once."""
        for i, image in zip(indices, self.images(indices), strict=True):
            if i not in self._scores:
                self._scores[i] = self.score(image, self.truth)
        return [self._scores[i] for i in indices]

    def forget_images(self) -> None:
        """Decode anew from here on, for timing."""
        self._images.clear()

    def choice(self, n: int) -> int:
        """Index of the particle, among the first n, that is nearest to their mean: KDS Eq. 9 (v1)."""
        return int(select_particle(self.latents[:n]))

    def early_choice(self, n: int) -> int:
        """The same, of the clean latents predicted at the cut-off: the others need not be sampled further."""
        if self.at_cutoff is None:
            why = "must be at or below t/T of an evaluation for an early choice, got one above all of them; lower it"
            raise UserError(why, argument="cutoff")
        return int(select_particle(self.at_cutoff[:n]))

    def best_by(self, judge: str, n: int) -> int:
        """Index of the best of the first n by a metric that needs no truth; one without a number counts as worst."""
        key = judge.replace("-", "_")
        scores = np.array([self.metrics[key](image, image) for image in self.images(range(n))])
        sign = 1.0 if REPORTED[key].best == "high" else -1.0
        return int(np.argmax(np.nan_to_num(sign * scores, nan=-np.inf)))

    def worst(self, n: int) -> int:
        """Index of the particle with the lowest PSNR among the first n; needs the truth."""
        return int(np.argmin([s["psnr_rgb"] for s in self.scores(range(n))]))

    def average(self, n: int) -> np.ndarray:
        """Pixel average of the first n particles, float64 (H, W, 3)."""
        mean: np.ndarray = np.mean([image.astype(np.float64) for image in self.images(range(n))], axis=0)
        return mean

    def between_latents(self, n: int, gamma: float) -> np.ndarray:
        """A picture of mean + gamma (chosen - mean), in latents, of the first n particles."""
        particles = self.latents[:n]
        mean = particles.mean(0)
        return self.decode(mean + gamma * (particles[self.choice(n)] - mean))

    def between_pixels(self, n: int, gamma: float) -> np.ndarray:
        """The same in pixels, RGB uint8 (H, W, 3)."""
        mean, chosen = self.average(n), self.images([self.choice(n)])[0]
        return rounded(mean + gamma * (chosen - mean))

    def recoloured_choice(self, n: int, *, fix: str) -> np.ndarray:
        """The chosen particle with the colours of the input, RGB uint8 (H, W, 3); see `real.images.colour`."""
        return fix_colours(self.images([self.choice(n)])[0], self.restorer.shown, fix)

    def by_patch(self, n: int) -> np.ndarray:
        """A picture of the particle nearest to the mean at every latent pixel, each place on its own."""
        particles = self.latents[:n]
        distances = (particles - particles.mean(0)).square().sum(1, keepdim=True)  # (n, 1, h, w)
        nearest = distances.argmin(0, keepdim=True).expand(-1, particles.shape[1], -1, -1)
        return self.decode(particles.gather(0, nearest)[0])


def rounded(pixels: np.ndarray) -> np.ndarray:
    """Float pixels as RGB uint8."""
    return np.rint(pixels).clip(0, 255).astype(np.uint8)
