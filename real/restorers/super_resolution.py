"""Super-resolution with a model in LDM-SR's shape, through the samplers of the core; alone or beside its comparisons.

`real.restorers.base` says what is done with a problem; here is the problem, and `restore` and `compare` for it.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from real.metrics.distortion import distortion
from real.metrics.score import Score
from real.models.codec import padded_condition
from real.models.latent import LatentModel
from real.parallel.ranks import Ranks
from real.restorers.base import (
    METHODS,
    Comparison,
    Progress,
    Restoration,
    compare_problem,
    plain_comparison,
    restore_problem,
)
from real.restorers.latent import LatentProblem
from real.settings import Settings

__all__ = [
    "METHODS",
    "Comparison",
    "LowResolution",
    "Restoration",
    "bicubic",
    "compare",
    "compare_plain",
    "restore",
    "take_part",
]


class LowResolution(LatentProblem):
    """A low-resolution photo and a model in LDM-SR's shape; a `Problem`.

    Args:
        low: RGB uint8 (h, w, 3).
        model: The model.
        ranks: Processes that share the particles; the others call `take_part`.
    """

    def __init__(self, low: np.ndarray, model: LatentModel, ranks: Ranks | None = None) -> None:
        height, width = 4 * low.shape[0], 4 * low.shape[1]
        super().__init__(model, padded_condition(low, model), height=height, width=width, shown=low, ranks=ranks)


def bicubic(low: np.ndarray) -> np.ndarray:
    """Bicubic interpolation by four: RGB uint8 (h, w, 3) -> (4h, 4w, 3)."""
    size = (4 * low.shape[1], 4 * low.shape[0])
    return np.asarray(Image.fromarray(low).resize(size, Image.Resampling.BICUBIC))


def restore(
    low: np.ndarray,
    model: LatentModel,
    settings: Settings,
    *,
    progress: Progress | None = None,
    ranks: Ranks | None = None,
) -> Restoration:
    """Restore a low-resolution photo, RGB uint8 (h, w, 3), by four; only the chosen particle is decoded.

    The plain first particle is drawn too, for comparison; it costs one N-th of the restoration. With ranks, the other
    processes call `take_part`.
    """
    return restore_problem(LowResolution(low, model, ranks), settings, progress=progress)


def compare(
    truth: np.ndarray,
    low: np.ndarray,
    model: LatentModel,
    settings: Settings,
    *,
    progress: Progress | None = None,
    plain: Comparison | None = None,
    score: Score = distortion,
    ranks: Ranks | None = None,
) -> Comparison:
    """Restore with and without KDS from the same noise and score everything against the truth.

    Args:
        truth: RGB uint8 (4h, 4w, 3).
        low: RGB uint8 (h, w, 3).
        model: The model.
        settings: Of both runs.
        progress: Called after every model evaluation.
        score: Metrics of an image against the truth, by name; `psnr_rgb` must be among them.
        plain: From `compare_plain`, if that part is known already; its settings may differ in the steering alone.
        ranks: Processes that share the particles; the others call `take_part`.
    """
    plain = plain or compare_plain(truth, low, model, settings, progress=progress, score=score, ranks=ranks)
    problem = LowResolution(low, model, ranks)
    return compare_problem(problem, truth, settings, plain=plain, score=score, progress=progress)


def compare_plain(
    truth: np.ndarray,
    low: np.ndarray,
    model: LatentModel,
    settings: Settings,
    *,
    progress: Progress | None = None,
    score: Score = distortion,
    ranks: Ranks | None = None,
) -> Comparison:
    """The part of `compare` that no steering changes: bicubic interpolation and the plain sampler."""
    baselines = {"bicubic": bicubic(low)}
    problem = LowResolution(low, model, ranks)
    return plain_comparison(problem, truth, settings, score=score, baselines=baselines, progress=progress)


def take_part(low: np.ndarray, model: LatentModel, settings: Settings, *, ranks: Ranks, compared: bool) -> None:
    """What every process but the first does while that one calls `restore`, or `compare` if compared: it samples."""
    problem = LowResolution(low, model, ranks)
    if compared:
        problem.particles(settings, steered=False)
    problem.particles(settings)
