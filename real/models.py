"""The latent diffusion model behind super-resolution: bundled with the package, a folder, or an id on a hub.

A model is a diffusers folder in LDM-SR's shape: `vqvae/` (VQModel, f4, 3 latent channels), `unet/` (UNet2DModel, 3
latent + 3 condition channels) and `scheduler/` (the noise schedule and the prediction type). `kds.json`, if present,
carries the bandwidth that fits the scale of the model's latents.
"""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import DDIMScheduler, UNet2DModel, VQModel

from kds_ref import NoiseSchedule
from real.cli import UserError

__all__ = ["BUNDLED", "DTYPES", "SuperResolutionModel", "load_model"]

BUNDLED = Path(__file__).parent / "weights" / "sr"
PAPER_BANDWIDTH = 0.3
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class SuperResolutionModel:
    """A loaded model, its noise schedule, and what is known of it.

    Attributes:
        name: Folder or hub id; "bundled" for the one that the package carries.
        vqvae: The autoencoder.
        unet: The denoiser.
        schedule: Noise schedule that the denoiser was trained with.
        prediction_type: What the denoiser predicts.
        steps_offset: Of DDIM's timesteps.
        bandwidth: h that fits the scale of its latents.
        max_batch: Most particles that go through the denoiser at once: the memory that sampling takes.
    """

    name: str
    vqvae: VQModel
    unet: UNet2DModel
    schedule: NoiseSchedule
    prediction_type: str
    steps_offset: int
    bandwidth: float
    max_batch: int = 16

    @property
    def device(self) -> torch.device:
        """Where the networks live."""
        device: torch.device = self.unet.device
        return device


def load_model(
    model: str | None = None,
    *,
    device: str = "cpu",
    dtype: str = "float32",
    revision: str | None = None,
    pickled_weights: bool = False,
) -> SuperResolutionModel:
    """Load a super-resolution model.

    Args:
        model: A folder, an id on the Hugging Face hub (such as "CompVis/ldm-super-resolution-4x-openimages"), or None
            for the bundled model.
        device: Where to put it.
        dtype: Of the denoiser: "float32", or half the memory and up to twice the speed with "bfloat16" or "float16".
            The sampler, the steering and the autoencoder stay in float32.
        revision: Commit, tag or branch of a hub id.
        pickled_weights: Also accept weights in pickle files (the public LDM-SR has only those). Loading a pickle can
            run code that its author wrote; torch's restricted unpickler is used, which refuses most of it.

    Raises:
        ValueError: `dtype` is none of those.
        UserError: The model is not there, is not in LDM-SR's shape, or has only pickled weights.
    """
    if dtype not in DTYPES:
        raise ValueError(f"dtype: got {dtype!r}; known: {', '.join(DTYPES)}")
    source = str(BUNDLED if model is None else model)
    # low_cpu_mem_usage needs another package and only matters for models that fill the memory.
    options: dict[str, Any] = {"use_safetensors": None if pickled_weights else True, "low_cpu_mem_usage": False}
    if revision is not None:
        options["revision"] = revision
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # diffusers' own talk with huggingface_hub
            vqvae, unet, config = _load(source, DTYPES[dtype], options, revision)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(_explain(source, error)) from error
    if (unet.config.in_channels, unet.config.out_channels, vqvae.config.latent_channels) != (6, 3, 3):
        raise UserError(
            f"--model: {source!r} has a UNet of {unet.config.in_channels} to {unet.config.out_channels} channels and "
            f"{vqvae.config.latent_channels} latent channels; LDM-SR's shape is 6 to 3 and 3"
        )
    # diffusers computes the schedule in float32; its numbers are taken, so that trajectories are the same.
    scheduler = DDIMScheduler.from_config(config)
    return SuperResolutionModel(
        name="bundled" if model is None else model,
        vqvae=vqvae.to(device).eval().requires_grad_(False),
        unet=unet.to(device, memory_format=torch.channels_last).eval().requires_grad_(False),
        schedule=NoiseSchedule(scheduler.alphas_cumprod.double().numpy()),
        prediction_type=scheduler.config.prediction_type,
        steps_offset=scheduler.config.steps_offset,
        bandwidth=_bandwidth(Path(source)),
    )


def _load(
    source: str, dtype: torch.dtype, options: dict[str, Any], revision: str | None
) -> tuple[VQModel, UNet2DModel, dict[str, Any]]:
    vqvae = VQModel.from_pretrained(source, subfolder="vqvae", torch_dtype=torch.float32, **options)
    unet = UNet2DModel.from_pretrained(source, subfolder="unet", torch_dtype=dtype, **options)
    return vqvae, unet, DDIMScheduler.load_config(source, subfolder="scheduler", revision=revision)


def _bandwidth(folder: Path) -> float:
    """The bandwidth in the model's kds.json; the paper's where there is none (also for hub ids)."""
    path = folder / "kds.json"
    return float(json.loads(path.read_text())["bandwidth"]) if path.is_file() else PAPER_BANDWIDTH


def _explain(source: str, error: Exception) -> str:
    if Path(source).is_dir():
        needs = "vqvae/, unet/ and scheduler/ with safetensors weights"
        return f"--model: cannot load {source!r} ({error}); a model folder holds {needs}, or use --pickled-weights"
    return (
        f"--model: {source!r} is not a folder here and could not be had from the hub ({type(error).__name__}); "
        "check the spelling, the network and the cache, or --pickled-weights if the repository has no safetensors"
    )
