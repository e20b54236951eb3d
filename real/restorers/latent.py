"""Restorers of models in LDM's shape, which the core's samplers drive; and the first of them, super-resolution.

The denoiser sees a condition joined to the noisy latents: for super-resolution the low-resolution photo itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from real.images.colour import check_colour_fix, fix_colours
from real.images.seeds import photo_seed
from real.models.base import ModelFamily
from real.models.codec import decode, padded_condition
from real.models.latent import LatentModel, load_latent
from real.parallel.ranks import Ranks
from real.restorers.base import Progress, Restorer
from real.sampling import Particles, sample
from real.settings import Settings

__all__ = ["LDM_SR", "LatentRestorer", "LatentSuperResolution"]


class LatentRestorer(Restorer):
    """A photo and a model that the core's samplers drive.

    Args:
        model: The model.
        condition: What the denoiser is conditioned on, (1, C, h, w), of the size of the latents.
        height: Height of the result in pixels; the rest of what is decoded is padding.
        width: Width of the result, likewise.
        shown: What the user has, see `Restorer`.
        ranks: Processes that share the particles; each has a restorer of its own and makes the same calls.
    """

    model: LatentModel

    def __init__(
        self,
        model: LatentModel,
        condition: torch.Tensor,
        *,
        height: int,
        width: int,
        shown: np.ndarray,
        ranks: Ranks | None = None,
    ) -> None:
        self.model, self.condition, self.height, self.width = model, condition, height, width
        self.shown, self.ranks = shown, ranks

    def sample(
        self, settings: Settings, *, steered: bool = True, first: bool = False, progress: Progress | None = None
    ) -> Particles:
        """See `Restorer.sample`."""
        return sample(
            self.model,
            self.condition,
            replace(settings, seed=photo_seed(settings.seed, self.shown)),
            steered=steered,
            indices=[0] if first else None,
            progress=progress,
            ranks=None if first else self.ranks,
        )

    def decode(self, latents: torch.Tensor) -> list[np.ndarray]:
        """See `Restorer.decode`."""
        return list(decode(self.model, latents, height=self.height, width=self.width))


class LatentSuperResolution(LatentRestorer):
    """A low-resolution photo and a model in LDM-SR's shape.

    Args:
        low: RGB uint8 (h, w, 3); the result is four times as large.
        model: The model.
        colour_fix: How the result takes the colours of the input: "none", "wavelet" or "adain" (`real.images.colour`).
        ranks: Processes that share the particles, see `LatentRestorer`.

    Raises:
        UserError: There is no such fix.
    """

    def __init__(
        self, low: np.ndarray, model: LatentModel, *, colour_fix: str = "none", ranks: Ranks | None = None
    ) -> None:
        check_colour_fix(colour_fix)
        self.colour_fix = colour_fix
        height, width = 4 * low.shape[0], 4 * low.shape[1]
        super().__init__(model, padded_condition(low, model), height=height, width=width, shown=low, ranks=ranks)

    def decode(self, latents: torch.Tensor) -> list[np.ndarray]:
        """See `Restorer.decode`."""
        return [fix_colours(image, self.shown, self.colour_fix) for image in super().decode(latents)]

    def describe(self, settings: Settings) -> dict[str, Any]:
        """See `Restorer.describe`."""
        return {**super().describe(settings), "colour_fix": self.colour_fix}


def _is_ldm_sr(unet: Mapping[str, Any], vae: Mapping[str, Any]) -> bool:
    return (unet.get("in_channels"), unet.get("out_channels"), vae.get("latent_channels")) == (6, 3, 3)


LDM_SR = ModelFamily(
    name="ldm-sr",
    task="sr",
    what="LDM-SR (a VQModel of 3 latent channels, a UNet2DModel of 6 to 3)",
    restorer=LatentSuperResolution,
    options={"ranks": None, "colour_fix": "none"},
    latent=True,
    load=load_latent,
    pipeline="LDMSuperResolutionPipeline",
    fits=_is_ldm_sr,
    autoencoder="vqvae",
)
