"""Latent diffusion models that the core's samplers drive: bundled with the package, a folder, or an id on a hub.

A model is a diffusers folder in the shape of LDM-SR, or of the same paper's inpainting model: `vqvae/` (VQModel, f4, 3
latent channels), `unet/` (UNet2DModel; 3 latent channels and those of the condition, 3 for super-resolution and 4 for
inpainting) and `scheduler/` (the noise schedule and the prediction type). `kds.json`, if present, carries the bandwidth
that fits the scale of the model's latents. `real.models.families` says what a model is; those that are whole pipelines
are in `real.models.pipeline`.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import DDIMScheduler, UNet2DModel, VQModel

from kds_ref import NoiseSchedule
from real.errors import UserError, out_of_memory
from real.models.devices import DTYPES, usual_defaults
from real.models.families import recognise
from real.models.hub import Source, locate, read_config

__all__ = [
    "BUNDLED",
    "BUNDLED_INPAINTING",
    "DTYPES",
    "PAPER_BANDWIDTH",
    "LatentModel",
    "explain",
    "kds_bandwidth",
    "load_model",
    "weights_options",
]

BUNDLED = Path(__file__).parents[1] / "weights" / "sr"
BUNDLED_INPAINTING = Path(__file__).parents[1] / "weights" / "inpainting"
PAPER_BANDWIDTH = 0.3
PICKLES = (
    "pickled weights are allowed: a pickle can run code that its author put into it while it is read; torch's "
    "restricted unpickler refuses most of that, but load one only from an author you trust"
)


@dataclass(frozen=True)
class LatentModel:
    """A loaded model, its noise schedule, and what is known of it.

    Attributes:
        name: Folder or hub id; "bundled" for the one that the package carries for the task.
        family: "ldm-sr" or "ldm-inpaint", as in `real.models.families`.
        vqvae: The autoencoder.
        unet: The denoiser.
        schedule: Noise schedule that the denoiser was trained with.
        prediction_type: What the denoiser predicts.
        timestep_spacing: Of DDIM's timesteps, "leading" or "trailing".
        steps_offset: Of "leading" timesteps.
        bandwidth: h that fits the scale of its latents.
        max_batch: Most particles that go through the denoiser at once: the memory that sampling takes.
        revision: Of a hub id, as it was asked for.
        commit: Of a hub id, where it is known.
    """

    name: str
    family: str
    vqvae: VQModel
    unet: UNet2DModel
    schedule: NoiseSchedule
    prediction_type: str
    timestep_spacing: str
    steps_offset: int
    bandwidth: float
    max_batch: int = 16
    revision: str | None = None
    commit: str | None = None

    @property
    def num_train_timesteps(self) -> int:
        """T of the noise schedule."""
        return self.schedule.num_train_timesteps

    @property
    def divisor(self) -> int:
        """What the sides of latents must be multiples of: the denoiser halves them so often."""
        return int(2 ** (len(self.unet.config.block_out_channels) - 1))

    @property
    def device(self) -> torch.device:
        """Where the networks live."""
        device: torch.device = self.unet.device
        return device


def load_model(
    model: str | None = None,
    *,
    task: str = "sr",
    device: str = "cpu",
    dtype: str = "float32",
    revision: str | None = None,
    pickled_weights: bool = False,
    max_batch: int = 16,
) -> LatentModel:
    """Load a model in LDM-SR's shape, or in that of its inpainting sibling.

    Args:
        model: A folder, an id on the Hugging Face hub (such as "CompVis/ldm-super-resolution-4x-openimages"), or None
            for the bundled model of the task.
        task: "sr" or "inpaint".
        device: Where to put it.
        dtype: Of the denoiser: "float32", or half the memory and up to twice the speed with "bfloat16" or "float16".
            The sampler, the steering and the autoencoder stay in float32.
        revision: Commit, tag or branch of a hub id.
        pickled_weights: Also accept weights in pickle files (the public LDM-SR has only those). Loading a pickle can
            run code that its author wrote; torch's restricted unpickler is used, which refuses most of it.
        max_batch: Most particles that go through the denoiser at once.

    Raises:
        ValueError: `dtype` is none of those, or `max_batch` is less than 1.
        UserError: The model is not there, is not in that shape, or has only pickled weights.

    Warns:
        UserWarning: If pickles are allowed.
    """
    if dtype not in DTYPES:
        raise ValueError(f"dtype: got {dtype!r}; known: {', '.join(DTYPES)}")
    if max_batch < 1:
        raise ValueError(f"max_batch: got {max_batch}; give a whole number of at least 1")
    bundled = BUNDLED_INPAINTING if task == "inpaint" else BUNDLED
    source = Source(str(bundled), is_folder=True) if model is None else locate(model, revision=revision)
    family = recognise(source, task=task)
    if not family.latent:
        raise UserError(f"--model: {source.name!r} is {family.what}; only models in LDM-SR's shape are taken here")
    options = weights_options(source, pickled_weights=pickled_weights)
    # low_cpu_mem_usage needs another package and only matters for models that fill the memory.
    options["low_cpu_mem_usage"] = False
    try:
        with warnings.catch_warnings(), usual_defaults():
            warnings.simplefilter("ignore", UserWarning)  # diffusers' own talk with huggingface_hub
            vqvae = VQModel.from_pretrained(source.name, subfolder="vqvae", torch_dtype=torch.float32, **options)
            unet = UNet2DModel.from_pretrained(source.name, subfolder="unet", torch_dtype=DTYPES[dtype], **options)
            config = DDIMScheduler.load_config(source.name, subfolder="scheduler", **source.options)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise UserError(explain(source, error)) from error
    with usual_defaults():
        # diffusers computes the schedule in float32; its numbers are taken, so that trajectories are the same.
        scheduler = DDIMScheduler.from_config(config)
    return LatentModel(
        name="bundled" if model is None else model,
        family=family.name,
        vqvae=vqvae.to(device).eval().requires_grad_(False),
        unet=unet.to(device, memory_format=torch.channels_last).eval().requires_grad_(False),
        schedule=NoiseSchedule(scheduler.alphas_cumprod.double().numpy()),
        prediction_type=scheduler.config.prediction_type,
        timestep_spacing=scheduler.config.timestep_spacing,
        steps_offset=scheduler.config.steps_offset,
        bandwidth=kds_bandwidth(source),
        max_batch=max_batch,
        revision=source.revision,
        commit=source.commit,
    )


def weights_options(source: Source, *, pickled_weights: bool) -> dict[str, Any]:
    """What `from_pretrained` needs to take safetensors alone, or pickles too; of the latter it warns."""
    if pickled_weights:
        warnings.warn(PICKLES, UserWarning, stacklevel=3)
    return {**source.options, "use_safetensors": None if pickled_weights else True}


def kds_bandwidth(source: Source) -> float:
    """The bandwidth in the model's kds.json; the paper's where there is none."""
    config = read_config(source, "kds.json") or {"bandwidth": PAPER_BANDWIDTH}
    value = config.get("bandwidth")
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 < value < math.inf:
        raise UserError(
            f"{source.option}: the bandwidth in kds.json of {source.name!r} must be a positive number, got {value!r}"
        )
    return float(value)


def explain(source: Source, error: Exception) -> str:
    """One line for weights that could not be loaded; the error itself where memory did not suffice."""
    if out_of_memory(error):
        raise error
    why = " ".join(str(error).split())
    if len(why) > 240:
        why = why[:240] + " ..."
    hint = "if it has its weights as pickles only, --pickled-weights allows them"
    if source.offline:
        hint = f"if the cache holds only a part of it, fetch the rest: hf download {source.name}; {hint}"
    return f"{source.option}: cannot load {source.name!r} ({why}); {hint}"
