"""How an ensemble is drawn, by kind: a new opponent is one more entry, a few lines in `real.bench.opponents`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from kds_ref import SamplerState
from real.bench import opponents
from real.bench.ensembles import DrawnEnsemble
from real.bench.plan import EnsemblePlan, evaluations_per_call
from real.bench.unsampled import UNSAMPLED
from real.early_choice import in_window
from real.metrics.score import Score
from real.restorers.base import Restorer
from real.settings import Settings

__all__ = ["DRAWS", "draw_ensemble"]

Progress = Callable[[SamplerState], object]


@dataclass(frozen=True)
class DrawKind:
    """One way to draw.

    Attributes:
        draw: (restorer, settings) -> latents of the one particle that it ends with, and evaluations; None for those
            that the restorer draws itself.
        evaluations: Settings -> about how many, for the bar.
    """

    draw: Callable[[Restorer, Settings], opponents.Drawn] | None
    evaluations: Callable[[Settings], int]


def _of_all(s: Settings) -> int:
    return s.particles * s.steps


def _until_cutoff(s: Settings) -> int:
    early = round((1.0 - s.cutoff) * s.steps)
    return s.particles * early + s.steps - early


DRAWS = {
    "plain": DrawKind(None, _of_all),
    "kds": DrawKind(None, _of_all),
    "hds": DrawKind(opponents.hds, lambda s: s.steps),
    "dgs": DrawKind(opponents.density, lambda s: s.steps),
    "renoise": DrawKind(opponents.renoise, _until_cutoff),
    "kds-early": DrawKind(opponents.early, _until_cutoff),
    "kds-renoise": DrawKind(lambda r, s: opponents.renoise(r, s, steered=True), _until_cutoff),
    "funnel": DrawKind(opponents.funnel, _until_cutoff),
    "drafts": DrawKind(opponents.drafts, lambda s: opponents.DRAFT_STEPS * s.particles + s.steps),
    "fixed-noise": DrawKind(None, lambda s: s.steps),
    **{name: DrawKind(None, lambda s: 0) for name in UNSAMPLED},
}


def draw_ensemble(
    plan: EnsemblePlan,
    truth: np.ndarray,
    restorer: Restorer,
    score: Score,
    *,
    noise_seed: int | None = None,
    progress: Progress | None = None,
) -> DrawnEnsemble:
    """Draw what a plan says for one photo.

    Args:
        plan: Plan of any kind that samples.
        truth: RGB uint8 (H, W, 3).
        restorer: The photo and the model.
        score: Metrics of an image against the truth.
        noise_seed: Seed of the noise of the kind "fixed-noise".
        progress: Callback, called after every model evaluation of "plain" and "kds".
    """
    settings = plan.settings
    if plan.kind == "fixed-noise":
        assert noise_seed is not None  # without photos to pick it on there is no such line
        with torch.no_grad():
            latents, evaluations = opponents.fixed_noise(restorer, settings, noise_seed)
        return DrawnEnsemble(latents, truth, restorer, score, evaluations)
    if (draw := DRAWS[plan.kind].draw) is not None:
        with torch.no_grad():
            latents, evaluations = draw(restorer, settings)
        return DrawnEnsemble(latents, truth, restorer, score, evaluations)

    # The endings of a whole ensemble include an early choice, by the last evaluation inside the steering window.
    ensemble = DrawnEnsemble(torch.empty(0, dtype=torch.float32, device="cpu"), truth, restorer, score, 0)
    total = restorer.model.num_train_timesteps

    def watch(state: SamplerState) -> None:
        if in_window(state.t, total, cutoff=settings.cutoff):
            ensemble.at_cutoff, ensemble.until_cutoff = state.x0_steered, state.num_model_evaluations
        if progress is not None:
            progress(state)

    drawn = restorer.sample(settings, steered=plan.kind == "kds", progress=watch)
    ensemble.latents = drawn.latents
    ensemble.evaluations = drawn.evaluations * evaluations_per_call(settings)
    return ensemble
