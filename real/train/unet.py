"""Stage two: the denoiser, diffusers' `UNet2DModel` in LDM-SR's shape: 3 noisy latent + 3 low-resolution channels in.

Latents of all photos are computed once; every step then draws crops of them, degrades the same crops of the photos on
the fly, and trains the noise prediction. Two choices differ from the plain recipe:

- The squared error of the noise is weighted by min(1 / alpha_bar, cap): it counts the error of the noise and that of
  the predicted clean latents, which is the noise's times (1 - alpha_bar) / alpha_bar, alike. That factor is 1130 at the
  first sampling step; without the weight the clean latents of the first steps are off in colour, and those are what
  steering works on.
- The crops are larger than the autoencoder's: group normalisation and the borders then matter less in whole photos.
"""

from __future__ import annotations

import hashlib
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from diffusers import DDIMScheduler, UNet2DModel, VQModel
from tqdm import tqdm

from real.degrade import SCALE, Degradation
from real.files import write_atomically
from real.train.loop import Run, RunSettings, autocast
from real.train.record import read_record, write_record

__all__ = ["UNetSettings", "ldm_sr_scheduler", "train_unet"]

Batch: TypeAlias = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class UNetSettings:
    """Architecture and task of the denoiser; sizes of crops are in latent pixels."""

    channels: tuple[int, ...] = (64, 80, 96)
    layers: int = 1
    groups: int = 8
    crop: int = 24
    batch: int = 16
    condition_dropout: float = 0.1
    weight_cap: float = 200.0


def ldm_sr_scheduler() -> DDIMScheduler:
    """DDIM with the noise schedule and options of the public LDM-SR weights."""
    return DDIMScheduler(
        num_train_timesteps=1000,
        beta_start=0.0015,
        beta_end=0.0155,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=True,
        steps_offset=1,
    )


@dataclass(frozen=True)
class Pair:
    """A photo, uint8 (4h, 4w, 3), and its latents, float16 (3, h, w)."""

    photo: np.ndarray
    latents: np.ndarray


