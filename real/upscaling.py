"""Super-resolution with the x4 upscaler of Stable Diffusion, a pipeline of diffusers."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from real.pipelines import PipelineModel, check_text, draw
from real.plugin import repeat_for_particles
from real.problems import Drawn, Progress, Which
from real.sampling import Settings

__all__ = ["NOISE_LEVEL", "Upscaling"]

NOISE_LEVEL = 20  # the pipeline's default


class Upscaling:
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

    def __init__(
        self,
        low: np.ndarray,
        model: PipelineModel,
        *,
        prompt: str = "",
        negative_prompt: str | None = None,
        noise_level: int = NOISE_LEVEL,
    ) -> None:
        most = int(model.pipe.config.max_noise_level)
        if isinstance(noise_level, bool) or not isinstance(noise_level, int) or not 0 <= noise_level <= most:
            raise ValueError(f"noise_level: got {noise_level!r}; this model takes a whole number from 0 to {most}")
        self.model, self.prompt, self.negative_prompt, self.noise_level = model, prompt, negative_prompt, noise_level
        self.height, self.width = 4 * low.shape[0], 4 * low.shape[1]
        factor = model.pipe.vae_scale_factor  # the pipeline would scale a photo to multiples of it
        padded = np.pad(low, (*((0, -side % factor) for side in low.shape[:2]), (0, 0)), mode="edge")
        self.condition = torch.from_numpy(padded).permute(2, 0, 1)[None].float() / 255.0

    def draw(
        self, settings: Settings, *, steered: bool = True, which: Which = "chosen", progress: Progress | None = None
    ) -> Drawn:
        """See `Problem.draw`; progress gets a `real.plugin.StepRecord`.

        Raises:
            ValueError: See `real.pipelines.check_text`.
        """
        check_text(settings, self.negative_prompt)

        def inputs(count: int) -> dict[str, Any]:
            return {
                "prompt": [self.prompt] * count,
                "negative_prompt": [self.negative_prompt or ""] * count,
                "image": repeat_for_particles(self.condition, count),
                "noise_level": self.noise_level,
            }

        drawn = draw(self.model, settings, inputs, steered=steered, which=which, progress=progress)
        drawn.images = [image[: self.height, : self.width] for image in drawn.images]
        return drawn
