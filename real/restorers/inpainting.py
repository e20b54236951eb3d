"""Inpainting: the image outside the mask is known, the inside is drawn.

`LatentInpainting` drives networks in the shape of the latent diffusion paper's inpainting model (7 channels), which is
what the paper's Table 3 has; `PipelineInpainting` drives Stable Diffusion's pipeline, by default with an empty prompt
and no guidance.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from real.degradations.simple import SCALE
from real.images.masks import check_mask, grow_to_cells
from real.images.pixels import unit_tensor
from real.metrics.distortion import distortion, hole_distortion
from real.metrics.score import Score
from real.models.base import ModelFamily
from real.models.hole_condition import hole_condition
from real.models.latent import SECOND, LatentModel, load_latent
from real.models.pipeline import PipelineModel, load_pipeline
from real.restorers.latent import LatentRestorer
from real.restorers.pipeline import PipelineRestorer

__all__ = ["LDM_INPAINT", "SD_INPAINT", "LatentInpainting", "PipelineInpainting", "inpainting_score"]


class PipelineInpainting(PipelineRestorer):
    """A photo, a mask and an inpainting pipeline whose denoiser sees mask and known image.

    Args:
        image: RGB uint8 (H, W, 3); what is inside the mask is ignored.
        mask: bool (H, W), True where it is to be painted.
        model: Model of the family "sd-inpaint".
        prompt: What to paint; empty by default, the neutral choice.
        negative_prompt: What to move away from; needs a guidance above 1.
        paste: Whether to put the known pixels back into the result; without it they are what the autoencoder makes.

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
        negative_prompt: str = "",
        paste: bool = True,
    ) -> None:
        check_mask(mask, image)
        super().__init__(model, prompt=prompt, negative_prompt=negative_prompt, shown=_hidden(image, mask))
        self.image, self.mask, self.paste = image, mask, paste
        cell = model.pipe.vae_scale_factor
        whole, padded = _pad(image, mask, cell)  # the pipeline hides what the mask covers
        grown = grow_to_cells(padded, cell)
        self._whole = unit_tensor(whole)
        self._grown = torch.from_numpy(grown)[None, None].float()

    def inputs(self, num_particles: int) -> dict[str, Any]:
        """See `PipelineRestorer`."""
        return {
            "prompt": self.prompt,
            "negative_prompt": self.negative_prompt,
            "image": self._whole,
            "mask_image": self._grown,
            "height": self._whole.shape[-2],
            "width": self._whole.shape[-1],
            "num_images_per_prompt": num_particles,
        }

    def finish(self, image: np.ndarray) -> np.ndarray:
        """See `PipelineRestorer`; with the known pixels, unless they are not to be pasted."""
        return _finish(image, self.image, self.mask, paste=self.paste)


class LatentInpainting(LatentRestorer):
    """A photo, a mask and a denoiser conditioned on latents of the photo with its hole filled, and on the hole.

    What the hole is filled with is the model's, see `real.models.hole_condition`.

    Args:
        image: RGB uint8 (H, W, 3); what is inside the mask is ignored.
        mask: bool (H, W), True where it is to be painted.
        model: Model of the family "ldm-inpaint".
        paste: Whether to put the known pixels back into the result; without it they are what the autoencoder makes.

    Raises:
        ValueError: The mask does not fit the image.
    """

    def __init__(self, image: np.ndarray, mask: np.ndarray, model: LatentModel, *, paste: bool = True) -> None:
        check_mask(mask, image)
        self.image, self.mask, self.paste = image, mask, paste
        whole, padded = _pad(image, mask, SCALE * model.divisor)
        size = {"height": mask.shape[0], "width": mask.shape[1]}
        super().__init__(model, hole_condition(model, whole, padded), **size, shown=_hidden(image, mask))

    def decode(self, latents: torch.Tensor) -> list[np.ndarray]:
        """See `Restorer.decode`; with the known pixels, unless they are not to be pasted."""
        return [_finish(image, self.image, self.mask, paste=self.paste) for image in super().decode(latents)]


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


def inpainting_score(mask: np.ndarray) -> Score:
    """PSNR and SSIM over the whole image (`psnr_rgb`, ...) and over the hole alone (`hole_psnr_rgb`, ...)."""

    def score(image: np.ndarray, truth: np.ndarray) -> dict[str, float]:
        return {**distortion(image, truth), **hole_distortion(image, truth, mask)}

    return score


def _is_ldm_inpaint(unet: Mapping[str, Any], vae: Mapping[str, Any]) -> bool:
    return (unet.get("in_channels"), unet.get("out_channels"), vae.get("latent_channels")) == (7, 3, 3)


def _is_sd_inpaint(unet: Mapping[str, Any], vae: Mapping[str, Any]) -> bool:
    return bool(unet.get("in_channels") == 2 * vae.get("latent_channels", 4) + 1)


LDM_INPAINT = ModelFamily(
    name="ldm-inpaint",
    task="inpaint",
    what="LDM inpainting (a VQModel of 3 latent channels, a UNet2DModel of 7 to 3)",
    restorer=LatentInpainting,
    options={"paste": True},
    latent=True,
    load=load_latent,
    fits=_is_ldm_inpaint,
    second=SECOND,
    autoencoder="vqvae",
)
SD_INPAINT = ModelFamily(
    name="sd-inpaint",
    task="inpaint",
    what="Stable Diffusion inpainting (a UNet of 9 channels: latents, mask, masked latents)",
    restorer=PipelineInpainting,
    options={"prompt": "", "negative_prompt": "", "paste": True},
    load=load_pipeline,
    pipeline="StableDiffusionInpaintPipeline",
    fits=_is_sd_inpaint,
)
