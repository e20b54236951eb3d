"""The same autoencoder with latents of another scale: where in the noise schedule their detail is decided.

A denoiser decides on a detail of the latents where the noise is about as large as the detail. Steering acts above the
cut-off alone, so the larger the latents, the more of their detail is decided while it acts.
"""

from __future__ import annotations

import math
from pathlib import Path

import torch
from diffusers import VQModel

from real.images.files import write_json
from real.train.record import latent_settings, read_record

__all__ = ["rescale_latents"]


def rescale_latents(autoencoder: Path, folder: Path, *, latent_std: float, command: str) -> VQModel:
    """Multiply the latents of a trained autoencoder; what it decodes stays the same, up to rounding.

    Args:
        autoencoder: Output folder of the autoencoder stage, of the decoder stage, or of an earlier rescaling.
        folder: Where the new one goes, as `vqvae`, beside `record.json`.
        latent_std: Standard deviation that the latents of photos shall have.
        command: The command line, for the record.

    Returns:
        The rescaled autoencoder.

    Raises:
        FileNotFoundError: `autoencoder` holds no finished run.
        ValueError: `latent_std` is not positive, or `autoencoder` is `folder`.
    """
    if not 0.0 < latent_std < math.inf:
        raise ValueError(f"latent_std: got {latent_std}; give a positive number")
    earlier = read_record(autoencoder, "vqvae")
    if folder.resolve() == autoencoder.resolve():
        raise ValueError("output: it is the folder of the autoencoder; give another")
    settings = latent_settings(earlier)
    factor = latent_std / settings["latent_std"]
    vqvae = VQModel.from_pretrained(autoencoder / "vqvae")
    with torch.no_grad():
        for value in (vqvae.quant_conv.weight, vqvae.quant_conv.bias, vqvae.quantize.embedding.weight):
            value.mul_(factor)
        vqvae.post_quant_conv.weight.div_(factor)
    vqvae.save_pretrained(folder / "vqvae")
    record = {
        "command": command,
        "settings": {**settings, "latent_std": latent_std},
        "started_from": earlier,
    }
    write_json(folder / "record.json", record)
    return vqvae
