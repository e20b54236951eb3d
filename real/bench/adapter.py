"""Where the studies touch the restorers: how one is made from a photo, and the parts that opponents are built from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from kds_ref import SamplerResult, ddim, dpm_solver_pp_2s, predict_eps, predict_eps_from_v
from kds_ref.schedules import NoiseSchedule
from real.api import inpainting_restorer
from real.api import super_resolution_restorer as super_resolver
from real.bench.photo_sets import HOLES
from real.bench.unsampled import UNSAMPLED
from real.images.masks import center_box
from real.images.seeds import photo_seed
from real.models.base import Model
from real.models.latent import LatentModel
from real.restorers.base import Restorer
from real.restorers.latent import LatentRestorer
from real.sampling import denoiser_of, initial_noise, timesteps_of
from real.settings import Settings

__all__ = ["LatentParts", "hole_filler", "parts_of", "super_resolver", "takes_opponents"]


def hole_filler(
    truth: np.ndarray, hole: str, model: Model, *, prompt: str | None = None, negative_prompt: str | None = None
) -> Restorer:
    """A restorer of what `hole`, a name in `real.bench.photo_sets.HOLES`, hides of a photo, RGB uint8 (H, W, 3)."""
    mask = center_box(*truth.shape[:2], **HOLES[hole])
    return inpainting_restorer(truth, mask, model, prompt=prompt, negative_prompt=negative_prompt)


@dataclass(frozen=True)
class LatentParts:
    """What a sampler of the core is given.

    Attributes:
        denoiser: (x_t, t) -> predicted noise, whatever the network predicts.
        noise: N -> the first N of the photo's particles as noise, (N, C, h, w).
        schedule: Noise schedule.
        timesteps: Timesteps at which the model is evaluated.
        sample: The settings' sampler with its schedule: (denoiser, x_T, timesteps=, steering=, callback=).
        steering: KDS.
    """

    denoiser: Callable[[torch.Tensor, int], torch.Tensor]
    noise: Callable[[int], torch.Tensor]
    schedule: NoiseSchedule
    timesteps: tuple[int, ...]
    sample: Callable[..., SamplerResult]
    steering: Any


def parts_of(restorer: Restorer, settings: Settings, *, noise_seed: int | None = None) -> LatentParts:
    """The parts of a restorer whose model has LDM's shape.

    Args:
        restorer: Restorer of any kind.
        settings: Settings of the method.
        noise_seed: Seed of noise that does not depend on the photo; None: the photo's own.

    Raises:
        ValueError: The model is a pipeline, which runs its own sampler.
    """
    if not isinstance(restorer, LatentRestorer):
        name = type(restorer).__name__
        raise ValueError(f"restorer must have a model in LDM's shape, got {name}, which samples itself")

    model, condition = restorer.model, restorer.condition
    height, width = condition.shape[-2:]
    # As the restorer's own: opponents start from the noise that KDS starts from.
    seed = photo_seed(settings.seed, restorer.shown) if noise_seed is None else noise_seed

    predict = denoiser_of(model, condition, settings.guidance, model.max_batch)
    sampler = ddim if settings.sampler == "ddim" else dpm_solver_pp_2s
    return LatentParts(
        denoiser=_noise_predictor(predict, model.schedule, model.prediction_type),
        noise=lambda count: initial_noise(count, height, width, seed=seed).to(model.device),
        schedule=model.schedule,
        timesteps=timesteps_of(model, settings),
        sample=partial(sampler, schedule=model.schedule),
        steering=settings.steering(num_train_timesteps=model.num_train_timesteps, bandwidth=model.bandwidth),
    )


def _noise_predictor(
    predict: Callable[[torch.Tensor, int], torch.Tensor], schedule: NoiseSchedule, kind: str
) -> Callable[[torch.Tensor, int], torch.Tensor]:
    turn = {"v_prediction": predict_eps_from_v, "sample": predict_eps}.get(kind)
    if turn is None:
        return predict
    return lambda x_t, t: turn(x_t, predict(x_t, t), schedule.alpha_bar(t))


def takes_opponents(model: Model, kinds: Sequence[str]) -> bool:
    """Whether a model can be sampled in all of these ways."""
    return isinstance(model, LatentModel) or set(kinds) <= {"plain", "kds", "kds-early", *UNSAMPLED}
