"""Restore a photo with KDS, alone or beside everything that it has to be compared with.

`restore` is the use; `compare` is the experiment: it knows the truth and puts plain DDIM and KDS, from the same initial
noise, beside each other, so that what steering does and what choosing does can be told apart.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from kds_ref import SamplerState
from real.metrics import distortion
from real.models import SuperResolutionModel
from real.sampling import Particles, Settings, decode, padded_condition, sample

__all__ = ["METHODS", "Comparison", "Restoration", "bicubic", "compare", "compare_plain", "restore"]

METHODS = {
    "bicubic": "bicubic interpolation",
    "ddim_one": "plain sampler: one particle, the first",
    "ddim_mean": "plain sampler: mean over the particles (what one random particle gives on average)",
    "ddim_worst": "plain sampler: the particle of lowest PSNR (needs the truth)",
    "ddim_choice": "plain sampler: the particle nearest the ensemble mean",
    "ddim_average": "plain sampler: pixel average of the particles",
    "kds_mean": "KDS: mean over the particles (what one random particle gives on average)",
    "kds_worst": "KDS: the particle of lowest PSNR (needs the truth)",
    "kds_choice": "KDS: the particle nearest the ensemble mean: the method of the paper",
    "kds_average": "KDS: pixel average of the particles",
}
Progress = Callable[[SamplerState], object]
Score = Callable[[np.ndarray, np.ndarray], dict[str, float]]  # of image and truth, uint8 (H, W, 3)


@dataclass
class Restoration:
    """A restored photo.

    Attributes:
        image: RGB uint8 (4h, 4w, 3), decoded from the chosen particle.
        plain: The first particle without steering, decoded: what the sampler gives without KDS.
        particles: The steered ensemble.
    """

    image: np.ndarray
    plain: np.ndarray
    particles: Particles


@dataclass
class Comparison:
    """Plain sampler and KDS beside the truth.

    Attributes:
        images: RGB uint8 (H, W, 3) by name: bicubic, ddim_one, ddim_choice, ddim_average, kds_choice, kds_average.
        scores: For every method of `METHODS` its PSNR (dB) and SSIM, in RGB and on Y; after an early choice the
            steered ensemble has `kds_choice` alone.
        chosen: Index of the chosen particle, plain and steered.
        trace: Of the steered ensemble; see `Particles`.
    """

    images: dict[str, np.ndarray] = field(default_factory=dict)
    scores: dict[str, dict[str, float]] = field(default_factory=dict)
    chosen: dict[str, int] = field(default_factory=dict)
    trace: list[dict[str, float]] = field(default_factory=list)


def bicubic(low: np.ndarray) -> np.ndarray:
    """Bicubic interpolation by four: RGB uint8 (h, w, 3) -> (4h, 4w, 3)."""
    size = (4 * low.shape[1], 4 * low.shape[0])
    return np.asarray(Image.fromarray(low).resize(size, Image.Resampling.BICUBIC))


def restore(
    low: np.ndarray, model: SuperResolutionModel, settings: Settings, *, progress: Progress | None = None
) -> Restoration:
    """Restore a low-resolution photo, RGB uint8 (h, w, 3), by four; only the chosen particle is decoded.

    The plain first particle is drawn too, for comparison; it costs one N-th of the restoration.
    """
    condition = padded_condition(low, model)
    size = {"height": 4 * low.shape[0], "width": 4 * low.shape[1]}
    particles = sample(model, condition, settings, progress=progress)
    first = sample(model, condition, settings, steered=False, particles=[0], progress=progress)
    return Restoration(
        image=decode(model, particles.best, **size),
        plain=decode(model, first.latents[0], **size),
        particles=particles,
    )


def compare(
    truth: np.ndarray,
    low: np.ndarray,
    model: SuperResolutionModel,
    settings: Settings,
    *,
    progress: Progress | None = None,
    plain: Comparison | None = None,
    score: Score = distortion,
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
    """
    plain = plain or compare_plain(truth, low, model, settings, progress=progress, score=score)
    steered = sample(model, padded_condition(low, model), settings, progress=progress)
    result = Comparison(dict(plain.images), dict(plain.scores), dict(plain.chosen), steered.trace)
    _score_ensemble(result, "kds", steered, truth, model, score)
    return result


def compare_plain(
    truth: np.ndarray,
    low: np.ndarray,
    model: SuperResolutionModel,
    settings: Settings,
    *,
    progress: Progress | None = None,
    score: Score = distortion,
) -> Comparison:
    """The part of `compare` that no steering changes: bicubic interpolation and the plain sampler."""
    plain = sample(model, padded_condition(low, model), settings, steered=False, progress=progress)
    result = Comparison(images={"bicubic": bicubic(low)})
    result.scores["bicubic"] = score(result.images["bicubic"], truth)
    _score_ensemble(result, "ddim", plain, truth, model, score)
    return result


def _score_ensemble(
    result: Comparison,
    name: str,
    particles: Particles,
    truth: np.ndarray,
    model: SuperResolutionModel,
    score: Score,
) -> None:
    height, width = truth.shape[:2]
    result.chosen[name] = particles.chosen
    images = list(decode(model, particles.latents, height=height, width=width))
    scores = [score(image, truth) for image in images]
    if particles.early:  # the other particles were not sampled to the end
        result.images[f"{name}_choice"], result.scores[f"{name}_choice"] = images[0], scores[0]
        return
    average = np.mean([image.astype(np.float64) for image in images], axis=0)
    result.images[f"{name}_one"] = images[0]
    result.images[f"{name}_choice"] = images[particles.chosen]
    result.images[f"{name}_average"] = np.rint(average).astype(np.uint8)
    if name == "ddim":
        result.scores["ddim_one"] = scores[0]
    result.scores[f"{name}_mean"] = {m: float(np.mean([s[m] for s in scores])) for m in scores[0]}
    result.scores[f"{name}_worst"] = min(scores, key=lambda s: s["psnr_rgb"])
    result.scores[f"{name}_choice"] = scores[particles.chosen]
    result.scores[f"{name}_average"] = score(result.images[f"{name}_average"], truth)
