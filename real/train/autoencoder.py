"""Stage one: an f4 autoencoder with three latent channels, as LDM-SR's, in diffusers' `VQModel`.

The latents are standardised channel by channel while training (a batch norm without parameters, folded into the 1x1
convolution behind the encoder at the end) and then multiplied by `latent_std`, so that the diffusion model works on
zero-mean latents of a known scale and the bandwidth has a meaning that does not depend on the encoder's whims. The
scale decides at which noise level, and so at which time step, a detail of the latents is settled: Eq. 10 stops
steering at t/T = 0.3, where the noise of LDM-SR's schedule is 1.13 times the signal.

Two terms make the loss: the mean squared error of the pixels, of latents with a little noise, which bounds what can
hide in tiny differences; and `predictability` times the share of the latents' variance that a two-layer network fails
to predict from the photo downsampled by four. Without the second the encoder spends most of its latents on detail that
no denoiser could know from the low-resolution photo, and spreads the rest over all channels.

Quantisation is learned in two phases:

1. additive Gaussian noise stands in for the quantisation error, everything trains;
2. the codebook is fitted to the latents by k-means, the encoder is frozen and the decoder trains on quantised latents.

This avoids the dead codes of training a codebook from the start.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.cluster.vq
import torch
from diffusers import VQModel

from real.train.loop import Run, RunSettings, autocast
from real.train.photos import CropSampler
from real.train.record import read_record, write_record

__all__ = ["AutoencoderSettings", "train_autoencoder"]


@dataclass(frozen=True)
class AutoencoderSettings:
    """Architecture and task of the autoencoder."""

    channels: tuple[int, int, int] = (16, 32, 128)
    layers: int = 1
    groups: int = 8
    codes: int = 8192
    crop: int = 64
    batch: int = 8
    latent_std: float = 2.5
    latent_noise: float = 0.07  # of the latents' standard deviation
    predictability: float = 0.008
    quantised_from: float = 0.85


class NormalisedVQModel(torch.nn.Module):
    """A `VQModel` whose latents are standardised; `folded` gives the plain model that does the same."""

    def __init__(self, settings: AutoencoderSettings) -> None:
        super().__init__()
        self.vq = VQModel(
            down_block_types=("DownEncoderBlock2D",) * 3,
            up_block_types=("UpDecoderBlock2D",) * 3,
            block_out_channels=settings.channels,
            layers_per_block=settings.layers,
            latent_channels=3,
            num_vq_embeddings=settings.codes,
            vq_embed_dim=3,
            norm_num_groups=settings.groups,
            mid_block_add_attention=False,
            sample_size=settings.crop,
            scaling_factor=1.0,
        )
        self.latent_std = settings.latent_std
        self.norm = torch.nn.BatchNorm2d(3, affine=False, momentum=0.02)
        self.predictor = torch.nn.Sequential(
            torch.nn.Conv2d(3, 32, 5, padding=2, padding_mode="replicate"),
            torch.nn.SiLU(),
            torch.nn.Conv2d(32, 3, 3, padding=1, padding_mode="replicate"),
        )
        self.quantised: torch.Tensor  # 1 once the codebook is fitted; a buffer, so that checkpoints carry it
        self.register_buffer("quantised", torch.tensor(0))

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """(B, 3, 4H, 4W) in [-1, 1] -> latents (B, 3, H, W) of standard deviation `latent_std`, float32."""
        standard: torch.Tensor = self.norm(self.vq.quant_conv(self.vq.encoder(x)).float())
        return self.latent_std * standard

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        """Latents (B, 3, H, W), as they are (no quantisation here) -> (B, 3, 4H, 4W)."""
        image: torch.Tensor = self.vq.decoder(self.vq.post_quant_conv(z))
        return image

    def unpredicted(self, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        """Share of the variance of the latents z that `predictor` misses, from x downsampled by four."""
        low = torch.nn.functional.avg_pool2d(x, 4)
        predicted: torch.Tensor = self.predictor(low)
        return (predicted.float() - z / self.latent_std).square().mean()

    def start_from(self, vqvae: VQModel) -> None:
        """Take over the weights of a trained `VQModel`, whose latents may have another scale than `latent_std`."""
        assert self.norm.running_var is not None
        with torch.no_grad():
            self.vq.load_state_dict(vqvae.state_dict())
            former = vqvae.quantize.embedding.weight.std(0)  # codes follow the latents' distribution
            self.norm.running_var.copy_(former.square())
            self.vq.post_quant_conv.weight.mul_((former / self.latent_std)[None, :, None, None])

    def folded(self) -> VQModel:
        """The plain `VQModel`, with standardisation and scale inside `quant_conv`."""
        mean, variance = self.norm.running_mean, self.norm.running_var
        assert mean is not None
        assert variance is not None
        scale = self.latent_std * (variance + self.norm.eps).rsqrt()
        with torch.no_grad():
            self.vq.quant_conv.weight.mul_(scale[:, None, None, None])
            self.vq.quant_conv.bias.sub_(mean).mul_(scale)
        return self.vq


def train_autoencoder(
    photos: list[np.ndarray],
    folder: Path,
    settings: AutoencoderSettings,
    run_settings: RunSettings,
    data: dict[str, int],
    *,
    start_from: Path | None = None,
    command: str,
) -> VQModel:
    """Train (or go on training) the autoencoder; the averaged model goes to `folder/vqvae`, beside `record.json`.

    Args:
        photos: RGB uint8 (H, W, 3) arrays.
        folder: Checkpoint, curve, record and the trained network.
        settings: Architecture and task.
        run_settings: Length, speed, seed.
        data: Counts of the photos, for the record.
        start_from: Output folder of a finished run of this stage whose networks this one starts from; None: from
            random weights.
        command: The command line, for the record.

    Returns:
        The trained model.

    Raises:
        FileNotFoundError: `start_from` holds no finished run.
    """
    torch.manual_seed(run_settings.seed)
    model = NormalisedVQModel(settings).to(run_settings.device)
    earlier = None
    if start_from is not None:
        earlier = read_record(start_from, "vqvae")
        model.start_from(VQModel.from_pretrained(start_from / "vqvae"))
    identity = {"stage": "autoencoder", **_plain(settings), "steps": run_settings.steps, "data": data}
    run = Run(model, folder, run_settings, identity)
    sampler = CropSampler(photos, size=settings.crop, rng=run.rng)
    switch = int(run_settings.steps * settings.quantised_from)

    def images() -> torch.Tensor:
        crops = torch.from_numpy(sampler.draw(settings.batch)).permute(0, 3, 1, 2)
        return crops.to(run_settings.device).float() / 127.5 - 1

    def noisy_loss() -> tuple[torch.Tensor, int]:
        x = images()
        with autocast(run_settings):
            z = model.encode(x)
            noise = torch.randn(z.shape, generator=run.generator).to(z)
            y = model.decode(z + settings.latent_noise * settings.latent_std * noise)
            unpredicted = model.unpredicted(x, z)
        return (y.float() - x).square().mean() + settings.predictability * unpredicted, len(x)

    def quantised_loss() -> tuple[torch.Tensor, int]:
        x = images()
        with autocast(run_settings):
            with torch.no_grad():
                z = model.encode(x)
                z = model.vq.quantize(z)[0]
            y = model.decode(z)
        return (y.float() - x).square().mean(), len(x)

    model.train()
    if run.step < switch:
        run.train(noisy_loss, until=switch)
    if not int(model.quantised):
        model.load_state_dict(run.ema.state_dict())
        _fit_codebook(model, images, settings, run_settings)
        run.ema.load_state_dict(model.state_dict())
        run.save()
    _freeze_encoder(model)
    run.train(quantised_loss)
    averaged = run.ema
    assert isinstance(averaged, NormalisedVQModel)
    vqvae = averaged.folded()
    vqvae.save_pretrained(folder / "vqvae")
    write_record(
        folder,
        command=command,
        settings=_plain(settings),
        run_settings=run_settings,
        data=data,
        seconds=run.seconds,
        started_from=earlier,
    )
    return vqvae


def _fit_codebook(
    model: NormalisedVQModel,
    images: Callable[[], torch.Tensor],
    settings: AutoencoderSettings,
    run_settings: RunSettings,
) -> None:
    """k-means of the latents of fresh crops, 16 latents a code."""
    model.eval()
    latents: list[np.ndarray] = []
    needed = 16 * settings.codes
    with torch.no_grad():
        while sum(len(z) for z in latents) < needed:
            with autocast(run_settings):
                z = model.encode(images())
            latents.append(z.permute(0, 2, 3, 1).reshape(-1, 3).cpu().numpy())
    data = np.concatenate(latents)[:needed].astype(np.float64)
    rng = np.random.default_rng(run_settings.seed)
    start = data[rng.choice(len(data), settings.codes, replace=False)]
    codes, _ = scipy.cluster.vq.kmeans2(data, start, iter=12, minit="matrix", missing="warn")
    with torch.no_grad():
        model.vq.quantize.embedding.weight.copy_(torch.from_numpy(codes))
        model.quantised.fill_(1)
    model.train()


def _freeze_encoder(model: NormalisedVQModel) -> None:
    for module in (model.vq.encoder, model.vq.quant_conv, model.vq.quantize, model.predictor):
        module.requires_grad_(False)
    model.norm.eval()


def _plain(settings: AutoencoderSettings) -> dict[str, object]:
    return {k: list(v) if isinstance(v, tuple) else v for k, v in vars(settings).items()}
