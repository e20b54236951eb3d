"""From two finished runs to one diffusers folder in half precision, with the training record beside the weights."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import diffusers

from real.errors import UserError
from real.images.files import write_json
from real.models.latent import SECOND
from real.train.record import denoiser_of, read_record, short
from real.train.tasks import TRAINED_HOLE
from real.train.unet import ldm_sr_scheduler

__all__ = ["export_model"]

SUPER_RESOLUTION_CHANNELS, INPAINTING_CHANNELS = 6, 7
INDEX = {
    "_class_name": "LDMSuperResolutionPipeline",
    "_diffusers_version": diffusers.__version__,
    "scheduler": ["diffusers", "DDIMScheduler"],
    "unet": ["diffusers", "UNet2DModel"],
    "vqvae": ["diffusers", "VQModel"],
}


def export_model(
    autoencoder: Path,
    unet: Path,
    output: Path,
    *,
    inpainting: Path | None = None,
    bandwidth: float | None = None,
) -> None:
    """Write both networks in float16 safetensors, the scheduler, the index and the training record.

    Args:
        autoencoder: Output folder of the autoencoder stage.
        unet: Output folder of the `unet` or of the `inpainting` stage. Of the latter's shape diffusers has no pipeline,
            so that folder has no index of one.
        output: A new or empty folder.
        inpainting: Output folder of the `inpainting` stage, where `unet` is that of super-resolution: a second denoiser
            over the same autoencoder, which goes to `unet_inpainting/`. diffusers loads it by that name as a subfolder,
            and the pipeline of the index as if it were not there.
        bandwidth: h for `kds.json`, in units of the latents; None: the file names none, which means the paper's 0.3.

    Raises:
        UserError: A stage has not finished or is not that of its name, `output` holds something already, or the
            bandwidth is out of range.
    """
    if bandwidth is not None and not (math.isfinite(bandwidth) and bandwidth > 0):
        raise UserError(f"must be a positive finite number, got {bandwidth}", argument="bandwidth")
    stages = {"autoencoder": short(read_record(autoencoder, "vqvae")), "unet": short(read_record(unet, "unet"))}
    networks = {"unet": diffusers.UNet2DModel.from_pretrained(unet / "unet")}
    restores: dict[str, Any] = {"scale": 4}
    if networks["unet"].config.in_channels != SUPER_RESOLUTION_CHANNELS:
        restores = {"task": "inpainting", "hole": TRAINED_HOLE}
    if inpainting is not None:
        part = denoiser_of(inpainting, "inpainting")
        stages[SECOND] = short(read_record(inpainting, part))
        networks[SECOND] = diffusers.UNet2DModel.from_pretrained(inpainting / part)
        _check_two(*networks.values())
        restores["hole"] = TRAINED_HOLE

    # Refused only now: what is wrong with the runs comes first, and nothing has been written.
    if output.exists() and any(output.iterdir()):
        raise UserError(f"must be a new or empty folder, got {str(output)!r}", argument="output")

    output.mkdir(parents=True, exist_ok=True)
    diffusers.VQModel.from_pretrained(autoencoder / "vqvae").half().save_pretrained(output / "vqvae")
    for name, network in networks.items():
        network.half().save_pretrained(output / name)
    ldm_sr_scheduler().save_pretrained(output / "scheduler")
    write_json(output / "training.json", stages)

    named = {} if bandwidth is None else {"bandwidth": bandwidth}
    write_json(output / "kds.json", named | restores)
    # The index makes diffusers open the folder as a pipeline for super-resolution, which an inpainting model is not.
    if "scale" in restores:
        write_json(output / "model_index.json", INDEX)


def _check_two(unet: diffusers.UNet2DModel, inpainting: diffusers.UNet2DModel) -> None:
    """UserError unless the first restores and the second inpaints."""
    for network, channels, name in (
        (unet, SUPER_RESOLUTION_CHANNELS, "unet"),
        (inpainting, INPAINTING_CHANNELS, "inpainting"),
    ):
        if network.config.in_channels != channels:
            why = f"must hold a denoiser of {channels} channels, got one of {network.config.in_channels}"
            raise UserError(why, argument=name)
