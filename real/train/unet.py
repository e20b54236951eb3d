"""Stage two: the denoiser, diffusers' `UNet2DModel`: 3 noisy latent channels and the condition's in.

Latents of all photos are computed once; every step then draws crops of them with their condition, which a `Task` makes
(`latents`, `tasks`), and trains the prediction of the noise (Ho et al. 2020) on LDM-SR's schedule. The squared error
of the noise is weighted by 1 / alpha_bar, which makes it the loss of v-prediction (Salimans and Ho 2022, "Progressive
distillation for fast sampling of diffusion models", section 4): the error of the clean latents plus that of the noise.
Without the weight the error of the clean latents counts (1 - alpha_bar) / alpha_bar times less than that of the noise,
1500 times at the first step of sampling, where colours are decided and steering works.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import DDIMScheduler, UNet2DModel, VQModel

from real.degradations.simple import SCALE
from real.errors import UserError, blaming
from real.train.latents import Batches, Task, encode_photos
from real.train.record import denoiser_of, read_record, write_record
from real.train.saved import fingerprint
from real.train.training_run import RunSettings, TrainingRun, autocast

__all__ = ["UNetSettings", "ldm_sr_scheduler", "noise_loss", "train_unet"]

SAME_NETWORK = "must hold a network of the same architecture"


@dataclass(frozen=True)
class UNetSettings:
    """Architecture of the denoiser and size of its batches; sizes of crops are in latent pixels."""

    channels: tuple[int, ...] = (64, 96, 128)
    layers: int = 1
    groups: int = 8
    crop: int = 24
    batch: int = 16
    condition_dropout: float = 0.1
    attention: bool = False  # at the lowest resolution: a hole is filled by what is far away, too


def ldm_sr_scheduler() -> DDIMScheduler:
    """DDIM with the noise schedule of the public LDM-SR weights, from the last timestep of training on."""
    return DDIMScheduler(
        num_train_timesteps=1000,
        beta_start=0.0015,
        beta_end=0.0155,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=True,
        steps_offset=1,
        timestep_spacing="trailing",
    )


def train_unet(
    photos: list[np.ndarray],
    autoencoder: Path,
    folder: Path,
    settings: UNetSettings,
    task: Task,
    run_settings: RunSettings,
    data: dict[str, int],
    *,
    start_from: Path | None = None,
    command: str,
) -> UNet2DModel:
    """Train (or go on training) the denoiser; the averaged model goes to `folder/unet`, beside `record.json`.

    Args:
        photos: RGB uint8 (H, W, 3) arrays.
        autoencoder: Output folder of the autoencoder stage.
        folder: Checkpoint, curve, record and the trained network.
        settings: Architecture and batches.
        task: What the denoiser is conditioned on. Photos that have no crop of the size are left out.
        run_settings: Length, speed, seed.
        data: Counts of the photos, for the record.
        start_from: Output folder of a finished run, of this task or another one, whose network this one starts from;
            weights of another condition and of attention that it lacks are new. None: random weights.
        command: The command line, for the record.

    Returns:
        The trained model.

    Raises:
        UserError: `autoencoder` or `start_from` holds no finished run, no photo is large enough for a crop, or
            `start_from` has another architecture.
    """
    with blaming("autoencoder"):
        read_record(autoencoder, "vqvae")
    vqvae = VQModel.from_pretrained(autoencoder / "vqvae")

    torch.manual_seed(run_settings.seed)
    model = UNet2DModel(
        sample_size=settings.crop,
        in_channels=3 + task.channels,
        out_channels=3,
        down_block_types=("DownBlock2D",) * len(settings.channels),
        up_block_types=("UpBlock2D",) * len(settings.channels),
        block_out_channels=settings.channels,
        layers_per_block=settings.layers,
        norm_num_groups=settings.groups,
        add_attention=settings.attention,
        attention_head_dim=min(32, settings.channels[-1]),
    ).to(run_settings.device)

    earlier, start = None, None
    if start_from is not None:
        part = denoiser_of(start_from, task.stage)
        earlier = read_record(start_from, part)
        former = UNet2DModel.from_pretrained(start_from / part)
        _take_over(model, former)
        start = fingerprint(former)

    # A checkpoint from other latents or another start is refused, not resumed.
    plain = {k: list(v) if isinstance(v, tuple) else v for k, v in {**vars(settings), **task.settings()}.items()}
    identity = {"stage": task.stage, **plain, "steps": run_settings.steps, "data": data}
    identity |= {"autoencoder": fingerprint(vqvae), "start_from": start}
    run = TrainingRun(model, folder, run_settings, identity)

    # A photo must have room for one crop.
    large = [photo for photo in photos if min(photo.shape[:2]) // SCALE >= settings.crop]
    if not large:
        needed = f"must have a photo of at least {SCALE * settings.crop} pixels on both sides, the size of a crop"
        raise UserError(f"{needed}, got none; give larger ones", argument="photos")

    vqvae = vqvae.to(run_settings.device).eval()
    pairs = encode_photos(large, vqvae, folder, run_settings)
    task.prepare(pairs, vqvae, folder, run_settings)
    batches = Batches(
        pairs,
        task,
        crop=settings.crop,
        batch=settings.batch,
        dropout=settings.condition_dropout,
        seed=run_settings.seed,
    )
    alphas_cumprod = ldm_sr_scheduler().alphas_cumprod.to(run_settings.device)

    def loss_of_batch() -> tuple[torch.Tensor, int]:
        x0, condition, eps, t = (part.to(run_settings.device) for part in batches(run.step))
        alpha_bar = alphas_cumprod[t][:, None, None, None]
        x_t = alpha_bar.sqrt() * x0 + (1 - alpha_bar).sqrt() * eps  # KDS Eq. 3 (v1)
        with autocast(run_settings):
            predicted = model(torch.cat([x_t, condition], dim=1), t).sample
        return noise_loss(predicted.float(), eps, alpha_bar), len(x0)

    model.train()
    try:
        run.train(loss_of_batch)
    finally:
        batches.close()

    ema: UNet2DModel = run.ema
    ema.save_pretrained(folder / "unet")
    used = {**data, "used": len(large), "smaller_than_crop": len(photos) - len(large)}
    write_record(run, command=command, settings=plain, data=used, started_from=earlier)
    return ema


def noise_loss(predicted: torch.Tensor, eps: torch.Tensor, alpha_bar: torch.Tensor) -> torch.Tensor:
    """Mean of (predicted - eps)^2 / alpha_bar, which is the squared error of v = sqrt(alpha_bar) eps - sigma x0.

    Args:
        predicted: Predicted noise (B, C, H, W).
        eps: The noise, likewise.
        alpha_bar: (B, 1, 1, 1).
    """
    return ((predicted - eps).square() / alpha_bar).mean()


def _take_over(model: UNet2DModel, former: UNet2DModel) -> None:
    """Start from trained weights; of a first layer with another condition only the noisy latents' part is taken."""
    weights, new = former.state_dict(), model.state_dict()
    if weights["conv_in.weight"].shape != new["conv_in.weight"].shape:
        first = new["conv_in.weight"].clone()
        first[:, :3] = weights["conv_in.weight"][:, :3]
        weights["conv_in.weight"] = first
    try:
        missing, unexpected = model.load_state_dict(weights, strict=False)
    except RuntimeError as error:
        raise UserError(f"{SAME_NETWORK}, got another ({error})", argument="start_from") from error
    if unexpected or any(".attentions." not in name for name in missing):
        raise UserError(f"{SAME_NETWORK}, got another ({[*unexpected, *missing][:3]})", argument="start_from")
