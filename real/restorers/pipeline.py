"""What the restorers of whole pipelines have in common: diffusers runs its own, steered, and decodes as it always does.

The pipeline's `__call__` with a steered scheduler (see `real.plugin`) and one generator per particle ends with latents;
which of them become pictures is decided afterwards.
"""

from __future__ import annotations

import inspect
from abc import abstractmethod
from typing import Any

import numpy as np
import torch

from real.errors import UserError
from real.images.seeds import photo_seed
from real.models.autoencoders import scale_of
from real.models.pipeline import PipelineModel, check_text, quiet
from real.plugin import particle_generators
from real.plugin.early import choose_early, unchoose_early
from real.restorers.base import Progress, Restorer
from real.restorers.steered import particles_of, sampler_state, steered_scheduler
from real.sampling import Particles
from real.settings import Settings

__all__ = ["BlackedOutError", "PipelineRestorer"]


class BlackedOutError(UserError):
    """The model's safety checker blacked a picture out, so there is no result."""


class PipelineRestorer(Restorer):
    """A photo, a text and a pipeline of diffusers.

    Args:
        model: The pipeline.
        prompt: What is to be seen.
        negative_prompt: What to move away from; needs a guidance above 1.
        shown: What the user has, see `Restorer`.

    Attributes:
        widens: Whether this class of pipelines decodes half precision in float32 where its autoencoder asks for that.
    """

    model: PipelineModel
    widens = False

    def __init__(self, model: PipelineModel, *, prompt: str, negative_prompt: str, shown: np.ndarray) -> None:
        self.model, self.prompt, self.negative_prompt, self.shown = model, prompt, negative_prompt, shown

    @abstractmethod
    def inputs(self, num_particles: int) -> dict[str, Any]:
        """N -> arguments of the pipeline for N particles."""

    @abstractmethod
    def finish(self, image: np.ndarray) -> np.ndarray:
        """A decoded picture -> a result; both RGB uint8, with the padding and without."""

    def describe(self, settings: Settings) -> dict[str, Any]:
        """See `Restorer.describe`: the texts that the pipeline is given."""
        return {"prompt": self.prompt, "negative_prompt": self.negative_prompt}

    @torch.no_grad()
    def sample(
        self, settings: Settings, *, steered: bool = True, first: bool = False, progress: Progress | None = None
    ) -> Particles:
        """See `Restorer.sample`; without steering the steered scheduler has strength 0, which is the plain one.

        Raises:
            UserError: See `real.models.pipeline.check_text`.
        """
        check_text(settings, self.negative_prompt)
        model, num_particles = self.model, 1 if first else settings.particles
        # A new scheduler for every run: its state holds the options and the trace of one ensemble.
        scheduler = model.pipe.scheduler = steered_scheduler(
            model.scheduler, settings, num_particles, bandwidth=model.bandwidth, steered=steered
        )
        if steered and settings.early_choice:
            choose_early(model.unet, scheduler)

        try:
            with quiet():
                model.pipe(
                    **self.inputs(num_particles),
                    **_hook(model.pipe, progress),
                    num_inference_steps=settings.steps,
                    guidance_scale=settings.guidance,
                    generator=particle_generators(num_particles, seed=photo_seed(settings.seed, self.shown)),
                    output_type="latent",
                    return_dict=False,
                )
        finally:
            unchoose_early(model.unet)  # the model is used again, for other runs
        return particles_of(scheduler.kds)

    def decode(self, latents: torch.Tensor) -> list[np.ndarray]:
        """See `Restorer.decode`.

        Raises:
            BlackedOutError: The model's safety checker blacked one of them out.
        """
        return [self.finish(np.rint(image * 255.0).astype(np.uint8)) for image in self._decode(latents)]

    @torch.no_grad()
    def _decode(self, latents: torch.Tensor) -> np.ndarray:
        """What the pipeline does after its last step: (N, C, h, w) -> (N, H, W, 3) in [0, 1]."""
        pipe, vae = self.model.pipe, self.model.pipe.vae
        device = self.model.device
        with quiet():
            # As the pipeline does itself: such an autoencoder overflows in half precision.
            if widens := self.widens and vae.dtype == torch.float16 and vae.config.force_upcast:
                vae.float()
            rows = latents.to(device, vae.dtype)
            image = vae.decode(rows / scale_of(vae), return_dict=False)[0]
            if widens:
                vae.half()

            image, flagged, *_ = pipe.run_safety_checker(image, device, self.model.unet.dtype)
            pictures = pipe.image_processor.postprocess(image, output_type="np", do_denormalize=[True] * len(image))
            pipe.maybe_free_model_hooks()
        if flagged and any(flagged):
            raise BlackedOutError("its safety checker blacked a picture out", argument="model")
        return pictures


def _hook(pipe: Any, progress: Progress | None) -> dict[str, Any]:
    """Arguments that make a pipeline call progress with a `kds_ref.SamplerState` after every step."""
    if progress is None:
        return {}

    def newer(pipe: Any, step: int, t: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        progress(sampler_state(pipe.scheduler, int(t)))
        return {}

    def older(step: int, t: Any, latents: torch.Tensor) -> None:
        progress(sampler_state(pipe.scheduler, int(t)))

    takes_newer = "callback_on_step_end" in inspect.signature(type(pipe).__call__).parameters
    return {"callback_on_step_end": newer} if takes_newer else {"callback": older}
