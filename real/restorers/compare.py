"""The plain sampler and KDS side by side, from the same initial noise, for a photo whose truth is known.

So what steering does and what choosing does can be told apart. `plain_comparison` is the part that no steering changes,
`compare` adds a steered ensemble to it; several steered ones can share one plain part.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from real.images.disagreement import average_picture, spread_map
from real.metrics.score import Score
from real.restorers.base import Drawn, Progress, Restorer
from real.settings import Settings

__all__ = ["METHODS", "Comparison", "bicubic", "compare", "plain_comparison"]

METHODS = {
    "bicubic": "bicubic interpolation",
    "mmse": "regression network: one best guess in the squared sense, without a diffusion model",
    "ddim_one": "plain sampler: one particle, the first",
    "ddim_mean": "plain sampler: mean over the particles (what one random particle gives on average)",
    "ddim_worst": "plain sampler: the particle of lowest PSNR (needs the truth)",
    "ddim_choice": "plain sampler: the particle nearest the ensemble mean",
    "ddim_halfway": "plain sampler: halfway from that particle to the ensemble mean, in latents",
    "ddim_average": "plain sampler: pixel average of the particles",
    "kds_mean": "KDS: mean over the particles (what one random particle gives on average)",
    "kds_worst": "KDS: the particle of lowest PSNR (needs the truth)",
    "kds_choice": "KDS: the particle nearest the ensemble mean: the method of the paper",
    "kds_early": "KDS: the particle that was nearest the ensemble mean at the cut-off: what an early choice gives",
    "kds_halfway": "KDS: halfway from the chosen particle to the ensemble mean, in latents",
    "kds_average": "KDS: pixel average of the particles",
}


@dataclass
class Comparison:
    """Plain sampler and KDS, scored against the truth.

    Attributes:
        images: RGB uint8 (H, W, 3) by name: ddim_one, ddim_choice, ddim_average, kds_one, kds_choice, kds_average, and
            bicubic and mmse for super-resolution.
        scores: Scores by name, for every method of `METHODS` that there is; after an early choice the steered
            ensemble has `kds_choice` alone.
        chosen: Index of the chosen particle, plain ("ddim") and steered ("kds"), and of the one that an early choice
            would have taken ("kds_early").
        trace: Trace of the steered ensemble; see `Particles`.
        evaluations: Evaluations of the plain and of the steered ensemble; see `Particles`.
        spread: Maps of where the particles disagree, plain ("ddim") and steered ("kds"): (H, W), standard deviation in
            grey levels of 255 (`real.images.disagreement`); only of ensembles of two and more that were sampled to the
            end.
    """

    images: dict[str, np.ndarray] = field(default_factory=dict)
    scores: dict[str, dict[str, float]] = field(default_factory=dict)
    chosen: dict[str, int] = field(default_factory=dict)
    trace: list[dict[str, float]] = field(default_factory=list)
    evaluations: dict[str, int] = field(default_factory=dict)
    spread: dict[str, np.ndarray] = field(default_factory=dict)


def bicubic(low: np.ndarray) -> np.ndarray:
    """Bicubic interpolation by four: RGB uint8 (h, w, 3) -> (4h, 4w, 3)."""
    size = (4 * low.shape[1], 4 * low.shape[0])
    return np.asarray(Image.fromarray(low).resize(size, Image.Resampling.BICUBIC))


def plain_comparison(
    restorer: Restorer,
    truth: np.ndarray,
    settings: Settings,
    *,
    score: Score,
    baselines: Mapping[str, np.ndarray],
    drawn: Drawn | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """The part of a comparison that no steering changes: the plain sampler, and images that need no model.

    Args:
        restorer: The photo and the model.
        truth: RGB uint8 (H, W, 3).
        settings: Settings of the sampler.
        score: Metrics of an image against the truth, by name; `psnr_rgb` must be among them.
        baselines: Images by name, names of `METHODS`.
        drawn: The plain ensemble with all its pictures, where it is there already.
        progress: Callback, called after every step.
    """
    result = Comparison(images=dict(baselines))
    result.scores = {name: score(image, truth) for name, image in baselines.items()}
    drawn = drawn or restorer.draw(settings, steered=False, which="all", progress=progress)
    _add_ensemble(result, "ddim", drawn, truth, score)
    return result


def compare(
    restorer: Restorer,
    truth: np.ndarray,
    settings: Settings,
    *,
    plain: Comparison,
    score: Score,
    progress: Progress | None = None,
) -> Comparison:
    """Add the steered ensemble to a plain comparison, from the same noise.

    Args:
        restorer: The photo and the model.
        truth: RGB uint8 (H, W, 3).
        settings: Settings of the steered run; they may differ from those of `plain` in the steering alone.
        plain: Result of `plain_comparison`; it is not changed.
        score: Metrics of an image against the truth, the same as for `plain`.
        progress: Callback, called after every step.
    """
    steered = restorer.draw(settings, which="all", progress=progress)
    result = Comparison(dict(plain.images), dict(plain.scores), dict(plain.chosen), steered.particles.trace)
    result.evaluations, result.spread = dict(plain.evaluations), dict(plain.spread)
    _add_ensemble(result, "kds", steered, truth, score)
    return result


def _add_ensemble(result: Comparison, name: str, drawn: Drawn, truth: np.ndarray, score: Score) -> None:
    images, chosen = drawn.images, drawn.particles.chosen
    scores = [score(image, truth) for image in images]
    result.chosen[name] = chosen
    result.evaluations[name] = drawn.particles.evaluations
    if drawn.alone:  # the other particles were not sampled to the end
        result.images[f"{name}_choice"], result.scores[f"{name}_choice"] = images[0], scores[0]
        return

    if len(images) > 1:
        result.spread[name] = spread_map(images)
    result.images[f"{name}_one"] = images[0]
    result.images[f"{name}_choice"] = images[chosen]
    result.images[f"{name}_average"] = average_picture(images)

    # Scores are in the order of METHODS, which tables keep.
    if name == "ddim":
        result.scores["ddim_one"] = scores[0]
    result.scores[f"{name}_mean"] = {m: float(np.mean([s[m] for s in scores])) for m in scores[0]}
    result.scores[f"{name}_worst"] = min(scores, key=lambda s: s["psnr_rgb"])
    result.scores[f"{name}_choice"] = scores[chosen]
    if drawn.particles.chosen_at_cutoff is not None:
        result.chosen[f"{name}_early"] = drawn.particles.chosen_at_cutoff
        result.scores[f"{name}_early"] = scores[drawn.particles.chosen_at_cutoff]
    if drawn.halfway is not None:
        result.scores[f"{name}_halfway"] = score(drawn.halfway, truth)
    result.scores[f"{name}_average"] = score(result.images[f"{name}_average"], truth)
