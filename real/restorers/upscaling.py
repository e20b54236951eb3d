"""Super-resolution with the x4 upscaler of Stable Diffusion, a pipeline of diffusers."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from real.models.pipeline import PipelineModel
from real.plugin import repeat_for_particles
from real.restorers.pipeline import PipelineProblem

__all__ = ["NOISE_LEVEL", "Upscaling", "check_noise_level"]

NOISE_LEVEL = 20  # the pipeline's default


class Upscaling(PipelineProblem):
    """A low-resolution photo and the x4 upscaler; a `Problem`.

    The pipeline adds noise to the photo before the denoiser sees it, each particle its own: the particles differ in
    their condition too.

    Args:
        low: RGB uint8 (h, w, 3).
        model: From `load_pipeline`, of the family "x4-upscaler".
        prompt: What is in the photo; empty by default.
        negative_prompt: What to move away from; needs a guidance above 1.
        noise_level: Timestep of the noise that the photo gets, 0 to the pipeline's `max_noise_level` (350). More
            hides more of what is wrong with the photo, and of what is right.

    Raises:
        ValueError: noise_level is out of range.
    """

    widens = True

    def __init__(
        self,
        low: np.ndarray,
        model: PipelineModel,
        *,
        prompt: str = "",
        negative_prompt: str | None = None,
        noise_level: int = NOISE_LEVEL,
    ) -> None:
        check_noise_level(noise_level, model)
        super().__init__(model, prompt=prompt, negative_prompt=negative_prompt, shown=low)
        self.noise_level = noise_level
        self.height, self.width = 4 * low.shape[0], 4 * low.shape[1]
        factor = model.pipe.vae_scale_factor  # the pipeline would scale a photo to multiples of it
        padded = np.pad(low, (*((0, -side % factor) for side in low.shape[:2]), (0, 0)), mode="edge")
        self.condition = torch.from_numpy(padded).permute(2, 0, 1)[None].float() / 255.0

    def inputs(self, count: int) -> dict[str, Any]:
        """See `PipelineProblem`."""
        return {
            "prompt": [self.prompt] * count,
            "negative_prompt": [self.negative_prompt or ""] * count,
            "image": repeat_for_particles(self.condition, count),
            "noise_level": self.noise_level,
        }

    def finish(self, image: np.ndarray) -> np.ndarray:
        """See `PipelineProblem`."""
        return image[: self.height, : self.width]


def check_noise_level(noise_level: int, model: PipelineModel) -> None:
    """ValueError unless the model has noise of this level."""
    most = int(model.pipe.config.max_noise_level)
    if isinstance(noise_level, bool) or not isinstance(noise_level, int) or not 0 <= noise_level <= most:
        raise ValueError(f"noise_level: got {noise_level!r}; this model takes a whole number from 0 to {most}")
