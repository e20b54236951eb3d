"""What is known of a photo, and where a sampler starts from it: noise on it, a part of its pixels, a small version.

Photos are float32 (3, H, W) with black at 0 and white at 1. In the last two the operator A is known, y = A x without
noise, and `agree` projects a clean sample onto A x = y (the data step of Wang, Yu and Zhang 2023, DDNM, Eq. 11). KDS
itself knows no operator: it is blind, and works where nobody can write A down.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from real.priors.ffdnet import LARGEST_SIGMA

__all__ = ["MEASUREMENTS", "Measurement", "few_pixels", "noisy", "small_version"]

SCALE = 4
KNOWN = 0.3  # part of the pixels that is known where some are missing


@dataclass(frozen=True)
class Measurement:
    """What is known, in the form that the sampler needs.

    Attributes:
        seen: What was measured, as a picture of the photo's size.
        estimate: A photo that is made without sampling, (3, H, W): the noisy photo itself, or filled or enlarged.
        noise: How much of a particle's own noise its start has, in units of the first noise level: 0 where the measured
            photo has noise of that level already, 1 elsewhere.
        agree: Function that makes clean samples (N, 3, H, W) agree with what is known; None where that is no
            constraint.
    """

    seen: torch.Tensor
    estimate: torch.Tensor
    noise: float
    agree: Callable[[torch.Tensor], torch.Tensor] | None


def noisy(truth: torch.Tensor, rng: np.random.Generator) -> Measurement:
    """The photo with white noise of standard deviation 75/255: all particles start at it."""
    noise = torch.from_numpy(rng.standard_normal(tuple(truth.shape), np.float32))
    measured = truth + LARGEST_SIGMA * noise
    return Measurement(measured, measured, 0.0, None)


def few_pixels(truth: torch.Tensor, rng: np.random.Generator) -> Measurement:
    """Three of ten pixels, at random places; the others are filled by a weighted mean of their neighbours."""
    known = rng.random(truth.shape[1:]) < KNOWN
    mask = torch.from_numpy(known)
    weight = gaussian_filter(known.astype(np.float32), 1.5) + 1e-6
    near = gaussian_filter(truth.numpy() * known, (0.0, 1.5, 1.5)) / weight
    filled = torch.where(mask, truth, torch.from_numpy(near.astype(np.float32)))
    return Measurement(truth * mask, filled, 1.0, lambda x0: torch.where(mask, truth, x0))


def small_version(truth: torch.Tensor, rng: np.random.Generator) -> Measurement:
    """A quarter of the size, each pixel the mean of 4 x 4; enlarged by bicubic interpolation."""
    small = torch.nn.functional.avg_pool2d(truth[None], SCALE)
    large = torch.nn.functional.interpolate(small, scale_factor=SCALE, mode="bicubic", align_corners=False)[0]

    def agree(x0: torch.Tensor) -> torch.Tensor:
        missing = small - torch.nn.functional.avg_pool2d(x0, SCALE)
        return x0 + torch.nn.functional.interpolate(missing, scale_factor=SCALE, mode="nearest")

    seen = torch.nn.functional.interpolate(small, scale_factor=SCALE, mode="nearest")[0]
    return Measurement(seen, large, 1.0, agree)


MEASUREMENTS: dict[str, Callable[[torch.Tensor, np.random.Generator], Measurement]] = {
    "noise": noisy,
    "pixels": few_pixels,
    "small": small_version,
}