def train_unet(
    photos: list[np.ndarray],
    autoencoder: Path,
    folder: Path,
    settings: UNetSettings,
    degradation: Degradation,
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
        settings: Architecture and task.
        degradation: How the low-resolution condition is made.
        run_settings: Length, speed, seed.
        data: Counts of the photos, for the record.
        start_from: Output folder of a finished run of this stage whose network this one starts from; None: from
            random weights.
        command: The command line, for the record.

    Returns:
        The trained model.
    """
    try:
        read_record(autoencoder, "vqvae")
    except FileNotFoundError as error:
        raise FileNotFoundError(f"autoencoder: {error}") from None
    vqvae = VQModel.from_pretrained(autoencoder / "vqvae")
    torch.manual_seed(run_settings.seed)
    model = UNet2DModel(
        sample_size=settings.crop,
        in_channels=6,
        out_channels=3,
        down_block_types=("DownBlock2D",) * len(settings.channels),
        up_block_types=("UpBlock2D",) * len(settings.channels),
        block_out_channels=settings.channels,
        layers_per_block=settings.layers,
        norm_num_groups=settings.groups,
        add_attention=False,
    ).to(run_settings.device)
    earlier = None
    if start_from is not None:
        earlier = read_record(start_from, "unet")
        model.load_state_dict(UNet2DModel.from_pretrained(start_from / "unet").state_dict())
    plain = {k: list(v) if isinstance(v, tuple) else v for k, v in {**vars(settings), **vars(degradation)}.items()}
    identity = {"stage": "unet", **plain, "steps": run_settings.steps, "data": data}
    run = Run(model, folder, run_settings, {**identity, "autoencoder": _fingerprint(vqvae)})
    pairs = encode_photos(photos, vqvae, folder, run_settings)
    batches = Batches(pairs, settings, degradation, run_settings)
    alphas_cumprod = ldm_sr_scheduler().alphas_cumprod.to(run_settings.device)

    def loss_of_batch() -> tuple[torch.Tensor, int]:
        x0, condition, eps, t = (part.to(run_settings.device) for part in batches(run.step))
        alpha_bar = alphas_cumprod[t][:, None, None, None]
        x_t = alpha_bar.sqrt() * x0 + (1 - alpha_bar).sqrt() * eps  # KDS Eq. 3 (v1)
        with autocast(run_settings):
            predicted = model(torch.cat([x_t, condition], dim=1), t).sample
        weight = (1 / alpha_bar).clamp(max=settings.weight_cap)
        return (weight * (predicted.float() - eps).square()).mean(), len(x0)

    model.train()
    try:
        run.train(loss_of_batch)
    finally:
        batches.close()
    ema: UNet2DModel = run.ema
    ema.save_pretrained(folder / "unet")
    write_record(
        folder,
        command=command,
        settings=plain,
        run_settings=run_settings,
        data=data,
        seconds=run.seconds,
        started_from=earlier,
    )
    return ema


def _fingerprint(model: torch.nn.Module) -> str:
    """SHA-256 of the weights, so that a run is not continued on another autoencoder's latents."""
    digest = hashlib.sha256()
    for value in model.state_dict().values():
        digest.update(value.contiguous().numpy().tobytes())
    return digest.hexdigest()


@torch.no_grad()
def encode_photos(photos: list[np.ndarray], vqvae: VQModel, folder: Path, run_settings: RunSettings) -> list[Pair]:
    """Latents of every photo, each turned or mirrored at random once; sides are cut to multiples of 4.

    They are kept in `folder/latents.pt`, so that a resumed run need not compute them again.
    """
    rng = np.random.default_rng([run_settings.seed, 1])
    kept = folder / "latents.pt"
    known = torch.load(kept, weights_only=True) if kept.exists() else None
    vqvae = vqvae.to(run_settings.device).eval()
    pairs = []
    for index, photo in enumerate(tqdm(photos, desc="encoding photos", unit="photo")):
        turned = np.rot90(photo[:, ::-1] if rng.random() < 0.5 else photo, int(rng.integers(4)))
        height, width = (side - side % SCALE for side in turned.shape[:2])
        turned = np.ascontiguousarray(turned[:height, :width])
        if known is not None:
            pairs.append(Pair(turned, known[index].numpy()))
            continue
        x = torch.from_numpy(turned).permute(2, 0, 1)[None].to(run_settings.device).float() / 127.5 - 1
        with autocast(run_settings):
            latents = vqvae.encode(x).latents
        pairs.append(Pair(turned, latents[0].to(torch.float16).cpu().numpy()))
    if known is None:
        write_atomically(kept, lambda path: torch.save([torch.from_numpy(p.latents) for p in pairs], path))
    return pairs


class Batches:
    """Batches by step number: what step k trains on depends on the seed and k alone, so a resumed run repeats it.

    One thread prepares the next batch while the model trains on the present one.
    """

    def __init__(
        self, pairs: list[Pair], settings: UNetSettings, degradation: Degradation, run_settings: RunSettings
    ) -> None:
        self.settings, self.degradation, self.run_settings = settings, degradation, run_settings
        self.pairs = [p for p in pairs if min(p.latents.shape[1:]) >= settings.crop]
        if not self.pairs:
            raise ValueError(f"crop: no photo has {SCALE * settings.crop} px on both sides")
        area = np.array([p.latents.shape[1] * p.latents.shape[2] for p in self.pairs], dtype=np.float64)
        self._cumulative = np.cumsum(area) / area.sum()
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._next: tuple[int, Future[Batch]] | None = None

    def __call__(self, step: int) -> Batch:
        """Clean latents, condition in [-1, 1], noise (each (B, 3, s, s), float32) and time steps (B,)."""
        known = self._next is not None and self._next[0] == step
        batch = self._next[1].result() if self._next is not None and known else self._make(step)
        self._next = (step + 1, self._thread.submit(self._make, step + 1))
        return batch

    def close(self) -> None:
        """Stop the thread."""
        self._thread.shutdown(cancel_futures=True)

    def _make(self, step: int) -> Batch:
        settings, rng = self.settings, np.random.default_rng([self.run_settings.seed, 2, step])
        size, batch = settings.crop, settings.batch
        latents = np.empty((batch, 3, size, size), dtype=np.float32)
        condition = np.zeros((batch, 3, size, size), dtype=np.float32)
        for i in range(batch):
            pair = self.pairs[int(np.searchsorted(self._cumulative, rng.random(), side="right"))]
            y, x = (int(rng.integers(side - size + 1)) for side in pair.latents.shape[1:])
            latents[i] = pair.latents[:, y : y + size, x : x + size]
            truth = pair.photo[SCALE * y : SCALE * (y + size), SCALE * x : SCALE * (x + size)]
            low = self.degradation(truth, rng)
            if rng.random() >= settings.condition_dropout:  # a dropped condition is mid-grey: zeros
                condition[i] = low.transpose(2, 0, 1) / 127.5 - 1
        eps = rng.standard_normal(latents.shape, dtype=np.float32)
        # Stratified time steps: one in each of `batch` equal parts of 0..999, for less variance of the loss.
        t = np.floor((np.arange(batch) + rng.random(batch)) * (1000 / batch)).astype(np.int64)
        return torch.from_numpy(latents), torch.from_numpy(condition), torch.from_numpy(eps), torch.from_numpy(t)
