"""Latent diffusion models that the core's samplers drive: bundled with the package, a folder, or an id on a hub.

A model is a folder as diffusers saves it, in the shape of LDM-SR or of the same paper's inpainting model: `vqvae/`
(VQModel, f4, 3 latent channels), `unet/` (UNet2DModel; 3 latent channels and those of the condition, 3 for
super-resolution and 4 for inpainting) and `scheduler/` (the noise schedule and the prediction type). A folder for
super-resolution may hold `unet_inpainting/`, too, a second denoiser over the same autoencoder. `kds.json`, if
present, carries the bandwidth that fits the scale of the model's latents, and what an inpainting model sees in place
of a hole. `real.models.families` recognises a model; whole pipelines are in `real.models.pipeline`.
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
from real.models.base import PAPER_BANDWIDTH, LoadOptions, Model, ModelFamily
from real.models.devices import DTYPES, usual_defaults
from real.models.hub import Source, read_config

__all__ = [
    "BUNDLED",
    "DTYPES",
    "HOLES",
    "PAPER_BANDWIDTH",
    "SECOND",
    "LatentModel",
    "explain",
    "kds_bandwidth",
    "load_latent",
    "weights_options",
]

BUNDLED = Path(__file__).parents[1] / "weights" / "sr"  # of both tasks
SECOND = "unet_inpainting"  # folder of a second denoiser, beside `unet` and over the same autoencoder
HOLES = ("black", "smooth")  # what an inpainting model sees in a hole; the first where kds.json does not say
PICKLES = (
    "pickled weights are allowed: a pickle can run code that its author put into it while it is read; torch's "
    "restricted unpickler refuses most of that, but load one only from an author you trust"
)


@dataclass(frozen=True, kw_only=True)
class LatentModel(Model):
    """A model in LDM's shape, with the noise schedule that the core's samplers need.

    Attributes:
        vqvae: The autoencoder.
        unet: The denoiser.
        schedule: Noise schedule that the denoiser was trained with.
        prediction_type: What the denoiser predicts.
        timestep_spacing: Spacing of DDIM's timesteps, "leading" or "trailing".
        steps_offset: Offset of "leading" timesteps.
        max_batch: Most particles that go through the denoiser at once: the memory that sampling takes.
        hole: One of `HOLES`: what an inpainting model sees in a hole, see `real.models.hole_condition`.
    """

    vqvae: VQModel
    unet: UNet2DModel
    schedule: NoiseSchedule
    prediction_type: str
    timestep_spacing: str
    steps_offset: int
    max_batch: int = 16
    hole: str = HOLES[0]

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the denoiser."""
        dtype: torch.dtype = self.unet.dtype
        return dtype

    @property
    def num_train_timesteps(self) -> int:
        """T of the noise schedule."""
        return self.schedule.num_train_timesteps

    @property
    def divisor(self) -> int:
        """What the sides of latents must be multiples of: the denoiser halves them so often."""
        return int(2 ** (len(self.unet.config.block_out_channels) - 1))


def load_latent(source: Source, family: ModelFamily, options: LoadOptions) -> LatentModel:
    """Load networks in LDM's shape; `max_batch` is 16 unless the options say otherwise.

    Sampler, steering and autoencoder stay in float32, whatever the denoiser's precision.

    Args:
        source: Place of the model, from `real.models.hub.locate`.
        family: Family of the model, from `real.models.families.recognise`.
        options: How to load and run it.

    Raises:
        UserError: The weights are missing, are pickles that are not allowed, or do not fit; or an option belongs to
            pipelines.

    Warns:
        UserWarning: If pickles are allowed.
    """
    for argument, given in (("vae_tiling", options.vae_tiling), ("cpu_offload", options.cpu_offload)):
        if given:
            why = "must be left out except with pipelines, got True; models in LDM's shape tile by themselves"
            raise UserError(why, argument=argument)

    weights = weights_options(source, pickled_weights=options.pickled_weights)
    # low_cpu_mem_usage needs another package and only matters for models that fill the memory.
    weights["low_cpu_mem_usage"] = False
    dtype = DTYPES[options.dtype]
    try:
        with warnings.catch_warnings(), usual_defaults():
            warnings.simplefilter("ignore", UserWarning)  # diffusers warns of how it calls huggingface_hub
            vqvae = VQModel.from_pretrained(source.name, subfolder="vqvae", torch_dtype=torch.float32, **weights)
            unet = UNet2DModel.from_pretrained(source.name, subfolder=family.denoiser, torch_dtype=dtype, **weights)
            config = DDIMScheduler.load_config(source.name, subfolder="scheduler", **source.options)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise explain(source, error) from error

    with usual_defaults():
        # diffusers computes the schedule in float32; its numbers are taken, so that trajectories are the same.
        scheduler = DDIMScheduler.from_config(config)
    return LatentModel(
        name=source.name,
        family=family.name,
        vqvae=vqvae.to(options.device).eval().requires_grad_(False),
        unet=unet.to(options.device, memory_format=torch.channels_last).eval().requires_grad_(False),
        schedule=NoiseSchedule(scheduler.alphas_cumprod.double().numpy()),
        prediction_type=scheduler.config.prediction_type,
        timestep_spacing=scheduler.config.timestep_spacing,
        steps_offset=scheduler.config.steps_offset,
        bandwidth=kds_bandwidth(source),
        device=unet.device,
        max_batch=options.max_batch or 16,
        hole=_hole(source),
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
    value = (read_config(source, "kds.json") or {}).get("bandwidth", PAPER_BANDWIDTH)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 < value < math.inf:
        message = f"must have a positive number as the bandwidth in kds.json, got {value!r} in {source.name!r}"
        raise UserError(message, argument=source.argument)
    return float(value)


def _hole(source: Source) -> str:
    """What the model's kds.json says of holes."""
    value = (read_config(source, "kds.json") or {}).get("hole", HOLES[0])
    if value not in HOLES:
        message = f"must have one of {', '.join(HOLES)} as the hole in kds.json, got {value!r} in {source.name!r}"
        raise UserError(message, argument=source.argument)
    return str(value)


def explain(source: Source, error: Exception) -> UserError:
    """The error for weights that could not be loaded, in one line; raises `error` itself where memory ran out."""
    if out_of_memory(error):
        raise error
    why = " ".join(str(error).split())
    if len(why) > 240:
        why = why[:240] + " ..."
    hint = "if it has its weights as pickles only, `pickled_weights=True` allows them"
    if source.offline:
        hint = f"if the cache holds only a part of it, fetch the rest: hf download {source.name}; {hint}"
    text = f"must be a model that can be loaded, got {source.name!r} ({why}); {hint}"
    return UserError(text, argument=source.argument)
