"""Stage two: the denoiser, diffusers' `UNet2DModel`: 3 noisy latent channels and the condition's in.

Latents of all photos are computed once; every step then draws crops of them with their condition, which a `Task` makes
(`latents`, `tasks`), and trains the noise prediction. Three choices differ from the plain recipe:

- The squared error of the noise is weighted by min(1 / alpha_bar, cap) to some power (`loss_weight`). With power 1 it
  counts the error of the noise and that of the predicted clean latents, which is the noise's times
  (1 - alpha_bar) / alpha_bar, alike. That factor is 1130 at the first sampling step; without the weight the clean
  latents of the first steps are off in colour, and those are what steering works on. But the steps in the middle, where
  detail is decided, then count little, and samples come out smoother than photos: a power of 1/2 is in between.
- The noise carries what makes the latents vanish from the largest noise (`noised`). LDM-SR's schedule ends at
  sqrt(alpha_bar) = 0.026, so that latents of a standard deviation of 8 are still there at 0.2 of the noise's, while
  sampling starts from pure noise. A network that had learned to read the brightness of large areas off that remainder
  lost 0.8 dB of the ensemble's average; hiding it from t = 900 on changed nothing, since DDIM carries the lack on.
- The crops are larger than the autoencoder's: group normalisation and the borders then matter less in whole photos.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import DDIMScheduler, UNet2DModel, VQModel

from real.degradations.simple import SCALE
from real.train.distil import load_teacher
from real.train.latents import Batches, Task, encode_photos
from real.train.loop import Run, RunSettings, autocast
from real.train.record import read_record, write_record

__all__ = ["UNetSettings", "ldm_sr_scheduler", "loss_weight", "noised", "terminal_signal", "train_unet"]


@dataclass(frozen=True)
class UNetSettings:
    """Architecture of the denoiser and size of its batches; sizes of crops are in latent pixels."""

    channels: tuple[int, ...] = (64, 80, 96)
    layers: int = 1
    groups: int = 8
    crop: int = 24
    batch: int = 16
    condition_dropout: float = 0.1
    weight_cap: float = 800.0  # of 1 / alpha_bar in the loss's weight
    weight_power: float = 1.0  # 1: the loss is an error of x0; 0: of the noise
    zero_terminal: bool = True  # no latents are left in the largest noise
    noisiest: float = 0.0  # share of the timesteps from the noisiest fifth alone
    attention: bool = False  # at the lowest resolution: a hole is filled by what is far away, too
    stride: int = 20  # with a teacher: timesteps of a step, 1000 / 50
    substeps: int = 4  # with a teacher: its steps in one of those

    def __post_init__(self) -> None:
        """Refuse weights that are none."""
        if not self.weight_cap >= 1.0:
            raise ValueError(f"weight_cap: got {self.weight_cap}; give a number of at least 1")
        if not 0.0 <= self.weight_power <= 1.0:
            raise ValueError(f"weight_power: got {self.weight_power}; give a number from 0 to 1")
        if not 0.0 <= self.noisiest <= 1.0:
            raise ValueError(f"noisiest: got {self.noisiest}; give a share from 0 to 1")
        for name, least in (("stride", 1), ("substeps", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name}: got {getattr(self, name)}; give a whole number of at least {least}")


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
    teacher: Path | None = None,
    command: str,
) -> UNet2DModel:
    """Train (or go on training) the denoiser; the averaged model goes to `folder/unet`, beside `record.json`.

    Args:
        photos: RGB uint8 (H, W, 3) arrays.
        autoencoder: Output folder of the autoencoder stage.
        folder: Checkpoint, curve, record and the trained network.
        settings: Architecture and batches.
        task: What the denoiser is told of a crop. Photos that have no crop of the size are left out.
        run_settings: Length, speed, seed.
        data: Counts of the photos, for the record.
        start_from: Output folder of a finished run, of this task or another one, whose network this one starts from;
            weights of another condition and of attention that it has not are new. None: random weights.
        teacher: Output folder of a finished run of this task: learn to make in one step of DDIM what its network makes
            in several (`distil`). None: learn from the photos alone.
        command: The command line, for the record.

    Returns:
        The trained model.

    Raises:
        FileNotFoundError: `autoencoder`, `start_from` or `teacher` holds no finished run.
        ValueError: No photo is large enough for a crop, or `start_from` has another architecture.
    """
    try:
        read_record(autoencoder, "vqvae")
    except FileNotFoundError as error:
        raise FileNotFoundError(f"autoencoder: {error}") from None
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
    earlier = None
    if start_from is not None:
        earlier = read_record(start_from, "unet")
        _take_over(model, UNet2DModel.from_pretrained(start_from / "unet"))
    learned = None
    if teacher is not None:
        steps = {"stride": settings.stride, "substeps": settings.substeps}
        learned = load_teacher(teacher, run_settings, in_channels=model.config.in_channels, **steps)
    plain = {k: list(v) if isinstance(v, tuple) else v for k, v in {**vars(settings), **task.settings()}.items()}
    if teacher is None:
        plain = {k: v for k, v in plain.items() if k not in ("stride", "substeps")}
    identity = {"stage": task.stage, **plain, "steps": run_settings.steps, "data": data}
    identity |= {"autoencoder": _fingerprint(vqvae), "teacher": teacher and str(teacher)}
    run = Run(model, folder, run_settings, identity)
    large = [photo for photo in photos if min(photo.shape[:2]) // SCALE >= settings.crop]
    if not large:
        raise ValueError(f"crop: no photo has {SCALE * settings.crop} px on both sides")
    vqvae = vqvae.to(run_settings.device).eval()
    pairs = encode_photos(large, vqvae, folder, run_settings)
    task.prepare(pairs, vqvae, folder, run_settings, settings.crop)
    batches = Batches(
        pairs,
        task,
        crop=settings.crop,
        batch=settings.batch,
        dropout=settings.condition_dropout,
        noisiest=settings.noisiest,
        seed=run_settings.seed,
    )
    alphas_cumprod = ldm_sr_scheduler().alphas_cumprod.to(run_settings.device)
    counter = terminal_signal(alphas_cumprod) if settings.zero_terminal else 0.0

    def loss_of_batch() -> tuple[torch.Tensor, int]:
        x0, condition, eps, t = (part.to(run_settings.device) for part in batches(run.step))
        alpha_bar = alphas_cumprod[t][:, None, None, None]
        x_t, eps = noised(x0, eps, alpha_bar, counter=counter)
        if learned is not None:
            eps = learned(x_t, condition, t, alphas_cumprod)
        with autocast(run_settings):
            predicted = model(torch.cat([x_t, condition], dim=1), t).sample
        weight = loss_weight(alpha_bar, cap=settings.weight_cap, power=settings.weight_power)
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


def loss_weight(alpha_bar: torch.Tensor, *, cap: float, power: float) -> torch.Tensor:
    """min(1 / alpha_bar, cap)^power, the weight of the squared error of the noise; the shape of `alpha_bar`."""
    return (1 / alpha_bar).clamp(max=cap) ** power


def terminal_signal(alphas_cumprod: torch.Tensor) -> float:
    """sqrt(alpha_bar_T / (1 - alpha_bar_T)): what is left of the latents at the largest noise, as a share of it."""
    last = alphas_cumprod[-1].double()
    return float((last / (1 - last)).sqrt())


def noised(
    x0: torch.Tensor, eps: torch.Tensor, alpha_bar: torch.Tensor, *, counter: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Noisy latents, KDS Eq. 3 (v1), and their noise, which is to be predicted: eps - counter * x0.

    With `counter` from `terminal_signal` nothing is left of x0 at the largest noise, where sampling starts, and DDIM
    stays exact: it follows the lines x0 + sigma * noise, sigma = sqrt((1 - alpha_bar) / alpha_bar), and moves their
    distribution at the largest sigma to that of x0 also where x0 and noise depend on each other (Lipman et al. 2023,
    "Flow matching for generative modeling", Theorem 1).

    Args:
        x0: Clean latents (B, C, H, W).
        eps: Standard normal, the same shape.
        alpha_bar: (B, 1, 1, 1).
        counter: Part of x0 that the noise takes away.

    Returns:
        x_t and the noise in it, both (B, C, H, W); KDS Eq. 6 (v1) gives x0 back.
    """
    eps = eps - counter * x0
    return alpha_bar.sqrt() * x0 + (1 - alpha_bar).sqrt() * eps, eps


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
        raise ValueError(f"start_from: the network there has another architecture ({error})") from error
    if unexpected or any(".attentions." not in name for name in missing):
        raise ValueError(f"start_from: the network there has another architecture ({[*unexpected, *missing][:3]})")


def _fingerprint(model: torch.nn.Module) -> str:
    """SHA-256 of the weights, so that a run is not continued on another autoencoder's latents."""
    digest = hashlib.sha256()
    for value in model.state_dict().values():
        digest.update(value.contiguous().numpy().tobytes())
    return digest.hexdigest()
