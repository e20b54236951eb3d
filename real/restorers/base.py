"""A problem is one photo together with a model that can restore it; what is done with a problem does not ask which.

`restore_problem` is the use: the steered ensemble, of which the chosen particle is decoded. `compare_problem` is the
experiment: it knows the truth and puts the plain sampler and KDS, from the same initial noise, beside each other, so
that what steering does and what choosing does can be told apart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np

from real.metrics.score import Score
from real.sampling import Particles
from real.settings import Settings

__all__ = [
    "METHODS",
    "Comparison",
    "Drawn",
    "Problem",
    "Progress",
    "Restoration",
    "Which",
    "compare_problem",
    "plain_comparison",
    "restore_problem",
]

METHODS = {
    "bicubic": "bicubic interpolation",
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


class Problem(Protocol):
    """One photo, with a model and whatever that is told of the photo."""

    def draw(
        self, settings: Settings, *, steered: bool = True, which: Which = "chosen", progress: Progress | None = None
    ) -> Drawn:
        """Draw the particles that belong to the seed and decode them.

        Args:
            settings: Of the method.
            steered: False draws the same particles without KDS, each to its end.
            which: Decode the chosen particle or all of them; "first" draws particle 0 alone (without KDS only).
            progress: Called after every step, with what the sampler says of it.
        """


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
        """One row a steered step; look at its effective_particles first: at 1 nothing was steered."""
        return self.particles.trace


@dataclass
class Comparison:
    """Plain sampler and KDS beside the truth.

    Attributes:
        images: RGB uint8 (H, W, 3) by name: ddim_one, ddim_choice, ddim_average, kds_one, kds_choice, kds_average, and
            bicubic for super-resolution.
        scores: For every method of `METHODS` that there is, its scores by name; after an early choice the steered
            ensemble has `kds_choice` alone.
        chosen: Index of the chosen particle, plain ("ddim") and steered ("kds"), and of the one that an early choice
            would have taken ("kds_early").
        trace: Of the steered ensemble; see `Particles`.
        evaluations: Of the plain and of the steered ensemble; see `Particles`.
    """

    images: dict[str, np.ndarray] = field(default_factory=dict)
    scores: dict[str, dict[str, float]] = field(default_factory=dict)
    chosen: dict[str, int] = field(default_factory=dict)
    trace: list[dict[str, float]] = field(default_factory=list)
    evaluations: dict[str, int] = field(default_factory=dict)


def restore_problem(problem: Problem, settings: Settings, *, progress: Progress | None = None) -> Restoration:
    """Restore with KDS; only the chosen particle is decoded.

    The plain first particle is drawn too, for comparison; it costs one N-th of the restoration.
    """
    steered = problem.draw(settings, progress=progress)
    plain = problem.draw(settings, steered=False, which="first", progress=progress)
    return Restoration(steered.images[0], plain.images[0], steered.particles)


def plain_comparison(
    problem: Problem,
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
        problem: The photo and the model.
        truth: RGB uint8 (H, W, 3).
        settings: Of the sampler.
        score: Metrics of an image against the truth, by name; `psnr_rgb` must be among them.
        baselines: Images by name, names of `METHODS`.
        drawn: The plain ensemble with all its pictures, where it is there already.
        progress: Called after every step.
    """
    result = Comparison(images=dict(baselines))
    result.scores = {name: score(image, truth) for name, image in baselines.items()}
    drawn = drawn or problem.draw(settings, steered=False, which="all", progress=progress)
    _add_ensemble(result, "ddim", drawn, truth, score)
    return result


def compare_problem(
    problem: Problem,
    truth: np.ndarray,
    settings: Settings,
    *,
    plain: Comparison,
    score: Score,
    progress: Progress | None = None,
) -> Comparison:
    """Add the steered ensemble to a plain comparison, from the same noise.

    Args:
        problem: The photo and the model.
        truth: RGB uint8 (H, W, 3).
        settings: Of the steered run; they may differ from those of `plain` in the steering alone.
        plain: From `plain_comparison`; it is not changed.
        score: As there.
        progress: Called after every step.
    """
    steered = problem.draw(settings, which="all", progress=progress)
    result = Comparison(dict(plain.images), dict(plain.scores), dict(plain.chosen), steered.particles.trace)
    result.evaluations = dict(plain.evaluations)
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
    average = np.mean([image.astype(np.float64) for image in images], axis=0)
    result.images[f"{name}_one"] = images[0]
    result.images[f"{name}_choice"] = images[chosen]
    result.images[f"{name}_average"] = np.rint(average).astype(np.uint8)
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
