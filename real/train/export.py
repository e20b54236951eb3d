"""From two finished runs to one diffusers folder in half precision, with the training record beside the weights."""

from __future__ import annotations

import math
from pathlib import Path

import diffusers

from real.errors import UserError
from real.images.files import write_json
from real.train.record import read_record, short
from real.train.unet import ldm_sr_scheduler

__all__ = ["export_model"]

SUPER_RESOLUTION_CHANNELS = 6
INDEX = {
    "_class_name": "LDMSuperResolutionPipeline",
    "_diffusers_version": diffusers.__version__,
    "scheduler": ["diffusers", "DDIMScheduler"],
    "unet": ["diffusers", "UNet2DModel"],
    "vqvae": ["diffusers", "VQModel"],
}


def export_model(autoencoder: Path, unet: Path, output: Path, *, bandwidth: float | None = None) -> None:
    """Write both networks in float16 safetensors, the scheduler, the index and the training record.

    Args:
        autoencoder: Output folder of the autoencoder stage.
        unet: Output folder of the `unet` or of the `inpainting` stage. Of the latter's shape diffusers has no pipeline,
            so that folder has no index of one.
        output: A new or empty folder.
        bandwidth: h for `kds.json`, in units of the latents; None: the file names none, which means the paper's 0.3.

    Raises:
        UserError: A stage has not finished, `output` holds something already, or the bandwidth is out of range.
    """
    if bandwidth is not None and not (math.isfinite(bandwidth) and bandwidth > 0):
        raise UserError(f"must be a positive finite number, got {bandwidth}", argument="bandwidth")
    stages = {"autoencoder": short(read_record(autoencoder, "vqvae")), "unet": short(read_record(unet, "unet"))}
    if output.exists() and any(output.iterdir()):
        raise UserError(f"{str(output)!r} is not empty; give a new folder", argument="output")

    output.mkdir(parents=True, exist_ok=True)
    diffusers.VQModel.from_pretrained(autoencoder / "vqvae").half().save_pretrained(output / "vqvae")
    network = diffusers.UNet2DModel.from_pretrained(unet / "unet").half()
    network.save_pretrained(output / "unet")
    ldm_sr_scheduler().save_pretrained(output / "scheduler")
    write_json(output / "training.json", stages)

    restores = {"scale": 4} if network.config.in_channels == SUPER_RESOLUTION_CHANNELS else {"task": "inpainting"}
    named = {} if bandwidth is None else {"bandwidth": bandwidth}
    write_json(output / "kds.json", named | restores)
    if "scale" in restores:
        write_json(output / "model_index.json", INDEX)
