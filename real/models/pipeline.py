"""Pipelines of diffusers as models: loaded and put on a device, none of them edited.

The x4 upscaler and Stable Diffusion inpainting are loaded here; `real.restorers.pipeline` runs them.
"""

from __future__ import annotations

import contextlib
import importlib.util
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from real.errors import UserError
from real.models.devices import usual_defaults
from real.models.families import Family
from real.models.hub import Source
from real.models.latent import DTYPES, explain, kds_bandwidth, weights_options
from real.plugin.batching import split_batches
from real.settings import Settings

__all__ = ["PipelineModel", "check_packages", "check_text", "load_pipeline", "quiet"]


@dataclass(frozen=True)
class PipelineModel:
    """A loaded pipeline, and what is known of it.

    Attributes:
        name: Folder or hub id.
        family: Name in `real.models.families`.
        pipe: The pipeline.
        scheduler: Configuration of the scheduler that it came with: noise schedule, prediction type, clipping.
        bandwidth: h that fits the scale of its latents (`kds.json` in its folder); the paper's where it names none.
        device: Where it runs.
        revision: Of a hub id, as it was asked for.
        commit: Of a hub id, where it is known.
    """

    name: str
    family: str
    pipe: Any
    scheduler: Any
    bandwidth: float
    device: torch.device
    revision: str | None = None
    commit: str | None = None

    @property
    def unet(self) -> Any:
        """The denoiser."""
        return self.pipe.unet

    @property
    def num_train_timesteps(self) -> int:
        """T of the noise schedule."""
        return int(self.scheduler["num_train_timesteps"])


def load_pipeline(
    source: Source,
    family: Family,
    *,
    device: str = "cpu",
    dtype: str = "float32",
    pickled_weights: bool = False,
    max_batch: int | None = None,
    vae_tiling: bool = False,
    cpu_offload: bool = False,
) -> PipelineModel:
    """Load a pipeline.

    Args:
        source: From `real.models.hub.locate`.
        family: From `real.models.families.recognise`.
        device: Where to put it.
        dtype: Of all its networks: "float32", "bfloat16" or "float16". Steering computes in float32.
        pickled_weights: Also accept weights in pickle files; see `real.models.latent.load_model`.
        max_batch: Most rows that go through the denoiser at once; with guidance a particle is two. None: all.
        vae_tiling: Encode and decode in tiles that are blended; changes pictures slightly at the seams.
        cpu_offload: Keep each network on the device only while it works; needs accelerate.

    Raises:
        ValueError: `dtype` is none of those, `max_batch` is less than 1, or the family is no pipeline.
        UserError: A package is missing, the device does not fit, or the weights cannot be loaded.

    Warns:
        UserWarning: If pickles are allowed.
    """
    import diffusers

    if family.pipeline is None:
        raise ValueError(f"family: {family.name} is no pipeline; use real.models.latent.load_model")
    if dtype not in DTYPES:
        raise ValueError(f"dtype: got {dtype!r}; known: {', '.join(DTYPES)}")
    check_packages(device, cpu_offload=cpu_offload)
    options = weights_options(source, pickled_weights=pickled_weights)
    options |= {"torch_dtype": DTYPES[dtype], "trust_remote_code": False}
    options["low_cpu_mem_usage"] = importlib.util.find_spec("accelerate") is not None
    try:
        with quiet():
            pipe = getattr(diffusers, family.pipeline).from_pretrained(source.name, **options)
    except (OSError, ValueError, KeyError, RuntimeError, TypeError, AttributeError) as error:
        raise UserError(explain(source, error)) from error
    pipe.set_progress_bar_config(disable=True)
    pipe.vae.enable_slicing()  # decode one by one: the same pictures in less memory
    if vae_tiling:
        pipe.vae.enable_tiling()
    if cpu_offload:
        pipe.enable_model_cpu_offload(device=device)
    else:
        pipe.to(device)
    if max_batch is not None:
        split_batches(pipe.unet, max_batch)
    return PipelineModel(
        name=source.name,
        family=family.name,
        pipe=pipe,
        scheduler=pipe.scheduler.config,
        bandwidth=kds_bandwidth(source),
        device=torch.device(device),
        revision=source.revision,
        commit=source.commit,
    )


def check_text(settings: Settings, negative_prompt: str | None) -> None:
    """Refuse what a pipeline would pass over in silence.

    Raises:
        ValueError: A guidance below 1, or a negative prompt without guidance.
    """
    if settings.guidance < 1.0:
        raise ValueError(f"guidance: got {settings.guidance:g}; a pipeline guides above 1 only (1: no guidance)")
    if negative_prompt and settings.guidance == 1.0:
        raise ValueError("negative_prompt: it acts through guidance only; give a guidance above 1 too")


def check_packages(device: str, *, cpu_offload: bool = False) -> None:
    """UserError where a package that reads text is missing, or nothing can be offloaded."""
    if importlib.util.find_spec("transformers") is None:
        raise UserError('--model: this model reads text, which needs transformers: pip install "kds-ref[pipelines]"')
    if not cpu_offload:
        return
    if torch.device(device).type == "cpu":
        raise UserError("--cpu-offload: everything is on the CPU already; it needs --device cuda or mps")
    if importlib.util.find_spec("accelerate") is None:
        raise UserError("--cpu-offload: it needs accelerate: pip install accelerate")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without what diffusers and transformers say about arguments of their own, and with the defaults they expect."""
    with warnings.catch_warnings(), usual_defaults():
        warnings.simplefilter("ignore")
        yield
