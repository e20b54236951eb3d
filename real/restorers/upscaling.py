"""Super-resolution with the x4 upscaler of Stable Diffusion, a pipeline of diffusers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from real.errors import UserError
from real.images.colour import check_colour_fix, fix_colours
from real.images.pixels import unit_tensor
from real.models.base import Model, ModelFamily
from real.models.pipeline import PipelineModel, load_pipeline
from real.plugin import repeat_for_particles
from real.restorers.pipeline import PipelineRestorer
from real.settings import Settings

__all__ = ["X4_UPSCALER", "PipelineUpscaling", "check_noise_level"]

NOISE_LEVEL = 20  # the pipeline's default


class PipelineUpscaling(PipelineRestorer):
    """A low-resolution photo and the x4 upscaler.

    The pipeline adds noise to the photo before the denoiser sees it, each particle its own: the particles differ in
    their condition too.

    Args:
        low: RGB uint8 (h, w, 3).
        model: Model of the family "x4-upscaler".
        prompt: What is in the photo; empty by default.
        negative_prompt: What to move away from; needs a guidance above 1.
        noise_level: Timestep of the noise that the photo gets, 0 to the pipeline's `max_noise_level` (350). More
            hides more of what is wrong with the photo, and of what is right.
        colour_fix: How the result takes the colours of the input: "none", "wavelet" or "adain" (`real.images.colour`).

    Raises:
        UserError: noise_level is out of range, or there is no such fix.
    """

    widens = True

    def __init__(
        self,
        low: np.ndarray,
        model: PipelineModel,
        *,
        prompt: str = "",
        negative_prompt: str = "",
        noise_level: int = NOISE_LEVEL,
        colour_fix: str = "none",
    ) -> None:
        check_noise_level(noise_level, model)
        check_colour_fix(colour_fix)
        super().__init__(model, prompt=prompt, negative_prompt=negative_prompt, shown=low)
        self.noise_level, self.colour_fix = noise_level, colour_fix
        self.height, self.width = 4 * low.shape[0], 4 * low.shape[1]
        factor = model.pipe.vae_scale_factor  # the pipeline would scale a photo to multiples of it
        padded = np.pad(low, (*((0, -side % factor) for side in low.shape[:2]), (0, 0)), mode="edge")
        self.condition = unit_tensor(padded)

    def inputs(self, num_particles: int) -> dict[str, Any]:
        """See `PipelineRestorer`."""
        return {
            "prompt": [self.prompt] * num_particles,
            "negative_prompt": [self.negative_prompt] * num_particles,
            "image": repeat_for_particles(self.condition, num_particles),
            "noise_level": self.noise_level,
        }

    def finish(self, image: np.ndarray) -> np.ndarray:
        """See `PipelineRestorer`."""
        return fix_colours(image[: self.height, : self.width], self.shown, self.colour_fix)

    def describe(self, settings: Settings) -> dict[str, Any]:
        """See `Restorer.describe`."""
        own = {"noise_level": self.noise_level, "colour_fix": self.colour_fix}
        return {**super().describe(settings), **own}


def check_noise_level(noise_level: int, model: Model) -> None:
    """UserError unless the x4 upscaler has noise of this level."""
    assert isinstance(model, PipelineModel)
    most = int(model.pipe.config.max_noise_level)
    if isinstance(noise_level, bool) or not isinstance(noise_level, int) or not 0 <= noise_level <= most:
        raise UserError(f"must be a whole number from 0 to {most}, got {noise_level!r}", argument="noise_level")


def _is_upscaler(unet: Mapping[str, Any], vae: Mapping[str, Any]) -> bool:
    levels = len(vae.get("block_out_channels", ()))
    return unet.get("in_channels") == vae.get("latent_channels", 4) + 3 and levels == 3


X4_UPSCALER = ModelFamily(
    name="x4-upscaler",
    task="sr",
    what="the x4 upscaler (an AutoencoderKL of factor 4, a UNet of 3 channels more than its latents)",
    restorer=PipelineUpscaling,
    options={"prompt": "", "negative_prompt": "", "noise_level": NOISE_LEVEL, "colour_fix": "none"},
    load=load_pipeline,
    pipeline="StableDiffusionUpscalePipeline",
    fits=_is_upscaler,
)
