"""The autoencoders that diffusers' pipelines come with: what encoding returns, and where the latents' scale is kept.

`AutoencoderKL` is Stable Diffusion's, whose encoder gives a distribution; `AutoencoderTiny` (TAESD, TAEF2 and others of
that shape) is a small network that was trained to stand in for it, and gives the latents themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from real.errors import UserError

__all__ = ["AUTOENCODERS", "autoencoder_class", "latents_of", "scale_of"]

AUTOENCODERS = ("AutoencoderKL", "AutoencoderTiny")


def autoencoder_class(config: Mapping[str, Any], *, argument: str) -> Any:
    """The class of an autoencoder in diffusers, by its configuration; a plain AutoencoderKL where that names none.

    Args:
        config: Content of the autoencoder's config.json.
        argument: Argument that the configuration comes from, for the message.

    Raises:
        UserError: It is of another class.
    """
    import diffusers

    name = config.get("_class_name", AUTOENCODERS[0])
    if name not in AUTOENCODERS:
        raise UserError(f"must have an autoencoder of {', '.join(AUTOENCODERS)}, got {name!r}", argument=argument)
    return getattr(diffusers, name)


def latents_of(encoded: Any) -> torch.Tensor:
    """What an encoder gives, before scaling: the mode of its distribution, or the latents themselves."""
    latents: torch.Tensor = encoded.latent_dist.mode() if hasattr(encoded, "latent_dist") else encoded.latents
    return latents


def scale_of(vae: Any) -> float:
    """What the autoencoder's latents are multiplied by for the denoiser, and divided by before decoding.

    An AutoencoderTiny gives them in the denoiser's scale and remembers what it was made with. Its configuration says
    something else inside the x4 upscaler: that pipeline writes the scale of its own autoencoder there.
    """
    return float(vars(vae).get("scaling_factor", vae.config.scaling_factor))
