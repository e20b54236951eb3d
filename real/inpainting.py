"""Inpainting with Stable Diffusion's inpainting pipeline: the image outside the mask is known, the inside is drawn.

The paper's Table 3 uses a latent diffusion model for inpainting that is not public; this is the stand-in that is, with
an empty prompt and no guidance.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from real.masks import check_mask, grow_to_cells
from real.metrics import distortion, hole_distortion
from real.models import SuperResolutionModel
from real.pipelines import PipelineModel, check_text, draw
from real.problems import Drawn, Problem, Progress, Which
from real.sampling import Settings
from real.scores import Score

__all__ = ["Inpainting", "inpainting_problem", "inpainting_score"]


class Inpainting:
    """A photo, a mask and an inpainting pipeline whose denoiser sees mask and known image; a `Problem`.

    Args:
        image: RGB uint8 (H, W, 3); what is inside the mask has no say.
        mask: bool (H, W), True where it is to be painted.
        model: From `load_pipeline`, of the family "sd-inpaint".
        prompt: What to paint; empty by default, the neutral choice.
        negative_prompt: What to move away from; needs a guidance above 1.
        paste: Put the known pixels back into the result; without it they are what the autoencoder makes of them.

    Raises:
        ValueError: The mask does not fit the image.
    """

    def __init__(
        self,
        image: np.ndarray,
        mask: np.ndarray,
        model: PipelineModel,
        *,
        prompt: str = "",
        negative_prompt: str | None = None,
        paste: bool = True,
    ) -> None:
        check_mask(mask, image)
        self.image, self.mask, self.model, self.paste = image, mask, model, paste
        self.prompt, self.negative_prompt = prompt, negative_prompt
        cell = model.pipe.vae_scale_factor
        padding = [(0, -side % cell) for side in mask.shape]
        grown = grow_to_cells(np.pad(mask, padding), cell)
        whole = np.pad(image, (*padding, (0, 0)), mode="edge")  # the pipeline hides what the mask covers
        self._whole = torch.from_numpy(whole).permute(2, 0, 1)[None].float() / 255.0
        self._grown = torch.from_numpy(grown)[None, None].float()

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
                "prompt": self.prompt,
                "negative_prompt": self.negative_prompt or "",
                "image": self._whole,
                "mask_image": self._grown,
                "height": self._whole.shape[-2],
                "width": self._whole.shape[-1],
                "num_images_per_prompt": count,
            }

        drawn = draw(self.model, settings, inputs, steered=steered, which=which, progress=progress)
        drawn.images = [self._finish(image) for image in drawn.images]
        return drawn

    def _finish(self, image: np.ndarray) -> np.ndarray:
        image = image[: self.mask.shape[0], : self.mask.shape[1]]
        return np.where(self.mask[..., None], image, self.image) if self.paste else image


def inpainting_problem(
    image: np.ndarray,
    mask: np.ndarray,
    model: SuperResolutionModel | PipelineModel,
    *,
    prompt: str | None = None,
    negative_prompt: str | None = None,
    paste: bool = True,
) -> Problem:
    """The problem of an inpainting model of any family, told apart here; see `Inpainting`.

    Raises:
        ValueError: The model does not inpaint, or the mask does not fit the image.
    """
    if isinstance(model, SuperResolutionModel) or model.family != "sd-inpaint":
        raise ValueError(f"model: {model.name!r} does super-resolution; open one with task='inpaint'")
    return Inpainting(image, mask, model, prompt=prompt or "", negative_prompt=negative_prompt or None, paste=paste)


def inpainting_score(mask: np.ndarray) -> Score:
    """PSNR and SSIM over the whole image (`psnr_rgb`, ...) and over the hole alone (`hole_psnr_rgb`, ...)."""

    def score(image: np.ndarray, truth: np.ndarray) -> dict[str, float]:
        return {**distortion(image, truth), **hole_distortion(image, truth, mask)}

    return score
