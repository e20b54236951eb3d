"""Inpainting: the image outside the mask is known, the inside is drawn.

`LatentInpainting` drives networks in the shape of the latent diffusion paper's inpainting model (7 channels), which is
what the paper's Table 3 has; `Inpainting` drives Stable Diffusion's pipeline, by default with an empty prompt and no
guidance.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from real.backbones.model import BackboneModel
from real.codec import encode
from real.degrade import SCALE
from real.ensemble_problem import EnsembleProblem
from real.latent_problem import LatentProblem
from real.masks import check_mask, fill_smoothly, grow_to_cells, latent_mask
from real.metrics import distortion, hole_distortion
from real.models import LatentModel
from real.pipeline_problem import PipelineProblem
from real.pipelines import PipelineModel
from real.scores import Score

__all__ = ["Inpainting", "LatentInpainting", "inpainting_problem", "inpainting_score"]


class Inpainting(PipelineProblem):
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
        super().__init__(model, prompt=prompt, negative_prompt=negative_prompt, shown=_hidden(image, mask))
        self.image, self.mask, self.paste = image, mask, paste
        cell = model.pipe.vae_scale_factor
        whole, padded = _pad(image, mask, cell)  # the pipeline hides what the mask covers
        grown = grow_to_cells(padded, cell)
        self._whole = torch.from_numpy(whole).permute(2, 0, 1)[None].float() / 255.0
        self._grown = torch.from_numpy(grown)[None, None].float()

    def inputs(self, count: int) -> dict[str, Any]:
        """See `PipelineProblem`."""
        return {
            "prompt": self.prompt,
            "negative_prompt": self.negative_prompt or "",
            "image": self._whole,
            "mask_image": self._grown,
            "height": self._whole.shape[-2],
            "width": self._whole.shape[-1],
            "num_images_per_prompt": count,
        }

    def finish(self, image: np.ndarray) -> np.ndarray:
        """See `PipelineProblem`; with the known pixels, unless they are not to be pasted."""
        return _finish(image, self.image, self.mask, paste=self.paste)


class LatentInpainting(LatentProblem):
    """A photo, a mask and a denoiser that is told latents of the photo with its hole in mid-grey, and the hole.

    A `Problem`. What the denoiser is told is what `real.train.tasks.InpaintingTask` trains with.

    Args:
        image: RGB uint8 (H, W, 3); what is inside the mask has no say.
        mask: bool (H, W), True where it is to be painted.
        model: From `real.models.load_model`, of the family "ldm-inpaint".
        paste: Put the known pixels back into the result; without it they are what the autoencoder makes of them.

    Raises:
        ValueError: The mask does not fit the image.
    """

    def __init__(self, image: np.ndarray, mask: np.ndarray, model: LatentModel, *, paste: bool = True) -> None:
        check_mask(mask, image)
        self.image, self.mask, self.paste = image, mask, paste
        whole, padded = _pad(image, mask, SCALE * 2 ** (len(model.unet.config.block_out_channels) - 1))
        x = torch.from_numpy(whole).permute(2, 0, 1)[None].to(model.device).float() / 127.5 - 1
        hole = latent_mask(padded)[None, None].to(model.device)
        condition = torch.cat([encode(model, fill_smoothly(x, padded)), hole], dim=1)
        size = {"height": mask.shape[0], "width": mask.shape[1]}
        super().__init__(model, condition, **size, shown=_hidden(image, mask))

    def images(self, latents: torch.Tensor) -> list[np.ndarray]:
        """See `LatentProblem`; with the known pixels, unless they are not to be pasted."""
        return [_finish(image, self.image, self.mask, paste=self.paste) for image in super().images(latents)]


def _hidden(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The image with its hole in mid-grey."""
    return np.where(mask[..., None], np.uint8(128), image)


def _pad(image: np.ndarray, mask: np.ndarray, multiple: int) -> tuple[np.ndarray, np.ndarray]:
    """Both, padded at the bottom and right to multiples; the border of the image goes on, and is known there."""
    padding = [(0, -side % multiple) for side in mask.shape]
    return np.pad(image, (*padding, (0, 0)), mode="edge"), np.pad(mask, padding)


def _finish(image: np.ndarray, known: np.ndarray, mask: np.ndarray, *, paste: bool) -> np.ndarray:
    image = image[: mask.shape[0], : mask.shape[1]]
    return np.where(mask[..., None], image, known) if paste else image


def inpainting_problem(
    image: np.ndarray,
    mask: np.ndarray,
    model: LatentModel | PipelineModel | BackboneModel,
    *,
    prompt: str | None = None,
    negative_prompt: str | None = None,
    paste: bool = True,
) -> EnsembleProblem:
    """The problem of an inpainting model of any family, told apart here; see `Inpainting` and `LatentInpainting`.

    Raises:
        ValueError: The model does not inpaint or takes no text, or the mask does not fit the image.
    """
    if isinstance(model, BackboneModel) or model.family not in ("ldm-inpaint", "sd-inpaint"):
        raise ValueError(f"model: {model.name!r} does super-resolution; open one with task='inpaint'")
    if isinstance(model, LatentModel):
        for name, value in (("prompt", prompt), ("negative_prompt", negative_prompt)):
            if value is not None:
                raise ValueError(f"{name}: models in LDM's shape read no text; leave it out or use Stable Diffusion")
        return LatentInpainting(image, mask, model, paste=paste)
    return Inpainting(image, mask, model, prompt=prompt or "", negative_prompt=negative_prompt or None, paste=paste)


def inpainting_score(mask: np.ndarray) -> Score:
    """PSNR and SSIM over the whole image (`psnr_rgb`, ...) and over the hole alone (`hole_psnr_rgb`, ...)."""

    def score(image: np.ndarray, truth: np.ndarray) -> dict[str, float]:
        return {**distortion(image, truth), **hole_distortion(image, truth, mask)}

    return score
