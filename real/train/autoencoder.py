"""Stage one: an f4 autoencoder with three latent channels, as LDM-SR's, in diffusers' `VQModel`.

The latents are whitened while training (`Whitening`, folded into the 1x1 convolution after the encoder at the end):
zero mean, uncorrelated channels, standard deviation 1, as LDM-SR's are scaled. The scale decides at which noise level,
and so at which time step, a detail of the latents is settled: Eq. 10 stops steering at t/T = 0.3, where the noise of
LDM-SR's schedule is 1.13 times as large as such latents. Without it colour ends up in a direction of little variance,
where neither the denoiser nor a bandwidth does it justice.

The networks have to be local: a patch of latents must mean the same wherever it stands, or a wrong guess in one corner
changes the brightness of all others. Group normalisation is not local: it subtracts means over the whole photo, and
networks learn to carry brightness through those. Two things make them unlearn it. The normalisations have one group
(with two channels per group, as at first here, each one erases the mean of nearly every channel). And in a share
`mosaic` of the steps the crops of different photos are encoded, or decoded, side by side as one picture.

Three terms make the loss, since latents that only reconstruct well are bad to diffuse: a denoiser has to guess what
the low-resolution photo does not say, and a wrong guess must not cost more than the detail that it is about.

- The mean squared error of the pixels, of latents with a little noise, which bounds what can hide in tiny differences.
- `predictability` times the share of the latents' variance that a small network fails to predict from the degraded
  low-resolution photo. Without it most of the latents is detail that no denoiser could know, spread over all channels.
- `mixed_weight` times the mean squared error of the pixels of *mixed* latents: what the network predicts, plus a random
  share of what it missed in another crop. It stands for the samples of a diffusion model, whose detail is invented, and
  for the mean of many, which has none. Without it both are decoded to pictures far worse than a blurred one.

Quantisation is learned in two phases:

1. additive Gaussian noise stands in for the quantisation error, everything trains;
2. the codebook is fitted to the latents by k-means, the encoder is frozen and the decoder trains on quantised latents.

This avoids the dead codes of training a codebook from the start.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import scipy.cluster.vq
import torch
from diffusers import VQModel

from real.degradations.simple import Degradation
from real.images.pixels import signed_tensor
from real.train.crops import CropSampler
from real.train.normalised import AutoencoderSettings, NormalisedVQModel, joined, parted
from real.train.record import read_record, write_record
from real.train.saved import fingerprint
from real.train.training_run import RunSettings, TrainingRun, autocast

__all__ = ["train_autoencoder"]


def train_autoencoder(
    photos: list[np.ndarray],
    folder: Path,
    settings: AutoencoderSettings,
    degradation: Degradation,
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
        degradation: What makes the low-resolution photo that the latents are to be predicted from.
        run_settings: Length, speed, seed.
        data: Counts of the photos, for the record.
        start_from: Output folder of a finished run of this stage whose networks this one starts from; None: from
            random weights.
        command: The command line, for the record.

    Returns:
        The trained model.

    Raises:
        UserError: `start_from` holds no finished run.
    """
    torch.manual_seed(run_settings.seed)
    model = NormalisedVQModel(settings).to(run_settings.device)
    earlier, start = None, None
    if start_from is not None:
        earlier = read_record(start_from, "vqvae")
        former = VQModel.from_pretrained(start_from / "vqvae")
        model.start_from(former)
        start = fingerprint(former)

    plain = _plain(settings, degradation)
    identity = {"stage": "autoencoder", **plain, "steps": run_settings.steps, "data": data, "start_from": start}
    run = TrainingRun(model, folder, run_settings, identity)
    sampler = CropSampler(photos, size=settings.crop, rng=run.rng)

    # Two phases: noise stands in for quantisation up to `switch`, then the codebook is fitted and used.
    switch = int(run_settings.steps * settings.quantised_from)

    def tensor(pixels: np.ndarray) -> torch.Tensor:
        return signed_tensor(pixels).to(run_settings.device)

    def images() -> torch.Tensor:
        return tensor(sampler.draw(settings.batch))

    def mosaic(crops: torch.Tensor) -> bool:
        return bool(run.rng.random() < settings.mosaic) and len(crops) % 4 == 0

    def loss_of_batch(*, quantised: bool) -> tuple[torch.Tensor, int]:
        truths = sampler.draw(settings.batch)
        x = tensor(truths)

        # What can be predicted of the latents is predicted from this; the term `predictability` asks for more of it.
        low = tensor(np.stack([degradation(truth, run.rng) for truth in truths]))
        share = torch.rand(settings.mixed, 1, 1, 1, generator=run.generator).to(x.device)

        with autocast(run_settings):
            with torch.set_grad_enabled(not quantised):
                # In a mosaic the normalisations see four photos at once, so that no brightness can travel through their
                # means.
                z = parted(model.encode(joined(x))) if mosaic(x) else model.encode(x)
                predicted = model.predictor(low).float()

                # The mixed ones are like samples of a diffusion model, whose detail is invented.
                latents = torch.cat([z, model.mixed(z, predicted, share)])
                if quantised:
                    latents = model.vq.quantize(latents)[0]
                else:
                    noise = torch.randn(z.shape, generator=run.generator).to(z)
                    latents[: len(z)] += settings.latent_noise * noise

            y = parted(model.decode(joined(latents))) if mosaic(latents) else model.decode(latents)

        errors = (y.float() - torch.cat([x, x[: settings.mixed]])).square().mean((1, 2, 3))
        loss = errors[: len(x)].mean() + settings.mixed_weight * errors[len(x) :].sum() / max(1, settings.mixed)
        if not quantised:
            missed = (z - predicted).square().mean()
            loss = loss + settings.predictability * missed
        return loss, len(x)

    model.train()
    if run.step < switch:
        run.train(partial(loss_of_batch, quantised=False), until=switch)

    # A run that is resumed after the switch has its codebook already.
    if not int(model.quantised):
        model.load_state_dict(run.ema.state_dict())
        _fit_codebook(model, images, settings, run_settings)
        run.ema.load_state_dict(model.state_dict())
        run.save()

    _freeze_encoder(model)
    run.train(partial(loss_of_batch, quantised=True))

    # What is kept is the average over steps, with the whitening inside its last convolution.
    averaged = run.ema
    assert isinstance(averaged, NormalisedVQModel)
    vqvae = averaged.folded()
    vqvae.save_pretrained(folder / "vqvae")
    write_record(run, command=command, settings=plain, data=data, started_from=earlier)
    return vqvae


def _fit_codebook(
    model: NormalisedVQModel,
    images: Callable[[], torch.Tensor],
    settings: AutoencoderSettings,
    run_settings: RunSettings,
) -> None:
    """k-means of the latents of fresh crops, 8 latents per code."""
    model.eval()
    latents: list[np.ndarray] = []
    needed = 8 * settings.codes
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


def _plain(settings: AutoencoderSettings, degradation: Degradation) -> dict[str, object]:
    values = {**vars(settings), **vars(degradation)}
    return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}
