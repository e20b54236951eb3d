"""Stage three: the decoder learns to decode what the denoiser makes, not only what the encoder makes.

The first stage's decoder has seen the latents of real photos alone. What a denoiser makes is smoother than they are,
and is decoded badly: the more, the further it is from real latents. Here part of every batch are one-step predictions
of the denoiser at random time steps, from the low-resolution photo, with the truth as the target. Encoder, codebook and
denoiser stay as they are, and so do the latents that the denoiser was trained on. In half of the steps four crops are
decoded as one picture, as in the first stage: a run without it made the autoencoder 0.6 dB worse on crops three times
as large as those of the training.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import UNet2DModel, VQModel

from real.degradations.simple import Degradation
from real.errors import UserError
from real.images.pixels import signed_tensor
from real.train.crops import CropSampler
from real.train.normalised import joined, parted
from real.train.record import read_record, write_record
from real.train.saved import fingerprint
from real.train.training_run import RunSettings, TrainingRun, autocast
from real.train.unet import ldm_sr_scheduler

__all__ = ["DecoderSettings", "train_decoder"]


@dataclass(frozen=True)
class DecoderSettings:
    """Task of the stage; `predicted` of the `batch` crops are decoded from predictions, the others from the encoder."""

    crop: int = 64
    batch: int = 8
    predicted: int = 2
    mosaic: float = 0.5  # share of the steps that join four crops to one picture

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn."""
        if not 0 <= self.predicted <= self.batch:
            raise UserError(
                f"must be a whole number from 0 to the batch, {self.batch}, got {self.predicted}", argument="predicted"
            )


def train_decoder(
    photos: list[np.ndarray],
    autoencoder: Path,
    unet: Path,
    folder: Path,
    settings: DecoderSettings,
    degradation: Degradation,
    run_settings: RunSettings,
    data: dict[str, int],
    *,
    command: str,
) -> VQModel:
    """Train (or go on training) the decoder; the averaged autoencoder goes to `folder/vqvae`, beside `record.json`.

    Args:
        photos: RGB uint8 (H, W, 3) arrays.
        autoencoder: Output folder of the autoencoder stage.
        unet: Output folder of the denoiser's stage, trained on that autoencoder's latents.
        folder: Checkpoint, curve, record and the trained autoencoder.
        settings: Task.
        degradation: How the low-resolution condition is made.
        run_settings: Length, speed, seed.
        data: Counts of the photos, for the record.
        command: The command line, for the record.

    Returns:
        The autoencoder with the trained decoder.

    Raises:
        UserError: A stage has not finished.
    """
    earlier = {"autoencoder": read_record(autoencoder, "vqvae"), "unet": read_record(unet, "unet")}
    vqvae = VQModel.from_pretrained(autoencoder / "vqvae").to(run_settings.device)
    denoiser = UNet2DModel.from_pretrained(unet / "unet").to(run_settings.device).requires_grad_(False).eval()
    for module in (vqvae.encoder, vqvae.quant_conv, vqvae.quantize):
        module.requires_grad_(False)
    alphas_cumprod = ldm_sr_scheduler().alphas_cumprod.to(run_settings.device)
    plain = {k: list(v) if isinstance(v, tuple) else v for k, v in {**vars(settings), **vars(degradation)}.items()}
    identity = {"stage": "decoder", **plain, "steps": run_settings.steps, "data": data}
    identity |= {"autoencoder": fingerprint(vqvae), "denoiser": fingerprint(denoiser)}
    run = TrainingRun(vqvae, folder, run_settings, identity)
    sampler = CropSampler(photos, size=settings.crop, rng=run.rng)

    def tensor(pixels: np.ndarray) -> torch.Tensor:
        return signed_tensor(pixels).to(run_settings.device)

    def predicted(z: torch.Tensor, truths: np.ndarray) -> torch.Tensor:
        """One-step prediction of z from noise and condition, KDS Eq. 6 (v1)."""
        condition = tensor(np.stack([degradation(truth, run.rng) for truth in truths]))
        t = torch.from_numpy(run.rng.integers(len(alphas_cumprod), size=len(z))).to(z.device)
        eps = torch.randn(z.shape, generator=run.generator).to(z)
        alpha_bar = alphas_cumprod[t][:, None, None, None]
        x_t = alpha_bar.sqrt() * z + (1 - alpha_bar).sqrt() * eps
        # In float32: at the largest noise an error of the output counts 39 times.
        output = denoiser(torch.cat([x_t, condition], dim=1), t).sample
        x0: torch.Tensor = (x_t - (1 - alpha_bar).sqrt() * output) / alpha_bar.sqrt()
        return x0

    def loss_of_batch() -> tuple[torch.Tensor, int]:
        truths = sampler.draw(settings.batch)
        x, n = tensor(truths), settings.predicted
        with torch.no_grad():
            with autocast(run_settings):
                z = vqvae.quant_conv(vqvae.encoder(x)).float()
            z = torch.cat([predicted(z[:n], truths[:n]), z[n:]]) if n else z
            z = vqvae.quantize(z)[0]
        mosaic = run.rng.random() < settings.mosaic and len(z) % 4 == 0
        with autocast(run_settings):
            y = vqvae.decoder(vqvae.post_quant_conv(joined(z) if mosaic else z))
            y = parted(y) if mosaic else y
        return (y.float() - x).square().mean(), len(x)

    vqvae.train()
    run.train(loss_of_batch)
    averaged: VQModel = run.ema
    averaged.save_pretrained(folder / "vqvae")
    write_record(run, command=command, settings=plain, data=data, started_from=earlier)
    return averaged
